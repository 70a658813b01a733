"""What a command prints on stdout, written whole to the descriptor."""

from __future__ import annotations

import posix

BROKEN_PIPE_STATUS = 128 + 13  # as if SIGPIPE had ended us, which Python ignores


def emit(text: str) -> None:
    """Write text to stdout. When the reader is gone the command ends, quietly."""
    data = text.encode("utf-8", "surrogateescape")
    try:
        while data:
            data = data[posix.write(1, data) :]
    except BrokenPipeError:
        raise SystemExit(BROKEN_PIPE_STATUS) from None


def emit_document(text: str) -> None:
    """Write a document that ends without a newline, as runc's does, unless a person reads it."""
    emit(text + "\n" if posix.isatty(1) else text)
