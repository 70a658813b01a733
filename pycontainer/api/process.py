"""A process in a container that we have started: its streams, its end, its exit status."""

from __future__ import annotations

import os
import select
import termios
from time import monotonic
from typing import BinaryIO

import attrs

from pycontainer.api.child import Child
from pycontainer.api.models import OutOfMemory
from pycontainer.api.streams import Ends
from pycontainer.base.errors import ContainerError, StateError
from pycontainer.linux.process import send_signal
from pycontainer.tables.signals import parse_signal

_PIECE = 65536
_WRITE = 4096  # PIPE_BUF: what poll(2) promises to fit


class ExitError(ContainerError):
    """A process ended with another status than 0, and `check` was asked for; `result` has it."""

    category = "exit"

    def __init__(self, result: Completed) -> None:
        super().__init__(f"{' '.join(result.args)}: exit status {result.exit_status}")
        self.result = result


@attrs.frozen
class Completed:
    """A process that has ended.

    `exit_status`: 128 + n when signal n ended it; None when other code has reaped it. `stdout`
    and `stderr`: what was captured. `oom`: what the kernel killed for lack of memory meanwhile.
    """

    args: tuple[str, ...]
    exit_status: int | None
    stdout: bytes = b""
    stderr: bytes = b""
    oom: OutOfMemory | None = None

    @property
    def text(self) -> str:
        """stdout as text; what is not UTF-8 is replaced."""
        return self.stdout.decode("utf-8", "replace")

    def check(self) -> Completed:
        """Itself; ExitError unless the exit status is 0."""
        if self.exit_status != 0:
            raise ExitError(self)
        return self


@attrs.define(eq=False)
class Process:
    """A process of a container, our child.

    `stdin`, `stdout`, `stderr` are our ends of the pipes that were asked for; `terminal` is the
    descriptor of the other end of its terminal. `with` closes all of them and waits for it. Poll
    the process itself (it has a `fileno`) to learn of its end.
    """

    args: tuple[str, ...]
    pid: int
    stdin: BinaryIO | None = attrs.field(default=None, repr=False)
    stdout: BinaryIO | None = attrs.field(default=None, repr=False)
    stderr: BinaryIO | None = attrs.field(default=None, repr=False)
    terminal: int | None = attrs.field(default=None, repr=False)
    child: Child = attrs.field(kw_only=True, repr=False)

    @classmethod
    def of(cls, args: tuple[str, ...], child: Child, ends: Ends) -> Process:
        """With the ends that are ours; the process has the others."""
        ends.started()
        master = ends.streams.master
        stdin, stdout, stderr = ends.files
        terminal = master if master >= 0 else None
        return cls(args, child.pid, stdin, stdout, stderr, terminal, child=child)

    @property
    def exit_status(self) -> int | None:
        """None while it runs, see `wait` for the rest."""
        self.child.reap()
        return self.child.status

    def fileno(self) -> int:
        """A pidfd (Linux 5.3), for poll(2) and event loops: readable when it has ended."""
        return self.child.fileno()

    def wait(self, timeout: float | None = None) -> int | None:
        """Its exit status, 128 + n when signal n ended it; TimeoutError after `timeout` seconds.

        None when this program ignores SIGCHLD, or reaps children that are not its own.
        """
        return self.child.wait(timeout)

    def kill(self, signal: int | str = "KILL") -> None:
        """Send a signal, by number or name; StateError when it has ended."""
        number = parse_signal(signal) if isinstance(signal, str) else int(signal)
        if self.child.reap() or not send_signal(self.child.fileno(), number):
            raise StateError("no such process", "no-process")

    def resize(self, rows: int, columns: int) -> None:
        """Set the size of its terminal."""
        if self.terminal is None:
            raise StateError("the process has no terminal", "no-terminal")
        termios.tcsetwinsize(self.terminal, (rows, columns))

    def communicate(self, input: bytes = b"", timeout: float | None = None) -> tuple[bytes, bytes]:
        """Write `input`, read everything until the end; what its stdout and stderr said.

        What comes from its terminal counts as stdout. TimeoutError after `timeout` seconds: then
        the process still runs, and what it said until now is lost.
        """
        talk = Conversation(self, input)
        if talk.run(timeout):
            raise TimeoutError(f"process {self.pid} still runs after {timeout:g} s")
        return talk.outputs()

    def close(self) -> None:
        """Close our ends, and give up the process's descriptor; the process itself runs on."""
        self._close_streams()
        self.child.close()

    def _close_streams(self) -> None:
        for file in (self.stdin, self.stdout, self.stderr):
            if file is not None:
                _close(file)
        if self.terminal is not None:
            os.close(self.terminal)
            self.terminal = None

    def __enter__(self) -> Process:
        return self

    def __exit__(self, *_: object) -> None:
        self._close_streams()
        self.wait()
        self.child.close()


