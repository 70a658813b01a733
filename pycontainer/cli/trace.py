"""--trace FILE: a timeline of one command, for Chrome's chrome://tracing or ui.perfetto.dev.

The interpreter itself says when a function of ours begins and ends, and when one calls into the
kernel or the shim: nothing of it is in the way of a command that isn't traced. Loading a module is
the function of its name. While the executor works, the timeline shows who waits for it
(shim_receive). Being watched takes time itself: compare parts with each other, not with a clock.
"""

from __future__ import annotations

import posix
import sys
from time import perf_counter_ns

from pycontainer.base import jsonfast

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType
    from typing import Any

_SHORTEST_NS = 20_000  # what is shorter would only be dust in the picture
_OUTSIDE = ("posix", "fcntl", "select", "_socket", "marshal")
_OPENING, _CLOSING = ("call", "c_call"), ("return", "c_return", "c_exception")


class Trace:
    """From its making to `finish`, which writes the file."""

    __slots__ = ("events", "path", "stack")

    def __init__(self, path: str) -> None:
        self.path = path
        self.stack: list[tuple[str, int]] = []
        self.events: list[dict[str, Any]] = []
        sys.setprofile(self._note)

    def _note(self, frame: FrameType, event: str, function: Any) -> None:
        now = perf_counter_ns()
        module = frame.f_globals.get("__name__", "")
        if not module.startswith("pycontainer") or module == __name__:
            return
        name = _outside(function) if event[0] == "c" and event != "call" else _inside(frame)
        if not name:
            return
        if event in _OPENING:
            self.stack.append((name, now))
        elif event in _CLOSING and self.stack and self.stack[-1][0] == name:
            self._add(*self.stack.pop(), now)

    def _add(self, name: str, begun: int, now: int) -> None:
        if now - begun >= _SHORTEST_NS:
            pid = posix.getpid()
            times = {"ts": begun / 1000, "dur": (now - begun) / 1000}  # microseconds
            self.events.append({"name": name, "ph": "X", **times, "pid": pid, "tid": pid})

    def finish(self) -> None:
        """Stop, and write what was seen; OSError when that is not possible."""
        sys.setprofile(None)
        now = perf_counter_ns()
        while self.stack:
            self._add(*self.stack.pop(), now)
        text = jsonfast.dumps({"traceEvents": self.events, "displayTimeUnit": "ms"})
        flags = posix.O_WRONLY | posix.O_CREAT | posix.O_TRUNC | posix.O_CLOEXEC
        fd = posix.open(self.path, flags, 0o644)
        try:
            rest = text.encode()
            while rest:
                rest = rest[posix.write(fd, rest) :]
        finally:
            posix.close(fd)


def _inside(frame: FrameType) -> str:
    module = str(frame.f_globals["__name__"]).removeprefix("pycontainer.")
    function = frame.f_code.co_name
    return f"load {module}" if function == "<module>" else f"{module}.{function}"


def _outside(function: Any) -> str:
    name = str(getattr(function, "__name__", ""))
    if name.startswith("shim_"):
        return name
    module = str(getattr(function, "__module__", ""))
    return f"{module}.{name}" if module in _OUTSIDE else ""
