"""Hands a file descriptor to the listener of a unix socket: --console-socket, --pidfd-socket."""

from __future__ import annotations

import _socket
import errno
import posix
from sys import byteorder

from pycontainer.base.errors import OperationError

_LONGEST_NAME = 4095  # receivers (runc's library among them) take 4096 bytes with the descriptor


def connect(path: str, what: str = "socket") -> _socket.socket:
    """A stream socket connected to `path`, however long the path is; OperationError without one.

    The address holds 108 bytes only (unix(7)), so it is the O_PATH descriptor of the socket file.
    """
    sock = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM | _socket.SOCK_CLOEXEC)
    file = -1
    try:
        file = posix.open(path, posix.O_PATH | posix.O_CLOEXEC)
        sock.connect(f"/proc/self/fd/{file}")
        return sock
    except (OSError, ValueError) as error:
        sock.close()
        number = getattr(error, "errno", 0) or errno.EINVAL  # ValueError: a NUL byte
        raise OperationError.of(f"connect to {what}", path, number, operation="connect") from None
    finally:
        if file >= 0:
            posix.close(file)


def send_fd(path: str, fd: int, payload: bytes, what: str = "socket") -> None:
    """Connect to `path` and send `fd` there (SCM_RIGHTS); OperationError says what went wrong.

    `payload` goes with it and must not be empty, or the kernel would not deliver the message:
    receivers take it for the file's name.
    """
    sock = connect(path, what)
    try:
        send_fd_over(sock, fd, payload)
    except OSError as error:
        number = error.errno or errno.EIO
        raise OperationError.of(f"send to {what}", path, number, operation="send") from None
    finally:
        sock.close()


def send_fd_over(sock: _socket.socket, fd: int, payload: bytes) -> None:
    """Send `fd` over a connected socket; OSError when that fails."""
    rights = (_socket.SOL_SOCKET, _socket.SCM_RIGHTS, fd.to_bytes(4, byteorder))
    sock.sendmsg([payload[:_LONGEST_NAME] or b"\0"], [rights], _socket.MSG_NOSIGNAL)
