"""The container's cgroup as operations: made, limited, entered, and shown inside.

Which directories and values is decided in pycontainer/cgroups; here they get their place in the
plan. The process enters v1 hierarchies itself and is born in the v2 one: a write to cgroup.procs
would wait for an RCU grace period, 4 to 15 ms on an idle host.
"""

from __future__ import annotations

from pycontainer.cgroups.mounts import mount_entries
from pycontainer.plan.builder import Sketch
from pycontainer.plan.namespaces import takes_two
from pycontainer.plan.ops import joined
from pycontainer.tables.mount_options import ATTR_NODEV, ATTR_NOEXEC, ATTR_NOSUID, ATTR_RDONLY
from pycontainer.tables.namespaces import CLONE_NEWCGROUP

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pycontainer.cgroups.layout import Layout
    from pycontainer.cgroups.paths import CgroupPaths
    from pycontainer.cgroups.resources.writes import ResourcePlan
    from pycontainer.tables.mount_options import ParsedOptions

_CLOSED = ATTR_NOSUID | ATTR_NODEV | ATTR_NOEXEC


class CgroupPlan:
    """Where the cgroup is (`paths`), what it limits (`resources`), and the host's `layout`;
    `delegated` is one below it that is to be the program's own, or "". The executor stays out of a
    `crowded` one, and its child that goes on is moved in."""

    __slots__ = ("crowded", "delegated", "layout", "paths", "resources")

    def __init__(self, layout: Layout, paths: CgroupPaths, resources: ResourcePlan) -> None:
        self.layout = layout
        self.paths = paths
        self.resources = resources
        self.delegated = ""
        self.crowded = False

    def prepare(self, sketch: Sketch) -> list[tuple[int, str]]:
        """Make and limit it before the clone; the v1 entrances as (slot, directory)."""
        directories = self.paths.all_directories()
        if not directories:
            return []
        field = "linux.cgroupsPath" if self.paths.explicit else ""
        if self.paths.unit:
            self._unit(sketch, self.paths.unit, field)
        sketch.add("cgroup_create", paths=" ".join(directories), field=field)
        if not self.paths.unit:
            self._limits(sketch)
        self.crowded = self._is_for_one() and not self.paths.unit and takes_two(sketch)
        if self.crowded:
            return []
        entrances = [(sketch.slot(), path) for path in self.paths.v1_directories()]
        for slot, path in entrances:
            sketch.add("open_cgroup", slot=slot, path=f"{path}/tasks", field=field)
        return entrances

    def _is_for_one(self) -> bool:
        return any((w.file, w.value) == ("pids.max", "1") for w in self.resources.writes)

    def _unit(self, sketch: Sketch, unit: dict[str, Any], field: str) -> None:
        properties = [
            f"{name}={value.hex() if isinstance(value, bytes) else value}"
            for name, (_, value) in self.resources.unit_properties
        ]
        sketch.add(
            "unit_start",
            unit=unit["name"],
            slice=unit["slice"],
            properties=" ".join(properties),
            field=field,
        )

    def _limits(self, sketch: Sketch) -> None:
        for write in self.resources.writes:
            sketch.add(
                "cgroup_write",
                controller=write.controller,
                file=write.file,
                value=write.value,
                field=write.field,
            )

    def cloned(self, sketch: Sketch) -> None:
        """After the clone: in a unit the limits come now."""
        if self.paths.unit:
            self._limits(sketch)
        uid = _owner(sketch)
        if uid is not None and self.layout.mode == "v2" and self.paths.unified:
            sketch.add("cgroup_owner", uid=uid, path=self.paths.unified, field="process.user.uid")

    def join(self, sketch: Sketch, entrances: list[tuple[int, str]]) -> None:
        """The executor's way into the v1 hierarchies."""
        for slot, path in entrances:
            sketch.add("cgroup_join", slot=slot, path=f"{path}/tasks")

    def devices(self, sketch: Sketch) -> None:
        """The device rules: last, because mounting a block device opens it."""
        if self.paths.unit:
            # As late as this: a unit whose last process dies is gone, with what it died of.
            sketch.add("unit_settle", unit=str(self.paths.unit["name"]))
        if self.delegated:
            # Its cgroup namespace has begun: the limits' cgroup is the top of what it sees.
            field = 'annotations["run.oci.delegate-cgroup"]'
            sketch.add(
                "cgroup_delegate", uid=_host_uid(sketch, 0) or 0, path=self.delegated, field=field
            )
        lines = [f"{write.file} {write.value}" for write in self.resources.device_writes]
        if self.resources.device_program:
            lines.append(f"program of {len(self.resources.device_program) // 8} instructions")
        if lines and self.paths.mode != "none":
            sketch.add("cgroup_devices", rules="; ".join(lines), field="linux.resources.devices")

    def mount(self, sketch: Sketch, target: str, options: ParsedOptions, index: int) -> None:
        """`mounts[index]`, of type cgroup: one file system on v2, a directory of them on v1."""
        field = f"mounts[{index}]"
        if self.layout.mode == "v2":
            # It shows what /proc/self/cgroup speaks of: all of it, without a namespace of its own.
            source = sketch.config["mounts"][index].get("source") or ""
            _mount(sketch, "cgroup2", target, options.attr_set, [*options.data], field, source)
            return
        attributes = options.attr_set | _CLOSED
        read_only = attributes & ATTR_RDONLY
        _mount(sketch, "tmpfs", target, attributes & ~ATTR_RDONLY, ["mode=755"], field)
        for name, data, host_dir, links in mount_entries(self.layout, self.paths):
            place = f"{target}/{name}"
            if sketch.spaces.has("cgroup"):
                _mount(sketch, "cgroup", place, attributes, data.split(","), field)
            elif host_dir:
                lost = int(sketch.host.rootless)  # without privilege there may be none
                where = {"source": host_dir, "target": place, "field": field}
                sketch.add("bind_host", attr_set=attributes, missing=lost, **where)
            else:
                sketch.add("mkdir", mode=0o755, path=place, field=field)
            for link in links:
                sketch.add("symlink", replace=0, target=name, path=f"{target}/{link}", field=field)
        if read_only:
            sketch.make_read_only(target, field)

    def mount_for_systemd(
        self, sketch: Sketch, target: str, options: ParsedOptions, index: int
    ) -> None:
        """In place of `mounts[index]`: systemd's own hierarchy of v1, in a directory of a tmpfs."""
        field = f"mounts[{index}]"
        attributes = options.attr_set | _CLOSED
        _mount(sketch, "tmpfs", target, attributes & ~ATTR_RDONLY, ["mode=755", "size=1m"], field)
        data = ["none", "name=systemd", "xattr"]
        _mount(sketch, "cgroup", f"{target}/systemd", attributes, data, field)


