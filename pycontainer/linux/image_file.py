"""Files of a container or an image read with our privileges: its maker chooses what they are.

Input: a descriptor of O_PATH, which has had no effect. What it stands for is opened again if it is
a regular file of a real file system: no device, no fifo, and nothing of procfs or its like, where
reading tells secrets of the host (csrc/executor/pseudo_fs.h). The executor does the same in file.c.
"""

from __future__ import annotations

import posix

from pycontainer._shim import lib


def open_file(look: int) -> int:
    """A new descriptor for reading; OSError when it is not such a file."""
    fd: int = lib.shim_open_image_file(look)
    if fd < 0:
        raise OSError(-fd, posix.strerror(-fd))
    return fd


def read_file(look: int, limit: int) -> bytes:
    """Its first `limit` bytes."""
    fd = open_file(look)
    try:
        data = b""
        size = min(limit, posix.fstat(fd).st_size)
        while len(data) < size and (more := posix.read(fd, size - len(data))):
            data += more
        return data
    finally:
        posix.close(fd)
