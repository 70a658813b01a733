"""Random documents from a schema, and random damage to them: what the spec's property tests eat.

Works on our schemas and on upstream's (draft-04 with definitions, allOf, anyOf), so that a property
that only one of the two knows is tried as well.
"""

from __future__ import annotations

import copy
import random
from collections.abc import Callable
from typing import Any

Resolve = Callable[[str, str], tuple[dict[str, Any], str]]

NUMBERS = [
    0, 1, -1, 7, 100, 255, 256, 511, 512, 65535, 65536, 2**31 - 1, 2**31, 2**32 - 1, 2**32,
    2**63 - 1, 2**63, 2**64 - 1, 2**64, -128, -129, -(2**31), -(2**31) - 1, -(2**63), -(2**63) - 1,
]  # fmt: skip
STRINGS = [
    "", "x", "/x", "\n", "a\nb", "c", "u", "p", "b", "a", "cc", "c\n", "RLIMIT_CORE", "RLIMIT_",
    "RLIMIT_CORE\n", "RLIMIT_X1", "xRLIMIT_CORE", "0-3,7", "0-3,7\n", "0x3", "2MB", "0MB", "64kB",
    "2MB\n", "12MBB", "1KB", "MB:", "MB:0=20", "MB:\n", "mount", "uts", "new", "disable", "inherit",
    "slave", "rslave", "LINUX32", "SCMP_ACT_NOTIFY", "SCMP_CMP_EQ", "SCHED_OTHER", "MPOL_BIND",
    "CAP_KILL", "CAP_", "CAP_2", "raw", "class", "\u00e9", "\u2028", "\r",
]  # fmt: skip
ODDITIES = [None, True, False, 0.0, 1.0, 1.5, -1.0, 1e300, [], {}, [None], {"x": 1}, [[]], [{}]]
KEYS = ["x", "", "\n", "path", "type", "PATH", "a.b/c d", "x-clause", "limit"]


class Generator:
    """Makes documents that a schema accepts; `odds` is how likely an optional member is there."""

    def __init__(self, rng: random.Random, resolve: Resolve, odds: float = 0.4) -> None:
        self.rng = rng
        self.resolve = resolve
        self.odds = odds

    def document(self, schema: dict[str, Any], file: str) -> Any:
        if "$ref" in schema:
            return self.document(*self.resolve(schema["$ref"], file))
        if "allOf" in schema:
            parts = [self.document(part, file) for part in schema["allOf"]]
            return {key: value for part in parts for key, value in part.items()}
        if "anyOf" in schema:
            return self.document(self.rng.choice(schema["anyOf"]), file)
        make = getattr(self, "_" + schema.get("type", "anything"))
        return make(schema, file)

    def _anything(self, schema: dict[str, Any], file: str) -> Any:
        return self.rng.choice(ODDITIES)

    def _object(self, schema: dict[str, Any], file: str) -> Any:
        out = {}
        for name, member in schema.get("properties", {}).items():
            if name in schema.get("required", []) or self.rng.random() < self.odds:
                out[name] = self.document(member, file)
        rest = schema.get("additionalProperties")
        for pattern in schema.get("patternProperties", {}).values():
            rest = pattern
        if isinstance(rest, dict):
            for name in self.rng.sample(KEYS, self.rng.randrange(3)):
                out[name] = self.document(rest, file)
        return out

    def _array(self, schema: dict[str, Any], file: str) -> Any:
        count = self.rng.choice([1, 1, 2]) if "minItems" in schema else self.rng.randrange(3)
        return [self.document(schema["items"], file) for _ in range(count)]

    def _string(self, schema: dict[str, Any], file: str) -> str:
        if "enum" in schema:
            return self.rng.choice(schema["enum"])
        if "pattern" in schema:
            return self.rng.choice(FITTING[schema["pattern"]])
        return self.rng.choice(STRINGS)

    def _integer(self, schema: dict[str, Any], file: str) -> int:
        low, high = schema.get("minimum", -(2**70)), schema.get("maximum", 2**70)
        return self.rng.choice([n for n in NUMBERS if low <= n <= high])

    def _boolean(self, schema: dict[str, Any], file: str) -> bool:
        return self.rng.random() < 0.5


FITTING = {
    "^RLIMIT_[A-Z]+$": ["RLIMIT_CORE", "RLIMIT_NOFILE"],
    "^[0-9, -]*$": ["", "0-3,7", " 1"],
    "^[1-9][0-9]*[KMG]B$": ["64KB", "2MB", "1GB", "1024KB"],
    "^MB:[^\\n]*$": ["MB:", "MB:0=20;1=70"],
    "^[cbup]$": ["c", "b", "u", "p"],
    "^CAP_[A-Z_]+$": ["CAP_KILL", "CAP_SYS_ADMIN"],
}


def damaged(rng: random.Random, document: Any) -> Any:
    """A copy with one to three things changed at random; often, not always, invalid then."""
    document = copy.deepcopy(document)
    for _ in range(rng.choice([1, 1, 1, 2, 3])):
        places = list(_places(document))
        if not places:
            return _junk(rng)
        container, key = rng.choice(places)
        what = rng.randrange(5)
        if what == 0:
            del container[key]
        elif what == 1 and isinstance(container, dict):
            container[rng.choice([str(key).upper(), *KEYS])] = _junk(rng)
        elif what == 2 and isinstance(container, list):
            container.insert(rng.randrange(len(container) + 1), _junk(rng))
        elif what == 3:
            other, elsewhere = rng.choice(places)
            container[key] = copy.deepcopy(other[elsewhere])
        else:
            container[key] = _junk(rng)
    return document


def _junk(rng: random.Random) -> Any:
    return copy.deepcopy(rng.choice(rng.choice([NUMBERS, STRINGS, ODDITIES])))


def _places(value: Any) -> Any:
    """Every (container, key) in a document."""
    if isinstance(value, dict):
        pairs = list(value.items())
    elif isinstance(value, list):
        pairs = list(enumerate(value))
    else:
        return
    for key, member in pairs:
        yield value, key
        yield from _places(member)
