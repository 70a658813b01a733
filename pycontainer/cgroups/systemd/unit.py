"""From `linux.cgroupsPath` to a systemd unit and its place: `slice:prefix:name`.

The rules are runc's: `prefix-name.scope` in the slice, or `name` itself when it ends in `.slice`;
without a path it is our own name and the container's id. The slice may be empty: system.slice,
or user.slice for the user's manager. systemd puts a-b.slice into a.slice.
"""

from __future__ import annotations

from pycontainer.base.errors import ConfigError, HostError
from pycontainer.cgroups.layout import Layout
from pycontainer.cgroups.paths import FIELD, CgroupPaths

PREFIX = "pycontainer"
# systemd.unit(5); "+" is allowed in a container's id, but not here.
_VALID = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789:-_.\\@")
_LONGEST = 255


class Unit:
    """A unit's `name`, the `slice` that it is in, and whether the `user`'s manager has it."""

    __slots__ = ("name", "slice", "user")

    def __init__(self, name: str, slice: str, user: bool) -> None:
        self.name = name
        self.slice = slice
        self.user = user

    @property
    def is_slice(self) -> bool:
        """A slice holds no pids of systemd's; processes enter it by cgroupfs alone."""
        return self.name.endswith(".slice")

    def to_dict(self) -> dict[str, object]:
        """A value for the state file."""
        return {"name": self.name, "slice": self.slice, "user": self.user}


def parse(cgroups_path: str, container_id: str, user: bool) -> Unit:
    """The unit of a container; ConfigError for a path that names none."""
    if not cgroups_path:
        name = container_id.replace("+", "\\x2b")
        return Unit(f"{PREFIX}-{name}.scope", "user.slice" if user else "system.slice", user)
    parts = cgroups_path.split(":")
    if len(parts) != 3:
        raise ConfigError(
            'expected cgroupsPath to be of format "slice:prefix:name" for systemd cgroups, '
            f'got "{cgroups_path}" instead',
            "wrong-form",
            FIELD,
            value=cgroups_path,
        )
    slice, prefix, name = parts
    unit = name if name.endswith(".slice") else f"{prefix}-{name}.scope"
    if not _VALID.issuperset(unit) or len(unit) > _LONGEST or unit in ("-.scope", ".slice"):
        raise ConfigError(f"{unit!r} is no name for a unit", "wrong-name", FIELD)
    slice = slice or ("user.slice" if user else "system.slice")
    slice = "-.slice" if slice == "-" else slice
    expand_slice(slice)
    if unit.endswith(".slice"):
        expand_slice(unit)
    return Unit(unit, slice, user)


def expand_slice(slice: str) -> str:
    """Where a slice is, from the top: a-b.slice is in /a.slice/a-b.slice; the root is ""."""
    stem = slice.removesuffix(".slice")
    if stem == "-" and stem != slice:
        return ""
    parts = stem.split("-")
    if stem == slice or "" in parts or not _VALID.issuperset(stem) or len(slice) > _LONGEST:
        raise ConfigError(f"invalid slice name: {slice}", "wrong-name", FIELD)
    return "".join(f"/{'-'.join(parts[: count + 1])}.slice" for count in range(len(parts)))


def place(unit: Unit, layout: Layout, manager_cgroup: str, explicit: bool) -> CgroupPaths:
    """The unit's directory in each hierarchy; systemd puts it at the same path in all of them."""
    if layout.mode == "none":
        raise HostError("use the systemd cgroup driver: no cgroup is mounted", "not-mounted")
    if unit.user and layout.mode != "v2":
        raise HostError("use the user's systemd: it cannot manage cgroup v1", "no-user-systemd")
    # A slice is where its own name says, whatever slice the config puts before it.
    inner = expand_slice(unit.name) if unit.is_slice else f"{expand_slice(unit.slice)}/{unit.name}"
    directories = {}
    for hierarchy in layout.hierarchies:
        for controller in hierarchy.controllers or ("",):
            directories[controller] = hierarchy.mountpoint + manager_cgroup + inner
    return CgroupPaths(layout.mode, directories, explicit, "systemd", unit.to_dict())
