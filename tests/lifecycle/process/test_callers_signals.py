"""What a caller has done with its signals survives execve(2): a daemon ignores SIGCHLD so that its
children leave no zombies, a library's thread blocks all signals. Nothing of that reaches a
container, nor changes what a command does.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from tests.support.box import Box
from tests.support.bundles import Bundle
from tests.support.runtimes import CHECKOUT, Runtime

COMMANDS = {
    "fast": CHECKOUT / "build" / "fast" / "pycontainer",
    "script": CHECKOUT / "build" / "pycontainer",
}
CALLERS = {  # env(1)
    "SIGCHLD ignored": ["--ignore-signal=CHLD"],
    "SIGCHLD blocked": ["--block-signal=CHLD"],
    "all ignored": ["--ignore-signal"],
    "all blocked": ["--block-signal"],
}
FAILING = {"path": "/bin/sh", "args": ["sh", "-c", "exit 5"]}
SIGNALS = ["/bin/grep", "-E", "Sig(Blk|Ign)", "/proc/self/status"]
LIBCS_OWN = 3 << 31  # 32 and 33, which its posix_spawn(3) ignores
WITH_PARENT = "while kill -0 $PPID; do sleep 0.05; done"
NONE = "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n"


class Caller(Runtime):
    """Calls a command with this state of its signals."""

    def __init__(self, box: Box, way: str, signals: list[str]) -> None:
        super().__init__("caller", box.directory)
        self.prefix, self.command = ["env", *signals], str(COMMANDS[way])
        box.runtimes["caller"] = self

    def argv(self, *arguments: Any) -> list[str]:
        return [*self.prefix, *super().argv(*arguments)]


@pytest.fixture(params=CALLERS)
def caller(request: pytest.FixtureRequest, box: Box) -> Caller:
    return Caller(box, "fast", CALLERS[request.param])


@pytest.fixture(params=COMMANDS)
def daemon(request: pytest.FixtureRequest, box: Box) -> Caller:
    return Caller(box, request.param, CALLERS["SIGCHLD ignored"])


def with_hook(box: Box, stage: str, hook: dict[str, Any]) -> Bundle:
    bundle = box.bundle("/bin/sleep", "1000")
    bundle.config["hooks"] = {stage: [hook]}
    return bundle


def test_run_in_both_ways(box: Box, daemon: Caller):
    done = daemon("run", "-b", box.bundle("/bin/sh", "-c", "exit 4"), box.id())
    assert done.status == 4, done


def test_run(box: Box, caller: Caller):
    bundle = box.bundle().script("grep -E 'Sig(Blk|Ign)' /proc/self/status; exit 4")
    done = caller("run", "-b", bundle, box.id())
    assert (done.status, done.out) == (4, NONE), done


def test_create_start_exec_delete(box: Box, caller: Caller):
    name = box.id()
    caller("create", "-b", box.bundle("/bin/sleep", "1000"), name).ok()
    pid = caller.state(name)["pid"]
    caller("start", name).ok()
    lines = Path(f"/proc/{pid}/status").read_text().splitlines(keepends=True)
    assert "".join(line for line in lines if line.startswith(("SigBlk", "SigIgn"))) == NONE
    done = caller("exec", name, *SIGNALS)
    assert (done.status, done.out) == (0, NONE), done
    assert caller("exec", name, "/bin/sh", "-c", "exit 7").status == 7
    assert caller("exec", name, "/bin/sh", "-c", "kill -9 $$").status == 128 + 9
    leader, follower = os.openpty()
    try:
        assert caller("exec", "-t", name, "/bin/sh", "-c", "exit 7", stdin=follower).status == 7
    finally:
        os.close(leader)
        os.close(follower)
    caller("kill", name, "KILL").ok()
    caller.wait_for(name, "stopped")
    caller("delete", name).ok()


@pytest.mark.parametrize("stage", ["prestart", "createRuntime", "createContainer"])
def test_a_hook_that_fails_before_the_start(box: Box, daemon: Caller, stage: str):
    bundle = with_hook(box, stage, FAILING)
    for command in (["create"], ["run", "-d"], ["run"]):
        daemon(*command, "-b", bundle, box.id()).fails("exit status 5", status=1)
    box.empty()


@pytest.mark.parametrize("stage", ["startContainer", "poststart"])
def test_a_hook_that_fails_at_the_start(box: Box, daemon: Caller, stage: str):
    bundle = with_hook(box, stage, FAILING)
    daemon("run", "-b", bundle, box.id()).fails("exit status 5", status=1)
    name = box.id("created")
    daemon("create", "-b", bundle, name).ok()
    daemon("start", name).fails("exit status 5", status=1)


def test_a_poststop_hook_that_fails(box: Box, daemon: Caller):
    """A warning, as without."""
    name = box.id()
    bundle = with_hook(box, "poststop", FAILING)
    bundle.process["args"] = ["/bin/true"]
    daemon("run", "-d", "-b", bundle, name).ok()
    daemon.wait_for(name, "stopped")
    done = daemon("delete", name).ok()
    assert "exit status 5" in done.err


@pytest.mark.parametrize("stage", ["createRuntime", "createContainer", "poststart"])
def test_what_a_hook_inherits(box: Box, caller: Caller, stage: str):
    note = box.directory / "note"
    script = f"{' '.join(SIGNALS[:2])} 'Sig(Blk|Ign)' /proc/self/status > {note}"
    bundle = with_hook(box, stage, {"path": "/bin/sh", "args": ["sh", "-c", script]})
    bundle.process["args"] = ["/bin/true"]
    caller("run", "-b", bundle, box.id()).ok()
    found = [int(line.split()[1], 16) & ~LIBCS_OWN for line in note.read_text().splitlines()]
    assert found == [0, 0]


def test_signals_reach_the_process(box: Box, caller: Caller):
    bundle = box.bundle().script("trap 'exit 9' TERM; echo ready; while :; do sleep 0.05; done")
    argv = caller.argv("run", "-b", bundle, box.id())
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL) as process:
        assert process.stdout and process.stdout.readline() == b"ready\n"
        process.terminate()
        assert process.wait(30) == 9


def test_a_caller_that_blocks_all_signals_can_end_a_command(box: Box):
    """A hook that never ends: SIGTERM ends `create`."""
    bundle = with_hook(box, "createRuntime", {"path": "/bin/sh", "args": ["sh", "-c", WITH_PARENT]})
    caller = Caller(box, "fast", CALLERS["all blocked"])
    argv = caller.argv("create", "-b", bundle, box.id())
    with subprocess.Popen(argv, stdin=subprocess.DEVNULL) as process:
        time.sleep(1)
        assert process.poll() is None
        process.terminate()
        assert process.wait(30) == -signal.SIGTERM
