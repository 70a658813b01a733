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
    from pycontainer.base.settings import Settings
    from pycontainer.cgroups.cgroup import Cgroup
    from pycontainer.cgroups.layout import Layout
    from pycontainer.cgroups.paths import CgroupPaths
    from pycontainer.cgroups.resources.writes import ResourcePlan
    from pycontainer.cgroups.systemd.manager import Manager


class Driver:
    """The cgroupfs driver: makes directories and writes files itself."""

    __slots__ = ("layout",)
    name = "cgroupfs"

    def __init__(self, layout: Layout) -> None:
        self.layout = layout

    def plan_path(self, config: dict, container_id: str) -> CgroupPaths:
        """Where the container of this config is to be; ConfigError for an unusable path."""
        from pycontainer.cgroups.paths import resolve

        linux = config.get("linux") or {}
        return resolve(linux.get("cgroupsPath") or "", container_id, self.layout)

    def compile(self, config: dict) -> ResourcePlan:
        """What is to be written, in order, with the field each value comes from."""
        from pycontainer.cgroups.resources import compile_resources

        linux = config.get("linux") or {}
        devices = linux.get("devices") or ()
        return compile_resources(
            linux.get("resources") or {},
            self.layout.mode,
            device_paths=[device.get("path", "") for device in devices],
        )

    def cgroup(self, paths: CgroupPaths) -> Cgroup:
        """The cgroup at `paths`, whether it exists yet or not."""
        from pycontainer.cgroups.cgroup import Cgroup

        return Cgroup(paths, self.layout)

    def hang_up(self) -> None:
        """Close the connection to a manager."""


class SystemdDriver(Driver):
    """Scopes and slices of the system's systemd, or of the calling user's (`user`)."""

    __slots__ = ("_manager", "trusted", "user")
    name = "systemd"

    def __init__(self, layout: Layout, user: bool, trusted: bool) -> None:
        super().__init__(layout)
        self.user = user
        self.trusted = trusted  # annotations may set any property
        self._manager: Manager | None = None

    @property
    def manager(self) -> Manager:
        """The connection to systemd, made when it is needed."""
        if self._manager is None:
            from pycontainer.cgroups.systemd.manager import Manager

            self._manager = Manager(self.user)
        return self._manager

    def plan_path(self, config: dict, container_id: str) -> CgroupPaths:
        """Which unit, and so which directories; ConfigError for an unusable `cgroupsPath`."""
        from pycontainer.cgroups.systemd.unit import parse, place

        path = (config.get("linux") or {}).get("cgroupsPath") or ""
        unit = parse(path, container_id, self.user)
        above = self.manager.control_group() if self.user else ""
        return place(unit, self.layout, above, bool(path))

    def compile(self, config: dict) -> ResourcePlan:
        """What is to be written, and the same as properties of the unit."""
        from pycontainer.cgroups.resources import devices
        from pycontainer.cgroups.systemd import properties

        linux = config.get("linux") or {}
        resources = properties.rounded(linux.get("resources") or {})
        config = {**config, "linux": {**linux, "resources": resources}}
        plan = super().compile(config)
        named = [device.get("path", "") for device in linux.get("devices") or ()]
        plan.unit_properties = properties.of_plan(
            plan, config, self.layout.mode, self._version, self.trusted
        )
        rules = devices.rules(resources.get("devices") or (), named)
        plan.device_properties = properties.of_devices(rules, self.layout.mode)
        return plan

    def cgroup(self, paths: CgroupPaths) -> Cgroup:
        """The cgroup of the unit at `paths`, whether it runs yet or not."""
        from pycontainer.cgroups.systemd.scope import UnitCgroup

        return UnitCgroup(paths, self.layout, self._manager)

    def hang_up(self) -> None:
        if self._manager is not None:
            self._manager.close()
            self._manager = None

    def _version(self) -> int:
        return self.manager.version()


class NoDriver(Driver):
    """No cgroups: the container stays in the caller's."""

    __slots__ = ()
    name = "disabled"

    def plan_path(self, config: dict, container_id: str) -> CgroupPaths:
        """No directory."""
        from pycontainer.cgroups.paths import CgroupPaths

        return CgroupPaths("none", {}, False, self.name)

    def compile(self, config: dict) -> ResourcePlan:
        """Nothing to write; a warning names the limits that do not hold."""
        from pycontainer.cgroups.resources.writes import ResourcePlan

        plan = super().compile(config)
        asked = sorted({field for names in plan.fields().values() for field in names})
        words = f"{', '.join(asked)}: not applied, cgroups are disabled"
        return ResourcePlan([], [], b"", False, [words] if asked else [])


def driver_of(settings: Settings) -> Driver:
    """The driver that the command line asks for."""
    if settings.no_cgroup:
        from pycontainer.cgroups.layout import probe

        return NoDriver(probe())
    return open_driver(
        systemd=settings.systemd_cgroup,
        rootless=settings.rootless,
        trusted=settings.trust_annotations,
    )


def open_driver(
    layout: Layout | None = None,
    systemd: bool = False,
    rootless: bool = False,
    trusted: bool = False,
) -> Driver:
    """The driver for this host; HostError when it is not available."""
    if layout is None:
        from pycontainer.cgroups.layout import probe

        layout = probe()
    if not systemd:
        return Driver(layout)
    user_manager = False
    if rootless:
        from pycontainer.cgroups.systemd.manager import is_the_users

        user_manager = is_the_users()
    return SystemdDriver(layout, user_manager, trusted)


def load(data: dict) -> Cgroup:
    """The cgroup of a state file (`CgroupPaths.to_dict()`), without looking at the host."""
    from pycontainer.cgroups.paths import CgroupPaths

    paths = CgroupPaths.from_dict(data)
    if paths.driver == "systemd":
        from pycontainer.cgroups.systemd.scope import UnitCgroup

        return UnitCgroup(paths)
    from pycontainer.cgroups.cgroup import Cgroup

    return Cgroup(paths)
