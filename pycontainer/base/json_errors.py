"""Where in a text the value stands that is well-formed JSON but not allowed, and what to do about
what is not well-formed; for an error's words.

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


def remedy(text: str, at: int) -> str:
    """What to do about a syntax error at an index, as the end of its line; "" for the rare ones."""
    before, rest = text[:at].rstrip(), text[at:].lstrip()
    if not text.strip():
        return "; the file is empty"
    if not rest:
        return "; the text ends too early: was the file written completely?"
    if text[at] == "\n":  # a control character in a string
        return "; fix: a string stands on one line, with \\n for a line feed"
    if text[at] == '"' and not _TOKEN.match(text, at):
        return "; fix: end the string with a quote"
    if rest[0] == "'":
        return '; fix: JSON has double quotes only: "'
    if rest[0] == "#" or rest[:2] in ("//", "/*"):
        return "; a comment starts here, and JSON has no comments; fix: remove it"
    if rest[0] in "}]" and before[-1:] == "," or rest[0] == "," and rest[1:].lstrip()[:1] in "}]":
        return "; fix: remove the comma in front of the bracket"
    if rest[0] == "," and before[-1:] == ",":
        return "; fix: remove one of the two commas"
    if not before or rest[0] == ",":
        return ""
    word = _WORD.match(rest)
    if before[-1] in "{," and word and rest[len(word[0]) :].lstrip()[:1] == ":":
        return f'; fix: names have quotes: "{word[0]}"'
    if before[-1] in ":[," and word:
        plain = _PLAIN.get(word[0].lower(), f'"{word[0]}"')
        return f"; fix: write {plain}"
    if before[-1] == "0" and (number := _OCTAL.match(text[at - 1 :])):
        return f"; fix: JSON has no octal numbers: write {int(number[0], 8)}"
    if before[-1].isdigit() and text[at - 1].isdigit() and rest[0].isalpha():
        return "; fix: a number has no unit, write it out; a string has quotes"
    if before[-1] in '"}]' or before[-1].isalnum():
        return "; fix: put a comma in front of it" if rest[0] in '"{[' else ""
    return ""


_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
_OCTAL = re.compile(r"0[0-7]+\b")
_PLAIN = {"true": "true", "false": "false", "none": "null", "null": "null"}


def _has_half(string: str) -> bool:
    rest = _SURROGATE_PAIR.sub("", string)
    return any((code or "")[:2].lower() in _HALVES for code in _ESCAPE.findall(rest))


def _too_long(number: str) -> bool:
    try:
        return abs(float(number)) == float("inf") or len(number) > _DIGITS and number.isdigit()
    except ValueError:
        return False


_HALVES = ("d8", "d9", "da", "db", "dc", "dd", "de", "df")
