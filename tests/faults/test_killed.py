"""A process of the executor's that is killed at the wrong moment."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from tests.support.box import Box
from tests.support.runtimes import eventually


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
