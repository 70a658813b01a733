"""The floor that we measure ourselves against (benchmarks/floor.c) does what our plan does."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.gates.test_gates import FRONT, SNAPSHOT
from tests.support.box import Box
from tests.support.runtimes import CHECKOUT, Runtime

# The system calls that make a container. What is left out: how files are read and closed, what is
# looked up before, and how an interpreter or a C library starts.
EFFECTS = """clone3 clone mkdir rmdir setxattr memfd_create socketpair renameat sendmsg pidfd_open
    fsopen fsmount open_tree move_mount mount_setattr mount umount2 pivot_root mkdirat mknodat
    symlinkat sethostname setns keyctl setsid setgroups setresuid setresgid capset execveat
    sched_setaffinity ioctl prctl""".split()
# Ours asks once more: whether the mask is a clone, what the keyring is; a terminal for the log.
# And it executes the attendant.
MORE = Counter(keyctl=1, ioctl=6, prctl=8, mkdirat=1, memfd_create=1, execveat=1)


@pytest.fixture(scope="module")
def floor(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if shutil.which("gcc") is None or shutil.which("strace") is None:
        pytest.skip("needs gcc and strace")
    program = tmp_path_factory.mktemp("floor") / "program"
    sources = (CHECKOUT / "benchmarks").glob("floor*.c")
    subprocess.run(["gcc", "-O2", "-static", "-o", program, *sources], check=True)
    return program


def calls(trace: Path, *argv: object) -> Counter[str]:
    """How often each of EFFECTS succeeds in a command and its children."""
    command = ["strace", "-f", "-qq", "-o", str(trace), *map(str, argv)]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    text = re.sub(
        r"^(\d+) +(\w+)\(.*unfinished \.\.\.>$", r"\1 begun \2", trace.read_text(), flags=re.M
    )
    text = re.sub(r"^(\d+) +<\.\.\. (\w+) resumed>.*( = .*)$", r"\1 \2()\3", text, flags=re.M)
    text = re.sub(r"unlinkat(\(.*, AT_REMOVEDIR\))", r"rmdir\1", text)
    made = re.findall(r"^\d+ +(\w+)\(.* = (?!-1 )", text, re.M)
    return Counter(name for name in made if name in EFFECTS)


@pytest.mark.parametrize("command", ["run", "exec"])
def test_it_makes_the_same_system_calls(box: Box, pyc: Runtime, floor: Path, command: str):
    if not SNAPSHOT.exists():
        pytest.skip("no snapshot here: make build says why")
    if not Path("/sys/fs/cgroup/unified").is_dir():
        pytest.skip("on cgroup v2 it lacks the program for devices")
    sys.path.insert(0, str(CHECKOUT / "benchmarks"))
    import bundles

    config = bundles.default_config()
    true, sleep = (
        bundles.make(box.directory / words[0].rpartition("/")[2], config, *words)
        for words in (("/bin/true",), ("/bin/sleep", "1000"))
    )
    counts = []
    for name, program, root in (
        (box.id("ours"), FRONT, pyc.root),
        (box.id("floor"), floor, box.directory / "floor"),
    ):
        root.mkdir(exist_ok=True)
        head = [program, "--root", root]
        if command == "run":
            counts.append(calls(box.directory / name, *head, "run", "-b", true, name))
            continue
        pid_file = box.directory / "pid"
        quiet = {"check": True, "stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL}
        subprocess.run([*head, "create", "-b", sleep, "--pid-file", pid_file, name], **quiet)
        subprocess.run([*head, "start", name], **quiet)
        counts.append(calls(box.directory / name, *head, "exec", name, "/bin/true"))
        subprocess.run([*head, "delete", "--force", name], **quiet)
    ours, least = counts
    assert not least - ours, least - ours
    assert not ours - least - MORE, ours - least
