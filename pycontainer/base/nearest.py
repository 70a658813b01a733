"""Which of the known words a misspelt one was perhaps meant to be; loaded after a mistake."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

_LONGEST = 60  # characters that are compared: the time grows with their square
_FEW = 10


def nearest(word: str, known: Iterable[str], most: int = 1) -> list[str]:
    """The most similar ones, whatever their case.

    Among many words some are alike by chance; among a few, a worse match is worth telling.
    """
    names = {name.lower(): name for name in known}
    swapped = [name for name in names if len(name) == len(word) and _is_swapped(name, word.lower())]
    if swapped:
        return [names[name] for name in swapped[:most]]
    cutoff = 0.75 if len(names) > _FEW else 0.6
    return [names[n] for n in get_close_matches(word[:_LONGEST].lower(), names, most, cutoff)]


def _is_swapped(name: str, word: str) -> bool:
    """Whether two neighbours have changed places, which counts much in a short word."""
    different = [at for at in range(len(name)) if name[at] != word[at]]
    return (
        len(different) == 2
        and name[different[0]] == word[different[1]]
        and (name[different[1]] == word[different[0]] and different[1] == different[0] + 1)
    )


def did_you_mean(word: str, known: Iterable[str], most: int = 1) -> str:
    """ "did you mean A or B?", or "" where nothing is near."""
    near = nearest(word, known, most)
    return f"did you mean {' or '.join(near)}?" if near else ""
