"""The executor's program, as what the clone executes; and the pid behind a pidfd."""

from __future__ import annotations

import posix

from pycontainer._shim import lib
from pycontainer.base.errors import HostError, check

_PATH = __file__.rpartition("/executor/")[0] + "/executor.bin"
_kept: tuple[int, int, int] | None = None  # descriptor, device, inode: see `keep`
_loaded = b""  # the executor, where `load` was called


class Started:
    """A process that runs a plan: the container's init's `pid` as we see it, its `pidfd`."""

    __slots__ = ("pid", "pidfd")

    def __init__(self, pid: int, pidfd: int) -> None:
        self.pid = pid
        self.pidfd = pidfd


def keep() -> None:
    """Make the executor's memfd once for all containers of this process: it is sealed."""
    global _kept
    if _kept is None:
        fd = sealed()
        found = posix.fstat(fd)
        _kept = fd, found.st_dev, found.st_ino


def sealed() -> int:
    """The executor as a sealed memfd: what the container runs is never a file of the host."""
    if _kept is not None and (fd := _again(*_kept)) >= 0:
        return fd
    data = _loaded or read(_PATH)
    return check(lib.shim_memfd(b"pycontainer", data, len(data), 1), "keep the executor in memory")


def load() -> None:
    """Read the executor now, for a snapshot: it works with the one of its own build."""
    global _loaded
    _loaded = read(_PATH)


def read(path: str) -> bytes:
    """A program of our build."""
    try:
        fd = posix.open(path, posix.O_RDONLY | posix.O_CLOEXEC)
    except OSError as error:
        raise HostError.of("open", path, error, code="not-built") from None
    try:
        return posix.read(fd, posix.fstat(fd).st_size)
    finally:
        posix.close(fd)


def _again(fd: int, device: int, inode: int) -> int:
    """The kept one once more; -1 if other code has closed it: then it may be any file by now."""
    try:
        fd = posix.dup(fd)
    except OSError:
        return -1
    found = posix.fstat(fd)
    if (found.st_dev, found.st_ino) == (device, inode):
        return fd
    posix.close(fd)
    return -1


def pid_of(pidfd: int) -> int:
    """The number behind a pidfd, as this process's pid namespace counts it."""
    fd = posix.open(f"/proc/self/fdinfo/{pidfd}", posix.O_RDONLY | posix.O_CLOEXEC)
    try:
        for line in posix.read(fd, 4096).splitlines():
            if line.startswith(b"Pid:") and int(line[4:]) > 0:  # -1: reaped, by another thread
                return int(line[4:])
    finally:
        posix.close(fd)
    raise HostError("another part of this program has reaped the process", "reaped")
