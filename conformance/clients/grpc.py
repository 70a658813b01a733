"""Unary gRPC calls on a unix socket: HTTP/2's frames and protobuf's members, as far as CRI goes.

tests/support/protobuf.py says what a message is.
"""

from __future__ import annotations

import socket
import struct
from pathlib import Path
from typing import Any

from tests.support.protobuf import Table, decode, encode
from tests.support.runtimes import SLOWNESS

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_DATA, _HEADERS, _RESET, _SETTINGS, _PING, _GOAWAY, _WINDOW = 0, 1, 3, 4, 6, 7, 8
_END_STREAM, _END_HEADERS, _ACK = 1, 4, 1
_STREAM = 1
_PATIENCE = 60 * SLOWNESS  # seconds
_WINDOW_SIZE = 1 << 24


class Refused(Exception):
    """The server has said no; CRI's log has the words."""


class Client:
    """Calls of one service, each on a connection of its own."""

    def __init__(self, path: Path, service: str, messages: Table) -> None:
        self.path = path
        self.service = service
        self.messages = messages

    def __call__(self, method: str, /, **members: Any) -> dict[str, Any]:
        """The answer to `method`; Refused when there is none."""
        body = encode(self.messages, f"{method}Request", members)
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(_PATIENCE)
            connection.connect(str(self.path))
            connection.sendall(
                _PREFACE
                + _frame(_SETTINGS, 0, 0, struct.pack(">HI", 4, _WINDOW_SIZE))
                + _frame(_WINDOW, 0, 0, struct.pack(">I", _WINDOW_SIZE))
                + _frame(_HEADERS, _END_HEADERS, _STREAM, self._headers(method))
                + _frame(_DATA, _END_STREAM, _STREAM, struct.pack(">BI", 0, len(body)) + body)
            )
            answer = _answer(connection)
        if len(answer) < 5:
            raise Refused(f"{method}: refused")
        return decode(self.messages, f"{method}Response", answer[5:])

    def _headers(self, method: str) -> bytes:
        pairs = {
            ":method": "POST",
            ":scheme": "http",
            ":path": f"/{self.service}/{method}",
            ":authority": "localhost",
            "content-type": "application/grpc",
            "te": "trailers",
        }
        block = b""
        for name, value in pairs.items():  # literal, never indexed, not compressed
            block += b"\0" + bytes([len(name)]) + name.encode()
            block += bytes([len(value)]) + value.encode()
        return block


def _answer(connection: socket.socket) -> bytes:
    """All data of the stream, to its end."""
    data = b""
    while True:
        size, kind, flags, _ = struct.unpack(">3sBBI", _exactly(connection, 9))
        content = _exactly(connection, int.from_bytes(size, "big"))
        if kind == _DATA:
            data += content
        elif kind in (_RESET, _GOAWAY):
            raise Refused(f"connection ended: {content!r}")
        elif kind in (_SETTINGS, _PING) and not flags & _ACK:
            reply = content if kind == _PING else b""
            connection.sendall(_frame(kind, _ACK, 0, reply))
        if kind in (_DATA, _HEADERS) and flags & _END_STREAM:
            return data


def _exactly(connection: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        more = connection.recv(size - len(data))
        if not more:
            raise Refused("connection closed")
        data += more
    return data


def _frame(kind: int, flags: int, stream: int, content: bytes) -> bytes:
    return struct.pack(">I", len(content))[1:] + struct.pack(">BBI", kind, flags, stream) + content
