"""The snapshot (csrc/launcher/snapshot.h) is used, says the same, and holds nothing of the machine;
where it does not fit, the interpreter starts as ever."""

from __future__ import annotations

import os
import re
import shutil
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.lifecycle.launcher.test_front import compile_front
from tests.support.box import Box
from tests.support.runtimes import CHECKOUT

FRONT = CHECKOUT / "build" / "fast" / "pycontainer"
PYTHON = FRONT.with_name("pycontainer-python")
SNAPSHOT = FRONT.with_name("pycontainer-python.snapshot")
BARE_START = CHECKOUT / "build" / "native" / "bare_start"

# struct snapshot: magic, size, segments, files, pages, processor[8], thread, its id, resume
HEAD = struct.Struct("<8s4I8I3Q")
FILE = struct.Struct("<Qqq128s")

pytestmark = [
    pytest.mark.skipif(
        not SNAPSHOT.exists() or SNAPSHOT.stat().st_size == 0,
        reason="no snapshot of the interpreter here",
    ),
    pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace"),
]


def said(command: Path, *words: str, strace: Path | None = None) -> tuple[int, str, str]:
    """Status, output and errors (without the time) of a command."""
    watch = ["strace", "-f", "-qq", "-o", str(strace)] if strace else []
    argv = [*watch, str(command), *words]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, done.stdout, re.sub(r'time="[^"]*"', "", done.stderr)


def programs_started(trace: Path) -> int:
    return len(re.findall(r"execve\(.* = 0$", trace.read_text(), re.MULTILINE))


@pytest.fixture
def command(tmp_path: Path) -> Path:
    """A front with a copy of the snapshot beside its interpreter."""
    directory = tmp_path / "own"
    directory.mkdir()
    interpreter = directory / "python"
    interpreter.symlink_to(PYTHON)
    shutil.copy(SNAPSHOT, directory / "python.snapshot")
    return compile_front(directory / "front", str(interpreter))


def test_it_is_used(command: Path, tmp_path: Path):
    status, _, error = said(command, "ps", "nobody", strace=tmp_path / "trace")
    assert (status, programs_started(tmp_path / "trace")) == (1, 1)
    assert "container does not exist" in error


def test_info_says_how_it_was_started(command: Path):
    assert re.search(r"start +snapshot", said(command, "info")[1])
    command.with_name("python.snapshot").unlink()
    assert re.search(
        r"start +interpreter\n.*\n +to mend it: make install", said(command, "info")[1]
    )


def changed(offset: int, data: bytes) -> Callable[[Path], None]:
    """What writes `data` at `offset` of a file."""

    def change(file: Path) -> None:
        with file.open("r+b") as stream:
            stream.seek(offset)
            stream.write(data)

    return change


def cut(file: Path) -> None:
    os.truncate(file, file.stat().st_size - 4096)


