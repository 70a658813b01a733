"""Did the executor do what the plan said? A trace against `pycontainer plan --json`.

`follow(plan, calls)` walks both in order. For each container operation EXPECTED has a function that
says which system calls it means, with which arguments; every call that changes something must be
one that an operation has asked for, in the plan's order. What is left over on either side, or
differs, is a Mismatch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from tests.executor.descriptors import Descriptors
from tests.executor.trace import Call, executor_of

O_CREAT = 0o100
ACCESS_MODE = 3
SIG_IGN = 1
# Calls that look, wait, or concern nobody but the process itself until its execve.
HARMLESS = {
    "close", "statx", "recvmsg", "read", "mmap", "munmap", "faccessat2", "readlinkat", "getcwd",
    "getpid", "geteuid", "fstatfs", "ppoll", "clock_gettime", "wait4", "fcntl", "rt_sigprocmask",
    "gettid",
    "restart_syscall", "accept4", "pipe2", "rt_sigreturn",
}  # fmt: skip


class Mismatch(AssertionError):
    """The trace is not what the plan says."""


class Walk:
    """The place in the trace, and the operation that is being checked."""

    def __init__(self, calls: dict[int, list[Call]], pid: int) -> None:
        self.calls = calls
        self.fds = Descriptors()
        self.op: dict[str, Any] = {"step": 0, "operation": "start", "arguments": {}}
        self.plan: list[dict[str, Any]] = []
        self.label = ""  # of masks
        self.proc = False
        self.cwd = ""
        self.gate = 1 << 32  # the slot that the plan has and this run has not
        self.go_on_in(pid, self._after_execveat(calls[pid]))

    @staticmethod
    def _after_execveat(own: list[Call]) -> int:
        return next(i for i, call in enumerate(own) if call.name == "execveat" and call.ok) + 1

    def go_on_in(self, pid: int, at: int = 0) -> None:
        """Look at this process's calls from now on."""
        self.pid, self.own, self.at = pid, self.calls.get(pid, []), at

    def __getitem__(self, name: str) -> Any:
        value = self.op["arguments"][name]
        return value - 1 if name == "slot" and value > self.gate else value

    def wrong(self, what: str) -> Mismatch:
        """An error that says where."""
        return Mismatch(f"operation {self.op['step']} ({self.op['operation']}): {what}")

    def peek(self) -> Call | None:
        """The next call that changes something."""
        while self.at < len(self.own):
            call = self.own[self.at]
            if not harmless(call):
                return call
            self.take()
        return None

    def take(self) -> Call:
        """The next call, whatever it is."""
        call = self.own[self.at]
        self.fds.note(call)
        self.at += 1
        return call

    def want(self, name: str, *expected: Any, fails: tuple[str, ...] = ()) -> Call:
        """The next call that changes something must be this one, and succeed or fail like this.

        An argument is an int, a string (quoted in the trace), None for NULL, `...` for any, a
        function of its words, or `Fd` of a name in the table of descriptors.
        """
        call = self.peek()
        if call is None:
            raise self.wrong(f"no {name} in the trace")
        if call.name != name:
            raise self.wrong(f"{call!r} instead of {name}")
        for index, value in enumerate(expected):
            if not self._same(call, index, value):
                raise self.wrong(f"{call!r}: argument {index} is not {value!r}")
        if call.error and call.error not in fails:
            raise self.wrong(f"{call!r} failed")
        return self.take()

    def resolves(self, path: str) -> Call:
        """The next call must look `path` up inside of the root."""
        while self.at < len(self.own):
            call = self.take()
            if call.name == "openat2":
                if call.text(1) != path or not call.member(2, "resolve") & 0x10:
                    raise self.wrong(f"{call!r} does not look up {path}")
                return call
            if not harmless(call):
                raise self.wrong(f"{call!r} instead of looking up {path}")
        raise self.wrong(f"{path} is not looked up")

    def next_is(self, name: str, fd: str = "", at: int = 0) -> bool:
        """True when the next change is such a call (on such a descriptor)."""
        call = self.peek()
        return call is not None and call.name == name and (not fd or self._name(call, at) == fd)

    def _name(self, call: Call, index: int) -> str:
        return self.fds[call.number(index)]

    def _same(self, call: Call, index: int, value: Any) -> bool:
        word = call.args[index] if index < len(call.args) else "nothing"
        if value is ...:
            return True
        if isinstance(value, Fd):
            return self._name(call, index) == value.name
        if callable(value):
            return bool(value(word))
        if value is None or isinstance(value, str):
            return (word == "NULL" or word[:1] == '"') and call.text(index) == value
        return call.number(index) == value


class Fd:
    """A descriptor of this name."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return f"fd {self.name}"


def harmless(call: Call) -> bool:
    """True for calls that no operation has to ask for."""
    if call.name == "rt_sigaction":
        return "sa_handler=0x1" not in call.args[1] and "sa_handler=1," not in call.args[1]
    if call.name == "openat2":
        return not call.member(2, "flags") & (O_CREAT | ACCESS_MODE)
    if call.name == "openat":
        return not call.number(2) & O_CREAT
    if call.name == "prlimit64":
        return call.args[2] == "NULL"
    if call.name == "ioctl":
        return call.number(1) == 0x5441  # TIOCGPTPEER only opens
    return call.name in HARMLESS


def follow(
    plan: list[dict[str, Any]], calls: dict[int, list[Call]], *, gated: bool = True
) -> Iterator[str]:
    """Check it all; yields the kinds that have been checked. `run` has no gate: not `gated`."""
    from tests.executor.expected import EXPECTED

    walk = Walk(calls, executor_of(calls))
    walk.plan = plan
    gates = [op["arguments"]["slot"] for op in plan if op["operation"] == "open_gate"]
    if gates and not gated:
        walk.gate = gates[0]
    walk.want("prctl", 4, 0)  # not dumpable
    walk.want("prctl", 0xF, "pycontainer")
    walk.want("umask", 0o22)
    for op in plan:
        if op["side"] != "container" or (op["operation"] == "await_start" and not gated):
            continue
        walk.op = op
        EXPECTED[op["operation"]](walk)
        yield op["operation"]
    if walk.at == 0 or walk.own[walk.at - 1].name != "execve":
        raise walk.wrong("the executor went on after it")


Check = Callable[[Walk], None]
