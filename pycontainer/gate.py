"""Opens the gate of a created container: says "S" to the init that waits behind start.sock.

The connection stays open until init has executed the user's program, which closes it, or says in
one message why it could not.
"""

from __future__ import annotations

import posix
from _struct import Struct
from errno import ECANCELED, ECONNREFUSED, ENOENT

from pycontainer._shim import lib
from pycontainer.errors import CLIENT_TEXTS, OperationError, StateError, check

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_HEAD = Struct("<IHHiI")  # as in executor.h: type, kind, operation, errno, length
_MSG_FAILED = 6


def open_gate(dir_fd: int, name: str) -> int:
    """Start the container; returns the connection. StateError when no init waits."""
    connection: int = lib.shim_connect_at(dir_fd, name.encode())
    if connection in (-ECONNREFUSED, -ENOENT):
        raise StateError(CLIENT_TEXTS["not_running"])
    check(connection, f"connect to {name}")
    try:
        posix.write(connection, b"S")
    except BrokenPipeError:
        posix.close(connection)
        raise StateError(CLIENT_TEXTS["not_running"]) from None
    return connection


def hear(connection: int, listener: Callable[[int], None] | None = None) -> None:
    """Wait until the program runs, and close; OperationError when a hook or the exec failed.

    `listener` is told the descriptor of a seccomp filter that notifies.
    """
    try:
        early = b""
        if listener is not None:
            from pycontainer.seccomp_agent import answer as answer_agent

            early = answer_agent(connection, listener)
        answer = early + _read(connection)
    except (BrokenPipeError, ConnectionResetError):
        raise StateError(CLIENT_TEXTS["not_running"]) from None
    finally:
        posix.close(connection)
    if len(answer) >= _HEAD.size:
        message, kind, _, errno, length = _HEAD.unpack_from(answer)
        if message == _MSG_FAILED:
            raise _failure(kind, errno, answer[_HEAD.size :][:length].decode("utf-8", "replace"))


def _read(connection: int) -> bytes:
    parts: list[bytes] = []
    while True:
        part = posix.read(connection, 4096)
        if not part:
            return b"".join(parts)
        parts.append(part)


def _failure(number: int, errno: int, detail: str) -> OperationError:
    from pycontainer.errors import os_reason
    from pycontainer.plan.op import TABLE

    kind = list(TABLE)[number] if number < len(TABLE) else ""
    if kind == "hook":
        reason = "" if errno == ECANCELED else os_reason(errno)
        words = ": ".join(part for part in (detail, reason) if part)
        message = f"error running startContainer hook {words}"
    else:
        message = f"{detail or kind}: {os_reason(errno)}"
    return OperationError(
        f"{CLIENT_TEXTS['start_failed']}: {message}",
        errno=errno,
        kind=kind,
        field="hooks.startContainer" if kind == "hook" else "process.args",
    )
