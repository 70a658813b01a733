"""Make the snapshot: start an interpreter, read its memory, and write that as an ELF executable.

    interpreter   started by starter.bin; preload.py tells on its stdout where to go on, and waits
    executable    entry.bin, whose `struct snapshot` (csrc/launcher/snapshot.h) is filled in here,
                  and one segment for each mapping of the interpreter, at the address where it was

Long runs of zeros are left out of the file; a section header at its very end tells its size, so
that who starts it sees that nothing is missing.
"""

from __future__ import annotations

import contextlib
import fcntl
import itertools
import os
import platform
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from pycontainer._shim import lib
from pycontainer.snapshot import rehearsal

HERE = Path(__file__).resolve().parent
PAGE = 4096
ZEROS = 16  # pages in a row that are worth leaving out
HOLE = ZEROS * PAGE
MACHINES = {"x86_64": 62, "aarch64": 183}
PATIENCE = 60  # seconds

MAGIC = b"pycsnap\0"
FACTS = struct.Struct("<8s6Q12Q512s")  # struct snapshot
PAGES = 6  # in it: the address of the table of pages
ORDINARY = FACTS.size - 512
HEADER = struct.Struct("<16sHHIQQQIHHHHHH")  # Elf64_Ehdr
SEGMENT = struct.Struct("<IIQQQQQQ")  # Elf64_Phdr
# Linux before 6.17 reads no more program headers than one page holds; one is the stack's.
MOST = PAGE // SEGMENT.size - 1
NEVER = float("inf")
SECTION = 64  # bytes of an Elf64_Shdr
LOAD, INTERPRETER, STACK = 1, 3, 0x6474E551
READ, WRITE, EXECUTE = 4, 2, 1

PRELOAD = """\
import sys
sys.path[:0] = sys.argv[2:]
from pycontainer.snapshot import preload
preload.keep(1, sys.argv[1])
"""


class CannotBeMade(Exception):
    """Why there can be no snapshot here."""


class Segment(NamedTuple):
    """A part of memory: `size` bytes, of which those after `data` are zeros."""

    address: int
    access: int
    size: int
    data: bytes


class Executable:
    """An ELF file: its entry, and what of it is read by whom."""

    def __init__(self, path: Path) -> None:
        self.data = path.read_bytes()
        fields = HEADER.unpack_from(self.data)
        if fields[0][:5] != b"\x7fELF\x02":
            raise CannotBeMade(f"{path} is no 64-bit program")
        self.entry, at, size, count = fields[4], fields[5], fields[9], fields[10]
        self.headers = [SEGMENT.unpack_from(self.data, at + size * i) for i in range(count)]

    def interpreter(self) -> str:
        """The dynamic loader that it wants."""
        for kind, _, offset, _, _, size, *_ in self.headers:
            if kind == INTERPRETER:
                return self.data[offset : offset + size].rstrip(b"\0").decode()
        raise CannotBeMade("this Python is linked statically")

    def segments(self) -> Iterator[Segment]:
        for kind, access, offset, address, _, in_file, size, _ in self.headers:
            if kind == LOAD:
                yield Segment(address, access, size, self.data[offset : offset + in_file])


