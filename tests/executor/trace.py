"""What strace saw, as values: one Call for each system call, per process, in order.

strace runs with `-X raw`, so that flags are numbers on every version of it; only what it always
writes in words (struct members, strings) stays text.
"""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

STRACE = ("strace", "-f", "-v", "-X", "raw", "-s", "70000")
_LINE = re.compile(r"(\d+) +(.*)")
_CALL = re.compile(r"(\w+)\((.*)\) += (\?|-?\d+|0x[0-9a-f]+)(?: (E[A-Z]+))?", re.DOTALL)
_NUMBER = re.compile(r"^[|0-9a-fx-]+$")
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "v": "\v", "f": "\f", '"': '"', "\\": "\\"}


class Call:
    """One system call: `args` as strace wrote them, `result` >= 0, or the errno's name."""

    def __init__(self, name: str, args: list[str], result: int, error: str) -> None:
        self.name = name
        self.args = args
        self.result = result
        self.error = error

    def __repr__(self) -> str:
        end = self.error or self.result
        return f"{self.name}({', '.join(arg[:100] for arg in self.args)}) = {end}"

    @property
    def ok(self) -> bool:
        """True when it succeeded."""
        return not self.error

    def number(self, index: int) -> int:
        """An argument that is a number, or numbers joined by `|`."""
        return number(self.args[index])

    def text(self, index: int) -> str | None:
        """An argument that is a string; None for NULL."""
        return text(self.args[index])

    def member(self, index: int, name: str) -> int:
        """A numeric member of an argument that is a struct."""
        found = re.search(rf"\b{name}=([|0-9a-fx-]+)", self.args[index])
        assert found, f"no {name} in {self!r}"
        return number(found[1])


def number(word: str) -> int:
    """`0x2|0x80000`, `0755` and `-1` as numbers."""
    if not _NUMBER.match(word):
        raise ValueError(f"{word} is no number")
    total = 0
    for part in word.strip("|").split("|"):
        octal = len(part) > 1 and part[0] == "0" and part[1] != "x"
        total |= int(part, 8 if octal else 0)
    return total


def text(word: str) -> str | None:
    """A quoted string without its quotes and escapes."""
    if word == "NULL":
        return None
    assert word[0] == '"' and word[-1] == '"', f"{word} is no whole string"
    return re.sub(r"\\(x[0-9a-f]{2}|[0-7]{1,3}|.)", _unescape, word[1:-1], flags=re.DOTALL)


def _unescape(match: re.Match[str]) -> str:
    body = match[1]
    if body in _ESCAPES:
        return _ESCAPES[body]
    return chr(int(body[1:], 16) if body[0] == "x" else int(body, 8))


def strings(word: str) -> list[str]:
    """`["a", "b"]` as a list."""
    assert word[0] == "[" and word[-1] == "]", word
    return [text(part) or "" for part in split(word[1:-1])]


def split(body: str) -> list[str]:
    """Arguments at the top level, separated by commas."""
    parts: list[str] = []
    depth, start, quoted, at = 0, 0, False, 0
    while at < len(body):
        char = body[at]
        if char == "\\" and quoted:
            at += 1
        elif char == '"':
            quoted = not quoted
        elif not quoted:
            depth += (char in "[{(") - (char in "]})")
            if char == "," and depth == 0:
                parts.append(body[start:at].strip())
                start = at + 1
        at += 1
    last = body[start:].strip()
    return [*parts, last] if last else parts


def read(file: Path) -> dict[int, list[Call]]:
    """The calls of each process."""
    calls: dict[int, list[Call]] = {}
    begun: dict[int, str] = {}
    for line in file.read_text(errors="replace").splitlines():
        match = _LINE.match(line)
        if match is None:
            continue
        pid, rest = int(match[1]), match[2]
        if rest.endswith("<unfinished ...>"):
            begun[pid] = rest.removesuffix("<unfinished ...>").rstrip()
            continue
        resumed = re.match(r"<\.\.\. \w+ resumed>(.*)", rest, re.DOTALL)
        if resumed:
            rest = begun.pop(pid, "") + resumed[1]
        found = _CALL.match(rest)
        if found:
            result = -1 if found[3] == "?" else number(found[3])
            call = Call(found[1], split(found[2]), result, found[4] or "")
            calls.setdefault(pid, []).append(call)
    return calls


def executor_of(calls: dict[int, list[Call]]) -> int:
    """The process that executed the executor."""
    for pid, own in calls.items():
        for call in own:
            if call.name == "execveat" and '"pycontainer"' in call.args[2] and call.ok:
                return pid
    raise AssertionError("no executor in the trace")


def record(argv: list[str], file: Path, stdin: int = subprocess.DEVNULL) -> subprocess.Popen[bytes]:
    """Start a command under strace; with `-f` it stays until the last process has ended."""
    null = subprocess.DEVNULL
    return subprocess.Popen(
        [*STRACE, "-o", os.fspath(file), *argv], stdin=stdin, stdout=null, stderr=subprocess.PIPE
    )
