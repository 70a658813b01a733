"""The regular expressions of our schemas as plain string tests, because `re` costs 4 ms to load.

What is known: ^, then single characters and classes of which at most one is repeated (* or +),
then $. That suffices to say RLIMIT_[A-Z]+ or [1-9][0-9]*[KMG]B, and anything else stops the build.
`$` means the very end, as in ECMA-262 and Go, not "before a last line feed" as in Python.
"""

from __future__ import annotations

from typing import NamedTuple


class _Piece(NamedTuple):
    """A set of characters (or all but these), and whether it repeats."""

    chars: str
    negated: bool
    repeat: str  # "", "*" or "+"

    def mismatch(self, text: str) -> str:
        """An expression that is true when the one character `text` is not of the set."""
        if len(self.chars) == 1 and not self.negated:
            return f"{text} != {self.chars!r}"
        return f"{text} {'in' if self.negated else 'not in'} {self.chars!r}"


def mismatch(pattern: str, var: str) -> str:
    """An expression that is true when the string in `var` does not match; ValueError if unknown."""
    pieces = _parse(pattern)
    loops = [i for i, piece in enumerate(pieces) if piece.repeat]
    if len(loops) > 1:
        raise ValueError(f"pattern {pattern!r}: more than one repetition")
    if not loops:
        head, tail, tests = pieces, [], [f"len({var}) != {len(pieces)}"]
    else:
        head, tail = pieces[: loops[0]], pieces[loops[0] + 1 :]
        least = len(head) + len(tail) + (pieces[loops[0]].repeat == "+")
        tests = [f"len({var}) < {least}"] if least else []
    prefix = "".join(piece.chars for piece in head)
    if head and all(len(piece.chars) == 1 and not piece.negated for piece in head):
        tests.append(f"not {var}.startswith({prefix!r})")
    else:
        tests += [piece.mismatch(f"{var}[{i}]") for i, piece in enumerate(head)]
    tests += [piece.mismatch(f"{var}[{i - len(tail)}]") for i, piece in enumerate(tail)]
    if loops:
        end = f"-{len(tail)}" if tail else ""
        middle = f"{var}[{len(head)}:{end}]" if head or tail else var
        loop = pieces[loops[0]]
        if loop.negated and len(loop.chars) == 1:
            tests.append(f"{loop.chars!r} in {middle}")
        elif loop.negated:
            raise ValueError(f"pattern {pattern!r}: repeats all but several characters")
        else:
            tests.append(f"{middle}.strip({loop.chars!r})")
    return " or ".join(tests)


def _parse(pattern: str) -> list[_Piece]:
    if not (pattern.startswith("^") and pattern.endswith("$")):
        raise ValueError(f"pattern {pattern!r}: not anchored")
    rest = pattern[1:-1]
    pieces = []
    while rest:
        if rest[0] == "[":
            inside, _, rest = rest[1:].partition("]")
            negated = inside.startswith("^")
            chars = _class(inside[negated:])
        elif rest[0].isalnum() or rest[0] in "_:":
            chars, negated, rest = rest[0], False, rest[1:]
        else:
            raise ValueError(f"pattern {pattern!r}: unknown {rest[0]!r}")
        repeat = rest[0] if rest[:1] in ("*", "+") else ""
        pieces.append(_Piece(chars, negated, repeat))
        rest = rest[len(repeat) :]
    return pieces


def _class(inside: str) -> str:
    """The characters of a class: ranges spelled out; a hyphen at the end is itself."""
    inside = inside.replace("\\n", "\n")
    chars = ""
    while inside:
        if inside[1:2] == "-" and len(inside) > 2 and inside[0].isalnum():
            chars += "".join(map(chr, range(ord(inside[0]), ord(inside[2]) + 1)))
            inside = inside[3:]
        else:
            chars += inside[0]
            inside = inside[1:]
    return chars
