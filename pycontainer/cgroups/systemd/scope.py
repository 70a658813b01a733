"""A container's cgroup in a systemd unit: a scope, or a slice when the config asks for one.

A scope must have a process when it starts, but the container's first process is to be born in its
cgroup: moving it there would cost a wait for an RCU grace period, and clone3 needs the cgroup. So
an idle executor, which waits for a plan that never comes, starts the scope. It goes (`settle`)
when the container is ready, and by itself should we die; limits on tasks wait for that.

systemd makes its part with the limits it has properties for; everything is written to cgroupfs
too, because systemd rounds some values and has no property for others.
"""

from __future__ import annotations

import posix

from pycontainer.base.errors import ContainerError, HostError
from pycontainer.base.steps import attempt, attempt_each
from pycontainer.cgroups.cgroup import Cgroup
from pycontainer.cgroups.paths import CgroupPaths
from pycontainer.linux.files import read_text, write_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    from pycontainer.base.steps import Transaction
    from pycontainer.cgroups.cgroup import Placeholder
    from pycontainer.cgroups.layout import Layout
    from pycontainer.cgroups.resources.writes import ResourcePlan, Write
    from pycontainer.cgroups.systemd.manager import Manager

    Property = tuple[str, tuple[str, Any]]

DESCRIPTION = "pycontainer container "  # gc finds units of ours by it; then comes the owner


