"""A container without a cgroup: what else tells which processes are its own.

Who runs containers without privileges may have no cgroup for them. Then its pid namespace is what
all its processes share; the kernel shows it only of processes that the caller may look at.
"""

from __future__ import annotations

import posix


def namespace_pids(init: int) -> list[int]:
    """The pids of all processes in init's pid namespace that we may see, sorted; at least init."""
    wanted = _namespace(init)
    found = {init}
    for name in posix.listdir("/proc"):
        if name.isdigit() and wanted and _namespace(int(name)) == wanted:
            found.add(int(name))
    return sorted(found)


def _namespace(pid: int) -> str:
    try:
        return posix.readlink(f"/proc/{pid}/ns/pid")
    except OSError:  # it ended, or is not ours to look at
        return ""
