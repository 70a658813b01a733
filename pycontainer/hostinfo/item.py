"""One fact about the host."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class Item:
    """One fact: `key` for programs, `value` as JSON knows it, `meaning` in one line; `fix` is
    the command that improves it, "" where nothing needs to be."""

    __slots__ = ("key", "meaning", "fix", "value")

    def __init__(self, key: str, value: Any, meaning: str, fix: str = "") -> None:
        self.key = key
        self.value = value
        self.meaning = meaning
        self.fix = fix
