"""Values of `org.systemd.property.*` annotations: GVariant's text form in, (signature, value) out.

The subset that properties of units need: numbers with an optional type word, booleans, strings,
object paths, signatures, and flat arrays of one of these. Everything else is refused: what an
annotation says reaches the service manager of the host.
"""

from __future__ import annotations

from pycontainer.cgroups.systemd.dbus_wire import INTEGERS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Value = tuple[str, Any]

WORDS = {
    "byte": "y",
    "int16": "n",
    "uint16": "q",
    "int32": "i",
    "uint32": "u",
    "int64": "x",
    "uint64": "t",
    "double": "d",
    "boolean": "b",
    "string": "s",
    "objectpath": "o",
    "signature": "g",
}
ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "a": "\a", "b": "\b", "f": "\f", "v": "\v"}


def parse(text: str) -> Value:
    """The value; ValueError says what cannot be understood."""
    text = text.strip()
    if text.startswith("@"):
        signature, _, rest = text[1:].partition(" ")
        if signature.startswith("a") and signature[1:] in INTEGERS.keys() | set("dsog"):
            return signature, _array(rest.strip(), signature[1:])[1]
        return signature, _scalar(rest.strip(), signature)[1]
    if text.startswith("["):
        return _array(text, "")
    word, _, rest = text.partition(" ")
    if word in WORDS and rest.strip():
        return _scalar(rest.strip(), WORDS[word])
    return _scalar(text, "")


def _array(text: str, kind: str) -> Value:
    if not (text.startswith("[") and text.endswith("]")):
        raise ValueError(f"{text!r} is not an array")
    items = []
    for piece in _pieces(text[1:-1]):
        word, _, rest = piece.partition(" ")
        if word in WORDS and rest.strip():
            kind, piece = kind or WORDS[word], rest.strip()
        found, value = _scalar(piece, kind)
        kind = kind or found
        items.append(value)
    if not kind:
        raise ValueError("an empty array needs a type, e.g. '@as []'")
    return "a" + kind, bytes(items) if kind == "y" else items


def _pieces(text: str) -> list[str]:
    """Split at the commas outside of quotes."""
    pieces, current, quote, skip = [], "", "", False
    for letter in text:
        if skip:
            skip = False
        elif quote:
            skip = letter == "\\"
            quote = "" if letter == quote else quote
        elif letter in "'\"":
            quote = letter
        elif letter == ",":
            pieces.append(current.strip())
            current = ""
            continue
        current += letter
    if current.strip() or pieces:
        pieces.append(current.strip())
    return pieces


def _scalar(text: str, kind: str) -> Value:
    if not kind:
        kind = _guess(text)
    if kind in ("s", "o", "g"):
        return kind, _string(text)
    if kind == "b":
        if text not in ("true", "false"):
            raise ValueError(f"{text!r} is not a boolean")
        return kind, text == "true"
    if kind == "d":
        return kind, float(text)
    if kind not in INTEGERS:
        raise ValueError(f"type {kind!r} is not supported")
    number = int(text, 0)
    size, signed = INTEGERS[kind]
    bits = size * 8 - signed
    if not (-(1 << bits) if signed else 0) <= number < 1 << bits:
        raise ValueError(f"{number} is out of range")
    return kind, number


def _guess(text: str) -> str:
    if text[:1] in ("'", '"'):
        return "s"
    if text in ("true", "false"):
        return "b"
    if text[:1].isdigit() or text[:1] in ("-", "+"):
        hexadecimal = text.lstrip("+-")[:2] in ("0x", "0X")
        return "d" if not hexadecimal and any(letter in ".eE" for letter in text) else "i"
    raise ValueError(f"{text!r} is not a value in GVariant's text format (strings need quotes)")


def _string(text: str) -> str:
    quote = text[:1]
    if quote not in ("'", '"') or len(text) < 2 or text[-1] != quote:
        raise ValueError(f"{text!r} is not a quoted string")
    out, rest = "", text[1:-1]
    while rest:
        letter, rest = rest[0], rest[1:]
        if letter == quote:
            raise ValueError(f"{text!r} has something after its string")
        if letter == "\\":
            if not rest:
                raise ValueError(f"{text!r} is not a quoted string")
            letter, rest = rest[0], rest[1:]
            if letter in "uU":
                size = 4 if letter == "u" else 8
                letter, rest = chr(int(rest[:size], 16)), rest[size:]
            else:
                letter = ESCAPES.get(letter, letter)
        out += letter
    if "\0" in out:
        raise ValueError("a string cannot hold NUL")
    return out
