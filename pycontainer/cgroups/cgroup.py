"""A container's cgroup: created, configured and entered here, used by every driver.

Input: `CgroupPaths`. The processes in it are the business of processes.py, what its files are to
hold is compiled in resources/; both load on demand, so that `kill` does not load `create`.
Every failed write names the file, the value and the field of the config it came from.
"""

from __future__ import annotations

import posix
from errno import EINVAL, ENOENT

from pycontainer.base.errors import HostError, OperationError, os_reason
from pycontainer.cgroups.files import processes
from pycontainer.cgroups.paths import CgroupPaths
from pycontainer.linux.files import WRITE, read_text, write_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any, Protocol

    from pycontainer.base.steps import Transaction
    from pycontainer.cgroups.layout import Layout
    from pycontainer.cgroups.placement import Placement
    from pycontainer.cgroups.resources.writes import ResourcePlan, Write

    class Placeholder(Protocol):
        """A process that does nothing until it is ended."""

        pid: int

        def end(self) -> None: ...


class Cgroup:
    """The cgroup of one container in all hierarchies; `layout` is needed for `create` only.

    `owner` is the container's state directory, which the directories that we make are marked with.
    """

    __slots__ = ("layout", "made", "owner", "paths")

    def __init__(self, paths: CgroupPaths, layout: Layout | None = None) -> None:
        self.paths = paths
        self.layout = layout
        self.made: list[str] = []
        self.owner = ""

    # -- making and configuring ------------------------------------------------------------

    def create(self, plan: ResourcePlan | None = None, rootless: bool = False) -> list[str]:
        """Make the directories; return warnings about what had to be left out.

        Raises StateError when the cgroup exists with processes in it or frozen, OperationError
        when it cannot be made; then nothing that was made stays. Without privilege hierarchies
        are left out if neither a path nor a limit asks for them (`rootless` also lets device
        rules go, which no unprivileged process can set).
        """
        from pycontainer.cgroups import create as creation

        return creation.create(self, plan, rootless)

    def start(self, plan: ResourcePlan, placeholder: Callable[[], Placeholder]) -> None:
        """Have the service manager make its part, where there is one (systemd/manager.py).

        A scope needs a process when it starts: `placeholder` starts one.
        """

    def settle(self, plan: ResourcePlan) -> None:
        """The container's first process is inside: its placeholder may go (systemd/scope.py)."""

    def change_unit(self, plan: ResourcePlan, undo: Transaction) -> None:
        """Tell the service manager new limits, if there is one."""

    def change_unit_devices(self, plan: ResourcePlan, undo: Transaction) -> None:
        """The same for device rules, before `apply_devices`."""

    def undo(self) -> None:
        """Remove the directories that `create` made, and only those, deepest first."""
        from pycontainer.base.steps import attempt_each
        from pycontainer.cgroups import processes as members

        def remove(directory: str) -> None:
            members.remove_directory(directory, 1.0, recursive=False)
            self.made.remove(directory)

        if failures := attempt_each(remove, self.made[::-1]):
            raise failures[0]

    def hang_up(self) -> None:
        """Keep no connection to a manager: the caller may keep the error, and us with it."""

    def apply(self, writes: Iterable[Write]) -> list[str]:
        """Write limits in their order; return warnings about limits that the kernel lacks.

        A write that the kernel refuses with EINVAL only because a companion still has its old
        value (limit and swap, quota and period) is tried again after the others of its kind.
        """
        warnings: list[str] = []
        deferred: list[Write] = []
        kind = ""
        for write in writes:
            if deferred and write.controller != kind:
                self._apply_deferred(deferred)
            kind = write.controller
            error = self._write_one(write, warnings)
            if error is None:
                continue
            if write.deferrable and error.errno == EINVAL:
                deferred.append(write)
            else:
                self._raise(write, error)
        self._apply_deferred(deferred)
        return warnings

    def _apply_deferred(self, deferred: list[Write]) -> None:
        for write in deferred:
            error = self._write_one(write, [])
            if error is not None:
                self._raise(write, error)
        deferred.clear()

    def _write_one(self, write: Write, warnings: list[str]) -> OSError | None:
        """Try the file and its alternatives; None when done or when it may be missing."""
        directory = self.paths.directory(write.controller)
        if not directory:
            if write.optional:
                return None
            from pycontainer.cgroups.errors import missing_controller

            raise missing_controller(write, self.paths)
        if write.limit_check:
            self._check_usage(directory, write)
            return None
        for name, value in ((write.file, write.value), *write.alternatives):
            try:
                if write.by_line:
                    _write_lines(f"{directory}/{name}", value)
                else:
                    write_text(f"{directory}/{name}", value)
                return None
            except OSError as error:
                if error.errno != ENOENT:
                    return error
                missing = error
        if write.optional and posix.access(directory, posix.F_OK):
            if write.warning:
                warnings.append(write.warning)
            return None
        return missing

    def _check_usage(self, directory: str, write: Write) -> None:
        """memory.checkBeforeUpdate: a limit at or below the usage is refused (best effort)."""
        try:
            usage = int(read_text(f"{directory}/{write.file}"))
        except (OSError, ValueError):
            return
        if int(write.value) <= usage:
            raise OperationError(
                f"set memory limit {write.value}: current usage is {usage} bytes",
                "limit-below-usage",
                field=write.field,
                operation="cgroup_write",
                value=write.value,
                usage=usage,
            )

    def _raise(self, write: Write, error: OSError) -> None:
        from pycontainer.cgroups.errors import write_failed

        raise write_failed(write, self.paths, error)

    def write(self, controller: str, file: str, value: str) -> None:
        """Write one file of the cgroup; OperationError when the kernel refuses."""
        from pycontainer.cgroups.resources.writes import Write

        self.apply((Write(controller, file, value),))

    def read(self, controller: str, file: str) -> str:
        """Read one file of the cgroup; OSError as the kernel gives it."""
        return read_text(f"{self.paths.directory(controller)}/{file}")

    def apply_devices(self, plan: ResourcePlan, rootless: bool = False) -> list[str]:
        """Restrict devices: the v1 lists, or the v2 filter program.

        After the mounts were made: a block device that is mounted is opened by the process that
        mounts it. Unprivileged, a failure is a warning if the config has rules.
        """
        if self.paths.mode == "none":
            return []
        try:
            if self.paths.mode == "v2":
                if not plan.device_program:
                    return []
                from pycontainer.cgroups.resources.device_bpf import attach

                attach(self.paths.unified, plan.device_program)
                return []
            if not self.paths.directory("devices"):
                raise HostError(
                    "restrict devices: no devices cgroup is mounted",
                    "no-hierarchy",
                    "linux.resources.devices",
                    controller="devices",
                )
            self.write_device_rules(plan.device_writes)
            return []
        except (OperationError, HostError) as error:
            if not rootless:
                raise
            # The config does not ask for the default rules; and a user cannot make device nodes.
            if not plan.explicit_devices:
                return []
            return [f"device rules are not enforced: {error.message}"]

    def write_device_rules(self, writes: Iterable[Write]) -> None:
        """Write v1 lists, which take one rule a write(2), but need not be opened for each."""
        file, fd = "", -1
        try:
            for write in writes:
                try:
                    if write.file != file:
                        if fd >= 0:
                            before, fd = fd, -1
                            posix.close(before)
                        file = write.file
                        fd = posix.open(f"{self.paths.directory(write.controller)}/{file}", WRITE)
                    posix.write(fd, write.value.encode())
                except OSError as error:
                    self._raise(write, error)
        finally:
            if fd >= 0:
                posix.close(fd)

    def delegate(self, uid: int, directory: str = "") -> None:
        """Give the v2 cgroup, or one below it, to a host uid (config-linux.md#cgroup-ownership).

        Only the directory and the files that the kernel says are safe to delegate.
        """
        directory = directory or self.paths.unified
        if self.paths.mode != "v2" or not directory:
            return
        try:
            names = read_text("/sys/kernel/cgroup/delegate").split()
        except FileNotFoundError:  # before kernel 4.15
            names = ["cgroup.procs", "cgroup.subtree_control", "cgroup.threads"]
        for path in (directory, *(f"{directory}/{name}" for name in names if "/" not in name)):
            try:
                posix.chown(path, uid, -1)
            except FileNotFoundError:
                continue
            except OSError as error:
                raise OperationError(
                    f"chown {path} to {uid}: {os_reason(error.errno or 0)}",
                    "os-error",
                    errno=error.errno,
                    operation="cgroup_delegate",
                ) from None

    # -- entering -------------------------------------------------------------------------

    def placement(self, sub_paths: Iterable[str] = ()) -> Placement:
        """Where a new process goes: the cgroup itself, or sub-cgroups of it for `exec --cgroup`.

        Each of `sub_paths` is `PATH` (all hierarchies) or `CONTROLLER[,CONTROLLER]:PATH` (v1).
        """
        from pycontainer.cgroups.placement import place

        return place(self.paths, sub_paths)

    def init_placement(self, pid: int) -> Placement | None:
        """On v2 the cgroup that the container's init moved itself to, if it did.

        A cgroup that gives controllers to its children takes no processes (EBUSY); an exec
        without an explicit sub-cgroup goes where init is then.
        """
        if self.paths.mode != "v2":
            return None
        from pycontainer.cgroups.layout import probe
        from pycontainer.cgroups.placement import place_with

        return place_with(pid, self.layout or probe())

    def attach(self, pid: int) -> None:
        """Move a process in by cgroup.procs; slow after idle, see placement.py."""
        self.placement().attach(pid)

    def fd_for_clone(self) -> int:
        """A directory descriptor for CLONE_INTO_CGROUP, or -1 where there is no v2."""
        return self.placement().clone_fd()

    # -- its processes ---------------------------------------------------------------------

    def pids(self, recursive: bool = True) -> list[int]:
        """Pids in the cgroup, sorted, each once."""
        from pycontainer.cgroups.processes import main_directory

        directory = main_directory(self.paths)
        return sorted(set(processes(directory, recursive))) if directory else []

    def exists(self) -> bool:
        """Whether any directory of the cgroup is there."""
        return any(posix.access(path, posix.F_OK) for path in self.paths.all_directories())

    def frozen(self) -> bool:
        """Whether the container is paused (or is being paused)."""
        from pycontainer.cgroups import processes as members

        return members.frozen(self.paths)

    def freeze(self, deadline_s: float = 10.0) -> None:
        """Stop all processes; OperationError (and thawed again) when it takes too long."""
        from pycontainer.cgroups import processes as members

        members.freeze(self.paths, deadline_s)

    def thaw(self) -> None:
        """Let the processes run again."""
        from pycontainer.cgroups import processes as members

        members.thaw(self.paths)

    def signal_all(self, signal: int) -> int:
        """Send a signal to every process once; returns how many there were."""
        from pycontainer.cgroups import processes as members

        return members.signal_all(self.paths, signal)

    def kill(self, signal: int = 9, deadline_s: float = 10.0) -> list[int]:
        """Signal all and wait until the cgroup is empty; returns the pids that remain."""
        from pycontainer.cgroups import processes as members

        return members.kill(self.paths, signal, deadline_s)

    def delete(self, deadline_s: float = 10.0) -> None:
        """Remove the cgroup and those below it; OperationError names who is still there."""
        from pycontainer.cgroups import processes as members

        members.delete(self.paths, deadline_s)

    def oom_kills(self) -> int:
        """How many of its processes the kernel killed for lack of memory (0 if not known)."""
        if not self.paths.directory("memory"):
            return 0
        from pycontainer.cgroups.stats.oom import kills

        return kills(self.paths)

    def oom_report(self, refused: bool = False) -> dict[str, Any]:
        """The kills with the limit and the peak in bytes; {} if there were none (stats/oom.py)."""
        if not self.paths.directory("memory"):
            return {}
        from pycontainer.cgroups.stats.oom import report

        return report(self.paths, refused)

    def stats(self) -> dict[str, Any]:
        """What it uses, in the shape of runc's events (stats/)."""
        from pycontainer.cgroups.stats import collect

        return collect(self.paths)


def _write_lines(path: str, value: str) -> None:
    """One write(2) per line: some v2 files take a single key at a time."""
    fd = posix.open(path, WRITE)
    try:
        for line in value.splitlines() or [""]:
            posix.write(fd, line.encode("utf-8", "surrogatepass"))
    finally:
        posix.close(fd)