def zero_runs(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Where to divide writable memory: start, end of what is kept, end of the zeros after it."""
    pages = [any(data[at : at + PAGE]) for at in range(0, len(data), PAGE)]
    start = 0
    while start < len(pages):
        kept = end = start + 1
        while end < len(pages) and end - kept < ZEROS:
            end += 1
            if pages[end - 1]:
                kept = end
        while end < len(pages) and not pages[end]:
            end += 1
        if end - kept < ZEROS:
            kept = end
        yield start * PAGE, kept * PAGE, end * PAGE
        start = end


def memory(pid: int, starter: str) -> Iterator[Segment]:
    """What a waiting interpreter has mapped, but for what is the kernel's and the starter's."""
    with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb", 0) as file:
        for line in maps:
            span, access, _, _, _, *path = line.split(maxsplit=5)
            start, end = (int(part, 16) for part in span.split("-"))
            name = path[0].strip() if path else ""
            if access[0] != "r" or name.startswith("[") or name == starter:
                continue
            if access[1] == "w" and access[3] == "s":
                raise CannotBeMade(f"it shares memory: {name}")
            rights = READ | WRITE * (access[1] == "w") | EXECUTE * (access[2] == "x")
            data = os.pread(file.fileno(), end - start, start)
            if len(data) != end - start:
                raise CannotBeMade("its memory cannot be read")
            if not rights & WRITE:
                yield Segment(start, rights, len(data), data)
                continue
            for first, kept, last in zero_runs(data):
                yield Segment(start + first, rights, last - first, data[first:kept])


def merged(segments: list[Segment]) -> list[Segment]:
    """As few as cost nothing, and no more than MOST, in the order of their addresses."""
    result = sorted(segments)
    for at in reversed(range(len(result) - 1)):
        if _price(*result[at : at + 2]) == 0:
            _join(result, at)
    while len(result) > MOST:
        prices = [_price(*pair) for pair in itertools.pairwise(result)]
        cheapest = min(prices)
        if cheapest == NEVER:
            raise CannotBeMade(f"its memory has {len(result)} parts, a program at most {MOST}")
        _join(result, prices.index(cheapest))
    return result


def _price(one: Segment, other: Segment) -> float:
    """What it costs to join two: zeros that are a hole in the file; or, dearer than any of these,
    constants that become executable, in bytes."""
    if one.address + one.size != other.address:
        return NEVER
    if one.access == other.access:
        return one.size - len(one.data)
    if {one.access, other.access} == {READ, READ | EXECUTE}:
        return (1 << 32) + min(one.size, other.size)
    return NEVER


def _join(segments: list[Segment], at: int) -> None:
    one, other = segments[at : at + 2]
    data = one.data.ljust(one.size, b"\0") + other.data
    access = one.access | other.access
    segments[at : at + 2] = [Segment(one.address, access, one.size + other.size, data)]


def interpreter_memory(directory: str, paths: list[str]) -> tuple[bytes, list[Segment]]:
    """Facts about an interpreter that has loaded everything, and its memory."""
    starter = str(HERE / "starter.bin")
    python = os.path.realpath(sys.executable)
    command = [starter, Executable(Path(python)).interpreter(), python]
    command += ["-IS", "-X", "utf8", "-c", PRELOAD, directory, *paths]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout
        facts = process.stdout.read(FACTS.size)
        if len(facts) != FACTS.size:
            raise CannotBeMade("the interpreter could not be started for it")
        return facts, list(memory(process.pid, os.path.realpath(starter)))


def with_facts(segments: Iterator[Segment], facts: bytes, ordinary: str) -> Iterator[Segment]:
    """The entry's segments, knowing where to go on, and what to execute if that is not possible."""
    path = ordinary.encode()
    if len(path) >= FACTS.size - ORDINARY:
        raise CannotBeMade("the path is too long")
    for segment in segments:
        at = segment.data.find(MAGIC)
        if at >= 0:
            filled = bytearray(segment.data)
            filled[at : at + FACTS.size] = facts[:ORDINARY] + path.ljust(
                FACTS.size - ORDINARY, b"\0"
            )
            segment = segment._replace(data=bytes(filled))
        yield segment


def write(path: Path, entry: int, segments: list[Segment]) -> None:
    """An executable of these segments."""
    count = len(segments) + 1
    at = -(-(HEADER.size + SEGMENT.size * count) // PAGE) * PAGE
    headers, places = [SEGMENT.pack(STACK, READ | WRITE, *[0] * 5, 16)], []
    for address, access, size, data in segments:
        at += address % PAGE
        headers.append(SEGMENT.pack(LOAD, access, at, address, address, len(data), size, PAGE))
        places.append((at, data))
        at = -(-(at + len(data)) // PAGE) * PAGE
    ident = b"\x7fELF\x02\x01\x01".ljust(16, b"\0")
    sizes = HEADER.size, SEGMENT.size, count, SECTION, 1, 0
    machine = MACHINES[platform.machine()]
    with path.open("wb") as file:
        file.write(HEADER.pack(ident, 2, machine, 1, entry, HEADER.size, at, 0, *sizes))
        file.writelines(headers)
        for offset, data in places:
            for start in range(0, len(data), HOLE):
                part = data[start : start + HOLE]
                if any(part):  # else it stays a hole
                    file.seek(offset + start)
                    file.write(part)
        file.truncate(at + SECTION)
        os.fchmod(file.fileno(), 0o755)
        file.flush()
        os.fsync(file.fileno())


def rehearsed(segments: list[Segment], path: Path, at: int) -> list[Segment]:
    """The same, with the table at this address of what the commands at `path` write."""
    spans = [
        (s.address // PAGE, -(-(s.address + s.size) // PAGE)) for s in segments if s.access & WRITE
    ]
    table = rehearsal.written_pages(path, spans)
    for number, segment in enumerate(segments):
        start = at - segment.address
        if 0 <= start < segment.size:
            data = bytearray(segment.data.ljust(start + len(table), b"\0"))
            data[start : start + len(table)] = table
            segments[number] = segment._replace(data=bytes(data))
    return segments


def try_it(path: Path) -> None:
    """It answers, also where addresses are chosen in other ways."""
    for wrapper in ([], ["setarch", "-R"], ["sh", "-c", 'ulimit -s unlimited; exec "$@"', "sh"]):
        done = subprocess.run(
            [*wrapper, str(path), "--version"], capture_output=True, timeout=PATIENCE, check=False
        )
        if done.returncode or not done.stdout:
            raise CannotBeMade(f"it ends with status {done.returncode}")


def place(directory: str) -> Path:
    """Where the snapshot of an installation is; its name is the process's."""
    return Path(directory, "snapshot", "pycontainer")


@contextlib.contextmanager
def alone(directory: Path) -> Iterator[None]:
    """In this directory, which everybody may read, one at a time makes a snapshot."""
    directory.mkdir(exist_ok=True)
    directory.chmod(0o755)
    fd = os.open(directory, os.O_RDONLY)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


def make(directory: str, paths: list[str]) -> None:
    """Make the snapshot of an installation; CannotBeMade says why there is none."""
    if platform.machine() not in MACHINES or os.sysconf("SC_PAGE_SIZE") != PAGE:
        raise CannotBeMade("not for this processor")
    if platform.libc_ver()[0] != "glibc":
        raise CannotBeMade("not with this C library")
    facts, segments = interpreter_memory(directory, paths)
    entry = Executable(HERE / "entry.bin")
    segments += with_facts(entry.segments(), facts, f"{directory}/ordinary/pycontainer")
    output = place(directory)
    new = output.with_name(output.name + ".new")
    with alone(output.parent):
        try:
            segments = merged(segments)
            write(new, entry.entry, segments)
            try_it(new)
            segments = rehearsed(segments, new, FACTS.unpack(facts)[PAGES])
            write(new, entry.entry, segments)
            new.rename(output)
        finally:
            new.unlink(missing_ok=True)


def main(directory: str, paths: list[str]) -> int:
    """Make the snapshot of an installation, or say in one sentence why there is none."""
    lib.shim_reset_signals()
    try:
        make(directory, paths)
    except (CannotBeMade, OSError, subprocess.SubprocessError) as error:
        try:
            place(directory).unlink(missing_ok=True)
        except OSError:
            sys.stderr.write(f"no new snapshot: {error}; what is there stays\n")
            return 1
        sys.stderr.write(f"no fast start: {error}; the ordinary start is used\n")
    return 0
