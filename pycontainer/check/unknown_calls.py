"""Names of system calls with a slip in them, as libseccomp's own tables know them.

A profile may name calls that are newer than the libseccomp of this host: only a name that is one
letter away from a known one is taken for a slip.
"""

from __future__ import annotations

from collections.abc import Iterator
from string import ascii_lowercase

_LONGEST = 40


def slip(name: str) -> str:
    """The known call that is one letter away from an unknown name, or ""."""
    from pycontainer.seccomp.compiler import UNKNOWN_SYSCALL, resolve

    if len(name) > _LONGEST or resolve(0, name) != UNKNOWN_SYSCALL:
        return ""
    return next((near for near in _near(name) if resolve(0, near) != UNKNOWN_SYSCALL), "")


def _near(name: str) -> Iterator[str]:
    """Names with two letters exchanged, one changed, missing or too many; digits are versions."""
    splits = [(name[:at], name[at:]) for at in range(len(name) + 1)]
    for head, tail in splits:
        if len(tail) > 1 and not tail[:2].isdigit():
            yield head + tail[1] + tail[0] + tail[2:]
    letters = ascii_lowercase + "_"
    for head, tail in splits:
        if tail and not tail[0].isdigit():
            yield head + tail[1:]
            yield from (head + letter + tail[1:] for letter in letters)
        yield from (head + letter + tail for letter in letters)
