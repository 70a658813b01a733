"""Faults at any system call of a command, and what has to hold after each of them.

A point is one system call of one process of a command, and what happens there: the process is
killed, or the call fails. After it the command has ended, in words that a user understands, and
`delete --force` alone restores the world: no process, cgroup, mount or state is left.
"""

from __future__ import annotations

import ctypes
import errno
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.box import Box
from tests.support.cgroups import units
from tests.support.runtimes import CHECKOUT, COMMAND, SLOWNESS, Done, Runtime

SOURCE = Path(__file__).with_name("inject.c")
PROGRAM = CHECKOUT / "build/tests/inject"
FAULTS = ("KILL", "ENOSPC", "EMFILE", "ENOMEM", "EIO", "EPERM", "EINTR")
# "undo" is a run whose program does not exist: it takes back what it has made. "user" is a run in a
# user namespace, which an executor makes whose child goes on.
COMMANDS = ("create", "start", "run", "user", "undo", "exec", "update", "kill", "delete")
_RUNS = ("run", "user", "undo")
DEADLINE = 30 * SLOWNESS  # seconds for one command
KILLED = 128 + 9
_ENDS = ("exit", "exit_group", "rt_sigreturn")
# What fails for wrong arguments only: no program says more than it must if it does all the same.
_NEVER_FAIL = (
    "arch_prctl", "brk", "getegid", "geteuid", "getgid", "getpid", "gettid", "getuid", "munmap",
    "rseq", "rt_sigaction", "rt_sigprocmask", "set_robust_list", "set_tid_address", "umask",
)  # fmt: skip
_INTERNAL = ("Traceback", "internal error", "Fatal", "Exception ignored")


class Call:
    """The `number`th system call of the `who`th process of a command; 0 is the command itself."""

    def __init__(self, who: int, number: int, name: str) -> None:
        self.who = who
        self.number = number
        self.name = name

    def __repr__(self) -> str:
        return f"{self.name} (call {self.number} of process {self.who})"


