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
    from collections.abc import Callable
    from typing import Any

    from pycontainer.executor.engine import Context
    from pycontainer.plan.builder import Plan
    from pycontainer.plan.ops import Op

_ENTRY = Struct("<QQq")
_GATE_S = 1.0  # for the executor to come to the gate
_PAUSE_MS = 50  # between two looks at what the executor does
_LONG_NS = 1_000_000_000  # what has not ended after that is told of


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

    def line(self, state: str = "") -> str:
        """For the log: in which `state` it is, or how it ended."""
        microseconds = f"{(self.ended - self.begun) / 1000:.0f} us"
        return (
            f"operation {self.number} of {self.total}, {self.side}: {self.words()}: "
            f"{state or f'{self.outcome()}, {microseconds}'}"
        )

    def outcome(self) -> str:
        """The result: ok, or the reason of the failure."""
        from pycontainer.base.errors import os_reason

        return os_reason(self.result) if self.result else "ok"


class Timing:
    """All plans that a command has carried out: their entries, in order of the plan.

    `tell` gets a line for each operation as soon as it has ended, and for one that has not.
    """

    __slots__ = ("entries", "tell")

    def __init__(self, tell: Callable[[str], None] | None = None) -> None:
        self.entries: list[Entry] = []
        self.tell = tell

    def run(self, plan: Plan, context: Context) -> TimedRun:
        """A run that notes what it does here."""
        return TimedRun(self, plan, context)


class TimedRun(_Run):
    """A run whose operations are timed; it is otherwise the same."""

    __slots__ = ("done", "fd", "theirs", "timing", "waited")

    def __init__(self, timing: Timing, plan: Plan, context: Context) -> None:
        super().__init__(plan, context)
        self.timing = timing
        self.done: dict[int, tuple[int, int, int]] = {}
        self.fd = posix.memfd_create("pycontainer-timing", posix.MFD_CLOEXEC)
        posix.ftruncate(self.fd, _ENTRY.size * len(plan.ops))
        # The container's operations that are still to be told of, and the one that takes long.
        self.theirs = [i for i, op in enumerate(plan.ops) if TABLE[op.kind][0] == CONTAINER]
        self.waited = -1

    def _hand_over(self) -> None:
        self._talk().hand_over(serialize.pack(self.plan.ops), self._in_order(), self.fd)
        self.sent = True
        self._close_slots()

    def note(self, begun: int, result: int) -> None:
        """One of our own operations has been done."""
        index = self.step - 1
        self.done[index] = begun, time_ns(), result
        if self.timing.tell:
            self._tell_theirs()
            self._tell(index)

    def _wait_for_exec(self) -> None:
        self.watch()
        super()._wait_for_exec()

    def watch(self) -> None:
        """Until the executor says something: tell what it does meanwhile."""
        if not self.timing.tell:
            return
        from select import POLLIN, poll

        poller = poll()
        poller.register(self._talk().ours, POLLIN)
        while not poller.poll(_PAUSE_MS):
            self._tell_theirs()
        self._tell_theirs()

    def _tell_theirs(self) -> None:
        """What the executor has done since we last looked, and what it is busy with."""
        while self.theirs:
            index = self.theirs[0]
            begun, ended, result = self._entry(index)
            if not ended:
                if begun and index != self.waited and time_ns() - begun > _LONG_NS:
                    self.waited = index
                    self._tell(index, "has not ended yet")
                return
            self.theirs.pop(0)
            self.done[index] = begun, ended, -result
            self._tell(index)

    def _tell(self, index: int, state: str = "") -> None:
        if self.timing.tell:
            times = self.done.get(index, (0, 0, 0))
            self.timing.tell(
                Entry(index + 1, len(self.plan.ops), self.plan.ops[index], *times).line(state)
            )

    def _entry(self, index: int) -> tuple[int, int, int]:
        begun, ended, result = _ENTRY.unpack(posix.pread(self.fd, _ENTRY.size, _ENTRY.size * index))
        return begun, ended, result

    def close(self) -> None:
        closed = time_ns()
        if self.op.kind == "await_start":
            self._reach_gate()
        for index in self.theirs:
            begun, ended, result = self._entry(index)
            if begun and self.plan.ops[index].kind != "await_start":
                self.done[index] = begun, ended or closed, -result
                self._tell(index)
        posix.close(self.fd)
        total = len(self.plan.ops)
        for index, times in sorted(self.done.items()):
            self.timing.entries.append(Entry(index + 1, total, self.plan.ops[index], *times))
        super().close()

    def _reach_gate(self) -> None:
        """The executor may still be on its way to it, when our own part is done."""
        for _ in range(int(_GATE_S * 1000)):
            if self._entry(self.step - 1)[0]:
                return
            sleep(0.001)


def _timed(handler: Any) -> Any:
    def handle(run: TimedRun, op: Op) -> None:
        begun = time_ns()
        if op.kind == "run_hooks" and run.timing.tell:  # programs that may take long
            run._tell(run.step - 1, "has begun")
        try:
            handler(run, op)
        except BaseException as error:
            run.note(begun, getattr(error, "errno", 0) or _EIO)
            raise
        run.note(begun, 0)

    return handle


def _watched(meeting: Any) -> Any:
    def meet(run: TimedRun) -> None:
        run.watch()
        meeting(run)

    return meet


_EIO = 5
TimedRun.handlers = {
    kind: _timed(handler) for kind, handler in _Run.handlers.items() if TABLE[kind][0] != CONTAINER
}
TimedRun.meetings = {
    kind: meeting if kind in ("hook", "seccomp") else _watched(meeting)
    for kind, meeting in _Run.meetings.items()
}
