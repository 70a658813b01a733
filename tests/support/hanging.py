"""A file system that never answers: who looks up a name in it sleeps where no signal reaches.

FUSE (linux/fuse.h) with a server that says hello, knows its root, and takes every other request
without a word: from then on the caller waits uninterruptibly (state D), until `release`.
"""

from __future__ import annotations

import ctypes
import os
import struct
import threading
from pathlib import Path

import pytest

LOOKUP, GETATTR, INIT, ACCESS = 1, 3, 26, 34
MNT_FORCE, MNT_DETACH = 1, 2
IN_HEADER = struct.Struct("<IIQQIIII")
OUT_HEADER = struct.Struct("<IiQ")
INIT_OUT = struct.pack("<IIIIHHII", 7, 31, 0, 0, 0, 0, 4096, 1).ljust(64, b"\0")
_DIRECTORY = struct.pack("<6Q10I", 1, 0, 0, 0, 0, 0, 0, 0, 0, 0o40755, 2, 0, 0, 0, 4096, 0)
ATTR_OUT = struct.pack("<QII", 60, 0, 0) + _DIRECTORY
ANSWERS = {INIT: INIT_OUT, GETATTR: ATTR_OUT, ACCESS: b""}

_libc = ctypes.CDLL(None, use_errno=True)


class Hanging:
    """Mounted at `directory`; `asked` is set when somebody hangs."""

    def __init__(self, directory: Path) -> None:
        self.directory = os.fsencode(directory)
        self.asked = threading.Event()
        directory.mkdir()
        try:
            self._fd = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
        except OSError as error:
            pytest.skip(f"needs FUSE: {error}")
        options = f"fd={self._fd},rootmode=40000,user_id=0,group_id=0".encode()
        if _libc.mount(b"hanging", self.directory, b"fuse", 0, options):
            os.close(self._fd)
            pytest.skip(f"needs FUSE: mount: {os.strerror(ctypes.get_errno())}")
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def __enter__(self) -> Hanging:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def _serve(self) -> None:
        while True:
            try:
                request = os.read(self._fd, 1 << 16)
            except OSError:
                return  # unmounted
            _, operation, unique, *_ = IN_HEADER.unpack(request[: IN_HEADER.size])
            answer = ANSWERS.get(operation)
            if answer is not None:
                os.write(self._fd, OUT_HEADER.pack(16 + len(answer), 0, unique) + answer)
            elif operation == LOOKUP:
                self.asked.set()

    def release(self) -> None:
        """Unmount: whoever waits gets an error. A second time does nothing."""
        if self._fd >= 0:
            _libc.umount2(self.directory, MNT_FORCE)
            _libc.umount2(self.directory, MNT_DETACH)
            os.close(self._fd)
            self._fd = -1
