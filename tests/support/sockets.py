"""A caller's side of --console-socket and --pidfd-socket: takes what the runtime sends."""

from __future__ import annotations

import os
import select
import socket
import time
from pathlib import Path


class Receiver:
    """A listening unix socket in `directory`; `take` accepts one descriptor."""

    def __init__(self, directory: Path, name: str = "socket") -> None:
        self.path = directory / name
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        back = os.getcwd()
        os.chdir(directory)  # the address holds 108 bytes
        try:
            self.socket.bind(name)
        finally:
            os.chdir(back)
        self.socket.listen(4)
        self.socket.settimeout(20)

    def take(self) -> tuple[int, bytes]:
        """One descriptor, and the message that it came with."""
        connection, _ = self.socket.accept()
        with connection:
            message, fds, _, _ = socket.recv_fds(connection, 4096, 4)
            assert len(fds) == 1
            return fds[0], message

    def close(self) -> None:
        """No more of them."""
        self.socket.close()


def read_until(fd: int, text: bytes, seconds: float = 10) -> bytes:
    """What the terminal says, up to and with `text`; AssertionError when it doesn't come."""
    got, deadline = b"", time.monotonic() + seconds
    while text not in got:
        left = deadline - time.monotonic()
        assert left > 0, f"{text!r} has not come, but {got!r}"
        if select.select([fd], [], [], left)[0]:
            try:
                part = os.read(fd, 4096)
            except OSError:  # EIO: nobody has the other side open
                part = b""
            assert part, f"ended before {text!r}: {got!r}"
            got += part
    return got
