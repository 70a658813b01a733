"""A program on a terminal of its own."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import struct
import termios
import time
from collections.abc import Mapping
from types import TracebackType


class OnTerminal:
    """A started program; what it writes is read until it is quiet."""

    def __init__(
        self,
        argv: list[str],
        columns: int = 80,
        rows: int = 24,
        environ: Mapping[str, str] | None = None,
    ) -> None:
        self.pid, self.fd = pty.fork()
        if not self.pid:
            # The parent is in no hurry to set the size: it is the child's, before it goes on.
            fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("4H", rows, columns, 0, 0))
            os.execvpe(argv[0], argv, {**os.environ, **(environ or {})})

    def __enter__(self) -> OnTerminal:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        os.close(self.fd)  # a hang-up ends it
        os.waitpid(self.pid, 0)

    def type(self, text: str) -> None:
        os.write(self.fd, text.encode())

    def read(self, until: str = "", patience: float = 20) -> str:
        """What it has written up to and with `until`, or to its end."""
        seen = b""
        end = time.monotonic() + patience
        while time.monotonic() < end and not (until and until.encode() in seen):
            if select.select([self.fd], [], [], 0.1)[0]:
                try:
                    data = os.read(self.fd, 65536)
                except OSError:  # EIO: nobody has the other side open any more
                    break
                seen += data
        return seen.decode(errors="replace")