class UnitCgroup(Cgroup):
    """The cgroup of a unit; `manager` is who to ask, connected when it is needed first."""

    __slots__ = ("_held", "_late", "_manager", "unit", "user")

    def __init__(
        self, paths: CgroupPaths, layout: Layout | None = None, manager: Manager | None = None
    ) -> None:
        super().__init__(paths, layout)
        unit: dict[str, Any] = paths.unit or {}
        try:
            self.unit: dict[str, str] = {"name": unit["name"], "slice": unit["slice"]}
            self.user = bool(unit["user"])
        except KeyError as error:
            raise HostError(
                f"read systemd unit of the state file: {error!r}", "unreadable"
            ) from None
        self._manager = manager
        self._held: Placeholder | None = None
        self._late: list[Write] = []

    @property
    def manager(self) -> Manager:
        """The connection to systemd."""
        if self._manager is None:
            from pycontainer.cgroups.systemd.manager import Manager

            self._manager = Manager(self.user)
        return self._manager

    # -- making --------------------------------------------------------------------------------

    def start(self, plan: ResourcePlan, placeholder: Callable[[], Placeholder]) -> None:
        """Start the unit with its limits; OperationError, and nothing stays, when it fails."""
        name = self.unit["name"]
        self._refuse_slice_in_use(name)
        properties: list[Property] = [("Description", ("s", DESCRIPTION + self.owner))]
        if name.endswith(".slice"):
            properties.append(("Wants", ("as", [self.unit["slice"]])))
        else:
            self._held = placeholder()
            properties += [
                ("Slice", ("s", self.unit["slice"])),
                ("Delegate", ("b", True)),
                ("PIDs", ("au", [self._held.pid])),
            ]
        io = "IOAccounting" if self.paths.mode == "v2" else "BlockIOAccounting"
        properties += [(word, ("b", True)) for word in (*_ACCOUNTING, io)]
        properties.append(("DefaultDependencies", ("b", False)))
        properties += [p for p in plan.unit_properties if not _too_tight(p)]
        try:
            self.manager.start(name, properties)
        except BaseException:
            self._drop()
            raise
        self.made = [name]  # so that `undo` knows that there is something to undo

    def _refuse_slice_in_use(self, name: str) -> None:
        """systemd starts no second scope of a name, but is content with a slice that runs."""
        if name.endswith(".slice") and self.exists():
            from pycontainer.cgroups import create as creation

            creation.check_fit(self.paths)

    def create(self, plan: ResourcePlan | None = None, rootless: bool = False) -> list[str]:
        """Make what systemd does not: hierarchies and controllers that it leaves alone."""
        from pycontainer.cgroups import create as creation

        made = self.made
        if self.unit["name"].endswith(".slice"):
            self._make_room()
        try:
            return creation.create(self, plan, rootless, started=True)
        finally:
            self.made = made

    def _make_room(self) -> None:
        """A cgroup that gives controllers to children takes no processes: systemd's slices do."""
        path = f"{self.paths.unified}/cgroup.subtree_control"
        if self.paths.mode == "v2" and (given := read_text(path).split()):
            write_text(path, " ".join("-" + name for name in given))

    def settle(self, plan: ResourcePlan) -> None:
        """End what has held the scope so far; limits that did not count with it follow now."""
        self._drop()
        super().apply(self._late)
        self.set_properties([p for p in plan.unit_properties if _too_tight(p)])

    def _drop(self) -> None:
        if self._held is not None:
            self._held.end()
            self._held = None

    def undo(self) -> None:
        """Stop the unit that `start` started, and remove what is left of it."""
        self._drop()
        if self.made:
            self.delete()
            self.made = []

    def hang_up(self) -> None:
        if self._manager is not None:
            self._manager.close()
            self._manager = None

    def apply(self, writes: Iterable[Write]) -> list[str]:
        """As the other driver, but for limits on tasks while the scope's first one is there."""
        listed = list(writes)
        if self._held is not None:
            self._late = [write for write in listed if write.controller == "pids"]
            listed = [write for write in listed if write.controller != "pids"]
        return super().apply(listed)

    # -- changing ------------------------------------------------------------------------------

    def set_properties(self, properties: Iterable[Property]) -> None:
        """Let systemd know new limits; OperationError when it refuses one."""
        if listed := list(properties):
            self.manager.set_properties(self.unit["name"], listed)

    def change_unit(self, plan: ResourcePlan, undo: Transaction) -> None:
        """New limits for the running unit."""
        wanted = [p for p in plan.unit_properties if p[0] not in FIXED]
        if wanted:
            now = self._properties()
            before = [(name, now[name]) for name, _ in wanted if name in now]
            undo(lambda: self._restore(before))
            self.set_properties(wanted)

    def change_unit_devices(self, plan: ResourcePlan, undo: Transaction) -> None:
        """What systemd's approximation of the device rules is now, for the way back."""
        now = self._properties() if plan.device_properties else {}
        if "DevicePolicy" in now:
            # A list is added to what is there, but for an empty one.
            lists = [("DeviceAllow", ("a(ss)", [])), ("DeviceAllow", now["DeviceAllow"])]
            undo(lambda: self.set_properties([*lists, ("DevicePolicy", now["DevicePolicy"])]))

    def _properties(self) -> dict[str, Any]:
        kind = "Slice" if self.unit["name"].endswith(".slice") else "Scope"
        return self.manager.unit_properties(self.unit["name"], kind)

    def _restore(self, before: list[Property]) -> None:
        """Each by itself: one that systemd refuses is in the cgroup's own file, too."""
        if failures := attempt_each(lambda prop: self.set_properties([prop]), before):
            raise failures[0]

    def apply_devices(self, plan: ResourcePlan, rootless: bool = False) -> list[str]:
        """Tell systemd its approximation, then set the exact rules as the other driver does.

        A change of a unit lets systemd write all that it knows again: limits come after it.
        """
        try:
            self.set_properties(plan.device_properties)
            super().apply([write for write in plan.writes if not write.limit_check])
        except ContainerError:
            if not rootless:
                raise
        return super().apply_devices(plan, rootless)

    def attach(self, pid: int) -> None:
        """Let systemd move a process in: it may where we may not."""
        self.manager.attach(self.unit["name"], [pid])

    def delete(self, deadline_s: float = 10.0) -> None:
        """Stop the unit, clear a failure, and remove cgroups that systemd does not know."""
        failures = attempt([lambda: self.manager.stop(self.unit["name"])])
        if failures and type(failures[0]) is HostError and not (self.exists() and self.pids()):
            failures = []  # the user's manager may have ended, and its units with it
        failures += attempt([lambda: Cgroup.delete(self, deadline_s), self._remove_slices])
        self.hang_up()
        if failures:
            raise failures[0]

    def _remove_slices(self) -> None:
        """Empty ones where systemd makes none, and so will never remove what we made there."""
        for controller, directory in self.paths.directories.items():
            if controller in _SYSTEMDS:
                continue
            while (directory := directory[: directory.rindex("/")]).endswith(".slice"):
                try:
                    posix.rmdir(directory)
                except OSError:
                    break  # in use


FIXED = ("OOMPolicy",)  # of a running unit
# The hierarchies that systemd keeps its units in.
_SYSTEMDS = ("", "name=systemd", "cpu", "cpuacct", "blkio", "memory", "devices", "pids")
_ACCOUNTING = ("MemoryAccounting", "CPUAccounting", "TasksAccounting")


def _too_tight(prop: Property) -> bool:
    """Whether it leaves no room for a few more processes."""
    return prop[0] == "TasksMax" and prop[1][1] < 8
