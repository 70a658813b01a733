"""The executor's program, as what the clone executes; and the pid behind a pidfd."""

from __future__ import annotations

import posix

from pycontainer._shim import lib
from pycontainer.errors import HostError, check, os_reason

ROOM = 1 << 16  # bytes; a test holds the executor well below it


def sealed() -> int:
    """The executor as a sealed memfd: what the container runs is never a file of the host."""
    path = __file__.rpartition("/")[0] + "/executor.bin"
    try:
        fd = posix.open(path, posix.O_RDONLY | posix.O_CLOEXEC)
    except OSError as error:
        raise HostError(f"open {path}: {os_reason(error.errno or 0)}", hint="run make") from None
    try:
        data = posix.read(fd, ROOM)
    finally:
        posix.close(fd)
    return check(lib.shim_memfd(b"pycontainer", data, len(data), 1), "keep the executor in memory")


def pid_of(pidfd: int) -> int:
    """The number behind a pidfd, as this process's pid namespace counts it."""
    fd = posix.open(f"/proc/self/fdinfo/{pidfd}", posix.O_RDONLY | posix.O_CLOEXEC)
    try:
        for line in posix.read(fd, 4096).splitlines():
            if line.startswith(b"Pid:"):
                return int(line[4:])
    finally:
        posix.close(fd)
    raise HostError("a pidfd without a pid")