DAMAGES: dict[str, Callable[[Path], object]] = {
    "absent": Path.unlink,
    "empty": lambda file: os.truncate(file, 0),
    "only a header": lambda file: os.truncate(file, 8192),
    "its last page missing": cut,
    "of another kind": changed(0, b"pycsnap0"),
    "of another processor": changed(8 + 4 * 4 + 8, b"\xff\xff\xff\xff"),
    "a library has another size": changed(HEAD.size, b"\x01\0\0\0\0\0\0\0"),
    "a library has changed": changed(HEAD.size + 8, b"\x01\0\0\0\0\0\0\0"),
    "a library has gone": changed(HEAD.size + 24, b"/nonexistent\0"),
    "an address is taken": changed(HEAD.size + 12 * FILE.size, struct.pack("<Q", 0x10000000)),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_without_it_the_interpreter_starts(command: Path, tmp_path: Path, damage: str):
    expected = said(command, "ps", "nobody")
    DAMAGES[damage](command.with_name("python.snapshot"))
    assert said(command, "ps", "nobody", strace=tmp_path / "trace") == expected
    assert programs_started(tmp_path / "trace") == 2


def test_its_files_are_those_that_are_mapped():
    data = SNAPSHOT.read_bytes()[:8192]
    magic, size, segments, files, pages, *_ = HEAD.unpack_from(data)
    assert (magic, pages * 4096) == (b"pycsnap1", SNAPSHOT.stat().st_size)
    assert 10 < segments < 100 and size < 8192
    named = [FILE.unpack_from(data, HEAD.size + i * FILE.size) for i in range(files)]
    paths = [Path(path.rstrip(b"\0").decode()) for *_, path in named]
    assert PYTHON in paths
    assert {"libc.so.6", "_shim.abi3.so"} <= {path.name for path in paths}
    for (length, seconds, _, _), path in zip(named, paths, strict=True):
        assert (length, seconds) == (path.stat().st_size, int(path.stat().st_mtime))


# What a start asks the kernel before it is written; an answer to anything else could grow old.
ASKED = set(
    """execve personality openat read pread64 close brk access newfstatat fstat mmap munmap mprotect
    arch_prctl set_tid_address set_robust_list prlimit64 getrandom clock_gettime gettid sysinfo time
    lseek futex prctl readlink write exit_group""".split()
)


def test_it_holds_nothing_of_the_machine(tmp_path: Path):
    argv = [BARE_START, PYTHON, "--snapshot", tmp_path / "snapshot"]
    trace = tmp_path / "trace"
    subprocess.run(["strace", "-qq", "-o", trace, *argv], check=True, timeout=60)
    lines = trace.read_text().splitlines()
    assert {line.partition("(")[0] for line in lines} <= ASKED
    opened = re.findall(r'openat\(\w+, "([^"]*)"', "\n".join(lines))
    libraries = re.compile(r"\.so(\.[\d.]+)?$|/zoneinfo/UTC0$")
    others = {"/etc/ld.so.cache", "/proc/self/maps", str(PYTHON), str(tmp_path / "snapshot")}
    assert {path for path in opened if not libraries.search(path)} <= others


def test_the_environment_is_the_callers(box: Box, command: Path):
    bundle = box.bundle("/bin/env")
    words = ["--root", str(box.pycontainer.root), "run", "-b", str(bundle), box.id()]
    shell = [
        "sh",
        "-c",
        'exec 3</dev/null; LISTEN_PID=$$ LISTEN_FDS=1 exec "$@"',
        "sh",
        str(command),
        *words,
    ]
    done = subprocess.run(shell, capture_output=True, text=True, timeout=60, check=True)
    assert "LISTEN_FDS=1" in done.stdout.split()


def test_each_start_has_another_stack_protector(box: Box, command: Path):
    """The kernel gives random bytes to each process; the snapshot's own must not be used."""
    address = HEAD.unpack_from(SNAPSHOT.read_bytes()[: HEAD.size])[13] + 0x28
    found = set()
    for number in range(2):
        name = box.id(f"c{number}")
        words = ["run", "-b", str(box.bundle("/bin/cat")), name]
        argv = [command, "--root", str(box.pycontainer.root), *words]
        with subprocess.Popen(argv, stdin=subprocess.PIPE) as runtime:
            box.pycontainer.wait_for(name, "running")
            with open(f"/proc/{runtime.pid}/mem", "rb") as memory:
                memory.seek(address)
                found.add(memory.read(8))
            runtime.communicate(timeout=60)
    assert len(found) == 2 and all(value[0] == 0 for value in found)


def test_the_stack_is_a_mapping_of_its_own():
    """Merged with memory beside it, it took that along when the snapshot left it out: 1 of 40
    snapshots crashed."""
    argv = [BARE_START, "/bin/cat", "/proc/self/maps"]
    maps = subprocess.run(argv, capture_output=True, text=True, check=True).stdout.splitlines()
    rows = [re.match(r"(\w+)-(\w+) (\S+)", line).groups() for line in maps]
    spans = [(int(end, 16) - int(start, 16), access) for start, end, access in rows]
    stack = spans.index((8 << 20, "rw-p"))
    assert [access for _, access in spans[stack - 1 : stack + 2]] == ["---p", "rw-p", "---p"]
