"""--trace FILE: a timeline of one command, for ui.perfetto.dev or chrome://tracing; FILE.svg is a
picture of it.

It has the plan's operations, those of the runtime and those of the container, as they were carried
out (executor/timing.py), and our own functions: the interpreter says when one begins and ends, and
when it calls into the kernel or the shim. Nothing of it is in the way of a command that isn't
traced. Being watched takes time itself: compare parts with each other, not with a clock.
"""

from __future__ import annotations

import posix
import sys
from time import perf_counter_ns, time_ns

from pycontainer.base import jsonfast

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType
    from typing import Any

    from pycontainer.executor.timing import Entry, Timing

_SHORTEST_NS = 20_000  # of functions: what is shorter would only be dust in the picture
_OUTSIDE = ("posix", "fcntl", "select", "_socket", "marshal")
_OPENING, _CLOSING = ("call", "c_call"), ("return", "c_return", "c_exception")
# The rows of the timeline, by thread number.
_FUNCTIONS, _RUNTIME, _CONTAINER = 1, 2, 3
_ROWS = {
    _FUNCTIONS: "functions of pycontainer",
    _RUNTIME: "operations of the runtime",
    _CONTAINER: "operations of the container",
}


class Trace:
    """From its making to `finish`, which writes the file."""

    __slots__ = ("events", "offset", "path", "stack", "timing")

    def __init__(self, path: str, timing: Timing) -> None:
        self.path = path
        self.timing = timing
        self.stack: list[tuple[str, int]] = []
        self.events: list[dict[str, Any]] = []
        self.offset = time_ns() - perf_counter_ns()
        if not path.endswith(".svg"):  # which shows no functions
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
            times = {"begun": begun + self.offset, "ended": now + self.offset}
            self.events.append(_event(name, "function", _FUNCTIONS, **times))

    def finish(self) -> None:
        """Stop, and write what was seen; OSError when that is not possible."""
        sys.setprofile(None)
        now = perf_counter_ns()
        while self.stack:
            self._add(*self.stack.pop(), now)
        flags = posix.O_WRONLY | posix.O_CREAT | posix.O_TRUNC | posix.O_CLOEXEC
        fd = posix.open(self.path, flags, 0o644)
        try:
            rest = self._text().encode("utf-8", "replace")
            while rest:
                rest = rest[posix.write(fd, rest) :]
        finally:
            posix.close(fd)

    def _text(self) -> str:
        if self.path.endswith(".svg"):
            from pycontainer.cli.timeline import draw

            return draw(self.timing.entries)
        operations = [_operation(entry) for entry in self.timing.entries]
        events = [*map(_row, _ROWS), *self.events, *operations]
        return jsonfast.dumps({"traceEvents": events, "displayTimeUnit": "ms"})


def _operation(entry: Entry) -> dict[str, Any]:
    row = _CONTAINER if entry.side == "container" else _RUNTIME
    event = _event(entry.words(), "operation", row, begun=entry.begun, ended=entry.ended)
    arguments = {"operation": f"{entry.number} of {entry.total}", "result": entry.outcome()}
    if entry.op.field:
        arguments["field"] = entry.op.field
    return event | {"args": arguments}


def _event(name: str, category: str, row: int, *, begun: int, ended: int) -> dict[str, Any]:
    times = {"ts": begun / 1000, "dur": (ended - begun) / 1000}  # microseconds
    return {"name": name, "cat": category, "ph": "X", **times, "pid": posix.getpid(), "tid": row}


def _row(number: int) -> dict[str, Any]:
    arguments = {"name": _ROWS[number]}
    return {"name": "thread_name", "ph": "M", "pid": posix.getpid(), "tid": number} | {
        "args": arguments
    }


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
