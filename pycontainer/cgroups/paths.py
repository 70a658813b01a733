"""From `linux.cgroupsPath` and the container's id to a directory in each hierarchy.

The rules are runc's for its cgroupfs driver, so that engines that look at a container's cgroup
find it: an absolute path starts at the mount point, a relative one at the runtime's own cgroup
(on v2 beside it, because a cgroup with processes cannot give controllers to its children), and
without a path the id is the relative path. `..` never leads out of the starting point.
"""

from __future__ import annotations

from pycontainer.base.errors import ConfigError, HostError
from pycontainer.cgroups.layout import Hierarchy, Layout

FIELD = "linux.cgroupsPath"


class CgroupPaths:
    """Where a container's cgroups are; immutable, kept in the state file as `to_dict()`.

    `directories` maps a controller ("memory", "name=systemd"; "" for v2) to its directory,
    `explicit` says whether the config named the path, `unit` is what systemd calls it
    (systemd/unit.py).
    """

    __slots__ = ("_v1", "driver", "mode", "directories", "explicit", "unit")

    def __init__(
        self,
        mode: str,
        directories: dict[str, str],
        explicit: bool,
        driver: str = "cgroupfs",
        unit: dict[str, object] | None = None,
    ) -> None:
        self.unit = unit
        self.driver = driver
        self.mode = mode
        self.directories = directories
        self.explicit = explicit
        self._v1 = tuple(dict.fromkeys([path for name, path in directories.items() if name]))

    def to_dict(self) -> dict[str, object]:
        """A value for the state file."""
        data: dict[str, object] = {
            "driver": self.driver,
            "mode": self.mode,
            "paths": self.directories,
            "explicit": self.explicit,
        }
        if self.unit:
            data["unit"] = self.unit
        return data

    @staticmethod
    def from_dict(data: dict) -> CgroupPaths:
        """The inverse of `to_dict`; a damaged state file raises HostError."""
        try:
            return CgroupPaths(
                data["mode"],
                dict(data["paths"]),
                bool(data["explicit"]),
                data["driver"],
                data.get("unit"),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise HostError(
                f"read cgroup paths of the state file: {error!r}", "unreadable"
            ) from None

    @property
    def unified(self) -> str:
        """The directory in the v2 hierarchy, or ""."""
        return self.directories.get("", "")

    def directory(self, controller: str) -> str:
        """Where `controller` is to be set, or "" when the container has no such cgroup."""
        if self.mode == "v2":
            return self.unified
        return self.directories.get(controller, "")

    def v1_directories(self) -> list[str]:
        """Each v1 directory once: co-mounted controllers share theirs."""
        return list(self._v1)

    def all_directories(self) -> list[str]:
        """Each directory once, v2 last."""
        unified = self.unified
        return self.v1_directories() + ([unified] if unified else [])

    def without(self, lost: set[str]) -> CgroupPaths:
        """The same paths less the directories that could not be made."""
        kept = {name: path for name, path in self.directories.items() if path not in lost}
        return CgroupPaths(
            self.mode if kept else "none", kept, self.explicit, self.driver, self.unit
        )


def clean(path: str) -> str:
    """`path` without empty, `.` and `..` components; `..` at the top stays at the top."""
    parts: list[str] = []
    for part in path.split("/"):
        if part == "..":
            if parts:
                parts.pop()
        elif part and part != ".":
            parts.append(part)
    return "/".join(parts)


def resolve(cgroups_path: str, container_id: str, layout: Layout) -> CgroupPaths:
    """The directories of a container; raises ConfigError for a path that names no new cgroup."""
    if layout.mode == "none":
        return CgroupPaths("none", {}, bool(cgroups_path))
    inner = clean(cgroups_path or container_id)
    if not inner:
        # The root of a hierarchy or the runtime's own cgroup: a later kill would hit the host.
        raise ConfigError(
            f"{cgroups_path!r} is not below the top of the cgroup hierarchy",
            "wrong-path",
            FIELD,
            value=cgroups_path,
        )
    if not _encodable(inner):
        raise ConfigError("not a valid path", "wrong-path", FIELD)
    absolute = cgroups_path.startswith("/")
    directories = {}
    for hierarchy in layout.hierarchies:
        directory = _start(hierarchy, layout.mode, absolute) + "/" + inner
        for controller in hierarchy.controllers or ("",):
            directories[controller] = directory
    return CgroupPaths(layout.mode, directories, bool(cgroups_path))


def _start(hierarchy: Hierarchy, mode: str, absolute: bool) -> str:
    """The directory that a path is relative to."""
    if absolute:
        return hierarchy.mountpoint
    if hierarchy.controllers:
        return hierarchy.own_directory()
    if mode == "hybrid":
        return hierarchy.mountpoint
    own = hierarchy.own_directory()
    return own if own == hierarchy.mountpoint else own[: own.rindex("/")]


def _encodable(text: str) -> bool:
    try:
        return "\0" not in text and bool(text.encode("utf-8", "surrogateescape"))
    except UnicodeEncodeError:
        return False
