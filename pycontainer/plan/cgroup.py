"""The container's cgroup as operations: made, limited, entered, and shown inside.

Which directories and values is decided in pycontainer/cgroups; here they get their place in the
plan. The process enters v1 hierarchies itself and is born in the v2 one: a write to cgroup.procs
would wait for an RCU grace period, 4 to 15 ms on an idle host.
"""

from __future__ import annotations

from pycontainer.cgroups.mounts import mount_entries
from pycontainer.plan.sketch import Sketch
from pycontainer.tables.mount_options import ATTR_NODEV, ATTR_NOEXEC, ATTR_NOSUID, ATTR_RDONLY

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pycontainer.cgroups.layout import Layout
    from pycontainer.cgroups.path import CgroupPaths
    from pycontainer.cgroups.resources import ResourcePlan
    from pycontainer.tables.mount_options import ParsedOptions

_CLOSED = ATTR_NOSUID | ATTR_NODEV | ATTR_NOEXEC


class CgroupPlan:
    """Where the cgroup is (`paths`), what it limits (`resources`), and the host's `layout`."""

    __slots__ = ("layout", "paths", "resources")

    def __init__(self, layout: Layout, paths: CgroupPaths, resources: ResourcePlan) -> None:
        self.layout = layout
        self.paths = paths
        self.resources = resources

    def prepare(self, sketch: Sketch) -> list[tuple[int, str]]:
        """Make and limit it before the clone; the v1 entrances as (slot, directory)."""
        directories = self.paths.all_directories()
        if not directories:
            return []
        field = "linux.cgroupsPath" if self.paths.explicit else ""
        sketch.add("cgroup_create", " ".join(directories), field=field)
        for write in self.resources.writes:
            sketch.add("cgroup_write", write.controller, write.file, write.value, field=write.field)
        entrances = [(sketch.slot(), path) for path in self.paths.v1_directories()]
        for slot, path in entrances:
            sketch.add("open_cgroup", slot, f"{path}/tasks", field=field)
        return entrances

    def join(self, sketch: Sketch, entrances: list[tuple[int, str]]) -> None:
        """The executor's way into the v1 hierarchies."""
        for slot, path in entrances:
            sketch.add("cgroup_join", slot, f"{path}/tasks")

    def devices(self, sketch: Sketch) -> None:
        """The device rules: last, because mounting a block device opens it."""
        lines = [f"{write.file} {write.value}" for write in self.resources.device_writes]
        if self.resources.device_program:
            lines.append(f"program of {len(self.resources.device_program) // 8} instructions")
        if lines and self.paths.mode != "none":
            sketch.add("cgroup_devices", "; ".join(lines), field="linux.resources.devices")

    def mount(self, sketch: Sketch, target: str, options: ParsedOptions, field: str) -> None:
        """A mount of type cgroup: one file system on v2, a directory of them on v1."""
        if self.layout.mode == "v2":
            self._mount_v2(sketch, target, options, field)
            return
        attributes = options.attr_set | _CLOSED
        read_only = attributes & ATTR_RDONLY
        _mount(sketch, "tmpfs", target, attributes & ~ATTR_RDONLY, ["mode=755"], field)
        for name, data, host_dir, links in mount_entries(self.layout, self.paths):
            place = f"{target}/{name}"
            if sketch.spaces.has("cgroup"):
                _mount(sketch, "cgroup", place, attributes, data.split(","), field)
            elif host_dir:
                sketch.add("bind", -1, 1, attributes, 0, 0, 0, host_dir, place, field=field)
            else:
                sketch.add("mkdir", 0o755, place, field=field)
            for link in links:
                sketch.add("symlink", 0, name, f"{target}/{link}", field=field)
        if read_only:
            sketch.add("mount_attr", 0, ATTR_RDONLY, 0, target, field=field)

    def _mount_v2(self, sketch: Sketch, target: str, options: ParsedOptions, field: str) -> None:
        if sketch.spaces.has("cgroup"):
            _mount(sketch, "cgroup2", target, options.attr_set, list(options.data), field)
            return
        source = self.paths.unified or "/sys/fs/cgroup"
        sketch.add("bind", -1, 1, options.attr_set, 0, 0, 0, source, target, field=field)


def _mount(
    sketch: Sketch, fstype: str, target: str, attributes: int, data: list[str], field: str
) -> None:
    text = b"".join([part.encode() + b"\0" for part in data if part])
    sketch.add("mount", 0, attributes, 0, 0, 0, fstype, fstype, target, text, b"", field=field)
