"""Protobuf messages as dicts.

A message is a dict, a list where a member repeats; a table says each member's number
and type: int, bool, str, bytes, the name of another message, or "map" of strings. What is not in
the table is not sent, and ignored when it is received.
"""

from __future__ import annotations

from typing import Any

Table = dict[str, dict[str, tuple[int, Any]]]


def encode(messages: Table, kind: str, members: dict[str, Any]) -> bytes:
    """The bytes of a message; KeyError for a member that the table does not have."""
    data = b""
    for name, value in members.items():
        number, member = messages[kind][name]
        if member == "map":
            value = [{"key": key, "value": text} for key, text in value.items()]
        for one in value if isinstance(value, list) else [value]:
            if member in (int, bool):
                data += varint(number << 3) + varint(int(one) % (1 << 64))
                continue
            if member == "map":
                body = encode({"": {"key": (1, str), "value": (2, str)}}, "", one)
            elif member in (str, bytes):
                body = one.encode() if member is str else one
            else:
                body = encode(messages, member, one)
            data += varint(number << 3 | 2) + varint(len(body)) + body
    return data


def decode(messages: Table, kind: str, data: bytes) -> dict[str, Any]:
    """The members that the table has; of a repeated one the last."""
    names = {number: (name, member) for name, (number, member) in messages[kind].items()}
    found: dict[str, Any] = {}
    at = 0
    while at < len(data):
        key, at = read_varint(data, at)
        size = 0
        value: Any
        if key & 7 == 0:
            value, at = read_varint(data, at)
        else:
            size, at = {1: (8, at), 5: (4, at)}.get(key & 7) or read_varint(data, at)
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


def varint(value: int) -> bytes:
    data = b""
    while value > 0x7F:
        data += bytes([value & 0x7F | 0x80])
        value >>= 7
    return data + bytes([value])


def read_varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        value |= (data[at] & 0x7F) << shift
        at += 1
        if data[at - 1] < 0x80:
            return value, at
        shift += 7
