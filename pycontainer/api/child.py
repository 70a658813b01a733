"""Our child, by its pidfd: waited for by any number of threads, reaped exactly once.

Only this process is waited for, never "any child": the program that we are part of has children
of its own. Where other code reaps it all the same (SIGCHLD is ignored, or a handler waits for
everything), its status is not known, and None.
"""

from __future__ import annotations

import os
import select
from threading import Lock
from time import monotonic

from pycontainer.api import reaper
from pycontainer.linux.exit_info import lost_status

_LONGEST = 3_600_000  # ms of one poll; its argument is an int
_SHORTEST, _LONG = 20, 1000  # ms between two looks at what keeps an init


class Child:
    """A process that we have started; `status` is its exit status, 128 + n for signal n."""

    __slots__ = (
        "__weakref__",
        "_closing",
        "_lock",
        "_pidfd",
        "_users",
        "ended",
        "leads",
        "pid",
        "status",
    )

    def __init__(self, pid: int, pidfd: int, *, leads: bool = False) -> None:
        self.pid = pid
        self.leads = leads  # a container's init, which ends after all that we have put beside it
        self.status: int | None = None
        self.ended = False
        self._pidfd = pidfd
        self._lock = Lock()
        self._users = 0  # who may be in a system call with the pidfd
        self._closing = False
        reaper.know(self)
        if _left:
            sweep()

    def fileno(self) -> int:
        """The pidfd: poll(2) says that it is readable when the process has ended (Linux 5.3)."""
        if self._pidfd < 0:
            raise ValueError("the process's descriptor has been closed")
        return self._pidfd

    def wait(self, timeout: float | None = None) -> int | None:
        """Wait at most so many seconds for its end; TimeoutError when it still runs then."""
        with self._lock:
            if self.ended:
                return self.status
            pidfd = self.fileno()
            self._users += 1
        try:
            await_end(self.pid, pidfd, timeout, leads=self.leads)
        finally:
            self._leave()
        self.reap()
        return self.status

    def reap(self) -> bool:
        """True when it has ended: then its status is known, if it can be."""
        with self._lock:
            if self.ended or self._pidfd < 0:
                return self.ended
            try:
                found = os.waitid(os.P_PIDFD, self._pidfd, os.WEXITED | os.WNOHANG)
            except ChildProcessError:
                self.ended = _poll(self._pidfd, 0)  # a fork of us has no children yet
                if self.ended and (status := lost_status(self._pidfd)) is not None:
                    code = os.waitstatus_to_exitcode(status)
                    self.status = 128 - code if code < 0 else code
                return self.ended
            if found is not None:
                self.ended = True
                killed = found.si_code != os.CLD_EXITED
                self.status = found.si_status + (128 if killed else 0)
                reaper.forget(self)
            return self.ended

    def close(self) -> None:
        """Give up the pidfd, as soon as no thread waits with it."""
        with self._lock:
            self._closing = True
            self._close_unused()

    def _leave(self) -> None:
        with self._lock:
            self._users -= 1
            self._close_unused()

    def _close_unused(self) -> None:
        if self._closing and not self._users and self._pidfd >= 0:
            pidfd, self._pidfd = self._pidfd, -1
            reaper.forget(self)
            os.close(pidfd)

    def __del__(self) -> None:
        if getattr(self, "_pidfd", -1) < 0:
            return
        if self.reap():
            self.close()
        else:
            _left.append(self)  # reaped later, when another one starts or its container ends
            reaper.know(self)


_left: list[Child] = []


def sweep() -> None:
    """Reap the ended children that the program has dropped."""
    for child in list(_left):
        if child.reap():
            child.close()
            try:
                _left.remove(child)
            except ValueError:
                continue  # another thread was quicker


def await_end(pid: int, pidfd: int, timeout: float | None, *, leads: bool) -> None:
    """Wait for the end of a process, which is a container's init if it `leads`; TimeoutError when
    it still runs after so many seconds."""
    if not _poll(pidfd, timeout, reaper.Lingering(pid) if leads else None):
        raise TimeoutError(f"process {pid} still runs after {timeout:g} s")


def _poll(pidfd: int, timeout: float | None, linger: reaper.Lingering | None = None) -> bool:
    poller = select.poll()
    poller.register(pidfd, select.POLLIN)
    deadline = None if timeout is None else monotonic() + timeout
    slice = _SHORTEST if linger else _LONGEST
    while True:
        left = slice if deadline is None else int(max(0.0, deadline - monotonic()) * 1000 + 0.999)
        if poller.poll(min(left, slice)):
            return True
        if linger:
            linger()
            slice = min(2 * slice, _LONG)
        if deadline is not None and monotonic() >= deadline:
            return False
