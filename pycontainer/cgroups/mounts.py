"""What a mount of type `cgroup` in a container consists of.

On v1 it is a tmpfs with one directory per hierarchy, in each of which either the hierarchy itself
is mounted (own cgroup namespace: it shows the container's part only) or the container's directory
is bound; co-mounted controllers get a symbolic link each. On v2 it is one mount.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pycontainer.cgroups.layout import Layout
    from pycontainer.cgroups.paths import CgroupPaths

# (name of the directory, data of the cgroup mount, the container's directory on the host, links)
MountEntry = tuple[str, str, str, tuple[str, ...]]


def mount_entries(layout: Layout, paths: CgroupPaths) -> list[MountEntry]:
    """The v1 hierarchies, or for pure v2 a single entry without a name.

    The v2 part of a hybrid host is not shown, as in runc. A hierarchy that the container has no
    cgroup in has an empty directory: it can be mounted in a cgroup namespace, but not bound.
    """
    if layout.mode == "v2":
        return [("", "", paths.unified, ())]
    entries: list[MountEntry] = []
    for hierarchy in layout.hierarchies:
        names = hierarchy.controllers
        if names:
            directory = hierarchy.mountpoint[hierarchy.mountpoint.rindex("/") + 1 :]
            links = tuple(name for name in names if name != directory) if len(names) > 1 else ()
            entries.append((directory, ",".join(names), paths.directory(names[0]), links))
    return entries
