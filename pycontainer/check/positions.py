"""Where each value of a JSON text stands: line and column, by the path that errors name it with.

The text is well-formed: a reader has accepted it before.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_right
from typing import Any

from pycontainer.spec.schema import field_path
from pycontainer.spec.shorten import LEVELS

_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\]:,]|[^\s{}\[\]:,"]+', re.DOTALL)


class Positions:
    """`at[field]` is the offset of a member's name, or of an array's element; `twice` are the
    members that their object has more than once. Deeper than the schemas look nothing is noted."""

    def __init__(self, text: str) -> None:
        self._lines = [0, *(match.end() for match in re.finditer("\n", text))]
        self.at: dict[str, int] = {}
        self.twice: list[str] = []
        self._read(text)

    def find(self, field: str) -> tuple[int, int]:
        """(line, column) from 1, of the field or of the nearest object around it; (0, 0) for the
        whole document."""
        while field:
            if field in self.at:
                offset = self.at[field]
                line = bisect_right(self._lines, offset)
                return line, offset - self._lines[line - 1] + 1
            field = parent(field)
        return 0, 0

    def _read(self, text: str) -> None:
        path: list[Any] = []  # the key or index at each depth; None before an object's first key
        objects: list[bool] = []
        expects_key = False
        for match in _TOKEN.finditer(text):
            token = match[0]
            if token in "}]":
                objects.pop()
                path.pop()
                expects_key = False
            elif token == ",":
                expects_key = objects[-1]
                if not objects[-1]:
                    path[-1] += 1
            elif token != ":":
                if expects_key:
                    path[-1] = json.loads(token, strict=False)
                    self._note(path, match.start())
                    expects_key = False
                    continue
                if objects and not objects[-1]:
                    self._note(path, match.start())
                if token in "{[":
                    objects.append(token == "{")
                    path.append(None if token == "{" else 0)
                    expects_key = token == "{"

    def _note(self, path: list[Any], offset: int) -> None:
        if len(path) > LEVELS:
            return
        field = field_path(path)
        if field in self.at and isinstance(path[-1], str):
            self.twice.append(field)
        self.at[field] = offset


def parent(field: str) -> str:
    """The object or array around a field; "" for the document."""
    return field_path(parse(field)[:-1])


def parse(field: str) -> list[str | int]:
    """The inverse of spec.schema.field_path."""
    steps: list[str | int] = []
    for name, number, quoted in re.findall(
        r"([^.\[\]]+)|\[(\d+)\]|\[(\"(?:[^\"\\]|\\.)*\"|'[^']*')\]", field
    ):
        if number:
            steps.append(int(number))
        elif quoted:
            steps.append(json.loads(quoted) if quoted[0] == '"' else quoted[1:-1])
        else:
            steps.append(name)
    return steps
