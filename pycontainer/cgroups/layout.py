"""Where the host has its cgroup hierarchies, and where in them this process sits.

Input: /proc/self/cgroup and the directories of /sys/fs/cgroup. Output: one immutable `Layout`.
The usual mounts are recognised by the files that only they have (`tasks`, `cgroup.controllers`),
one access(2) each; mountinfo, whose size grows with the host's mounts, is parsed only when a
hierarchy is not where it usually is.
"""

from __future__ import annotations

import posix

from pycontainer.linux.files import read_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

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
        return _visible_directory(self)


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
        entries = parse_membership(read_text(prefix + "/proc/self/cgroup"))
    except OSError:
        return Layout("none", ())
    root = prefix + CGROUP_ROOT
    # A v2 mount at the root decides, even where a named v1 hierarchy is mounted somewhere else.
    if posix.access(root + "/cgroup.controllers", posix.F_OK):
        own = next((path for controllers, path in entries if not controllers), "/")
        return Layout("v2", (Hierarchy((), root, own, prefix),))
    found, missing = _usual_mounts(entries, root, prefix)
    if missing or not found:
        found = complete(entries, found, prefix)
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


# -- hierarchies that are not where they usually are ----------------------------------------

# proc_pid_mountinfo(5): `id parent major:minor root mountpoint options [tags] - type source super`
# (file system type, root of the mount, mount point, super block options)
Mount = tuple[str, str, str, tuple[str, ...]]


def mounts(prefix: str = "") -> list[Mount]:
    """The cgroup and cgroup2 mounts of this mount namespace, in mount order."""
    found = []
    try:
        text = read_text(prefix + "/proc/self/mountinfo")
    except OSError:
        return []
    for line in text.splitlines():
        left, separator, right = line.partition(" - ")
        fields = left.split(" ")
        tail = right.split(" ")
        if separator and len(fields) >= 5 and tail[0] in ("cgroup", "cgroup2"):
            options = tuple(tail[2].split(",")) if len(tail) > 2 else ()
            found.append((tail[0], _unescape(fields[3]), prefix + _unescape(fields[4]), options))
    return found


def complete(
    entries: Iterable[tuple[tuple[str, ...], str]], found: list[Hierarchy], prefix: str = ""
) -> list[Hierarchy]:
    """`found` plus every hierarchy of `entries` that mountinfo shows somewhere else."""
    known = {hierarchy.controllers for hierarchy in found}
    table = mounts(prefix)
    result = list(found)
    for controllers, own in entries:
        if controllers in known or not V1_CONTROLLERS.issuperset(controllers):
            continue
        mount = _mount_of(controllers, table)
        if mount:
            result.append(Hierarchy(controllers, mount[2], own, prefix))
    return result


def _visible_directory(hierarchy: Hierarchy) -> str:
    """This process's cgroup below a mount that shows only a part of the hierarchy."""
    root = "/"
    for mount in mounts(hierarchy.prefix):
        if mount[2] == hierarchy.mountpoint:
            root = mount[1]
    root = root.rstrip("/")
    if hierarchy.own == root or hierarchy.own.startswith(root + "/"):
        return (hierarchy.mountpoint + hierarchy.own[len(root) :]).rstrip("/")
    # Outside of what the mount shows: its top is the nearest place that we can reach.
    return hierarchy.mountpoint


def _mount_of(controllers: tuple[str, ...], table: list[Mount]) -> Mount | None:
    for mount in table:
        if controllers:
            if mount[0] == "cgroup" and set(controllers).issubset(mount[3]):
                return mount
        elif mount[0] == "cgroup2":
            return mount
    return None


def _unescape(text: str) -> str:
    """Undo the kernel's octal escapes of blank, tab, newline and backslash."""
    for code, character in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        text = text.replace(code, character)
    return text
