"""What an init that was killed still waits for: us.

It ends when everybody in its pid namespace has been reaped (pid_namespaces(7)), and what we have
started in there is our child. So a wait for an init reaps meanwhile.
"""

from __future__ import annotations

import os
from time import monotonic
from typing import TYPE_CHECKING
from weakref import ref

from pycontainer.linux.process import exiting

if TYPE_CHECKING:
    from pycontainer.api.child import Child

PATIENCE = 1.0  # seconds, for children of ours that other code of this program may wait for

_known: dict[int, ref[Child]] = {}  # by pid


def know(child: Child) -> None:
    """It is ours to reap, until it is `forget`ten."""
    _known[child.pid] = ref(child)


def forget(child: Child) -> None:
    """It has been reaped, or the program cannot ask for its status any more."""
    found = _known.get(child.pid)
    if found is not None and found() in (child, None):
        _known.pop(child.pid, None)


class Lingering:
    """To be called now and then while one waits for the end of the init `pid`."""

    __slots__ = ("pid", "since")

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.since = 0.0

    def __call__(self) -> None:
        if not exiting(self.pid):
            return
        now = monotonic()
        self.since = self.since or now
        space = _pid_namespace(self.pid)
        if space is None or space == _pid_namespace(os.getpid()):
            return
        known = [child for found in list(_known.values()) if (child := found()) is not None]
        for child in known:
            if child.pid != self.pid and _pid_namespace(child.pid) == space:
                child.reap()
        if now - self.since > PATIENCE:
            _reap_strays(space, {self.pid, *(child.pid for child in known)})


def _reap_strays(space: tuple[int, int], known: set[int]) -> None:
    """Those that the program cannot ask for any more: closed, or lost when Ctrl-C came."""
    for pid in _children():
        if pid not in known and _pid_namespace(pid) == space:
            try:
                os.waitpid(pid, os.WNOHANG)
            except ChildProcessError:
                pass  # another thread was quicker


def _children() -> list[int]:
    """The pids of the children of all our threads."""
    found: list[int] = []
    for thread in os.listdir("/proc/self/task"):
        try:
            with open(f"/proc/self/task/{thread}/children", encoding="ascii") as file:
                found += map(int, file.read().split())
        except OSError:
            pass  # the thread has ended
    return found


def _pid_namespace(pid: int) -> tuple[int, int] | None:
    """Which it is; known of zombies, too. None when the process is gone, or not ours to ask."""
    try:
        found = os.stat(f"/proc/{pid}/ns/pid")
    except OSError:
        return None
    return found.st_dev, found.st_ino
