"""Put a directory in the place of another at once, and remove that: `exchange.py NEW OLD`."""

from __future__ import annotations

import ctypes
import os
import shutil
import sys

AT_FDCWD, RENAME_EXCHANGE = -100, 2


def exchange(new: str, old: str) -> None:
    """Afterwards `old` is what `new` was, and `new` is gone."""
    if os.path.lexists(old):
        libc = ctypes.CDLL(None, use_errno=True)
        names = os.fsencode(new), os.fsencode(old)
        if libc.renameat2(AT_FDCWD, names[0], AT_FDCWD, names[1], RENAME_EXCHANGE) == 0:
            return shutil.rmtree(new)
        shutil.rmtree(old)  # a file system that cannot do it
    os.rename(new, old)


if __name__ == "__main__":
    exchange(sys.argv[1], sys.argv[2])
