"""How a process gets into a cgroup, at its birth where the kernel can do that.

A write to cgroup.procs takes a lock whose writer waits for an RCU grace period: 4-15 ms when the
host was idle. Two ways avoid it: clone3's CLONE_INTO_CGROUP on v2 (`clone_fd`, kernel 5.7), and
on v1 a thread that writes "0" to `tasks` itself, which needs no lock because nothing else can
change it meanwhile (do_cgroup_join of the executor, kernel 5.6; correct, if slow, before).
"""

from __future__ import annotations

import posix
from errno import EINVAL, ENOENT, ENOTDIR

from pycontainer.base.errors import OperationError, StateError, os_reason
from pycontainer.cgroups.paths import CgroupPaths
from pycontainer.linux.files import read_text, write_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from pycontainer.cgroups.layout import Layout

DIRECTORY = posix.O_PATH | posix.O_DIRECTORY | posix.O_CLOEXEC


class Placement:
    """The directories that a process is to be in, one per hierarchy (`unified` may be ""); that of
    the controller `pids`, or ""."""

    __slots__ = ("pids", "unified", "v1")

    def __init__(self, v1: tuple[str, ...], unified: str, pids: str) -> None:
        self.v1 = v1
        self.unified = unified
        self.pids = pids

    def clone_fd(self) -> int:
        """A new descriptor of the v2 directory, or -1; the caller closes it."""
        return _open(self.unified, DIRECTORY) if self.unified else -1

    def has_room(self, processes: int) -> bool:
        """Whether so many more may be born there. A process that moves in is never refused."""
        directory = self.pids
        # Every cgroup above limits the number, too; the root has no such file.
        while directory:
            try:
                limit = read_text(directory + "/pids.max").strip()
                if limit != "max" and int(limit) < processes + int(
                    read_text(directory + "/pids.current")
                ):
                    return False
            except OSError:
                break
            directory = directory.rpartition("/")[0]
        return True

    def attach(self, pid: int) -> None:
        """Write the pid to each cgroup.procs; OperationError names the one that refused."""
        for directory in (*self.v1, *((self.unified,) if self.unified else ())):
            for attempt in range(6):
                try:
                    write_text(directory + "/cgroup.procs", str(pid))
                    break
                except OSError as error:
                    # EINVAL: the task is too new to be moved yet.
                    if error.errno == EINVAL and attempt < 5:
                        from time import sleep

                        sleep(0.0002 * 4**attempt)
                        continue
                    raise OperationError(
                        f"move process {pid} into {directory}: {os_reason(error.errno or 0)}",
                        "os-error",
                        errno=error.errno,
                        operation="cgroup_enter",
                        field="linux.cgroupsPath",
                    ) from None


def place(paths: CgroupPaths, sub_paths: Iterable[str] = ()) -> Placement:
    """See Cgroup.placement."""
    directories = dict(paths.directories)
    for names, relative in _split_sub_paths(sub_paths):
        for name in names or list(directories):
            if name not in directories:
                raise StateError(f"unknown controller {name} in SubCgroupPaths", "unknown")
            directories[name] = _below(directories[name], relative)
    v1 = dict.fromkeys(path for name, path in directories.items() if name)
    unified = directories.get("", "")
    return Placement(tuple(v1), unified, directories.get("pids", unified))


def place_with(pid: int, layout: Layout) -> Placement | None:
    """The v2 cgroup that the process is in now; see Cgroup.init_placement."""
    from pycontainer.cgroups.layout import parse_membership

    hierarchy = layout.find("")
    try:
        membership = parse_membership(read_text(f"/proc/{pid}/cgroup"))
    except OSError:
        return None
    own = next((path for controllers, path in membership if not controllers), "")
    # A cgroup outside of our own cgroup namespace reads as /../something.
    if hierarchy is None or not own or own.startswith("/.."):
        return None
    directory = hierarchy.mountpoint + own.rstrip("/")
    return Placement((), directory, directory)


def _open(path: str, flags: int) -> int:
    try:
        return posix.open(path, flags)
    except OSError as error:
        raise OperationError.of(
            "open", path, error, operation="cgroup_enter", field="linux.cgroupsPath"
        ) from None


def _split_sub_paths(sub_paths: Iterable[str]) -> list[tuple[list[str], str]]:
    """Parse the values of `exec --cgroup` into (controllers or none for all, path)."""
    from pycontainer.base.errors import UsageError

    values = list(sub_paths)
    parsed: list[tuple[list[str], str]] = []
    seen: set[str] = set()
    for value in values:
        names, colon, relative = value.partition(":")
        if not colon:
            if len(values) != 1:
                raise UsageError(
                    f"invalid --cgroup argument: {value} (missing <controller>: prefix)",
                    "wrong-form",
                )
            return [([], value)]
        controllers = names.split(",")
        if "" in controllers:
            raise UsageError(
                f"invalid --cgroup argument: {value} (empty <controller> prefix)", "wrong-form"
            )
        for name in controllers:
            if name in seen:
                raise UsageError(
                    f"invalid --cgroup argument(s): controller {name} specified multiple times",
                    "duplicate",
                )
            seen.add(name)
        parsed.append((controllers, relative))
    return parsed


def _below(base: str, relative: str) -> str:
    """`base/relative`, each component an existing directory and no symbolic link."""
    from _stat import S_ISDIR

    directory = base
    for part in relative.split("/"):
        if part in ("", "."):
            continue
        if part == ".." or "\0" in part:
            raise StateError(f"bad sub cgroup path: {relative}", "wrong-path")
        directory += "/" + part
        try:
            is_directory = S_ISDIR(posix.lstat(directory).st_mode)
        except OSError as error:
            if error.errno not in (ENOENT, ENOTDIR):
                raise
            raise StateError(
                f"enter cgroup {relative}: {directory}: no such file or directory",
                "no-cgroup",
                path=f"{base}/{relative}",
            ) from None
        if not is_directory:
            raise StateError(f"bad sub cgroup path: {relative}", "wrong-path")
    return directory
