"""Finds cgroup hierarchies that are not mounted where they usually are. Rarely loaded.

proc_pid_mountinfo(5): `id parent major:minor root mountpoint options [tags] - type source super`.
"""

from __future__ import annotations

from pycontainer.cgroups.layout import V1_CONTROLLERS, Hierarchy, _read

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

# (file system type, root of the mount, mount point, super block options)
Mount = tuple[str, str, str, tuple[str, ...]]


def mounts(prefix: str = "") -> list[Mount]:
    """The cgroup and cgroup2 mounts of this mount namespace, in mount order."""
    found = []
    try:
        text = _read(prefix + "/proc/self/mountinfo")
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
    complete_list = list(found)
    for controllers, own in entries:
        if controllers in known or not V1_CONTROLLERS.issuperset(controllers):
            continue
        mount = _mount_of(controllers, table)
        if mount:
            complete_list.append(Hierarchy(controllers, mount[2], own, prefix))
    return complete_list


def own_directory(hierarchy: Hierarchy) -> str:
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
