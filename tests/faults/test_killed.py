"""A command that is killed between any two system calls leaves nothing that cannot be removed."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from tests.faults.injection import Call, calls, inject, recovered, spread
from tests.support.box import Box
from tests.support.runtimes import eventually

SAMPLE = 8


def _kill_at(box: Box, found: list[Call], steps: list[tuple], bundle: object, name: str) -> None:
    """Before each fault the commands of `steps` but the last one are done; that one is killed."""
    faults = []
    for call in found:
        for step in steps[:-1]:
            box.pycontainer(*step).ok()
        inject(box.pycontainer, call, "signal=KILL", *steps[-1])
        wrong = recovered(box, name, bundle)
        if wrong:
            faults.append(f"killed at {call}: {wrong}")
            box.pycontainer.sweep()
    if faults:
        pytest.fail("\n".join(faults))


def test_create(box: Box) -> None:
    bundle, name = box.bundle("/bin/sleep", "1000"), box.id("victim")
    step = ("create", "-b", bundle, name)
    found = calls(box.pycontainer, f"/{name}", *step)
    box.pycontainer("delete", "-f", name).ok()
    _kill_at(box, spread(found, 2 * SAMPLE), [step], bundle, name)


@pytest.mark.skipif(
    "PYCONTAINER_SWEEP" not in os.environ, reason="takes minutes: set PYCONTAINER_SWEEP=1"
)
@pytest.mark.timeout(1800)
def test_create_at_every_call(box: Box) -> None:
    bundle, name = box.bundle("/bin/sleep", "1000"), box.id("victim")
    step = ("create", "-b", bundle, name)
    found = calls(box.pycontainer, f"/{name}", *step)
    box.pycontainer("delete", "-f", name).ok()
    _kill_at(box, found, [step], bundle, name)


@pytest.mark.parametrize("word", ["start", "delete", "exec", "kill"])
def test_later_command(box: Box, word: str) -> None:
    bundle, name = box.bundle("/bin/sleep", "1000"), box.id("victim")
    before: list[tuple] = [("create", "-b", bundle, name)]
    if word in ("exec", "kill"):
        before.append(("start", name))
    last = {
        "start": ("start", name),
        "delete": ("delete", "--force", name),
        "exec": ("exec", name, "/bin/true"),
        "kill": ("kill", name, "KILL"),
    }[word]
    for step in before:
        box.pycontainer(*step).ok()
    found = calls(box.pycontainer, f"/{name}", *last)
    box.pycontainer("delete", "-f", name)
    _kill_at(box, spread(found, SAMPLE // 2), [*before, last], bundle, name)


def test_who_has_a_child_that_is_not_known_yet(box: Box) -> None:
    """The first process of a user namespace is killed right after its clone, for lack of memory:
    the child has the channel, too, and would wait, and we for it."""
    if shutil.which("strace") is None:
        pytest.skip("needs strace")
    bundle, name = box.bundle("/bin/true"), box.id()
    bundle.new_namespace("user")
    for kind in ("uidMappings", "gidMappings"):
        bundle.linux[kind] = [{"containerID": 0, "hostID": 0, "size": 1}]
    slowly = ["-e", "trace=clone", "-e", "inject=clone:delay_exit=9000000"]
    argv = ["strace", "-f", "-qq", "-o", box.directory / "trace", *slowly]
    err = box.directory / "err"
    with err.open("wb") as stderr:
        argv += box.pycontainer.argv("run", "-b", bundle, name)
        process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stderr=stderr)
        eventually(lambda: len(executors(process.pid)) == 2, "a child of the executor's")
        os.kill(executors(process.pid)[0], signal.SIGKILL)
        assert process.wait(60) == 1
    assert "init died" in err.read_text()
    box.empty()


def executors(strace: int) -> list[int]:
    """The children of the command that strace runs; in the host's pid namespace before others."""
    found = children(strace)
    return sorted((pid for each in found for pid in children(each)), key=depth)


def children(pid: int) -> list[int]:
    try:
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def depth(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return len(re.search(r"NSpid:(.*)", status)[1].split())


def test_run(box: Box) -> None:
    bundle, name = box.bundle("/bin/true"), box.id("victim")
    step = ("run", "-b", bundle, name)
    found = calls(box.pycontainer, f"/{name}", *step)
    _kill_at(box, spread(found, SAMPLE), [step], bundle, name)
