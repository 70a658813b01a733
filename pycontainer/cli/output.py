"""What a command prints on stdout, written whole to the descriptor."""

from __future__ import annotations

import posix
from errno import EBADF

from pycontainer.base.errors import HostError, os_reason

BROKEN_PIPE_STATUS = 128 + 13  # as if SIGPIPE had ended us, which Python ignores
_closed = False


def note_closed() -> None:
    """The caller has closed stdout: what takes its place must not swallow a command's output."""
    global _closed
    _closed = True


def emit(text: str) -> None:
    """Write text to stdout. When the reader is gone the command ends, quietly; HostError when it
    cannot be written."""
    data = text.encode("utf-8", "surrogateescape")
    try:
        if _closed:
            raise OSError(EBADF, "")
        while data:
            data = data[posix.write(1, data) :]
    except BrokenPipeError:
        raise SystemExit(BROKEN_PIPE_STATUS) from None
    except OSError as error:
        raise HostError(f"write to stdout: {os_reason(error.errno or 0)}", "os-error") from None


def emit_document(text: str) -> None:
    """Write a document that ends without a newline, as runc's does, unless a person reads it."""
    emit(text + "\n" if posix.isatty(1) else text)


def looks() -> tuple[bool, int]:
    """Whether stdout takes colours, and the width to wrap at: none but on a terminal.

    https://no-color.org: $NO_COLOR, when set and not empty, takes colours away.
    """
    if not posix.isatty(1):
        return False, 0
    colour = not posix.environ.get(b"NO_COLOR") and posix.environ.get(b"TERM") != b"dumb"
    return colour, posix.get_terminal_size(1).columns or 80
