"""Opens the gate of a created container: says "S" to the init that waits behind start.sock.

The connection stays open until init has executed the user's program, which closes it, or says in
one message why it could not.
"""

from __future__ import annotations

import posix
from errno import ECANCELED, ECONNREFUSED, ECONNRESET, EINTR, ENOENT

from pycontainer._shim import ffi, lib
from pycontainer.base.errors import NotRunning, OperationError, StartError, check
from pycontainer.executor.channel import (
    HEAD,
    MSG_FAILED,
    MSG_GO,
    MSG_LISTENER,
    ROOM,
    detail_of,
    is_open,
    program_of,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from pycontainer.plan.details import Detail


def open_gate(dir_fd: int, name: str) -> int:
    """Start the container; returns the connection. StateError when no init waits."""
    connection: int = lib.shim_connect_at(dir_fd, name.encode())
    if connection in (-ECONNREFUSED, -ENOENT):
        raise NotRunning
    check(connection, f"connect to {name}")
    try:
        posix.write(connection, b"S")
    except BrokenPipeError:
        posix.close(connection)
        raise NotRunning from None
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
            early = _hand_listeners_on(connection, listener)
        answer, root = _read(connection, early)
        if len(answer) >= HEAD.size:
            message, kind, _, errno, _, _ = HEAD.unpack_from(answer)
            if message == MSG_FAILED:
                detail = detail_of(answer)
                error = _failure(kind, errno, detail)
                if root >= 0 and config is not None:
                    error.hint = _hint(connection, config(), root, error, detail)
                raise error
    except (BrokenPipeError, ConnectionResetError):
        raise NotRunning from None
    finally:
        posix.close(connection)


def _hand_listeners_on(connection: int, tell: Callable[[int], None]) -> bytes:
    """At the gate of a created container: hand on the listeners, of its startContainer hooks and of
    the program, and let it go on after each. Returns what else it says (a failure), or b""."""
    room, fds, count = ffi.new("char[]", ROOM), ffi.new("int[1]"), ffi.new("int *")
    while True:
        count[0] = 1
        got = check(lib.shim_receive(connection, room, ROOM, fds, count), "listen to the container")
        data = bytes(ffi.buffer(room, got))
        if got < HEAD.size or HEAD.unpack_from(data)[0] != MSG_LISTENER or not count[0]:
            return data
        try:
            tell(fds[0])
        finally:
            posix.close(fds[0])
        posix.write(connection, HEAD.pack(MSG_GO, 0, 0, 0, 0, 0))


def _read(connection: int, answer: bytes) -> tuple[bytes, int]:
    """The whole message, and the descriptor that came with it, or -1; b"" at the end."""
    room, fds, count = ffi.new("char[]", ROOM), ffi.new("int[1]", [-1]), ffi.new("int *")
    root = -1
    while len(answer) < HEAD.size or len(answer) < HEAD.size + HEAD.unpack_from(answer)[4]:
        count[0] = 1
        got = lib.shim_receive(connection, room, ROOM, fds, count)
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
    connection: int, config: dict[str, Any], root: int, error: OperationError, detail: Detail
) -> str:
    """Init waits until we have looked at its file system."""
    from pycontainer.diagnose.program import explain

    try:
        found = explain(config, root, error.operation, error.errno, program_of(detail))
        return found if is_open(connection) else ""
    finally:
        posix.close(root)


def _failure(number: int, errno: int, detail: Detail) -> OperationError:
    from pycontainer.base.errors import os_reason
    from pycontainer.plan.ops import TABLE

    kind = list(TABLE)[number] if number < len(TABLE) else ""
    if kind == "hook":
        reason = "" if errno == ECANCELED else os_reason(errno)
        words = ": ".join(part for part in (str(detail), reason) if part)
        message = f"error running startContainer hook {words}"
    else:
        message = f"{str(detail) or kind}: {os_reason(errno)}"
    field = "hooks.startContainer" if kind == "hook" else "process.args"
    about = {"operation": kind, "errno": errno, "path": program_of(detail), "hint": ""}
    return StartError(message, detail.code, field=field, **about)
