"""Which pages of a new snapshot its commands write.

A page that is written is copied. `create`, `run` and `exec` write some 700; when one of them
begins, `copy_pages` (csrc/shim/snapshot.c) copies them all at once. Which ones, this module has
seen: it makes a container with the new snapshot, and reads of each command, at its end, which pages
it has of its own. The container is in a temporary directory, has no cgroup, and is never started;
what is executed in it is the executor without a plan, which ends at once.

Where it cannot be done (no ptrace, no namespaces), pages are copied one by one.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import shutil
import signal
import struct
import tempfile
from pathlib import Path

from pycontainer.spec import default_config

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

GROUPS, RANGES = 2, 512  # as in csrc/launcher/snapshot.h
PAGE = 4096
MOST = PAGE - 1  # pages in one range
PATIENCE = 30  # seconds
PRESENT, SWAPPED, OF_A_FILE = 1 << 63, 1 << 62, 1 << 61  # of an entry in /proc/PID/pagemap
TRACE_ME, CONTINUE, SET_OPTIONS = 0, 7, 0x4200
TRACE_EXIT, EXIT_STOP = 1 << 6, signal.SIGTRAP | 6 << 8
EXECUTOR = Path(__file__).resolve().parent.parent / "executor.bin"

Span = tuple[int, int]  # first page, page after the last one


class NoRehearsal(Exception):
    """A command did not do what it should."""


def written_pages(snapshot: Path, memory: list[Span]) -> bytes:
    """The table for `copy_pages`, of the pages in `memory`; zeros when nothing could be seen."""
    groups: list[set[int]] = []
    # NoRehearsal: no table, no harm.
    with contextlib.suppress(NoRehearsal, OSError), _stage() as (stage, bundle):
        name = f"pycontainer-rehearsal-{os.getpid()}"
        program = [str(snapshot), "--root", f"{stage}/root", "--cgroup-manager", "disabled"]
        try:
            created = _seen([*program, "create", "-b", bundle, name], memory)
            executed = _seen([*program, "exec", name, "/program"], memory, status=None)
        finally:
            _seen([*program, "delete", "--force", name], memory, status=None)
        groups = [created, executed]
    return b"".join(map(_packed, groups)).ljust(GROUPS * RANGES * 8, b"\0")


@contextlib.contextmanager
def _stage() -> Iterator[tuple[str, str]]:
    """A temporary directory, and a bundle in it."""
    with tempfile.TemporaryDirectory(prefix="pycontainer-rehearsal-") as stage:
        os.chmod(stage, 0o711)
        root = Path(stage, "bundle", "rootfs")
        for directory in ("dev", "proc", "sys"):
            (root / directory).mkdir(parents=True)
        shutil.copy(EXECUTOR, root / "program")
        (root / "program").chmod(0o755)
        config = default_config.example()
        config["process"] |= {"terminal": False, "args": ["/program"]}
        if os.geteuid():
            config = default_config.rootless(config)
        (root.parent / "config.json").write_text(json.dumps(config))
        yield stage, str(root.parent)


def _seen(argv: list[str], memory: list[Span], status: int | None = 0) -> set[int]:
    """The pages that a command has of its own when it ends."""
    pid = os.fork()
    if pid == 0:
        try:
            _prepare(argv[0])
            os.execv(argv[0], argv)
        finally:
            os._exit(127)
    try:
        _until(pid, signal.SIGTRAP)  # execve
        _ptrace(SET_OPTIONS, pid, TRACE_EXIT)
        _ptrace(CONTINUE, pid)
        _until(pid, EXIT_STOP)
        pages = _own_pages(pid, memory)
        _ptrace(CONTINUE, pid)
    except BaseException:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, 0)
        raise
    ended = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if status is not None and ended != status:
        raise NoRehearsal
    return pages


def _prepare(program: str) -> None:
    null = os.open(os.devnull, os.O_RDWR)
    for fd in range(3):
        os.dup2(null, fd)
    signal.alarm(PATIENCE)  # execve keeps it
    _ptrace(TRACE_ME, 0)


def _until(pid: int, stop: int) -> None:
    """Wait for a stop of this kind; other signals are delivered."""
    while True:
        _, status = os.waitpid(pid, 0)
        if not os.WIFSTOPPED(status):
            raise NoRehearsal
        if status >> 8 == stop:
            return
        _ptrace(CONTINUE, pid, os.WSTOPSIG(status))


def _ptrace(request: int, pid: int, data: int = 0) -> None:
    function = ctypes.CDLL(None, use_errno=True).ptrace
    function.argtypes, function.restype = [ctypes.c_long] * 4, ctypes.c_long
    if function(request, pid, 0, data) < 0:
        raise OSError(ctypes.get_errno(), "ptrace")


def _own_pages(pid: int, memory: list[Span]) -> set[int]:
    pages = set()
    with open(f"/proc/{pid}/pagemap", "rb", 0) as file:
        for first, last in memory:
            data = os.pread(file.fileno(), 8 * (last - first), 8 * first)
            for page, (entry,) in enumerate(struct.iter_unpack("<Q", data), first):
                if entry & (PRESENT | SWAPPED) and not entry & OF_A_FILE:
                    pages.add(page)
    return pages


def _packed(pages: set[int]) -> bytes:
    """Ranges as `copy_pages` reads them."""
    ranges: list[list[int]] = []
    for page in sorted(pages):
        if ranges and page == sum(ranges[-1]) and ranges[-1][1] < MOST:
            ranges[-1][1] += 1
        else:
            ranges.append([page, 1])
    values = [page * PAGE | count for page, count in ranges[: RANGES - 1]]
    return struct.pack(f"<{RANGES}Q", *values, *[0] * (RANGES - len(values)))
