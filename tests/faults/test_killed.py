"""Processes that are killed at moments that need some preparation."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from tests.faults.points import KILLED, program, read_calls
from tests.support.box import Box
from tests.support.runtimes import eventually


def test_a_restore_that_has_bound_the_root(box: Box) -> None:
    """CRIU wants the root as a mount point: one that is in nobody's way afterwards."""
    if shutil.which("criu") is None:
        pytest.skip("needs CRIU, which need not work")
    name, record, images = box.id(), box.directory / "record", box.directory / "images"
    images.mkdir()
    (images / "descriptors.json").write_text("[]")
    words = ("restore", "-b", box.bundle("/bin/true"), "--image-path", images, name)

    def inject(number: int) -> int:
        argv = [program(), record, "0", str(number), "0", *box.pycontainer.argv(*words)]
        return subprocess.run(argv, capture_output=True, check=False).returncode

    inject(0)
    bound = next(call for call in read_calls(record) if call.name == "mount")
    box.pycontainer("delete", "--force", name).ok()
    assert inject(bound.number + 2) == KILLED
    assert f"{name}/criu-root" in Path("/proc/self/mountinfo").read_text()
    box.pycontainer("delete", "--force", name).ok()
    box.empty()


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
