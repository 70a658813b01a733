"""A command that stays: `run` and `exec` without --detach wait for their process.

Signals are blocked before the process is created (`block_signals`), so that none is lost, and
read from a descriptor: the terminal's size is followed, ended children are reaped, everything
else goes to the process. The process itself starts with an empty mask; the executor sees to that.
Nothing here runs asynchronously: one loop of poll(2) over the signals and the terminal.

    block_signals()      signals wait from here on
    become_subreaper()   orphans of the container come to us (unless --no-subreaper)
    ... create, start ...
    wait_foreground()    its exit status
    ... delete ...
    Signals.release()    those that came since then take effect
"""

from __future__ import annotations

import errno
import posix
import select
from sys import byteorder

from pycontainer._shim import ffi, lib
from pycontainer.base.errors import OperationError, check

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from pycontainer.lifecycle.terminal import Terminal

SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGCHLD, SIGCONT, SIGWINCH = 1, 2, 3, 15, 17, 18, 28

# All but KILL (9) and STOP (19), which cannot be blocked, and 32 and 33, which are libc's own.
_BLOCKED = 0xFFFF_FFFF_FFFF_FFFF & ~sum(1 << number - 1 for number in (9, 19, 32, 33))
_INFO = 128  # size of struct signalfd_siginfo; its members: signal at 0, sender's pid at 12
MOMENT_MS = 50
_ENDING = (SIGHUP, SIGINT, SIGQUIT, SIGTERM)


class Signals:
    """Every signal of this process, blocked, and a descriptor `fd` to read them from; `before` is
    the mask that they had."""

    __slots__ = ("before", "fd")

    def __init__(self) -> None:
        before = ffi.new("unsigned long long *")
        check(lib.shim_sigmask(_BLOCKED, before), "block signals")
        self.before = int(before[0])
        self.fd = lib.shim_signalfd(_BLOCKED)
        if self.fd < 0:
            number, self.fd = self.fd, -1
            self.release()
            check(number, "open signalfd")

    def read(self) -> list[int]:
        """The signals that came since the last call, without those that we caused ourselves.

        (A write to a closed pipe sends SIGPIPE to the writer: not a matter of the container.)
        """
        try:
            data = posix.read(self.fd, 32 * _INFO)
        except BlockingIOError:
            return []
        own = posix.getpid()
        return [
            int.from_bytes(data[at : at + 4], byteorder)
            for at in range(0, len(data), _INFO)
            if int.from_bytes(data[at + 12 : at + 16], byteorder) != own
        ]

    def release(self) -> None:
        """Unblock: what is still pending takes effect now. May be called twice."""
        if self.fd >= 0:
            posix.close(self.fd)
            self.fd = -1
        check(lib.shim_sigmask(self.before, ffi.new("unsigned long long *")), "unblock signals")


def block_signals() -> Signals:
    """Block all signals; call it before the process is created."""
    return Signals()


def become_subreaper() -> None:
    """Become the parent of descendants whose parents die (PR_SET_CHILD_SUBREAPER, Linux 3.4)."""
    check(lib.shim_set_subreaper(1), "become subreaper")


def wait_foreground(
    pid: int,
    signals: Signals,
    terminal: Terminal | None = None,
    *,
    reap_all: bool = True,
    leave: Callable[[], None] | None = None,
) -> int:
    """Serve our child `pid` until it ends; its exit status, 128 + n when signal n ended it.

    `terminal` is restored at the end, also after an error. With `reap_all`, every other child
    that ends meanwhile is reaped too (we are a subreaper, and no other process waits for orphans).
    `leave` is called when nothing has happened for a moment, without a terminal.
    """
    try:
        status = _reap(pid, reap_all)  # it may have ended before we got here
        while status is None:
            ready = _poll(signals, terminal, MOMENT_MS if leave else -1)
            if not ready and leave and terminal is None:
                leave()
                leave = None
            if terminal is not None:
                terminal.serve(ready)
            if any(fd == signals.fd for fd, _ in ready):
                status = _handle_signals(pid, signals, terminal, reap_all)
        if terminal is not None:
            _drain(signals, terminal)
        return status
    finally:
        if terminal is not None:
            terminal.restore()


def _poll(signals: Signals, terminal: Terminal | None, patience: int) -> list[tuple[int, int]]:
    wanted, timeout = terminal.interest() if terminal is not None else ({}, patience)
    poller = select.poll()
    poller.register(signals.fd, select.POLLIN)
    for fd, events in wanted.items():
        poller.register(fd, events)
    return poller.poll(timeout)


def _handle_signals(
    pid: int, signals: Signals, terminal: Terminal | None, reap_all: bool
) -> int | None:
    numbers = signals.read()
    for number in numbers:
        if number == SIGCHLD:
            continue
        if terminal is not None and number == SIGWINCH:
            terminal.resize()
            continue
        if terminal is not None and number == SIGCONT:
            terminal.make_raw()
            terminal.resize()
        _forward(pid, number)
    return _reap(pid, reap_all) if SIGCHLD in numbers else None


def _forward(pid: int, number: int) -> None:
    # The pid is ours as long as we have not reaped it, so the signal reaches no other process.
    try:
        posix.kill(pid, number)
    except OSError as error:
        if error.errno not in (errno.ESRCH, errno.EPERM):
            raise


def _drain(signals: Signals, terminal: Terminal) -> None:
    signals.read()  # what came before the end was for the process
    ending = sum(1 << number - 1 for number in _ENDING)
    impatient = check(lib.shim_signalfd(ending), "open signalfd")
    try:
        terminal.drain(impatient)
    finally:
        posix.close(impatient)


def _reap(pid: int, reap_all: bool) -> int | None:
    """Reap what has ended; the exit status of `pid` if it is among it."""
    which, number = (posix.P_ALL, 0) if reap_all else (posix.P_PID, pid)
    while True:
        try:
            ended = posix.waitid(which, number, posix.WEXITED | posix.WNOHANG)
        except ChildProcessError:
            raise OperationError(
                f"wait for process {pid}: not a child of ours", "not-a-child", errno=errno.ECHILD
            ) from None
        if ended is None:
            return None
        if ended.si_pid == pid:
            killed = ended.si_code != posix.CLD_EXITED
            return int(ended.si_status) + (128 if killed else 0)
