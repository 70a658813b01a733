"""A container without a cgroup: what else tells which processes are its own.

Who runs containers without privileges may have no cgroup for them. Then its pid namespace is what
all its processes share, or its mount namespace, if the pid namespace is not its own; the kernel
shows both only of processes that the caller may look at, and only init says which ones they are:
what runs on after init, in a pid namespace of another owner, cannot be found any more.
"""

from __future__ import annotations

import posix

from pycontainer.linux.process import send_signal


def namespace_pids(init: int, kind: str = "pid") -> list[int]:
    """The pids of all that we may see in init's namespace ("pid", "mnt"), sorted; at least init.

    Init alone, when it has no namespace of its own of this kind.
    """
    wanted = _namespace(str(init), kind)
    found = {init}
    if wanted and wanted != _namespace("self", kind):
        for name in posix.listdir("/proc"):
            if name.isdigit() and _namespace(name, kind) == wanted:
                found.add(int(name))
    return sorted(found)


def signal_all(init: int, kind: str, number: int) -> int:
    """Send a signal to each of `namespace_pids`, init last; how many got it."""
    wanted = _namespace(str(init), kind)
    pids = [pid for pid in namespace_pids(init, kind) if pid != init]
    return sum(_signal(pid, kind, wanted, number) for pid in (*pids, init))


def _signal(pid: int, kind: str, wanted: str, number: int) -> bool:
    try:
        pidfd = posix.pidfd_open(pid, 0)
    except ProcessLookupError:
        return False
    try:
        # Its number may have been given to another one since we looked, but not any more.
        return _namespace(str(pid), kind) == wanted and send_signal(pidfd, number)
    finally:
        posix.close(pidfd)


def _namespace(pid: str, kind: str) -> str:
    try:
        return posix.readlink(f"/proc/{pid}/ns/{kind}")
    except OSError:  # it ended, or is not ours to look at
        return ""
