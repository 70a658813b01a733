"""Where the host has its cgroup hierarchies, and where in them this process sits.

Enters: /proc/self/cgroup and the directories of /sys/fs/cgroup. Leaves: one immutable `Layout`.
The usual mounts are recognised by the files that only they have (`tasks`, `cgroup.controllers`),
one access(2) each; mountinfo, whose size grows with the host's mounts, is parsed only when a
hierarchy is not where it usually is.
"""

from __future__ import annotations

import posix

CGROUP_ROOT = "/sys/fs/cgroup"

# The v1 controllers that a container joins; other named hierarchies (openrc, elogind) belong to
# the host's service manager and stay untouched.
V1_CONTROLLERS = frozenset(
    (
        "cpuset",
        "cpu",
        "cpuacct",
        "blkio",
        "memory",
        "devices",
        "freezer",
        "net_cls",
        "net_prio",
        "perf_event",
        "hugetlb",
        "pids",
        "rdma",
        "misc",
        "name=systemd",
    )
)


class Hierarchy:
    """One mounted hierarchy: its controllers (none for v2), its mount point and our place in it.

    `own` is the path as /proc/self/cgroup has it; `prefix` is only set by tests.
    """

    __slots__ = ("controllers", "mountpoint", "own", "prefix")

    def __init__(
        self, controllers: tuple[str, ...], mountpoint: str, own: str, prefix: str = ""
    ) -> None:
        self.controllers = controllers
        self.mountpoint = mountpoint
        self.own = own
        self.prefix = prefix

    def __repr__(self) -> str:
        return f"Hierarchy({','.join(self.controllers)!r}, {self.mountpoint!r}, {self.own!r})"

    def own_directory(self) -> str:
        """The directory of this process's cgroup, as it is seen through the mount.

        In a container without a cgroup namespace the path in /proc/self/cgroup is the host's, and
        only a part of it lies below the mount point.
        """
        own = self.own.rstrip("/")
        if not own:
            return self.mountpoint
        if posix.access(self.mountpoint + own, posix.F_OK):
            return self.mountpoint + own
        from pycontainer.cgroups import mountinfo

        return mountinfo.own_directory(self)


class Layout:
    """The host's hierarchies; `mode` is "v1", "hybrid" (v1 plus a v2 mount), "v2" or "none"."""

    __slots__ = ("mode", "hierarchies")

    def __init__(self, mode: str, hierarchies: tuple[Hierarchy, ...]) -> None:
        self.mode = mode
        self.hierarchies = hierarchies

    def __repr__(self) -> str:
        return f"Layout({self.mode!r}, {self.hierarchies!r})"

    def find(self, controller: str) -> Hierarchy | None:
        """The v1 hierarchy of `controller`; for "" the v2 hierarchy."""
        for hierarchy in self.hierarchies:
            if controller in (hierarchy.controllers or ("",)):
                return hierarchy
        return None


def parse_membership(text: str) -> list[tuple[tuple[str, ...], str]]:
    """The lines of /proc/PID/cgroup as (controllers, path); no controllers means v2.

    cgroups(7): `hierarchy-ID:controller-list:path`, where the path may contain colons itself.
    """
    entries = []
    for line in text.splitlines():
        fields = line.split(":", 2)
        if len(fields) == 3:
            controllers = tuple(fields[1].split(",")) if fields[1] else ()
            entries.append((controllers, fields[2]))
    return entries


def probe(prefix: str = "") -> Layout:
    """Look at the host once. `prefix` is put before /proc and /sys, for tests."""
    try:
        entries = parse_membership(_read(prefix + "/proc/self/cgroup"))
    except OSError:
        return Layout("none", ())
    root = prefix + CGROUP_ROOT
    # A v2 mount at the root decides, even where a named v1 hierarchy is mounted somewhere else.
    if posix.access(root + "/cgroup.controllers", posix.F_OK):
        own = next((path for controllers, path in entries if not controllers), "/")
        return Layout("v2", (Hierarchy((), root, own, prefix),))
    found, missing = _usual_mounts(entries, root, prefix)
    if missing or not found:
        from pycontainer.cgroups import mountinfo

        found = mountinfo.complete(entries, found, prefix)
    return Layout(_mode(found), tuple(found))


def _usual_mounts(
    entries: list[tuple[tuple[str, ...], str]], root: str, prefix: str
) -> tuple[list[Hierarchy], bool]:
    """The hierarchies that are mounted where distributions put them; and whether one is not."""
    found = []
    missing = False
    for controllers, own in entries:
        if not controllers:
            mountpoint = root + "/unified"
            if posix.access(mountpoint + "/cgroup.controllers", posix.F_OK):
                found.append(Hierarchy((), mountpoint, own, prefix))
            continue
        if not V1_CONTROLLERS.issuperset(controllers):
            continue
        mountpoint = root + "/" + ",".join(controllers).removeprefix("name=")
        if posix.access(mountpoint + "/tasks", posix.F_OK):
            found.append(Hierarchy(controllers, mountpoint, own, prefix))
        else:
            missing = True
    return found, missing


def _mode(found: list[Hierarchy]) -> str:
    v1 = any(hierarchy.controllers for hierarchy in found)
    v2 = any(not hierarchy.controllers for hierarchy in found)
    if v1:
        return "hybrid" if v2 else "v1"
    return "v2" if v2 else "none"


def _read(path: str) -> str:
    fd = posix.open(path, posix.O_RDONLY | posix.O_CLOEXEC)
    try:
        chunks = []
        while chunk := posix.read(fd, 65536):
            chunks.append(chunk)
        return b"".join(chunks).decode("utf-8", "surrogateescape")
    finally:
        posix.close(fd)
