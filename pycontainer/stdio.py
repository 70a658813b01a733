"""Standard input, output and error exist from the start, or pipes and sockets land there."""

from __future__ import annotations

import posix


def ensure_stdio() -> None:
    """Open /dev/null for each of the descriptors 0, 1 and 2 that the caller left closed.

    The first thing of a command: otherwise the next descriptor we open becomes "stdout", ours
    and the container's.
    """
    for fd in range(3):
        try:
            posix.fstat(fd)
        except OSError:
            null = posix.open("/dev/null", posix.O_RDWR)  # the lowest free number: fd
            posix.set_inheritable(null, True)
