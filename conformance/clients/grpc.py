"""Unary gRPC calls on a unix socket: HTTP/2's frames and protobuf's members, as far as CRI goes.

A message is a dict, a list where a member repeats; a table says each member's number
and type: int, bool, str, bytes, the name of another message, or "map" of strings. What is not in
the table is not sent, and ignored when it is received.
"""

from __future__ import annotations

import socket
import struct
from pathlib import Path
from typing import Any

from tests.support.runtimes import SLOWNESS

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_DATA, _HEADERS, _RESET, _SETTINGS, _PING, _GOAWAY, _WINDOW = 0, 1, 3, 4, 6, 7, 8
_END_STREAM, _END_HEADERS, _ACK = 1, 4, 1
_STREAM = 1
_PATIENCE = 60 * SLOWNESS  # seconds
_WINDOW_SIZE = 1 << 24

Table = dict[str, dict[str, tuple[int, Any]]]


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


def encode(messages: Table, kind: str, members: dict[str, Any]) -> bytes:
    """The bytes of a message; KeyError for a member that the table does not have."""
    data = b""
    for name, value in members.items():
        number, member = messages[kind][name]
        if member == "map":
            value = [{"key": key, "value": text} for key, text in value.items()]
        for one in value if isinstance(value, list) else [value]:
            if member in (int, bool):
                data += _varint(number << 3) + _varint(int(one) % (1 << 64))
                continue
            if member == "map":
                body = encode({"": {"key": (1, str), "value": (2, str)}}, "", one)
            elif member in (str, bytes):
                body = one.encode() if member is str else one
            else:
                body = encode(messages, member, one)
            data += _varint(number << 3 | 2) + _varint(len(body)) + body
    return data


def decode(messages: Table, kind: str, data: bytes) -> dict[str, Any]:
    """The members that the table has; of a repeated one the last."""
    names = {number: (name, member) for name, (number, member) in messages[kind].items()}
    found: dict[str, Any] = {}
    at = 0
    while at < len(data):
        key, at = _read_varint(data, at)
        size = 0
        value: Any
        if key & 7 == 0:
            value, at = _read_varint(data, at)
        else:
            size, at = {1: (8, at), 5: (4, at)}.get(key & 7) or _read_varint(data, at)
            value, at = data[at : at + size], at + size
        name, member = names.get(key >> 3, ("", None))
        if not name:
            continue
        if member is str:
            value = value.decode("utf-8", "replace")
        elif member not in (int, bool, bytes, "map"):
            value = decode(messages, member, value)
        found[name] = value
    return found


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


def _varint(value: int) -> bytes:
    data = b""
    while value > 0x7F:
        data += bytes([value & 0x7F | 0x80])
        value >>= 7
    return data + bytes([value])


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        value |= (data[at] & 0x7F) << shift
        at += 1
        if data[at - 1] < 0x80:
            return value, at
        shift += 7
