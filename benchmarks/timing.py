"""One timed command: wall-clock time until it is reaped, and its processor time."""

from __future__ import annotations

import ctypes
import os
import resource
import time

PR_SET_CHILD_SUBREAPER = 36
_NULL = "/dev/null"
_FILES = [
    (os.POSIX_SPAWN_OPEN, 0, _NULL, os.O_RDONLY, 0),
    (os.POSIX_SPAWN_OPEN, 1, _NULL, os.O_WRONLY, 0),
    (os.POSIX_SPAWN_OPEN, 2, _NULL, os.O_WRONLY, 0),
]


class Failed(Exception):
    """A command that had to succeed."""


def become_reaper() -> None:
    """Let orphans come to us: an init's own work counts too, and a zombie would hold its cgroup."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def run(argv: list[str], expect: int = 0) -> float:
    """Run a command; its wall-clock time in milliseconds. Failed with another exit status."""
    start = time.perf_counter_ns()
    pid = os.posix_spawn(argv[0], argv, os.environ, file_actions=_FILES)
    _, status = os.waitpid(pid, 0)
    elapsed = (time.perf_counter_ns() - start) / 1e6
    if os.waitstatus_to_exitcode(status) != expect:
        raise Failed(f"{' '.join(argv)}: exit status {os.waitstatus_to_exitcode(status)}")
    return elapsed


def reap(pid: int) -> None:
    """Wait for an orphan that has come to us."""
    try:
        os.waitpid(pid, 0)
    except ChildProcessError:
        pass  # somebody nearer had it


def cpu_ms() -> float:
    """User and system time of all children that were reaped so far, in milliseconds."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (used.ru_utime + used.ru_stime) * 1000