class Victim:
    """A container to be, and the commands that take it to each moment of its life."""

    def __init__(self, box: Box, systemd: bool = False) -> None:
        if COMMAND.parent.name != "fast":
            pytest.skip("needs the fast command: faults in the start of Python are not ours")
        self.box = box
        self.pyc = box.pycontainer
        self.systemd = systemd
        self.name = box.id("victim")
        self.bundle = box.bundle("/bin/sleep", "1000")
        self.short = box.bundle("/bin/true")
        self.mapped = box.bundle("/bin/true")
        self.mapped.new_namespace("user")
        for kind in ("uidMappings", "gidMappings"):
            self.mapped.linux[kind] = [{"containerID": 0, "hostID": 0, "size": 65536}]
        self.broken = box.bundle("/bin/nothing")

    def steps(self, command: str) -> list[list[object]]:
        """The commands before the one that is disturbed, and that one."""
        name = self.name
        create: list[object] = ["create", "-b", self.bundle, name]
        last: dict[str, list[object]] = {
            "create": create,
            "start": ["start", name],
            "run": ["run", "-b", self.short, name],
            "user": ["run", "-b", self.mapped, name],
            "undo": ["run", "-b", self.broken, name],
            "exec": ["exec", name, "/bin/true"],
            "update": ["update", "--memory", str(1 << 26), "--pids-limit", "100", name],
            "kill": ["kill", name, "KILL"],
            "delete": ["delete", "--force", name],
        }
        if command in ("create", *_RUNS):
            return [last[command]]
        return [create, *([] if command == "start" else [["start", name]]), last[command]]

    def argv(self, words: list[object]) -> list[object]:
        """The command line of a step, without the command's name."""
        return ["--systemd-cgroup", *words] if self.systemd else words

    def calls(self, command: str) -> list[Call]:
        """The system calls of a command that nothing disturbs, of all its processes.

        Once to fill caches, then to be recorded.
        """
        for _ in range(2):
            done, found = self._disturbed(command, 0, 0, 0)
            assert done.status == (1 if command == "undo" else 0), repr(done)
            self.pyc("delete", "--force", self.name).ok()
        return [call for call in found if call.name not in _ENDS]

    def fault(self, command: str, call: Call, fault: str) -> str | None:
        """Let one call of the command meet a fault; "" or what is wrong afterwards, None when the
        command has not come to that call this time."""
        number = 0 if fault == "KILL" else getattr(errno, fault)
        killed = fault == "KILL" and call.who == 0
        met, wrong = [call], ""
        try:
            done, met = self._disturbed(command, call.who, call.number, number)
            if fault == "KILL" or call.name not in _NEVER_FAIL:
                wrong = self._ended(command, call, killed and bool(met), done)
            wrong = wrong or self._restored(killed)
        except subprocess.TimeoutExpired as hangs:
            wrong = f"not within {hangs.timeout:g} s: {hangs.cmd}"
        if wrong:
            self.pyc.sweep()
            return f"{command}: {fault} at {call}: {wrong}"
        return "" if met else None

    def _disturbed(
        self, command: str, who: int, number: int, fault: int
    ) -> tuple[Done, list[Call]]:
        *before, last = self.steps(command)
        for step in before:
            self.pyc(*self.argv(step)).ok()
        record, argv = self.box.directory / "record", self.pyc.argv(*self.argv(last))
        inject = [str(program()), str(record), str(who), str(number), str(fault)]
        helper = Runtime("inject", self.box.directory)
        helper.argv = lambda *_: [*inject, *argv]  # type: ignore[method-assign]
        done = helper(timeout=DEADLINE)
        done.argv = argv
        return done, read_calls(record)

    def _ended(self, command: str, call: Call, killed: bool, done: Done) -> str:
        """Whether the command has told how it went, and has kept nothing that it does not tell."""
        for word in _INTERNAL:
            if word in done.err:
                return repr(done)
        if killed or done.status == KILLED:
            # Or the process was that was the program, or was about to become it.
            fine = done.status == KILLED and (killed or command in ("exec", *_RUNS))
            return "" if fine else repr(done)
        failed = 255 if command == "exec" else 1
        heard = "level=error" in done.err or call.name == "write"  # it may have been that line
        if done.status not in (0, failed) or (done.status and not heard):
            return repr(done)
        if command == "create" and done.status:
            # A reservation that could not be taken back is no container: the next create has it.
            left = self.box.leftovers(1)
            left = [line for line in left if not line.endswith(f"{self.name}: []")]
            return f"{done!r}left: {left}" if left else ""
        return ""

    def _restored(self, killed: bool) -> str:
        """Whether the container can be looked at, and `delete --force` alone removes all of it."""
        if killed:
            state = self.pyc("state", self.name)
            if state.status not in (0, 1) or any(word in state.err for word in _INTERNAL):
                return repr(state)
        done = self.pyc("delete", "--force", self.name)
        if done.status or "level=error" in done.err:
            return repr(done)
        left = [*self.box.leftovers(), *(units(self.name) if self.systemd else ())]
        return f"delete --force has left {left}" if left else ""


def read_calls(record: Path) -> list[Call]:
    """What the injector has written down."""
    lines = [[int(word) for word in line.split()] for line in record.read_text().splitlines()]
    return [Call(who, number, _name(call)) for who, number, call in lines]


def points(calls: list[Call]) -> Iterator[tuple[Call, str]]:
    """Every fault at each of the calls."""
    for call in calls:
        for fault in FAULTS:
            yield call, fault


def program() -> Path:
    """The injector, compiled when its source is newer; without a compiler the one that is there."""
    compiler = shutil.which("cc")
    if not PROGRAM.exists() and not compiler:
        pytest.skip("needs a C compiler")
    if not PROGRAM.exists() or (compiler and PROGRAM.stat().st_mtime < SOURCE.stat().st_mtime):
        PROGRAM.parent.mkdir(parents=True, exist_ok=True)
        new = PROGRAM.with_name(f"inject.{os.getpid()}")
        subprocess.run(["cc", "-O2", "-Wall", "-Wextra", "-o", new, SOURCE], check=True)
        new.rename(PROGRAM)
    return PROGRAM


def _name(number: int) -> str:
    seccomp = ctypes.CDLL("libseccomp.so.2")
    resolve = seccomp.seccomp_syscall_resolve_num_arch
    resolve.restype = ctypes.c_char_p
    name = resolve(seccomp.seccomp_arch_native(), number)
    return name.decode() if name else str(number)
