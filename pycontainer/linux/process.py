"""Is this pid still our process? Start times, pidfds and signals that cannot reach another process.

A pid alone says nothing once its process has died: the kernel hands the number out again. The
pair (pid, start time) names one process for as long as the host is up: the start time counts
clock ticks since boot, and two processes with one pid cannot start within the same tick, because
the numbers in between have to be used up first.
"""

from __future__ import annotations

import posix
import select
from errno import ESRCH
from time import monotonic, sleep

from pycontainer._shim import lib
from pycontainer.base.errors import HostError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

# Of proc_pid_stat(5), counted from the third field.
_STATE, _FLAGS, _USER_TIME, _SYSTEM_TIME, _START_TIME = 0, 6, 11, 12, 19
_PF_EXITING = 0x4  # of include/linux/sched.h
_DEAD = b"ZXx"  # zombie and dead: nothing runs any more, only the entry is left
_ENDING_MS = 5000
_SLICE_MS = 20
UNKNOWN_STATUS = "exit status unknown, because this program ignores SIGCHLD or reaps all children"
_NO_PIDFD = (38, 1, 22)  # ENOSYS; EPERM and EINVAL come from seccomp filters of outer containers


def _stat_fields(pid: int) -> list[bytes]:
    if pid <= 0:
        return []
    try:
        fd = posix.open(f"/proc/{pid}/stat", posix.O_RDONLY | posix.O_CLOEXEC)
        try:
            data = posix.read(fd, 4096)
        finally:
            posix.close(fd)
    except (FileNotFoundError, ProcessLookupError):
        return []  # ESRCH: it died between open and read
    except OSError as error:  # says nothing about the process
        raise HostError.of("read", f"/proc/{pid}/stat", error) from None
    # The second field is the program's name in parentheses, and may hold any byte, ")" too.
    return data[data.rfind(b")") + 2 :].split(b" ", _START_TIME + 1)


def start_time(pid: int) -> int | None:
    """When `pid` started, in clock ticks since boot; None when there is no such process."""
    fields = _stat_fields(pid)
    return int(fields[_START_TIME]) if len(fields) > _START_TIME else None


def alive(pid: int, started: int) -> bool:
    """True while the process that had `pid` when it started at `started` runs (a zombie doesn't).

    Three system calls.
    """
    fields = _stat_fields(pid)
    if len(fields) <= _START_TIME or fields[_STATE] in _DEAD:
        return False
    return int(fields[_START_TIME]) == started


def exiting(pid: int) -> bool:
    """True while the process is about to end: it runs nothing more, and cannot be reaped yet."""
    fields = _stat_fields(pid)
    return len(fields) > _FLAGS and bool(int(fields[_FLAGS]) & _PF_EXITING)


def activity(pid: int) -> tuple[bytes, int]:
    """The state of `pid` (proc_pid_stat(5): R is running or waiting for a CPU), and the clock ticks
    that it has run for; (b"", 0) when it is gone."""
    fields = _stat_fields(pid)
    if len(fields) <= _SYSTEM_TIME:
        return b"", 0
    return fields[_STATE], int(fields[_USER_TIME]) + int(fields[_SYSTEM_TIME])


def open_pidfd(pid: int, started: int) -> int:
    """A pidfd (Linux 5.3) of exactly that process, or -1 when it runs no more.

    OSError when this kernel has no pidfds, or an outer container forbids them.
    """
    if pid <= 0:
        return -1
    try:
        fd = posix.pidfd_open(pid, 0)
    except ProcessLookupError:
        return -1
    # From here on the pidfd cannot change its process; so if the pid is right now, it was then.
    if alive(pid, started):
        return fd
    posix.close(fd)
    return -1


def send_signal(pidfd: int, number: int) -> bool:
    """Send a signal through a pidfd; False when the process is gone. OSError on anything else."""
    result = lib.shim_pidfd_signal(pidfd, number)
    if result < 0 and -result != ESRCH:
        raise OSError(-result, posix.strerror(-result))
    return result >= 0


def signal_process(pid: int, started: int, number: int) -> bool:
    """Send a signal to the process (pid, started); False when it runs no more.

    Falls back to kill(2) where there are no pidfds; then a window of microseconds is left in
    which the process may die and its number be used again.
    """
    try:
        pidfd = open_pidfd(pid, started)
    except OSError as error:
        if error.errno not in _NO_PIDFD:
            raise
        return alive(pid, started) and _kill(pid, number)
    if pidfd < 0:
        return False
    try:
        return send_signal(pidfd, number)
    finally:
        posix.close(pidfd)


def _kill(pid: int, number: int) -> bool:
    try:
        posix.kill(pid, number)
    except ProcessLookupError:
        return False
    return True


def reap(pid: int) -> int | None:
    """Wait for our child's end; its wait status. None when it is not known, see UNKNOWN_STATUS:
    the Python API is part of a program whose handling of SIGCHLD is its own. (The command starts
    with the default, `shim_reset_signals`.)"""
    try:
        return posix.waitpid(pid, 0)[1]
    except ChildProcessError:
        return None
    except KeyboardInterrupt:  # callers know that it ends at once, or that has just been seen
        reap(pid)
        raise


def end_child(pid: int) -> None:
    """Kill our child and wait for its end; nothing if it has ended and was reaped. One that no
    signal ends (it waits for a file system that does not answer) is left after a while."""
    try:
        posix.kill(pid, 9)
        if _ends(pid):
            reap(pid)
    except ProcessLookupError:
        pass


def _ends(pid: int) -> bool:
    try:
        pidfd = posix.pidfd_open(pid)
    except OSError as error:
        if error.errno in _NO_PIDFD:
            return True
        raise
    try:
        return wait_exit(pidfd, _ENDING_MS)
    finally:
        posix.close(pidfd)


def wait_exit(pidfd: int, timeout_ms: int, meanwhile: Callable[[], None] | None = None) -> bool:
    """Wait until the process of `pidfd` has ended; False when it still runs at the deadline.
    `meanwhile` is called every 20 ms."""
    poller = select.poll()
    poller.register(pidfd, select.POLLIN)
    while meanwhile and timeout_ms > _SLICE_MS:
        if poller.poll(_SLICE_MS):
            return True
        meanwhile()
        timeout_ms -= _SLICE_MS
    return bool(poller.poll(max(0, timeout_ms)))


def wait_gone(
    pid: int, started: int, timeout_ms: int, meanwhile: Callable[[], None] | None = None
) -> bool:
    """Like `wait_exit` for (pid, started); works without pidfds too, then by looking every 5 ms."""
    try:
        pidfd = open_pidfd(pid, started)
    except OSError as error:
        if error.errno not in _NO_PIDFD:
            raise
        deadline = monotonic() + timeout_ms / 1000
        while alive(pid, started):
            if monotonic() >= deadline:
                return False
            sleep(0.005)
            if meanwhile:
                meanwhile()
        return True
    if pidfd < 0:
        return True
    try:
        return wait_exit(pidfd, timeout_ms, meanwhile)
    finally:
        posix.close(pidfd)
