"""Faults at a chosen system call of a command, by strace's fault injection."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from tests.support.box import Box
from tests.support.runtimes import Done, Runtime

_CALL = re.compile(r"^(\w+)\(")


class Call:
    """The `nth` call of `name` in a command, the `at`th of all."""

    def __init__(self, name: str, nth: int, at: int) -> None:
        self.name = name
        self.nth = nth
        self.at = at

    def __repr__(self) -> str:
        return f"{self.name} number {self.nth}"


def calls(pyc: Runtime, marker: str, *arguments: object) -> list[Call]:
    """The system calls of a command from the first whose arguments have `marker` on."""
    if shutil.which("strace") is None:
        pytest.skip("needs strace")
    trace = pyc.directory / "trace"
    traced(pyc, ["-o", str(trace)], *arguments).ok()
    return _read(trace, marker)


def _read(trace: Path, marker: str) -> list[Call]:
    counts: dict[str, int] = {}
    found: list[Call] = []
    begun = False
    for at, line in enumerate(trace.read_text(errors="replace").splitlines()):
        match = _CALL.match(line)
        if not match:
            continue
        name = match[1]
        counts[name] = counts.get(name, 0) + 1
        begun = begun or (marker in line and name != "execve")
        if begun and name not in ("exit_group", "execve"):
            found.append(Call(name, counts[name], at))
    return found


def spread(found: list[Call], count: int, seed: int = 0) -> list[Call]:
    """So many of them, evenly."""
    step = max(1, len(found) / count)
    places = sorted({int((i + (seed % 7) / 7) * step) for i in range(count)})
    return [found[place] for place in places if place < len(found)]


def inject(pyc: Runtime, call: Call, fault: str, *arguments: object) -> Done:
    """Run a command in which this call meets `fault`: signal=KILL, error=EIO ..."""
    options = ["-o", "/dev/null", "-e", f"inject={call.name}:{fault}:when={call.nth}"]
    return traced(pyc, options, *arguments)


def traced(pyc: Runtime, options: list[str], *arguments: object) -> Done:
    """Run a command, without its children, under strace."""
    whole = pyc.command
    argv = ["strace", "-qq", *options, whole, "--root", str(pyc.root), *map(str, arguments)]
    helper = Runtime(argv[0], pyc.directory)
    helper.argv = lambda *_: argv  # type: ignore[method-assign]
    return helper(timeout=30)


def recovered(box: Box, name: str, bundle: object) -> str:
    """After a fault each command works, and the id can be used again; "" or what is wrong."""
    pyc = box.pycontainer
    state = pyc("state", name)
    if state.status not in (0, 1) or "internal error" in state.err:
        return f"state: {state!r}"
    for step in (
        ("list",),
        ("delete", "--force", name),
        ("create", "-b", bundle, name),
        ("delete", "--force", name),
    ):
        done = pyc(*step)
        if done.status or "level=error" in done.err:
            return repr(done)
    left = box.leftovers()
    return f"left: {left}" if left else ""
