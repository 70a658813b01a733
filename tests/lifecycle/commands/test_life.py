"""create, start, state, kill, delete and run, for both images; what each status allows, as runc."""

from __future__ import annotations

import json
import re

import pytest

from tests.support.box import Box
from tests.support.differences import STATUS_DIFFERENCES
from tests.support.runtimes import Runtime, eventually


def test_a_life(box: Box, pyc: Runtime, image: str):
    bundle, name = box.bundle("/bin/sleep", "1000", image=image), box.id()
    pid_file = box.directory / "pid"
    assert pyc("create", "-b", bundle, "--pid-file", pid_file, name).ok().out == ""
    state = pyc.state(name)
    assert state["status"] == "created"
    assert state["pid"] == int(pid_file.read_text())
    assert state["bundle"] == str(bundle.path)
    assert pyc("start", name).ok().out == ""
    assert pyc.status(name) == "running"
    assert pyc("kill", name, "KILL").ok().out == ""
    pyc.wait_for(name, "stopped")
    assert pyc.state(name)["pid"] == 0
    assert pyc("delete", name).ok().out == ""
    assert pyc.status(name) == "gone"
    box.empty()


def test_run_in_the_foreground(box: Box, pyc: Runtime, image: str):
    bundle = box.bundle(image=image).script("echo out; echo err >&2; id -u; hostname; exit 7")
    done = box.run(bundle)
    assert done.status == 7 and "err" in done.err.splitlines()
    assert done.out == "out\n0\npycontainer\n"
    box.empty()  # run deletes the container


def test_run_keep_and_detach(box: Box, pyc: Runtime):
    kept, detached = box.id("kept"), box.id("detached")
    pyc("run", "--keep", "-b", box.bundle("/bin/true"), kept).ok()
    assert pyc.status(kept) == "stopped"
    pyc("delete", kept).ok()
    pyc("run", "--detach", "-b", box.bundle("/bin/sleep", "1000"), detached).ok()
    assert pyc.status(detached) == "running"


def test_state_has_what_runc_says(box: Box):
    documents = {}
    for runtime in box.both():
        name = box.id(runtime.name)
        bundle = box.bundle("/bin/sleep", "1000")
        bundle.config["annotations"] = {"org.example.key": 'väl\n"ue'}
        runtime("create", "-b", bundle, name).ok()
        documents[runtime.name] = state = runtime.state(name)
        assert state["id"] == name and state["bundle"] == str(bundle.path)
        assert state["rootfs"] == str(bundle.rootfs)
        assert state["annotations"] == bundle.config["annotations"]
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", state["created"])
    ours = documents.pop("pycontainer")
    for theirs in documents.values():
        assert list(ours) == list(theirs)
        assert ours["owner"] == theirs["owner"]


def test_a_bundle_may_be_the_current_directory(box: Box, pyc: Runtime):
    bundle = box.bundle("/bin/echo", "here").write()
    assert pyc("run", box.id(), cwd=bundle.path).ok().out == "here\n"
    bundle.config["root"]["path"] = "./rootfs/../rootfs"
    assert pyc("run", "--bundle=.", box.id(), cwd=bundle.write().path).ok().out == "here\n"


def test_changes_of_the_bundle_after_create_have_no_effect(box: Box, pyc: Runtime):
    bundle, name = box.bundle("/bin/sleep", "1000"), box.id()
    pyc("create", "-b", bundle, name).ok()
    (bundle.path / "config.json").write_text("{}")
    pyc("start", name).ok()
    assert pyc("exec", name, "/bin/echo", "in").ok().out == "in\n"
    pyc("delete", "--force", name).ok()


# --- what each status allows ---

COMMANDS = {
    "create": lambda bundle, name: ("create", "-b", bundle, name),
    "run": lambda bundle, name: ("run", "-d", "-b", bundle, name),
    "start": lambda _, name: ("start", name),
    "state": lambda _, name: ("state", name),
    "kill": lambda _, name: ("kill", name, "CONT"),
    "kill --all": lambda _, name: ("kill", "--all", name, "CONT"),
    "pause": lambda _, name: ("pause", name),
    "resume": lambda _, name: ("resume", name),
    "ps": lambda _, name: ("ps", "-f", "json", name),
    "exec": lambda _, name: ("exec", name, "/bin/true"),
    "delete": lambda _, name: ("delete", name),
    "delete --force": lambda _, name: ("delete", "--force", name),
}
STATUSES = ("gone", "created", "running", "paused", "stopped")


def bring_to(runtime: Runtime, box: Box, name: str, status: str) -> str:
    """A container in that status; its bundle."""
    bundle = str(box.bundle("/bin/sleep", "1000"))
    if status != "gone":
        runtime("create", "-b", bundle, name).ok()
    if status not in ("gone", "created"):
        runtime("start", name).ok()
    if status == "paused":
        box.needs_a_cgroup()
        runtime("pause", name).ok()
    if status == "stopped":
        runtime("kill", name, "KILL").ok()
        runtime.wait_for(name, "stopped")
    return bundle


@pytest.mark.parametrize("status", STATUSES)
@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_in_every_status(box: Box, command: str, status: str):
    results = {}
    for runtime in box.both():
        name = box.id(runtime.name)
        bundle = bring_to(runtime, box, name, status)
        assert runtime.status(name) == status
        done = runtime(*COMMANDS[command](bundle, name))
        assert "Traceback" not in done.err
        errors = [line for line in done.err.splitlines() if "level=warning" not in line]
        assert len(errors) == (done.status != 0), repr(done)
        results[runtime.name] = (done.status, runtime.status(name))
    ours = results.pop("pycontainer")
    for theirs in results.values():
        assert ours == STATUS_DIFFERENCES.get((command, status), (theirs,))[0]


