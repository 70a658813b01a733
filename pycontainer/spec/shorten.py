"""Finds the entry of a long list that is wrong, so that jsonschema need not look at all of them.

jsonschema takes a hundred microseconds for an object; the compiled validator takes one. Input: a
document that the compiled validator refuses. Output: one that is still wrong, in which each long
list has one entry and nothing lies deeper than the schemas know, and which entry of the whole list
that is.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    Path = tuple[str | int, ...]

_LONG = 1000  # entries
LEVELS = 12  # that the schemas know


def shorten(document: Any, valid: Callable[[Any], bool]) -> tuple[Any, dict[Path, int]]:
    """A copy with short lists, and where their one entry stood: path of the list to index.

    A list that is wrong as a whole (too long) stays as it is.
    """
    copy, places = _copy(document), {}
    for holder, key, path in _long_lists(copy, ()):
        whole = holder[key]
        holder[key] = [_copy(whole[0])]
        if not valid(copy):  # because of another place, or of this entry
            places[path] = 0
            continue
        low, high = 1, len(whole)  # entries of a prefix that is right, and of one that is not
        while high - low > 1:
            middle = (low + high) // 2
            holder[key] = whole[:middle]
            low, high = (middle, high) if valid(copy) else (low, middle)
        holder[key] = [_copy(whole[high - 1])]
        if valid(copy):
            holder[key] = [_copy(entry, 0) for entry in whole]
        else:
            places[path] = high - 1
    return copy, places


def original(path: list[str | int], places: dict[Path, int]) -> list[str | int]:
    """A path in the copy as it is in the document."""
    return [places.get(tuple(path[:depth]), key) for depth, key in enumerate(path)]


def shallow(document: Any) -> Any:
    """A copy without what lies deeper than any schema looks: jsonschema puts values into words by
    recursion."""
    return _copy(document, longest=sys.maxsize)


def _copy(value: Any, levels: int = LEVELS, longest: int = _LONG) -> Any:
    """Objects and short lists are copied as far down as the schemas know them, and end there."""
    if not levels and type(value) in (dict, list):
        return type(value)()
    if type(value) is dict:
        return {key: _copy(inner, levels - 1, longest) for key, inner in value.items()}
    if type(value) is list and len(value) <= longest:
        return [_copy(inner, levels - 1, longest) for inner in value]
    return value


def _long_lists(value: Any, path: Path) -> Iterator[tuple[Any, Any, Path]]:
    if len(path) == LEVELS or type(value) not in (dict, list):
        return
    for key in list(value) if type(value) is dict else range(len(value)):
        if type(value[key]) is list and len(value[key]) > _LONG:
            yield value, key, (*path, key)
            if len(value[key]) > _LONG:
                continue
        yield from _long_lists(value[key], (*path, key))
