"""Changed inputs, from a good one and a source of chance: bytes, and JSON documents."""

from __future__ import annotations

import copy
import json
import random
from typing import Any

INTEGERS = (0, 1, 2, 7, 8, 16, 255, 256, 4096, 65535, 65536, 2**31 - 1, 2**31, 2**32 - 1)
VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 2**31, 2**32, 2**63, 2**64, -(2**63), 10**30, 1.5, "", "x", "/",
    "\0", "..", "a" * 5000, "\ud800", "é", "0-1000000", "%s", [], [[]], ["x"], {}, {"": {}},
)  # fmt: skip


def of_bytes(rng: random.Random, data: bytes, most: int = 4) -> bytes:
    """A few changes: a bit, a byte, a number of 1 to 8 bytes, a piece away, twice, or new."""
    for _ in range(rng.randint(1, most)):
        at = rng.randrange(len(data) + 1)
        size = min(rng.choice((1, 2, 4, 8, rng.randrange(1, 64))), len(data) - at)
        piece = data[at : at + size]
        way = rng.randrange(6)
        if way == 0 and piece:
            piece = bytes([piece[0] ^ 1 << rng.randrange(8)]) + piece[1:]
        elif way == 1:
            piece = rng.randbytes(size)
        elif way == 2:
            width = rng.choice((1, 2, 4, 8))
            number = rng.choice(INTEGERS) % 256**width
            piece = number.to_bytes(width, rng.choice(("little", "big")))
            size = width
        elif way == 3:
            piece = b""
        elif way == 4:
            piece *= rng.choice((2, 3, 40))
        else:
            piece = rng.randbytes(rng.randrange(1, 9)) + piece
        data = data[:at] + piece + data[at + size :]
    return data


def of_json(rng: random.Random, document: Any, most: int = 3) -> Any:
    """A copy with members and items that are replaced, removed, moved or repeated."""
    document = copy.deepcopy(document)
    for _ in range(rng.randint(1, most)):
        places = list(_places(document))
        if not places:
            return rng.choice(VALUES)
        holder, key = rng.choice(places)
        way = rng.randrange(5)
        if way == 0:
            del holder[key]
        elif way == 1:
            other, from_key = rng.choice(places)
            holder[key] = copy.deepcopy(other[from_key])
        elif way == 2 and isinstance(holder, list):
            holder[key:key] = [copy.deepcopy(holder[key])] * rng.choice((1, 2, 300))
        elif isinstance(holder[key], str) and way == 3:
            text = of_bytes(rng, holder[key].encode("utf-8", "surrogatepass"), 2)
            holder[key] = text.decode("utf-8", "replace")
        else:
            holder[key] = rng.choice(VALUES)
    return document


def text_of(rng: random.Random, document: Any) -> bytes:
    """The document as a file, which may be damaged, too."""
    text = json.dumps(document).encode()
    return of_bytes(rng, text) if rng.random() < 0.2 else text


def _places(value: Any) -> Any:
    """Each (object or array, key) in a document."""
    if isinstance(value, dict):
        keys: Any = list(value)
    elif isinstance(value, list):
        keys = range(len(value))
    else:
        return
    for key in keys:
        yield value, key
        yield from _places(value[key])
