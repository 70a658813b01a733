"""Hands the listener of a seccomp filter to its agent, config-linux.md#containerprocessstate.

One connection to listenerPath, one document with the descriptor, and the connection is closed. It
is loaded only where a filter has SCMP_ACT_NOTIFY.
"""

from __future__ import annotations

import errno
from _socket import MSG_NOSIGNAL, SCM_RIGHTS, SOL_SOCKET
from sys import byteorder

from pycontainer.base.errors import OperationError
from pycontainer.base.jsonfast import dumps
from pycontainer.linux.fd_passing import connect
from pycontainer.state.state import OCI_VERSION

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

FIELD = "linux.seccomp.listenerPath"
_NAME = "seccompFd"
_WHAT = "seccomp agent"


def process_state(seccomp: dict[str, Any], pid: int, state: dict[str, Any]) -> dict[str, Any]:
    """The container process state: `pid` is the process's, which has the filter (with `exec` it is
    not the container's), `state` the document of runtime.md#state."""
    document: dict[str, Any] = {"ociVersion": OCI_VERSION, "fds": [_NAME], "pid": pid}
    if seccomp.get("listenerMetadata"):
        document["metadata"] = seccomp["listenerMetadata"]
    document["state"] = state
    return document


def messenger(
    config: dict[str, Any], state: Callable[[int], dict[str, Any]]
) -> Callable[[int, int], None]:
    """What the engine and the gate call with (listener, pid); `state(pid)` makes the document."""
    seccomp = config["linux"]["seccomp"]

    def tell(listener: int, pid: int) -> None:
        document = process_state(seccomp, pid, state(pid))
        hand_over(seccomp["listenerPath"], listener, dumps(document).encode())

    return tell


def hand_over(path: str, listener: int, document: bytes) -> None:
    """Connect, send everything, close; OperationError when any of it fails."""
    try:
        sock = connect(path, _WHAT)
    except OperationError as error:
        error.field, error.code = FIELD, "no-agent"
        raise
    rights = (SOL_SOCKET, SCM_RIGHTS, listener.to_bytes(4, byteorder))
    try:
        # The descriptor goes with the first part, whatever the kernel takes of the document.
        sent = sock.sendmsg([document], [rights], MSG_NOSIGNAL)
        while sent < len(document):
            sent += sock.send(document[sent:], MSG_NOSIGNAL)
    except OSError as error:
        number = error.errno or errno.EIO
        raise OperationError.of(f"send to {_WHAT}", path, number, field=FIELD) from None
    finally:
        sock.close()
