"""Opens the gate of a created container: says "S" to the init that waits behind start.sock.

The connection stays open until init has executed the user's program, which closes it, or says in
one message why it could not.
"""

from __future__ import annotations

import posix
from _struct import Struct
from errno import ECANCELED, ECONNREFUSED, ECONNRESET, EINTR, ENOENT

from pycontainer._shim import ffi, lib
from pycontainer.base.errors import CLIENT_TEXTS, OperationError, StateError, check

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_HEAD = Struct("<IHHiI")  # as in executor.h: type, kind, operation, errno, length
_MSG_FAILED = 6
_ROOM = 4096


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


def hear(
    connection: int,
    listener: Callable[[int], None] | None = None,
    config: Callable[[], dict[str, Any]] | None = None,
) -> None:
    """Wait until the program runs, and close; OperationError when a hook or the exec failed.

    `listener` is told the descriptor of a seccomp filter that notifies; `config` gives what an
    error needs to know of the container.
    """
    try:
        early = b""
        if listener is not None:
            from pycontainer.seccomp.agent import answer as answer_agent

            early = answer_agent(connection, listener)
        answer, root = _read(connection, early)
        if len(answer) >= _HEAD.size:
            message, kind, _, errno, length = _HEAD.unpack_from(answer)
            if message == _MSG_FAILED:
                detail = answer[_HEAD.size :][:length].decode("utf-8", "replace")
                error = _failure(kind, errno, detail)
                if root >= 0 and config is not None:
                    error.hint = _hint(connection, config(), root, error, detail)
                raise error
    except (BrokenPipeError, ConnectionResetError):
        raise StateError(CLIENT_TEXTS["not_running"]) from None
    finally:
        posix.close(connection)


def _read(connection: int, answer: bytes) -> tuple[bytes, int]:
    """The whole message, and the descriptor that came with it, or -1; b"" at the end."""
    room, fds, count = ffi.new("char[]", _ROOM), ffi.new("int[1]", [-1]), ffi.new("int *")
    root = -1
    while len(answer) < _HEAD.size or len(answer) < _HEAD.size + _HEAD.unpack_from(answer)[4]:
        count[0] = 1
        got = lib.shim_receive(connection, room, _ROOM, fds, count)
        if got == -EINTR:
            continue
        if got == -ECONNRESET:
            raise ConnectionResetError
        if not check(got, "listen to init"):
            break
        if count[0]:
            root = fds[0]
        answer += bytes(ffi.buffer(room, got))
    return answer, root


def _hint(
    connection: int, config: dict[str, Any], root: int, error: OperationError, detail: str
) -> str:
    """Init waits until we have looked at its file system."""
    from pycontainer.diagnose.program import explain
    from pycontainer.executor.channel import is_open

    try:
        found = explain(config, root, error.kind, error.errno, detail)
        return found if is_open(connection) else ""
    finally:
        posix.close(root)


def _failure(number: int, errno: int, detail: str) -> OperationError:
    from pycontainer.base.errors import os_reason
    from pycontainer.plan.ops import TABLE

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
