"""What a test has left on the machine: processes, cgroups, mounts, state. All of it is a bug.

Every test has a token that no other test has; it is in the container's id, hence in its cgroup's
name, and in the paths of its bundle and state directory.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")
PF_KTHREAD = 0x200000  # of a task's flags, linux/sched.h


def leftovers(token: str, roots: list[Path], seconds: float = 3) -> list[str]:
    """One line for each thing that is still there after at most so many seconds."""
    deadline = time.monotonic() + seconds
    while True:
        found = [*_processes(token), *_cgroups(token), *_mounts(token), *_states(roots)]
        if not found or time.monotonic() > deadline:
            return found
        time.sleep(0.05)


def processes(token: str) -> list[int]:
    """The pids of processes that have to do with the test, zombies left out."""
    return [pid for pid in _pids() if _concerns(pid, token)]


def _processes(token: str) -> Iterator[str]:
    for pid in processes(token):
        yield f"process {pid}: {_read(pid, 'cmdline').replace(chr(0), ' ')}"


def _pids() -> list[int]:
    own = os.getpid()
    return [int(name) for name in os.listdir("/proc") if name.isdigit() and int(name) != own]


def _concerns(pid: int, token: str) -> bool:
    stat = _read(pid, "stat")
    fields = stat[stat.rfind(")") + 2 :].split()
    # The kernel's own threads are most of what there is, and never a test's.
    if not fields or fields[0] in "ZX" or int(fields[6]) & PF_KTHREAD:
        return False
    if any(token in _read(pid, name) for name in ("cmdline", "cgroup", "environ")):
        return True
    return any(token in _link(pid, name) for name in ("cwd", "root"))


def _read(pid: int, name: str) -> str:
    try:
        fd = os.open(f"/proc/{pid}/{name}", os.O_RDONLY)  # quicker than a Path: there are many
    except OSError:
        return ""
    try:
        return os.read(fd, 1 << 20).decode(errors="replace")
    except OSError:
        return ""
    finally:
        os.close(fd)


def _link(pid: int, name: str) -> str:
    try:
        return os.readlink(f"/proc/{pid}/{name}")
    except OSError:
        return ""


def _cgroups(token: str) -> Iterator[str]:
    left = [str(CGROUPS)]
    while left:
        directory = left.pop()
        try:
            if os.stat(directory).st_nlink == 2:
                continue  # its own name and ".": none below, and the list of files is long
            with os.scandir(directory) as entries:
                inner = [entry for entry in entries if entry.is_dir(follow_symlinks=False)]
        except FileNotFoundError:
            continue
        for entry in inner:
            left.append(entry.path)
            if token in entry.name:
                yield f"cgroup {entry.path}"


def _mounts(token: str) -> Iterator[str]:
    for line in Path("/proc/self/mountinfo").read_text(errors="replace").splitlines():
        if token in line:
            yield f"mount {line}"


def _states(roots: list[Path]) -> Iterator[str]:
    for root in roots:
        for entry in sorted(root.iterdir()) if root.exists() else ():
            if not entry.name.startswith("~"):  # the cache of compiled filters
                yield f"state {entry}: {os.listdir(entry)}"
