"""Durations and sizes: as people write them, and as they read them."""

from __future__ import annotations

import re

from pycontainer.base.errors import UsageError

SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
BYTES = {"": 1, "b": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}
_SIZES = "KMGTP"


def seconds(text: str) -> float:
    """2d, 36h, 1h30m, 90: seconds."""
    parts = re.findall(r"(\d+(?:\.\d+)?)(ms|[smhdw]|)", text)
    if not parts or "".join(a + b for a, b in parts) != text:
        raise UsageError(f"{text!r} is no duration", "no-duration", value=text)
    return sum(float(number) * SECONDS[unit or "s"] for number, unit in parts)


def size(text: str) -> int:
    """Bytes, with a unit like 64M or 1g."""
    found = re.fullmatch(r"(\d+)([bkmgt]?)(?:i?b)?", text.lower())
    if not found:
        raise UsageError(f"{text!r} is no size", "no-size", value=text)
    return int(found[1]) * BYTES[found[2]]


def duration(value: float) -> str:
    """With the two largest units: 2d3h, 5m10s."""
    rest = max(0, int(value))
    words: list[str] = []
    for unit in "wdhms":
        count, rest = divmod(rest, int(SECONDS[unit]))
        if count or (unit == "s" and not words):
            words.append(f"{count}{unit}")
    return "".join(words[:2])


def amount(value: float) -> str:
    """Bytes in three digits: 640K, 1.5G."""
    if value < 1024:
        return f"{int(value)}B"
    for unit in _SIZES:
        value /= 1024
        if value < 999.5 or unit == _SIZES[-1]:
            return f"{value:.1f}{unit}" if value < 9.95 else f"{value:.0f}{unit}"
    raise AssertionError