def _close(file: BinaryIO) -> None:
    try:
        file.close()
    except BrokenPipeError:
        pass  # what was not written yet has no reader any more


class Conversation:
    """Feeds stdin and reads the outputs, in one loop of poll(2), so that none waits for ever.

    `room`: the most bytes that are kept of all outputs together.
    """

    def __init__(self, process: Process, input: bytes, room: int | None = None) -> None:
        self.process = process
        self.room = room
        self.rest = memoryview(input)
        self.poller = select.poll()
        self.parts: dict[int, list[bytes]] = {}
        outputs = [process.stdout, process.stderr]
        fds = [-1 if file is None else file.fileno() for file in outputs]
        if process.terminal is not None:
            fds[0] = process.terminal
        self.fds = fds
        for fd in fds:
            if fd >= 0:
                self.parts[fd] = []
                self.poller.register(fd, select.POLLIN)
        self.open = set(self.parts)
        self.input = self._input()

    def _input(self) -> int:
        """Where the input goes, -1 for nowhere. With a terminal, stdin is that."""
        terminal, stdin = self.process.terminal, self.process.stdin
        if stdin is not None and (terminal is not None or not self.rest):
            _close(stdin)
        if not self.rest:
            return -1
        if terminal is not None:
            self.poller.modify(terminal, select.POLLIN | select.POLLOUT)
            return terminal
        if stdin is None:
            return -1
        stdin.flush()
        os.set_blocking(stdin.fileno(), False)
        self.poller.register(stdin.fileno(), select.POLLOUT)
        return stdin.fileno()

    def run(self, timeout: float | None) -> str:
        """Until it has ended: ""; else why not: "timeout" or "output"."""
        deadline = None if timeout is None else monotonic() + timeout
        while self.open or self.input >= 0:
            left = None if deadline is None else max(0.0, deadline - monotonic()) * 1000
            ready = self.poller.poll(left)
            if not ready and deadline is not None and monotonic() >= deadline:
                return "timeout"
            for fd, events in ready:
                if fd == self.input and events & (select.POLLOUT | select.POLLERR):
                    self._feed()
                if fd in self.open and events & ~select.POLLOUT:
                    self._read(fd)
            if self.room is not None and self.room < 0:
                return "output"
        try:
            self.process.wait(None if deadline is None else max(0.0, deadline - monotonic()))
        except TimeoutError:
            return "timeout"
        return ""

    def outputs(self) -> tuple[bytes, bytes]:
        """What stdout and stderr have said until now."""
        out, err = (b"".join(self.parts.get(fd, ())) for fd in self.fds)
        return out, err

    def _feed(self) -> None:
        try:
            self.rest = self.rest[os.write(self.input, self.rest[:_WRITE]) :]
        except BlockingIOError:
            return
        except OSError:  # EPIPE, EIO: no reader is left
            self.rest = memoryview(b"")
        if self.rest:
            return
        if self.input in self.open:  # the terminal
            self.poller.modify(self.input, select.POLLIN)
        elif self.process.stdin is not None:
            self.poller.unregister(self.input)
            _close(self.process.stdin)
        self.input = -1

    def _read(self, fd: int) -> None:
        try:
            data = os.read(fd, _PIECE)
        except OSError:  # EIO: no process has the terminal's other side open
            data = b""
        if data:
            self.parts[fd].append(data)
            if self.room is not None:
                self.room -= len(data)
            return
        self.open.discard(fd)
        self.poller.unregister(fd)
        if self.input == fd:
            self.input = -1
