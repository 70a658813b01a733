"""The loggers of a machine, as crun's --log names them: journald:ID and syslog:ID.

Each takes one datagram a record: the journal's native protocol (fields by line; one that has line
breaks with its size, systemd.io/JOURNAL_NATIVE_PROTOCOL), and syslog's local one, RFC 3164's head
without time and host.
"""

from __future__ import annotations

import _socket
from _struct import pack

from pycontainer.base.errors import HostError, os_reason
from pycontainer.base.settings import NAME

ADDRESSES = {"journald": "/run/systemd/journal/socket", "syslog": "/dev/log"}
PRIORITIES = {"error": 3, "warning": 4, "debug": 7}
_USER = 1 << 3  # syslog's facility for programs that are no daemon


def check(place: str) -> None:
    """HostError when no daemon listens."""
    try:
        _connected(place).close()
    except OSError as error:
        address = ADDRESSES[place.partition(":")[0]]
        reason = os_reason(error.errno or 0)
        raise HostError(
            f"log to {place}: connect {address}: {reason}", "os-error", field="--log"
        ) from None


def send(place: str, text: bytes, level: str) -> bool:
    """One record; False when it did not get there."""
    backend, _, name = place.partition(":")
    make = _of_journal if backend == "journald" else _of_syslog
    try:
        socket = _connected(place)
    except OSError:
        return False
    try:
        socket.send(make(name or NAME, PRIORITIES.get(level, 6), text))
    except OSError:
        return False
    finally:
        socket.close()
    return True


def _connected(place: str) -> _socket.socket:
    socket = _socket.socket(_socket.AF_UNIX, _socket.SOCK_DGRAM | _socket.SOCK_CLOEXEC)
    try:
        socket.connect(ADDRESSES[place.partition(":")[0]])
    except OSError:
        socket.close()
        raise
    return socket


def _of_journal(name: str, priority: int, text: bytes) -> bytes:
    head = f"PRIORITY={priority}\nSYSLOG_IDENTIFIER=".encode()
    identifier = name.replace("\n", " ").encode("utf-8", "surrogateescape")
    return head + identifier + b"\nMESSAGE\n" + pack("<Q", len(text)) + text + b"\n"


def _of_syslog(name: str, priority: int, text: bytes) -> bytes:
    identifier = name.encode("utf-8", "surrogateescape")
    return b"<%d>%s: %s" % (_USER | priority, identifier, text)
