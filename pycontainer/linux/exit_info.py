"""How a process has ended that another process has reaped: the kernel, where a program ignores
SIGCHLD, or a handler of the program's. Loaded only then."""

from __future__ import annotations

import fcntl
from struct import Struct

_GET_INFO = 0xC040FF0B  # PIDFD_GET_INFO, of include/uapi/linux/pidfd.h
_EXIT = 1 << 3  # PIDFD_INFO_EXIT, Linux 6.15
_INFO = Struct("=Q52xi")  # mask, and exit_code at the end of struct pidfd_info


def lost_status(pidfd: int) -> int | None:
    """Its wait status, by a pidfd that has been open since before; None where it is not known, or
    there is no pidfd."""
    if pidfd < 0:
        return None
    info = bytearray(_INFO.pack(_EXIT, 0))
    try:
        fcntl.ioctl(pidfd, _GET_INFO, info)
    except OSError:
        return None
    mask, status = _INFO.unpack(info)
    return int(status) if mask & _EXIT else None
