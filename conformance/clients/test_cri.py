"""Pods and their containers as the kubelet asks containerd or CRI-O for them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from conformance.clients.cri import EXITED, NODE, POD, RUNNING, Pods
from conformance.clients.engine import shim_is_right, shim_of
from conformance.clients.grpc import Refused
from tests.support.leftovers import CGROUPS
from tests.support.runtimes import eventually

ENGINES = ("cri", "crio")
UNIFIED = (CGROUPS / "cgroup.controllers").exists()
MIB = 1 << 20


def limit(engine: Pods, box: str) -> str:
    """The limit of memory, in bytes."""
    name = "memory.max" if UNIFIED else "memory.limit_in_bytes"
    return (engine.cgroup(box, "memory") / name).read_text().strip()


@pytest.mark.quick
def test_pod_from_start_to_end(engine: Pods):
    pod = engine.pod()
    box = engine.box(pod)
    assert engine.look(box)["state"] == RUNNING
    assert engine.says(box, "echo out; echo err >&2; exit 3") == (3, "out\n", "err\n")
    assert sorted(engine.states()) == engine.known(pod, box)
    pids = [engine.pid(pod), engine.pid(box)]
    engine.call("StopContainer", container_id=box, timeout=0)
    status = engine.look(box)
    assert (status["state"], status["exit_code"]) == (EXITED, 137)
    engine.call("RemoveContainer", container_id=box)
    engine.sweep()
    assert engine.states() == []
    assert not any(os.path.exists(f"/proc/{pid}") for pid in pids)


def test_exit_status_and_log(engine: Pods):
    box = engine.box(engine.pod(), "sh", "-c", "echo out; echo err >&2; exit 5")
    eventually(lambda: engine.look(box)["state"] == EXITED, "its end", 20)
    assert engine.look(box)["exit_code"] == 5
    lines = sorted(line.split()[1:] for line in engine.log().splitlines())
    assert lines == [["stderr", "F", "err"], ["stdout", "F", "out"]]


def test_command_not_found(engine: Pods):
    pod = engine.pod()
    with pytest.raises(Refused):
        engine.box(pod, "no-such-program")
    box = engine.box(pod)
    with pytest.raises(Refused):
        engine.call("ExecSync", container_id=box, cmd=["no-such-program"], timeout=30)
    assert engine.says(box, "echo still here")[1] == "still here\n"


def test_exec_sync_ends_in_time(engine: Pods):
    box = engine.box(engine.pod())
    try:
        done = engine.call("ExecSync", container_id=box, cmd=["sleep", "555"], timeout=1)
    except Refused:
        pass  # containerd's way; CRI-O says it in the answer
    else:
        assert (done["exit_code"] % (1 << 32), done["stderr"]) == (
            (1 << 32) - 1,
            b"command timed out",
        )
    eventually(lambda: "sleep 555" not in engine.says(box, "ps")[1], "its end")


def test_limits_and_update(engine: Pods):
    resources = {"memory_limit_in_bytes": 64 * MIB, "cpu_period": 100000, "cpu_quota": 50000}
    box = engine.box(engine.pod(), resources=resources)
    assert limit(engine, box) == str(64 * MIB)
    assert engine.token in str(engine.cgroup(box, "memory"))
    resources = {"memory_limit_in_bytes": 48 * MIB}
    engine.call("UpdateContainerResources", container_id=box, linux=resources)
    assert limit(engine, box) == str(48 * MIB)


def test_out_of_memory_is_noticed(engine: Pods):
    resources = {"memory_limit_in_bytes": 16 * MIB}
    box = engine.box(engine.pod(), "sh", "-c", "sleep 1; tail /dev/zero", resources=resources)
    eventually(lambda: engine.look(box)["state"] == EXITED, "its end", 30)
    status = engine.look(box)
    assert (status["exit_code"], status["reason"]) == (137, "OOMKilled")


def test_stats(engine: Pods):
    box = engine.box(engine.pod())
    stats = engine.call("ContainerStats", container_id=box)["stats"]
    assert stats["memory"]["working_set_bytes"]["value"] > 0
    assert stats["cpu"]["usage_core_nano_seconds"]["value"] > 0


def test_namespaces_of_the_pod(engine: Pods):
    pod = engine.pod()
    boxes = [engine.box(pod) for _ in range(2)]
    for kind in ("ipc", "net", "uts"):
        places = {os.readlink(f"/proc/{engine.pid(box)}/ns/{kind}") for box in (pod, *boxes)}
        assert len(places) == 1, kind
    places = {os.readlink(f"/proc/{engine.pid(box)}/ns/pid") for box in (pod, *boxes)}
    assert len(places) == 3
    assert os.readlink(f"/proc/{engine.pid(pod)}/ns/net") == os.readlink("/proc/self/ns/net")


def test_shared_process_namespace(engine: Pods):
    spaces = {"namespace_options": {"network": NODE, "pid": POD}}
    pod = engine.pod(security_context=spaces)
    box = engine.box(pod, security=spaces)
    places = {os.readlink(f"/proc/{engine.pid(name)}/ns/pid") for name in (pod, box)}
    assert len(places) == 1
    engine.call("StopContainer", container_id=box, timeout=0)
    assert os.path.exists(f"/proc/{engine.pid(pod)}")


def test_security(engine: Pods):
    security = {
        "capabilities": {"drop_capabilities": ["ALL"], "add_capabilities": ["NET_BIND_SERVICE"]},
        "run_as_user": {"value": 1000},
        "readonly_rootfs": True,
        "seccomp": {"profile_type": 0},
        "masked_paths": ["/proc/timer_list"],
    }
    box = engine.box(engine.pod(), security=security)
    status, out, err = engine.says(box, "id -u; grep -E 'CapBnd|Seccomp:' /proc/self/status")
    words = out.split()
    assert (status, words[0]) == (0, "1000"), err
    assert int(words[words.index("CapBnd:") + 1], 16) == 1 << 10
    assert words[words.index("Seccomp:") + 1] == "2"
    assert "Read-only" in engine.says(box, "touch /tmp/file")[2]
    assert engine.says(box, "wc -c < /proc/timer_list")[1].strip() in ("0", "")


def test_environment_and_mounts(engine: Pods):
    shared = engine.home / "cri-shared"
    shared.mkdir(exist_ok=True)
    (shared / "in").write_text("from the host\n")
    box = engine.box(
        engine.pod(),
        working_dir="/opt",
        envs=[{"key": "A", "value": "b c"}],
        mounts=[
            {"container_path": "/s", "host_path": str(shared)},
            {"container_path": "/r", "host_path": str(shared), "readonly": True},
        ],
    )
    out = engine.says(box, "echo $A; pwd; cat /s/in; echo inside > /s/out")[1]
    assert out == "b c\n/opt\nfrom the host\n"
    assert (shared / "out").read_text() == "inside\n"
    assert "Read-only" in engine.says(box, "touch /r/no")[2]


def test_sysctls_of_the_pod(engine: Pods):
    pod = engine.pod(sysctls={"kernel.msgmax": "4321"})
    assert engine.says(engine.box(pod), "cat /proc/sys/kernel/msgmax")[1] == "4321\n"


def test_processes_end_with_their_pod(engine: Pods):
    pod = engine.pod()
    box = engine.box(pod, "sh", "-c", "trap '' TERM; sleep 1001 & sleep 1002; sleep 1003")
    place = engine.cgroup(box, "pids")
    eventually(lambda: len((place / "cgroup.procs").read_text().split()) == 3, "3 processes")
    pids = (place / "cgroup.procs").read_text().split()
    engine.sweep()
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)
    assert not place.exists()


@pytest.mark.quick
def test_pod_has_one_shim(engine: Pods):
    if engine.name != "cri":
        pytest.skip("containerd's")
    pod = engine.pod()
    box = engine.box(pod)
    assert shim_is_right(engine.runtime, shim_of(engine.token, pod))
    with pytest.raises(AssertionError, match="has no shim"):
        shim_of(engine.token, box)