def test_refusals_say_what_clients_look_for(box: Box, pyc: Runtime):
    bundle, name = box.bundle("/bin/sleep", "1000"), box.id()
    pyc("state", name).fails("container does not exist")
    pyc("start", name).fails("container does not exist")
    pyc("delete", name).fails("container does not exist")
    pyc("run", "-d", "-b", bundle, name).ok()
    pyc("create", "-b", bundle, name).fails("container with given ID already exists")
    pyc("start", name).fails("cannot start an already running container")
    pyc("delete", name).fails("that is not stopped")
    pyc("resume", name).fails("container not paused")
    pyc("kill", name, "KILL").ok()
    pyc.wait_for(name, "stopped")
    pyc("kill", name, "KILL").fails("container not running")
    pyc("start", name).fails("cannot start a container that has stopped")
    pyc("pause", name).fails("container not running")
    pyc("exec", name, "true").fails("container not running", status=255)


@pytest.mark.parametrize("name", [".", "..", "a/b", "a b", "ä", "x" * 256, "-", "a\nb", "a:b"])
def test_invalid_ids(box: Box, pyc: Runtime, name: str):
    done = pyc("create", "-b", box.bundle(), "--", name)
    if name == "-":  # an ordinary word for runc too
        assert done.status == 0 or "invalid" in done.err
        return
    done.fails("invalid container id format")
    box.empty()


def test_delete_force_of_nothing_is_no_error(box: Box, pyc: Runtime):
    done = pyc("delete", "--force", box.id()).ok()
    assert done.out == done.err == ""


# --- kill ---


@pytest.mark.parametrize("signal", ["USR1", "SIGUSR1", "10", "usr1", "RTMIN+3", "SIGRTMAX"])
def test_kill_by_name_and_number(box: Box, pyc: Runtime, signal: str):
    number = {"RTMIN+3": 37, "SIGRTMAX": 64}.get(signal, 10)
    name = box.id()
    script = f"trap 'echo caught; exit 3' {number}; echo ready; while :; do sleep 0.05; done"
    with (box.directory / "out").open("wb") as out:
        command = pyc.start_process("run", "-b", box.bundle().script(script), name, stdout=out)
        eventually(lambda: "ready" in (box.directory / "out").read_text(), "the trap is set")
        pyc("kill", name, signal).ok()
        assert command.wait(20) == 3
    assert (box.directory / "out").read_text() == "ready\ncaught\n"


@pytest.mark.parametrize("signal", ["NOSUCH", "SIG", "-1", "65", "1x", ""])
def test_kill_with_no_signal(box: Box, pyc: Runtime, signal: str):
    name = box.running()
    done = pyc("kill", name, signal)
    if signal:
        done.fails("signal")
        assert pyc.status(name) == "running"


def test_kill_without_a_signal_means_term(box: Box, pyc: Runtime):
    name = box.id()
    with (box.directory / "out").open("wb") as out:
        script = "trap 'exit 5' TERM; echo ready; while :; do sleep 0.05; done"
        command = pyc.start_process("run", "-b", box.bundle().script(script), name, stdout=out)
        eventually(lambda: (box.directory / "out").read_text(), "the trap is set")
        pyc("kill", name).ok()
        assert command.wait(20) == 5


@pytest.mark.parametrize("own_pids", [True, False])
def test_kill_all_reaches_every_process(box: Box, pyc: Runtime, own_pids: bool):
    bundle, name = box.bundle().script("sleep 1001 & sleep 1002 & exec sleep 1003"), box.id()
    if not own_pids:
        bundle.drop_namespace("pid")
    pyc("run", "-d", "-b", bundle, name).ok()
    eventually(lambda: len(json.loads(pyc("ps", "-f", "json", name).out)) == 3, "3 processes")
    pyc("kill", "--all", name, "KILL").ok()
    pyc.wait_for(name, "stopped")
    eventually(lambda: not json.loads(pyc("ps", "-f", "json", name).out), "no process")
    pyc("delete", name).ok()
    box.empty()


def test_delete_ends_what_init_has_left_behind(box: Box, pyc: Runtime):
    box.needs_a_cgroup()  # nothing else lists them, once init has gone
    bundle, name = box.bundle().script("sleep 1001 & exit 0"), box.id()
    bundle.drop_namespace("pid")
    pyc("run", "-d", "-b", bundle, name).ok()
    pyc.wait_for(name, "stopped")
    pyc("delete", name).ok()
    box.empty()


@pytest.mark.parametrize("status", ["created", "running", "paused", "stopped"])
def test_delete_force_leaves_nothing(box: Box, pyc: Runtime, status: str):
    bring_to(pyc, box, box.id(), status)
    pyc("delete", "--force", box.id()).ok()
    box.empty()


def test_pause_and_resume(box: Box, pyc: Runtime):
    box.needs_a_cgroup()
    name = box.running("/bin/sh", "-c", "while :; do date +%s%N > /tmp/now; sleep 0.02; done")
    now = box.directory / "bundle1" / "rootfs" / "tmp" / "now"
    eventually(now.exists, "the container works")
    pyc("pause", name).ok()
    assert pyc.status(name) == "paused"
    pyc("pause", name).fails("not running", status=1)
    before = now.read_bytes()
    pyc("exec", name, "true").fails("paused", status=255)
    assert now.read_bytes() == before
    pyc("resume", name).ok()
    assert pyc.status(name) == "running"
    eventually(lambda: now.read_bytes() != before, "the container works again")
