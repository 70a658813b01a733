"""containerd through ctr: tasks and what they are given."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path

import pytest

from conformance.clients.containerd import Containerd
from conformance.clients.engine import SHIM, shim_is_right, shim_of, terminate
from tests.support.bundles import busybox_bundle
from tests.support.leftovers import CGROUPS
from tests.support.runtimes import eventually

ENGINES = ("containerd",)
UNIFIED = (CGROUPS / "cgroup.controllers").exists()
TRAP = "trap 'echo got it > /tmp/got' USR1; echo > /tmp/ready; while :; do sleep 0.05; done"


def cgroup(engine: Containerd, controller: str) -> Path:
    """Where the last container is, on the host."""
    return engine.place(controller)


@pytest.mark.quick
def test_run(engine: Containerd):
    done = engine.run("sh", "-c", "echo out; echo err >&2; exit 7")
    assert (done.status, done.out) == (7, "out\n")
    assert "err\n" in done.err
    assert not cgroup(engine, "memory").exists()


def test_run_killed(engine: Containerd):
    assert engine.run("sh", "-c", "sleep 1000 & kill -9 $!; wait $!").status == 137


def test_run_not_found(engine: Containerd):
    done = engine.run("no-such-program")
    assert done.status == 1
    assert "executable file not found in $PATH" in done.err


def test_stdin(engine: Containerd):
    # ctr does not pass the end on.
    done = engine.run("sh", "-c", "read line; echo got $line", input=b"hello\n").ok()
    assert done.out == "got hello\n"


@pytest.mark.quick
def test_exec(engine: Containerd):
    box = engine.running()
    # ctr loses what it has not read yet when the end comes.
    done = engine.exec(box, "sh", "-c", "echo out; sleep 0.3; exit 3")
    assert (done.status, done.out) == (3, "out\n")
    assert engine.exec(box, "--user=1000", "--cwd=/tmp", "sh", "-c", "id -u; pwd").ok().out == (
        "1000\n/tmp\n"
    )


def test_exec_not_found(engine: Containerd):
    done = engine.exec(engine.running(), "no-such-program")
    assert done.status != 0
    assert "executable file not found in $PATH" in done.err


def test_exec_with_stdin(engine: Containerd):
    assert engine.exec(engine.running(), "cat", input=b"hello").ok().out == "hello"


def test_exec_detached(engine: Containerd):
    box = engine.running()
    engine.exec(box, "--detach", "sh", "-c", "echo x > /tmp/there; sleep 1000").ok()
    eventually(lambda: engine.exec(box, "cat", "/tmp/there").out == "x\n", "the file")


def test_exec_killed(engine: Containerd):
    box = engine.running()
    engine("tasks", "exec", "--detach", "--exec-id=victim", box, "sleep", "999").ok()
    engine("tasks", "kill", "--exec-id=victim", "--signal=KILL", box).ok()
    eventually(lambda: "sleep 999" not in engine.sh(box, "ps"), "its end")
    assert engine("tasks", "delete", "--exec-id=victim", box).status == 137


@pytest.mark.quick
def test_tty(engine: Containerd):
    words = ["--tty", "sh", "-c", "sleep 0.5; echo ready; read answer; tty; stty size; exit 5"]
    status, seen = engine.terminal(
        "run", "--rm", *engine._with_image(tuple(words)), keys=b"x\n", until=b"ready"
    )
    assert status == 5, seen
    assert b"/dev/" in seen and b"33 99" in seen


def test_tty_of_exec(engine: Containerd):
    box = engine.running()
    status, seen = engine.terminal(
        "tasks",
        "exec",
        "--tty",
        "--exec-id=e",
        box,
        "sh",
        "-c",
        "sleep 0.5; tty; stty size; exit 6",
    )
    assert status == 6, seen
    assert b"/dev/pts/" in seen and b"33 99" in seen


@pytest.mark.quick
def test_kill(engine: Containerd):
    box = engine.running("sh", "-c", TRAP)
    root = f"/proc/{engine.pid(box)}/root"
    eventually(lambda: os.path.exists(f"{root}/tmp/ready"), "ready")
    engine("tasks", "kill", "--signal=SIGUSR1", box).ok()
    eventually(lambda: os.path.exists(f"{root}/tmp/got"), "got it")
    engine("tasks", "kill", "--signal=KILL", box).ok()
    eventually(lambda: engine.status(box) == "stopped", "its end")
    done = engine("tasks", "kill", box)
    assert done.status != 0 and "not found" in done.err, done
    assert "exit code 137" in engine("tasks", "delete", box).ok().err
    assert engine.states() == []


def test_kill_all(engine: Containerd):
    box = engine.running("sh", "-c", "sleep 777 & sleep 778 & wait")
    place = cgroup(engine, "pids") / "cgroup.procs"
    eventually(lambda: len(place.read_text().split()) == 3, "3 processes")
    engine("tasks", "kill", "--all", "--signal=KILL", box).ok()
    eventually(lambda: engine.status(box) == "stopped", "its end")


def test_delete_running_is_refused(engine: Containerd):
    box = engine.running()
    assert engine("tasks", "delete", box).status != 0
    assert engine.status(box) == "running"
    engine("tasks", "delete", "--force", box)
    assert engine.status(box) == "gone"
    assert engine.states() == []
    assert not cgroup(engine, "memory").exists()


@pytest.mark.quick
def test_pause(engine: Containerd):
    box = engine.running("sh", "-c", "while :; do date +%s%N > /tmp/beat; sleep 0.05; done")
    file = f"/proc/{engine.pid(box)}/root/tmp/beat"
    eventually(lambda: os.path.exists(file), "a beat")
    engine("tasks", "pause", box).ok()
    assert engine.status(box) == "paused"
    time.sleep(0.1)
    before = Path(file).read_text()
    time.sleep(0.3)
    assert Path(file).read_text() == before
    assert engine.exec(box, "true").status != 0
    engine("tasks", "resume", box).ok()
    eventually(lambda: Path(file).read_text() != before, "the next beat")


def test_ps(engine: Containerd):
    box = engine.running("sh", "-c", "sleep 777 & sleep 778 & wait")
    place = cgroup(engine, "pids") / "cgroup.procs"
    eventually(lambda: len(place.read_text().split()) == 3, "3 processes")
    lines = engine("tasks", "ps", box).ok().out.splitlines()[1:]
    assert sorted(line.split()[0] for line in lines) == sorted(place.read_text().split())


def test_metrics(engine: Containerd):
    box = engine.running()
    out = engine("tasks", "metrics", box).ok().out
    assert "memory.usage" in out or "memory.usage_in_bytes" in out, out


def test_attach(engine: Containerd):
    box = engine.running("sh", "-c", "sleep 1; exit 4")
    assert engine("tasks", "attach", box).status == 4


def test_oom_event(engine: Containerd):
    process = engine.popen("events", stdout=(engine.home / "events").open("wb"))
    try:
        time.sleep(0.3)
        assert engine.run("--memory-limit=16777216", "tail", "/dev/zero").status in (137, 0)
        text = (engine.home / "events").read_text
        eventually(lambda: "/tasks/exit" in text(), "the event")
        assert '"exit_status":137' in text()
    finally:
        process.kill()
        process.wait()


@pytest.mark.quick
def test_limits(engine: Containerd):
    box = engine.running("--memory-limit=67108864", "--cpus=0.5")
    place = cgroup(engine, "memory") / ("memory.max" if UNIFIED else "memory.limit_in_bytes")
    assert place.read_text() == "67108864\n"
    if not UNIFIED:
        assert (cgroup(engine, "cpu") / "cpu.cfs_quota_us").read_text() == "50000\n"
    assert engine.status(box) == "running"


@pytest.mark.quick
def test_read_only_and_mounts(engine: Containerd):
    shared = engine.home / "shared"
    shared.mkdir(exist_ok=True)
    mount = f"--mount=type=bind,src={shared},dst=/mnt,options=rbind:rw"
    done = engine.run("--read-only", mount, "sh", "-c", "echo in > /mnt/out; touch /file")
    assert done.status == 1 and "Read-only" in done.err
    assert (shared / "out").read_text() == "in\n"


def test_device(engine: Containerd):
    device = "/dev/loop-control" if os.path.exists("/dev/loop-control") else "/dev/fuse"
    engine.run(f"--device={device}", "sh", "-c", f": < {device}").ok()
    assert engine.run("sh", "-c", f": < {device}").status != 0


@pytest.mark.quick
def test_capabilities_and_seccomp(engine: Containerd):
    show = ("grep", "-E", "CapBnd|Seccomp:|NoNewPrivs", "/proc/self/status")
    plain = engine.run(*show).ok().out.split()
    assert plain[plain.index("Seccomp:") + 1] == "0"
    assert plain[plain.index("NoNewPrivs:") + 1] == "1"
    changed = (
        engine.run(
            "--seccomp", "--allow-new-privs", "--cap-add=CAP_SYSLOG", "--cap-drop=CAP_CHOWN", *show
        )
        .ok()
        .out.split()
    )
    assert changed[changed.index("Seccomp:") + 1] == "2"
    assert changed[changed.index("NoNewPrivs:") + 1] == "0"
    before, after = (int(words[words.index("CapBnd:") + 1], 16) for words in (plain, changed))
    assert after == before & ~1 | 1 << 34


def test_seccomp_profile(engine: Containerd):
    profile = engine.home / "profile.json"
    rule = {"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 95}
    profile.write_text(json.dumps({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule]}))
    done = engine.run("--seccomp", f"--seccomp-profile={profile}", "mkdir", "/tmp/x")
    assert done.status == 1 and "not supported" in done.err


def test_privileged(engine: Containerd):
    out = engine.run("--privileged", "sh", "-c", "mount -t tmpfs x /mnt && echo mounted").ok().out
    assert out == "mounted\n"


def test_environment_and_place(engine: Containerd):
    done = engine.run("--env=A=b c", "--cwd=/new/place", "sh", "-c", "echo $A; pwd").ok()
    assert done.out == "b c\n/new/place\n"


def test_namespaces(engine: Containerd):
    box = engine.running()
    pid = engine.pid(box)
    for kind, name in (("pid", "pid"), ("ipc", "ipc"), ("network", "net"), ("uts", "uts")):
        inside = (
            engine.run(
                f"--with-ns={kind}:/proc/{pid}/ns/{name}", "readlink", f"/proc/self/ns/{name}"
            )
            .ok()
            .out.strip()
        )
        assert inside == os.readlink(f"/proc/{pid}/ns/{name}")
    net = engine.run("--net-host", "readlink", "/proc/self/ns/net").ok().out.strip()
    assert net == os.readlink("/proc/self/ns/net")


def test_user_namespace(engine: Containerd):
    done = engine.run(
        "--uidmap=0:100000:65536",
        "--gidmap=0:100000:65536",
        "sh",
        "-c",
        "id -u; cat /proc/self/uid_map",
    ).ok()
    assert done.out.split() == ["0", "0", "100000", "65536"]


def test_no_pivot(engine: Containerd):
    assert engine.run("--no-pivot", "ls", "/").ok().out.split()[0] == "bin"


def test_pid_file(engine: Containerd):
    file = engine.home / "pid-file"
    box = engine.running(f"--pid-file={file}")
    assert int(file.read_text()) == engine.pid(box)


def test_rootfs_without_image(engine: Containerd):
    root = busybox_bundle(engine.home / "bundle").rootfs
    flags = engine.flags()
    done = engine(
        "run", "--rm", *flags, "--rootfs", root, engine.box, "/bin/cat", "/etc/passwd"
    ).ok()
    assert "alice" in done.out


@pytest.mark.quick
def test_containerd_is_started_anew(engine: Containerd):
    box = engine.running()
    pid = engine.pid(box)
    terminate(engine.daemon)
    engine.serve()
    assert (engine.status(box), engine.pid(box)) == ("running", pid)
    assert engine.sh(box, "echo here") == "here\n"
    engine("tasks", "kill", "--signal=KILL", box).ok()
    eventually(lambda: engine.status(box) == "stopped", "its end")
    assert "exit code 137" in engine("tasks", "delete", box).ok().err


def test_container_ends_while_containerd_is_away(engine: Containerd):
    box = engine.running("sh", "-c", "sleep 1; exit 6")
    terminate(engine.daemon)
    time.sleep(1.5)
    engine.serve()
    eventually(lambda: engine.status(box) == "stopped", "its end")
    assert "exit code 6" in engine("tasks", "delete", box).ok().err


@pytest.mark.quick
def test_shim_is_killed(engine: Containerd):
    box = engine.running()
    pid, place = engine.pid(box), cgroup(engine, "memory")
    sockets = [Path(file.read_text().removeprefix("unix://")) for file in _addresses(engine, box)]
    os.kill(shim_of(engine.token, box), signal.SIGKILL)
    eventually(lambda: engine.status(box) == "gone", "its end")
    eventually(lambda: not os.path.exists(f"/proc/{pid}"), "its process has ended")
    assert engine.states() == []
    assert not place.exists()
    assert box not in Path("/proc/mounts").read_text()
    if engine.runtime == SHIM:
        assert sockets and not any(socket.exists() for socket in sockets)
    for socket in sockets:  # containerd's own shim leaves it
        socket.unlink(missing_ok=True)


def _addresses(engine: Containerd, box: str) -> list[Path]:
    """The files in which shims say where they listen."""
    return list((engine.home / "run").glob(f"*/{engine.token}/{box}/address"))


@pytest.mark.quick
def test_shim(engine: Containerd):
    assert shim_is_right(engine.runtime, shim_of(engine.token, engine.running()))
