"""cgroup drivers behind one small interface; nothing below is loaded before it is used.

    driver = open_driver()                        # probes the host
    paths = driver.plan_path(config, "web1")      # pure: which directories
    plan = driver.compile(config)                 # pure: which values, what is ignored
    cgroup = driver.cgroup(paths)
    cgroup.create(plan); cgroup.apply(plan.writes)
    placement = cgroup.placement()                # how the first process gets in
    cgroup.apply_devices(plan)

Later commands need no probe: `load(state["cgroup"])` is the same cgroup again.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .cgroup import Cgroup
    from .layout import Layout
    from .path import CgroupPaths
    from .resources import ResourcePlan


class Driver:
    """The cgroupfs driver: makes directories and writes files itself."""

    __slots__ = ("layout",)
    name = "cgroupfs"

    def __init__(self, layout: Layout) -> None:
        self.layout = layout

    def plan_path(self, config: dict, container_id: str) -> CgroupPaths:
        """Where the container of this config is to be; ConfigError for an unusable path."""
        from .path import resolve

        linux = config.get("linux") or {}
        return resolve(linux.get("cgroupsPath") or "", container_id, self.layout)

    def compile(self, config: dict) -> ResourcePlan:
        """What is to be written, in order, with the field each value comes from."""
        from .resources import compile_resources

        linux = config.get("linux") or {}
        devices = linux.get("devices") or ()
        return compile_resources(
            linux.get("resources") or {},
            self.layout.mode,
            device_paths=[device.get("path", "") for device in devices],
        )

    def cgroup(self, paths: CgroupPaths) -> Cgroup:
        """The cgroup at `paths`, whether it exists yet or not."""
        from .cgroup import Cgroup

        return Cgroup(paths, self.layout)


def open_driver(layout: Layout | None = None, systemd: bool = False) -> Driver:
    """The driver for this host; HostError when it cannot be had."""
    if systemd:
        from ..errors import HostError

        raise HostError(
            "use the systemd cgroup driver: not supported yet",
            hint="leave out --systemd-cgroup and give linux.cgroupsPath as a path",
        )
    if layout is None:
        from .layout import probe

        layout = probe()
    return Driver(layout)


def load(data: dict) -> Cgroup:
    """The cgroup of a state file (`CgroupPaths.to_dict()`), without looking at the host."""
    from .cgroup import Cgroup
    from .path import CgroupPaths

    return Cgroup(CgroupPaths.from_dict(data))
