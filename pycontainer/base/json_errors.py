"""Where in a text the value stands that is well-formed JSON but not allowed; for an error's words.

Loaded only when a document has been refused.
"""

from __future__ import annotations

import re

_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|-?Infinity|NaN|-?[0-9][0-9.eE+-]*')
_DIGITS = 4300  # of an integer, CVE-2020-10735
_SURROGATE_PAIR = re.compile(r"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}")
_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|.)", re.DOTALL)


def position(text: str) -> int:
    """The index of the first NaN, infinity, number out of range, or string with half a surrogate
    pair; -1 when there is none."""
    for match in _TOKEN.finditer(text):
        token = match[0]
        if token[0] == '"':
            if "\\u" in token and _has_half(token):
                return match.start()
        elif token[-1] in "Ny" or _too_long(token):
            return match.start()
    return -1


def _has_half(string: str) -> bool:
    rest = _SURROGATE_PAIR.sub("", string)
    return any((code or "")[:2].lower() in _HALVES for code in _ESCAPE.findall(rest))


def _too_long(number: str) -> bool:
    try:
        return abs(float(number)) == float("inf") or len(number) > _DIGITS and number.isdigit()
    except ValueError:
        return False


_HALVES = ("d8", "d9", "da", "db", "dc", "dd", "de", "df")