def _owner(sketch: Sketch) -> int | None:
    """config-linux.md#cgroup-ownership: the host's uid of the program's user, if it may have it.

    That is, in a new cgroup namespace with the cgroup file system mounted writable.
    """
    if not sketch.spaces.new & CLONE_NEWCGROUP:
        return None
    for mount in sketch.config.get("mounts") or ():
        if mount.get("type") == "cgroup" and "ro" not in (mount.get("options") or ()):
            break
    else:
        return None
    return _host_uid(sketch, (sketch.process.get("user") or {}).get("uid", 0))


def _host_uid(sketch: Sketch, uid: int) -> int | None:
    if not sketch.spaces.user:
        return uid or None
    for entry in sketch.linux.get("uidMappings") or ():
        if entry["containerID"] <= uid < entry["containerID"] + entry["size"]:
            return entry["hostID"] + uid - entry["containerID"]
    return None


def _mount(
    sketch: Sketch,
    fstype: str,
    target: str,
    attributes: int,
    data: list[str],
    field: str,
    source: str = "",
) -> None:
    # Only whose namespace it is may mount it: else the host's own is shown.
    or_bind = int(fstype == "cgroup2" and not sketch.spaces.new & CLONE_NEWCGROUP)
    if sketch.linux.get("mountLabel"):
        from pycontainer.plan import labels

        data = [*data, *labels.of_mount(sketch, fstype, data)]
    sketch.add(
        "mount",
        attr_set=attributes,
        or_bind=or_bind,
        fstype=fstype,
        source=source or fstype,
        target=target,
        options=joined([part for part in data if part]),
        field=field,
    )
