"""Commands that are killed at any moment: what remains can be listed, deleted, and made anew."""

from __future__ import annotations

import os
import random
import signal
import time

import pytest

from tests.support.box import Box
from tests.support.runtimes import Runtime, eventually

ROUNDS = 12
SPAN = 0.25  # seconds; a create takes less


def check_everything_works(box: Box, pyc: Runtime, bundle, name: str) -> None:
    """After a crash: no command hangs or shows a traceback, and the id can be used again."""
    pyc("list").ok()
    pyc("list", "-f", "json").ok()
    state = pyc("state", name)
    assert "Traceback" not in state.err
    pyc("delete", "--force", name).ok()
    eventually(lambda: box.leftovers(0) == [], f"nothing is left: {box.leftovers(0)}", 5)
    pyc("run", "-b", bundle, name).ok()


@pytest.mark.parametrize("seed", range(ROUNDS))
def test_create_is_killed(box: Box, pyc: Runtime, seed: int):
    bundle, name = box.bundle("/bin/true"), box.id()
    moment = SPAN * (seed + random.Random(seed).random()) / ROUNDS
    command = pyc.start_process("create", "-b", bundle, name)
    time.sleep(moment)
    command.send_signal(signal.SIGKILL)
    command.wait()
    check_everything_works(box, pyc, bundle, name)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("words", [("start",), ("delete", "--force"), ("kill", "--all")])
def test_other_commands_are_killed(box: Box, pyc: Runtime, words: tuple[str, ...], seed: int):
    bundle, name = box.bundle("/bin/sleep", "1000"), box.id()
    pyc("create", "-b", bundle, name).ok()
    command = pyc.start_process(*words, name, *(["KILL"] if words[0] == "kill" else []))
    time.sleep(0.1 * (seed + random.Random(seed).random()) / 6)
    command.send_signal(signal.SIGKILL)
    command.wait()
    bundle.process["args"] = ["/bin/true"]
    check_everything_works(box, pyc, bundle, name)


def test_run_is_killed(box: Box, pyc: Runtime):
    bundle, name = box.bundle("/bin/sleep", "1000"), box.id()
    command = pyc.start_process("run", "-b", bundle, name)
    pyc.wait_for(name, "running")
    command.send_signal(signal.SIGKILL)
    command.wait()
    assert pyc.status(name) == "running"  # it lives on, as with runc
    pyc("kill", name, "KILL").ok()
    pyc.wait_for(name, "stopped")
    pyc("delete", name).ok()
    box.empty()


def test_the_init_of_a_created_container_is_killed(box: Box, pyc: Runtime):
    bundle, name = box.bundle("/bin/true"), box.id()
    pyc("create", "-b", bundle, name).ok()
    os.kill(pyc.state(name)["pid"], signal.SIGKILL)
    pyc.wait_for(name, "stopped")
    pyc("start", name).fails("stopped")
    pyc("delete", name).ok()
    box.empty()


def test_creates_of_one_id_at_the_same_time(box: Box, pyc: Runtime):
    """One wins, the others say that it exists."""
    bundle, name = box.bundle("/bin/sleep", "1000"), box.id()
    commands = [pyc.start_process("create", "-b", bundle, name, stderr=-3) for _ in range(4)]
    assert sorted(command.wait(30) for command in commands) == [0, 1, 1, 1]
    assert pyc.status(name) == "created"


def test_starts_at_the_same_time(box: Box, pyc: Runtime):
    name = box.id()
    pyc("create", "-b", box.bundle("/bin/sleep", "1000"), name).ok()
    commands = [pyc.start_process("start", name, stderr=-3) for _ in range(4)]
    assert sorted(command.wait(30) for command in commands) == [0, 1, 1, 1]
    assert pyc.status(name) == "running"


def test_deletes_at_the_same_time(box: Box, pyc: Runtime):
    name = box.running()
    commands = [pyc.start_process("delete", "--force", name, stderr=-3) for _ in range(4)]
    assert [command.wait(30) for command in commands] == [0] * 4
    box.empty()


def test_a_reused_pid_is_not_the_containers(box: Box, pyc: Runtime):
    """The state of a container whose process is gone names a pid that is somebody else's now."""
    name = box.running()
    pid = pyc.state(name)["pid"]
    os.kill(pid, signal.SIGKILL)
    pyc.wait_for(name, "stopped")
    file = pyc.root / name / "state.json"
    file.write_text(file.read_text().replace(f'"pid":{pid}', f'"pid":{os.getpid()}'))
    assert pyc.status(name) == "stopped"
    pyc("kill", name, "KILL").fails("not running")
    pyc("delete", "--force", name).ok()
    box.empty()
