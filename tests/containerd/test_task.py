"""The task API, with containers and without containerd."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest

from tests.containerd.shim import (
    CREATED,
    EXISTS,
    MESSAGES,
    NOT_FOUND,
    PAUSED,
    PRECONDITION,
    RUNNING,
    STOPPED,
    Client,
    Refused,
    Shim,
    alive,
    message,
    wrap,
)
from tests.support.protobuf import decode
from tests.support.runtimes import COMMAND, eventually


def code_of(call, *words, **members) -> int:
    """How a call is refused."""
    with pytest.raises(Refused) as refused:
        call(*words, **members)
    return refused.value.code


def test_a_life(shim: Shim):
    bundle = shim.box.bundle("/bin/sh", "-c", "exit 7")
    container = shim.create(bundle)
    state = shim.client("State", id=container)
    assert (state["id"], state["bundle"], state["status"]) == (container, str(bundle), CREATED)
    pid = shim.client("Start", id=container)["pid"]
    assert pid == state["pid"]
    end = shim.client("Wait", id=container)
    assert end["exit_status"] == 7 and end["exited_at"]["seconds"] > 1e9
    assert shim.status(container) == STOPPED
    gone = shim.delete(container)
    assert (gone["pid"], gone["exit_status"]) == (pid, 7)
    assert code_of(shim.client, "State", id=container) == NOT_FOUND
    shim.heard(container, "create", "start", "exit", "delete")


@pytest.mark.parametrize("version", [2, 3])
def test_both_versions_of_the_api(shim: Shim, version: int):
    container = shim.running()
    client = Client(shim.path, f"containerd.task.v{version}.Task")
    assert client("State", id=container)["status"] == RUNNING
    client.close()


def test_killed(shim: Shim):
    container = shim.running()
    stream = shim.client.send("Wait", id=container)
    shim.client("Kill", id=container, signal=signal.SIGKILL)
    end = decode(MESSAGES, "WaitResponse", shim.client.answer(stream))
    assert end["exit_status"] == 137
    assert code_of(shim.client, "Kill", id=container, signal=9) == NOT_FOUND
    # containerd 2, started anew, removes a task whose processes are "not found".
    assert shim.client("Pids", id=container) == {}
    shim.delete(container)


def test_what_the_state_forbids(shim: Shim):
    container = shim.running()
    with pytest.raises(Refused, match="cannot delete a running process"):
        shim.client("Delete", id=container)
    with pytest.raises(Refused, match="cannot start a running process"):
        shim.client("Start", id=container)
    with pytest.raises(Refused, match="cannot resume a running container"):
        shim.client("Resume", id=container)
    bundle = shim.box.bundle()
    assert code_of(shim.client, "Create", id=container, bundle=str(bundle)) == EXISTS


def test_exec(shim: Shim):
    container = shim.running()
    shim.exec(container, "/bin/sh", "-c", "exit 3", exec_id="one")
    assert shim.wait(container, "one") == 3
    assert shim.client("Delete", id=container, exec_id="one")["exit_status"] == 3
    assert code_of(shim.client, "State", id=container, exec_id="one") == NOT_FOUND
    shim.heard(container, "create", "start", "exec-added", "exec-started", "exit")
    left = [name for name in os.listdir(shim.home / "bundle1") if name.startswith("exec-")]
    assert left == []


def test_exec_is_killed_and_listed(shim: Shim):
    container = shim.running()
    pid = shim.exec(container, "/bin/sleep", "1000", exec_id="two")
    found = shim.client.answer(shim.client.send("Pids", id=container))
    assert b"containerd.runc.v1.ProcessDetails" in found and b"two" in found
    spec = wrap("x", b"{}")
    assert code_of(shim.client, "Exec", id=container, exec_id="two", spec=spec) == EXISTS
    shim.client("Kill", id=container, exec_id="two", signal=9)
    assert shim.wait(container, "two") == 137
    assert not alive(pid)


def test_exec_that_cannot_start(shim: Shim):
    container = shim.running()
    with pytest.raises(Refused, match="OCI runtime exec failed: .*no-such-program"):
        shim.exec(container, "no-such-program")
    assert shim.wait(container, "e") == 255
    shim.client("Delete", id=container, exec_id="e")
    assert shim.status(container) == RUNNING


def test_execs_end_before_their_container(shim: Shim):
    container = shim.running()
    for name in ("one", "two", "three"):
        shim.exec(container, "/bin/sleep", "1000", exec_id=name)
    shim.client("Kill", id=container, signal=9)
    assert shim.wait(container) == 137
    listener = shim.listener
    assert listener
    eventually(lambda: listener.topics(container).count("/tasks/exit") == 4, "four ends")
    ends = [event["id"] for topic, event in listener.events if topic == "/tasks/exit"]
    assert ends[-1] == container and sorted(ends[:-1]) == ["one", "three", "two"]
    shim.client("Delete", id=container, exec_id="one")
    assert code_of(shim.client, "Start", id=container, exec_id="one") == NOT_FOUND


def test_no_exec_after_the_end(shim: Shim):
    container = shim.running()
    shim.client("Exec", id=container, exec_id="late", spec=wrap("x", b"{}"))
    shim.client("Kill", id=container, signal=9)
    shim.wait(container)
    assert code_of(shim.client, "Start", id=container, exec_id="late") == PRECONDITION


def test_program_that_cannot_start(shim: Shim):
    bundle = shim.box.bundle("/bin/damaged")
    (bundle.rootfs / "bin/damaged").write_bytes(b"\x7fELF")
    (bundle.rootfs / "bin/damaged").chmod(0o755)
    container = shim.create(bundle)
    with pytest.raises(Refused, match="OCI runtime start failed: .*/bin/damaged"):
        shim.client("Start", id=container)
    assert shim.wait(container) > 0
    shim.delete(container)


def test_create_that_fails_leaves_nothing(shim: Shim):
    bundle = shim.box.bundle()
    bundle.config["linux"]["namespaces"].append({"type": "network", "path": "/no/such"})
    with pytest.raises(Refused, match="OCI runtime create failed: "):
        shim.create(bundle)
    assert code_of(shim.client, "State", id=shim.box.id("c")) == NOT_FOUND
    assert list(shim.state.glob("*/*")) == []
    shim.running(name="another")


def test_deleted_without_having_started(shim: Shim):
    container = shim.create(shim.box.bundle("/bin/sleep", "1000"))
    pid = shim.client("State", id=container)["pid"]
    shim.delete(container)
    eventually(lambda: not alive(pid), "its end")
    assert shim.listener
    listener = shim.listener
    eventually(lambda: "/tasks/delete" in listener.topics(container), "the event")


def test_pause(shim: Shim):
    container = shim.running("/bin/sh", "-c", "while :; do date +%s%N > /tmp/beat; done")
    shim.client("Pause", id=container)
    assert shim.status(container) == PAUSED
    with pytest.raises(Refused, match="cannot exec in a paused state"):
        shim.exec(container, "/bin/true")
    shim.client("Resume", id=container)
    assert shim.status(container) == RUNNING
    shim.heard(container, "create", "start", "paused", "resumed")


def test_killed_while_paused(shim: Shim):
    container = shim.running()
    shim.client("Pause", id=container)
    shim.client("Kill", id=container, signal=9)
    shim.wait(container)
    shim.delete(container)


def test_update(shim: Shim):
    container = shim.running()
    resources = {"pids": {"limit": 77}}
    shim.client("Update", id=container, resources=wrap("x", json.dumps(resources).encode()))
    found = [*Path("/sys/fs/cgroup").glob(f"*/{container}/pids.max")]
    found += Path("/sys/fs/cgroup").glob(f"{container}/pids.max")
    assert [file.read_text() for file in found] == ["77\n"]
    with pytest.raises(Refused, match="OCI runtime update failed"):
        shim.client("Update", id=container, resources=wrap("x", b"[1]"))


def test_stats(shim: Shim):
    container = shim.running()
    answer = shim.client("Stats", id=container)["stats"]
    assert answer["type_url"] in (
        "io.containerd.cgroups.v1.Metrics",
        "io.containerd.cgroups.v2.Metrics",
    )
    v1 = "v1" in answer["type_url"]
    table = {
        "metrics": {"pids": (2 if v1 else 1, "pids"), "memory": (4, "memory")},
        "pids": {"current": (1, int)},
        "memory": {"usage": (33, "entry" if v1 else int) if v1 else (32, int)},
        "entry": {"usage": (2, int)},
    }
    found = decode(table, "metrics", answer["value"])
    usage = found["memory"]["usage"]
    assert found["pids"]["current"] == 1
    assert (usage["usage"] if v1 else usage) > 4096


def test_whole_pod_in_one_shim(shim: Shim):
    first = shim.running(name="a")
    second = shim.running(name="b")
    assert shim.client("Connect", id=first)["shim_pid"] == shim.pid
    assert {shim.status(first), shim.status(second)} == {RUNNING}
    shim.client("Shutdown", id="")  # containerd says that for each container
    assert shim.status(second) == RUNNING


def test_shared_pid_namespace_ends_with_its_init(shim: Shim):
    bundle = shim.box.bundle("/bin/sh", "-c", "setsid sleep 1001 & sleep 0.2; exit 4")
    bundle.drop_namespace("pid")
    container = shim.create(bundle)
    shim.client("Start", id=container)
    assert shim.wait(container) == 4
    eventually(lambda: "sleep\x001001" not in _commands(shim), "what it has left")
    shim.delete(container)


def _commands(shim: Shim) -> str:
    found = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if shim.box.token in os.readlink(file.parent / "root"):
                found.append(file.read_text())
        except OSError:
            pass  # it has ended
    return " ".join(found)


def test_rootfs_is_mounted_and_unmounted(shim: Shim):
    lower = shim.box.bundle()
    bundle = shim.box.bundle("/bin/sh", "-c", "echo x > /file; sleep 1000")
    upper, work = (shim.home / name for name in ("upper", "work"))
    upper.mkdir()
    work.mkdir()
    options = [f"lowerdir={lower.rootfs}", f"upperdir={upper}", f"workdir={work}"]
    mount = {"type": "overlay", "source": "overlay", "options": options}
    container = shim.create(bundle, rootfs=[mount])
    assert str(bundle.rootfs) in Path("/proc/mounts").read_text()
    shim.client("Start", id=container)
    eventually(lambda: (upper / "file").exists(), "the file")
    shim.client("Kill", id=container, signal=9)
    shim.wait(container)
    shim.delete(container)
    assert str(bundle.rootfs) not in Path("/proc/mounts").read_text()


def test_more_layers_than_a_page_of_options(shim: Shim):
    """Each path has 60 characters and more: sixty of them are longer than 4096."""
    lower = shim.box.bundle()
    layers = [str(lower.rootfs)]
    for number in range(80):
        layer = lower.path / f"layer-with-a-name-that-is-long-{number}"
        layer.mkdir()
        (layer / f"file{number}").touch()
        layers.append(str(layer))
    bundle = shim.box.bundle("/bin/sh", "-c", "ls /file0 /file79")
    options = [f"lowerdir={':'.join(layers)}"]
    mount = {"type": "overlay", "source": "overlay", "options": options}
    bundle.config["root"]["readonly"] = True
    container = shim.create(bundle, rootfs=[mount])
    shim.client("Start", id=container)
    assert shim.wait(container) == 0
    shim.delete(container)


def test_mount_option_that_is_not_known(shim: Shim):
    mount = {"type": "bind", "source": "/", "options": ["bind", "uidmap=0:1:2"]}
    bundle = shim.box.bundle()
    with pytest.raises(Refused, match="uidmap=0:1:2 is not supported"):
        shim.create(bundle, rootfs=[mount])


def test_options_from_a_file(shim: Shim):
    file = shim.home / "options.toml"
    file.write_text(f"# pycontainer\nBinaryName = '{COMMAND}'\nRoot = \"{shim.state}\"\n")
    options = wrap("runtimeoptions.v1.Options", message("generic", config_path=str(file)))
    shim.running(options=options)
    assert os.listdir(shim.state / shim.namespace) == shim.known


@pytest.mark.parametrize(
    "text, error",
    [
        ("Rot = 'x'", "unknown option Rot"),
        ("Root = true", "Root has a value of another kind"),
        ("[options]", "not KEY = VALUE"),
    ],
)
def test_options_that_are_wrong(shim: Shim, text: str, error: str):
    value = message("generic", config_body=f"\n{text}\n".encode())
    with pytest.raises(Refused, match=f"line 2: .*{error}|line 2: {error}"):
        shim.create(shim.box.bundle(), options=wrap("runtimeoptions.v1.Options", value))


def test_options_of_an_unknown_type(shim: Shim):
    with pytest.raises(Refused, match="unknown type: some.Options"):
        shim.create(shim.box.bundle(), options=wrap("x/some.Options", b""))
