"""The commands, by what they do to the container."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from conformance.rootless.case import Case
from tests.support.runtimes import eventually
from tests.support.sockets import Receiver, read_until

WAIT_FOR_TERM = "trap 'exit 5' TERM; touch /tmp/ready; while :; do sleep 0.05; done"


def test_run(case: Case) -> None:
    done = case.run("id -u; cat /proc/self/uid_map; exit 7")
    uid, *lines = done.out.splitlines()
    rows = case.bundle().linux["uidMappings"]
    wanted = [[row["containerID"], row["hostID"], row["size"]] for row in rows]
    assert (done.status, uid) == (7, "0")
    assert [[int(word) for word in line.split()] for line in lines] == wanted


def test_create_start_kill_delete(case: Case) -> None:
    bundle, name = case.bundle(WAIT_FOR_TERM), case.id()
    case("create", "-b", bundle, name).ok()
    assert case.runtime.status(name) == "created"
    assert not (bundle.rootfs / "tmp/ready").exists()
    case("start", name).ok()
    eventually((bundle.rootfs / "tmp/ready").exists, "the trap is set", 30)
    case("kill", name, "TERM").ok()
    case.runtime.wait_for(name, "stopped", 30)
    case("delete", name).ok()
    assert case.runtime.status(name) == "gone"


def test_spec_and_run(case: Case) -> None:
    bundle = case.bundle()
    case("spec", "--rootless", "-b", bundle.path, cwd=bundle.write().path).fails("exist")
    (bundle.path / "config.json").unlink()
    case("spec", "--rootless", "-b", bundle.path, cwd=bundle.path).ok()
    config = json.loads((bundle.path / "config.json").read_text())
    config["process"].update(terminal=False, args=["id", "-u"])
    (bundle.path / "config.json").write_text(json.dumps(config))
    assert case("run", "-b", bundle.path, case.id()).ok().out == "0\n"


def test_state_is_kept_where_the_user_may_write(case: Case) -> None:
    at = case.runtime.argv().index("--root")
    command = case.runtime.argv()
    del command[at : at + 2]
    case.runtime.argv = lambda *words: [*command, *map(str, words)]  # type: ignore[method-assign]
    runtime_dir = case.box.directory / "run"
    runtime_dir.mkdir(mode=0o700)
    environ = {**os.environ, "XDG_RUNTIME_DIR": str(runtime_dir)}
    case("create", "-b", case.bundle(), case.id(), env=environ)
    found = list(runtime_dir.glob(f"*/{case.id()}"))
    case("delete", "--force", case.id(), env=environ)
    assert found


def test_exec(case: Case) -> None:
    name = case.running()
    done = case("exec", "-e", "A=b", "--cwd", "/tmp", name, "sh", "-c", "pwd; echo $A; exit 3")
    assert (done.status, done.out) == (3, "/tmp\nb\n")


def test_exec_before_start(case: Case) -> None:
    case("create", "-b", case.bundle(), case.id()).ok()
    assert case("exec", case.id(), "id", "-u").ok().out == "0\n"


def test_exec_as_another_user(case: Case) -> None:
    name = case.running()
    done = case("exec", "-u", "1000:1000", name, "sh", "-c", "id -u; id -g")
    if case.one_id:
        assert done.status != 0  # there is no such id
    else:
        assert done.ok().out == "1000\n1000\n"


def console(case: Case, *words: Any) -> bytes:
    """What a terminal's first process writes, which is what `tty` and `stty size` say."""
    receiver = Receiver(case.box.directory)
    try:
        case(*words[:1], "-d", "--console-socket", receiver.path, *words[1:]).ok()
        terminal, _ = receiver.take()
    finally:
        receiver.close()
    try:
        return read_until(terminal, b"end", 30)
    finally:
        os.close(terminal)


def test_run_with_a_terminal(case: Case) -> None:
    bundle = case.bundle("tty; stty size; echo e''nd; sleep 1000")
    bundle.process.update(terminal=True, consoleSize={"height": 33, "width": 44})
    said = console(case, "run", "-b", bundle, case.id())
    assert b"/dev/" in said and b"33 44" in said


def test_exec_with_a_terminal(case: Case) -> None:
    said = console(case, "exec", "-t", case.running(), "sh", "-c", "tty; echo e''nd; sleep 1000")
    assert b"/dev/pts/" in said


def test_ps(case: Case) -> None:
    name = case.running("sleep 1001 & exec sleep 1002")
    eventually(lambda: len(case.processes(name)) == 2, "two processes", 30)
    assert case.pid(name) in case.processes(name)


def test_list(case: Case) -> None:
    name = case.running()
    assert case("list", "-q").ok().out.split() == [name]


def test_kill_all(case: Case) -> None:
    name = case.running("trap '' TERM; (trap 'echo > /tmp/term; exit' TERM; sleep 2) & sleep 1000")
    case("kill", "--all", name, "KILL").ok()
    case.runtime.wait_for(name, "stopped", 30)


def test_delete_force(case: Case) -> None:
    name = case.running("sleep 1001 & setsid sleep 1002 & exec sleep 1003")
    pid = case.pid(name)
    case("delete", "--force", name).ok()
    assert case.runtime.status(name) == "gone" and not alive(pid)


def alive(pid: int) -> bool:
    """Whether it is more than an entry that nobody has read yet."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def test_pid_file(case: Case) -> None:
    file = case.box.directory / "pid"
    case("run", "-d", "--pid-file", file, "-b", case.bundle(), case.id()).ok()
    assert int(file.read_text()) == case.pid(case.id())


def test_hooks_may_look_at_the_namespaces(case: Case) -> None:
    """A program that sets up a network opens /proc/PID/ns/net."""
    seen = case.box.directory / "seen"
    bundle = case.bundle("true")
    find = 'pid=$(sed "s/.*\\"pid\\": *\\([0-9]*\\).*/\\1/")'
    line = f"{find}; readlink /proc/$pid/ns/mnt > {seen}"
    hook = {"path": "/bin/sh", "args": ["sh", "-c", line]}
    bundle.config["hooks"] = {"createRuntime": [hook]}
    case.run(bundle).ok()
    assert seen.read_text().startswith("mnt:[")


@pytest.mark.parametrize("kind", ["pid", "ipc", "network", "uts"])
def test_a_namespace_of_the_host(case: Case, kind: str) -> None:
    file = "net" if kind == "network" else kind
    bundle = case.bundle(f"readlink /proc/self/ns/{file}")
    bundle.drop_namespace(kind)
    if kind == "uts":
        del bundle.config["hostname"]
    assert case.run(bundle).ok().out.strip() == os.readlink(f"/proc/self/ns/{file}")


def test_a_pod(case: Case) -> None:
    """The second container joins the first one's namespaces."""
    first = case.bundle()
    first.linux["namespaces"].append({"type": "network"})
    pid = case.pid(case.running(first, "a"))
    second = case.bundle("id -u; for n in net user ipc; do readlink /proc/self/ns/$n; done")
    for name in ("uidMappings", "gidMappings"):
        del second.linux[name]
    for kind, file in (("user", "user"), ("network", "net"), ("ipc", "ipc")):
        second.join_namespace(kind, f"/proc/{pid}/ns/{file}")
    links = [os.readlink(f"/proc/{pid}/ns/{file}") for file in ("net", "user", "ipc")]
    assert case.run(second).ok().out.split() == ["0", *links]
