"""When each operation of a plan began and ended, and with which result; for --trace and --debug.

The container's operations are timed by the executor, which shares a file in memory with us
(csrc/executor/executor.h, struct timing). All times are CLOCK_REALTIME, which no time namespace
shifts. Once the seccomp filter is loaded the executor calls nothing that the filter might refuse:
what comes then lasts until the channel is closed.
"""

from __future__ import annotations

import posix
from _struct import Struct
from time import sleep, time_ns

from pycontainer.executor.engine import _Run
from pycontainer.plan import serialize
from pycontainer.plan.ops import CONTAINER, TABLE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pycontainer.executor.engine import Context
    from pycontainer.plan.builder import Plan
    from pycontainer.plan.ops import Op

_ENTRY = Struct("<QQq")
_GATE_S = 1.0  # for the executor to come to the gate


class Entry:
    """One operation as it went: nanoseconds since 1970, `result` 0 or an errno."""

    __slots__ = ("begun", "ended", "number", "op", "result", "total")

    def __init__(
        self, number: int, total: int, op: Op, begun: int, ended: int, result: int
    ) -> None:
        self.number = number
        self.total = total
        self.op = op
        self.begun = begun
        self.ended = ended
        self.result = result

    @property
    def side(self) -> str:
        """Who did it: runtime or container."""
        return TABLE[self.op.kind][0]

    def words(self) -> str:
        """What was done, as `plan` says it."""
        from pycontainer.plan.describe import line

        return line(self.op)

    def outcome(self) -> str:
        """The result: ok, or the reason of the failure."""
        from pycontainer.base.errors import os_reason

        return os_reason(self.result) if self.result else "ok"


class Timing:
    """All plans that a command has carried out: their entries, in order of the plan."""

    __slots__ = ("entries",)

    def __init__(self) -> None:
        self.entries: list[Entry] = []

    def run(self, plan: Plan, context: Context) -> TimedRun:
        """A run that notes what it does here."""
        return TimedRun(self, plan, context)

    def lines(self) -> list[str]:
        """A line for each operation, for the log."""
        return [
            f"operation {entry.number} of {entry.total}, {entry.side}: {entry.words()}: "
            f"{entry.outcome()}, {(entry.ended - entry.begun) / 1000:.0f} us"
            for entry in self.entries
        ]


class TimedRun(_Run):
    """A run whose operations are timed; it is otherwise the same."""

    __slots__ = ("done", "fd", "timing")

    def __init__(self, timing: Timing, plan: Plan, context: Context) -> None:
        super().__init__(plan, context)
        self.timing = timing
        self.done: dict[int, tuple[int, int, int]] = {}
        self.fd = posix.memfd_create("pycontainer-timing", posix.MFD_CLOEXEC)
        posix.ftruncate(self.fd, _ENTRY.size * len(plan.ops))

    def _hand_over(self) -> None:
        self._talk().hand_over(serialize.pack(self.plan.ops), self._in_order(), self.fd)
        self.sent = True
        self._close_slots()

    def note(self, begun: int, result: int) -> None:
        """One of our own operations has been done."""
        self.done[self.step - 1] = begun, time_ns(), result

    def close(self) -> None:
        closed = time_ns()
        if self.op.kind == "await_start":
            self._reach_gate()
        data = posix.pread(self.fd, _ENTRY.size * len(self.plan.ops), 0)
        posix.close(self.fd)
        for index, (begun, ended, result) in enumerate(_ENTRY.iter_unpack(data)):
            op = self.plan.ops[index]
            if begun and op.kind != "await_start":
                self.done[index] = begun, ended or closed, -result
        total = len(self.plan.ops)
        for index, times in sorted(self.done.items()):
            self.timing.entries.append(Entry(index + 1, total, self.plan.ops[index], *times))
        super().close()

    def _reach_gate(self) -> None:
        """The executor may still be on its way to it, when our own part is done."""
        for _ in range(int(_GATE_S * 1000)):
            begun, _, _ = _ENTRY.unpack(
                posix.pread(self.fd, _ENTRY.size, _ENTRY.size * (self.step - 1))
            )
            if begun:
                return
            sleep(0.001)


def _timed(handler: Any) -> Any:
    def handle(run: TimedRun, op: Op) -> None:
        begun = time_ns()
        try:
            handler(run, op)
        except BaseException as error:
            run.note(begun, getattr(error, "errno", 0) or _EIO)
            raise
        run.note(begun, 0)

    return handle


_EIO = 5
TimedRun.handlers = {
    kind: _timed(handler) for kind, handler in _Run.handlers.items() if TABLE[kind][0] != CONTAINER
}
