"""Values as D-Bus has them on the wire: a signature and a Python value in, bytes out, and back.

Specification: dbus.freedesktop.org, "Type System" and "Marshaling". We write little-endian and
read both. Every type that systemd's properties need is here; descriptors are not.

    y byte   b boolean   n q i u x t integers   d double   s o g texts
    aX array (`ay` is bytes)   (..) struct as a tuple   a{KV} dict   v variant as (signature, value)
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Literal

    Order = Literal["little", "big"]

# type: (size and alignment in bytes, signed)
INTEGERS = {
    "y": (1, False),
    "b": (4, False),
    "n": (2, True),
    "q": (2, False),
    "i": (4, True),
    "u": (4, False),
    "x": (8, True),
    "t": (8, False),
}
ALIGNMENT = {"d": 8, "s": 4, "o": 4, "g": 1, "a": 4, "(": 8, "{": 8, "v": 1}
DEEPEST = 32


def first_type(signature: str, start: int = 0) -> int:
    """Where the complete type at `start` ends; ValueError for something that is none."""
    kind = signature[start : start + 1]
    if kind == "a":
        return first_type(signature, start + 1)
    if kind in ("(", "{"):
        end = start + 1
        close = ")" if kind == "(" else "}"
        while signature[end : end + 1] != close:
            end = first_type(signature, end)
        if end == start + 1:  # an array of what takes no bytes would never end
            raise ValueError(f"bad D-Bus signature {signature!r}")
        return end + 1
    if kind and (kind in INTEGERS or kind in "dsogv"):
        return start + 1
    raise ValueError(f"bad D-Bus signature {signature!r}")


def types_of(signature: str) -> list[str]:
    """The complete types that a signature consists of."""
    found = []
    start = 0
    while start < len(signature):
        end = first_type(signature, start)
        found.append(signature[start:end])
        start = end
    return found


def write(signature: str, values: tuple[Any, ...], out: bytearray) -> None:
    """Append values; ValueError or OverflowError when one does not fit its type."""
    types = types_of(signature)
    if len(types) != len(values):
        raise ValueError(f"{signature!r} takes {len(types)} values")
    for kind, value in zip(types, values, strict=True):
        _write_one(kind, value, out)


def pad(out: bytearray, alignment: int) -> None:
    """Zeros up to a multiple of `alignment`."""
    out += bytes(-len(out) % alignment)


def _write_one(kind: str, value: Any, out: bytearray) -> None:
    head = kind[0]
    if head in INTEGERS:
        size, signed = INTEGERS[head]
        pad(out, size)
        out += int(value).to_bytes(size, "little", signed=signed)
    elif head == "d":
        from _struct import pack

        pad(out, 8)
        out += pack("<d", value)
    elif head in "so":
        data = value.encode("utf-8")
        pad(out, 4)
        out += len(data).to_bytes(4, "little") + data + b"\0"
    elif head == "g":
        out += bytes((len(value),)) + value.encode("ascii") + b"\0"
    elif head == "v":
        signature, inner = value
        _write_one("g", signature, out)
        _write_one(signature, inner, out)
    elif head == "a":
        _write_array(kind[1:], value, out)
    else:
        pad(out, 8)
        write(kind[1:-1], tuple(value), out)


def _write_array(kind: str, value: Any, out: bytearray) -> None:
    pad(out, 4)
    place = len(out)
    out += bytes(4)
    pad(out, _alignment(kind))
    start = len(out)
    if kind == "y":
        out += value
    else:
        for item in value.items() if kind[0] == "{" else value:
            _write_one(kind, item, out)
    out[place : place + 4] = (len(out) - start).to_bytes(4, "little")


def _alignment(kind: str) -> int:
    head = kind[0]
    return INTEGERS[head][0] if head in INTEGERS else ALIGNMENT[head]


class Reader:
    """Takes values out of a message's bytes; ValueError when they are cut short or make no sense.

    Offsets count from the start of `data`, which is where alignment counts from.
    """

    __slots__ = ("at", "data", "order")

    def __init__(self, data: bytes, order: Order = "little", at: int = 0) -> None:
        self.data = data
        self.order: Order = order
        self.at = at

    def read(self, signature: str) -> tuple[Any, ...]:
        """The values of a signature, in order."""
        return tuple(self._one(kind, 0) for kind in types_of(signature))

    def align(self, alignment: int) -> None:
        """Skip the zeros up to a multiple of `alignment`."""
        self.at += -self.at % alignment

    def _take(self, size: int) -> bytes:
        end = self.at + size
        if end > len(self.data):
            raise ValueError("D-Bus message is cut short")
        piece = self.data[self.at : end]
        self.at = end
        return piece

    def _integer(self, kind: str) -> int:
        size, signed = INTEGERS[kind]
        self.align(size)
        return int.from_bytes(self._take(size), self.order, signed=signed)

    def _one(self, kind: str, depth: int) -> Any:
        if depth > DEEPEST:
            raise ValueError("D-Bus message is nested too deeply")
        head = kind[0]
        if head in INTEGERS:
            number = self._integer(head)
            return bool(number) if head == "b" else number
        if head == "d":
            from _struct import unpack

            self.align(8)
            return unpack("<d" if self.order == "little" else ">d", self._take(8))[0]
        if head in "sog":
            text = self._take(self._integer("y" if head == "g" else "u"))
            self._take(1)
            return text.decode("utf-8", "replace")
        if head == "v":
            signature = self._one("g", depth)
            if first_type(signature) != len(signature):
                raise ValueError(f"bad D-Bus signature {signature!r}")
            return (signature, self._one(signature, depth + 1))
        if head == "a":
            return self._array(kind[1:], depth)
        self.align(8)
        return tuple(self._one(inner, depth + 1) for inner in types_of(kind[1:-1]))

    def _array(self, kind: str, depth: int) -> Any:
        size = self._integer("u")
        self.align(_alignment(kind))
        if kind == "y":
            return self._take(size)
        end = self.at + size
        if end > len(self.data):
            raise ValueError("D-Bus message is cut short")
        items = []
        while self.at < end:
            items.append(self._one(kind, depth + 1))
        return dict(items) if kind[0] == "{" else items
