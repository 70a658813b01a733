"""Programs of the host that we start get what they are given, and nothing else of our caller's."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pycontainer.base.errors import OperationError
from pycontainer.base.settings import Settings
from pycontainer.criu import service
from pycontainer.lifecycle.hooks import run_hooks
from pycontainer.linux import idmap
from pycontainer.linux.spawn import spawn
from tests.support.runtimes import CHECKOUT

LOOK = """#!/usr/bin/python3 -IS
import posix
rows = []
for fd in sorted(map(int, posix.listdir("/proc/self/fd"))):
    try:
        rows.append(f"{fd} {posix.readlink(f'/proc/self/fd/{fd}')}")
    except FileNotFoundError:
        pass  # that of the list itself
open("FILE", "w").write("\\n".join(rows))
"""


@pytest.fixture(autouse=True)
def inheritable() -> Iterator[None]:
    """What a careless caller leaves open for all its children, at odd numbers, too."""
    fds = [os.open("/etc", os.O_RDONLY), os.dup2(0, 29), os.dup2(0, 207)]
    os.set_inheritable(fds[0], True)
    yield
    for fd in fds:
        os.close(fd)


def looker(directory: Path, name: str) -> tuple[Path, Path]:
    """A program that notes its descriptors, and the file where it does."""
    program, file = directory / name, directory / f"{name}.fds"
    program.write_text(LOOK.replace("FILE", str(file)))
    program.chmod(0o755)
    return program, file


def numbers(file: Path) -> list[int]:
    """The descriptors that were noted."""
    return [int(line.partition(" ")[0]) for line in file.read_text().splitlines()]


def test_a_hook(tmp_path: Path):
    program, file = looker(tmp_path, "hook")
    run_hooks("prestart", [{"path": str(program)}], b"{}")
    assert numbers(file) == [0, 1, 2]


def test_newuidmap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    program, file = looker(tmp_path, "newuidmap")
    monkeypatch.setitem(idmap.posix.environ, b"PATH", str(tmp_path).encode() + b":/usr/bin:/bin")
    assert idmap.write(1, "uid_map", "0 0 1") == ""
    assert program.exists() and numbers(file) == [0, 1, 2]


def test_criu(tmp_path: Path):
    program, file = looker(tmp_path, "criu")
    settings = Settings()
    settings.criu = str(program)
    extra = os.open("/usr", os.O_RDONLY)
    with pytest.raises(OperationError, match="criu"):
        service.Service(service.Criu(settings), [extra]).ask({"type": service.wire.VERSION})
    os.close(extra)
    assert numbers(file) == [0, 1, 2, 3, 4]
    assert file.read_text().endswith("\n4 /usr")


def test_descriptors_that_change_places(tmp_path: Path):
    """Each arrives at its own number, whatever numbers they have here."""
    paths = [tmp_path / str(index) for index in range(5)]
    script = "for n in 0 1 2 3 4; do readlink /proc/self/fd/$n; done > " + str(tmp_path / "seen")
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        for index, path in enumerate(paths):
            path.touch()
            os.dup2(os.open(path, os.O_RDWR), 4 - index)
        pid = spawn("/bin/sh", ["sh", "-c", script], [4, 3, 2, 1, 0])
        os._exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
    os.close(write)
    assert os.waitpid(child, 0)[1] == 0 and os.read(read, 1) == b""
    os.close(read)
    # stdout is where they are written to
    seen = (tmp_path / "seen").read_text().split()
    assert [seen[0], *seen[2:]] == [str(paths[n]) for n in (0, 2, 3, 4)]


def test_our_own_stdio_may_be_closed():
    script = "import os\nfrom pycontainer.linux.spawn import spawn\nos.close(0)\n" + (
        "pid = spawn('/bin/sh', ['sh', '-c', 'ls /proc/self/fd/0 2>/dev/null; echo end'], [0,1,2])"
        "\nos.waitpid(pid, 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], stdout=subprocess.PIPE, cwd=CHECKOUT)
    assert done.stdout.endswith(b"end\n")
    with pytest.raises(OSError, match="Bad file descriptor"):
        spawn("/bin/true", ["true"], [0, 1, 999])


def test_no_signal_is_ignored_or_blocked(tmp_path: Path):
    script = f"cat /proc/self/status > {tmp_path}/status"
    ignored = [n for n in signal.valid_signals() if n not in (9, 19, 17)]
    before = {n: signal.signal(n, signal.SIG_IGN) for n in ignored}
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, ignored)
    try:
        os.waitpid(spawn("/bin/sh", ["sh", "-c", script], [0, 1, 2]), 0)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler if handler is not None else signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    status = (tmp_path / "status").read_text()
    # glibc has two signals of its own, 32 and 33, that no program can ask for
    assert [int(re.search(rf"{name}:\t(\w+)", status)[1], 16) & ~(3 << 31)
            for name in ("SigBlk", "SigIgn")] == [0, 0]  # fmt: skip


def test_nobody_starts_programs_in_another_way():
    """Of what a container's life needs; subprocess, which `info` and `ps` use, closes by itself."""
    allowed = {"criu/mounts.py", "linux/namespace_child.py"}  # children that execute nothing
    allowed.add("snapshot/rehearsal.py")  # traces its children, when a snapshot is made
    allowed.add("lifecycle/attendant.py")  # executes a program of ours in its own place
    found = {
        f"{path.parent.name}/{path.name}"
        for path in (CHECKOUT / "pycontainer").rglob("*.py")
        if re.search(r"posix_spawn|\b(posix|os)\.(fork|exec|system|popen)", path.read_text())
    }
    assert found == allowed
