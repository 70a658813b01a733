"""Makes a container's cgroup in every hierarchy, ready to be entered.

v1: a directory per hierarchy; a new cpuset is empty and takes no process until it got cpus and
memory nodes, so these are copied down from the nearest ancestor that has some. v2: one directory;
every controller that the top has is enabled in each cgroup above it, top-down. Directories that
were made are recorded as they are made, so that a failure can remove them and no others.
"""

from __future__ import annotations

import posix
from errno import EACCES, EEXIST, ENOENT, EPERM, EROFS

from pycontainer.base.errors import HostError, OperationError, StateError, os_reason
from pycontainer.cgroups.files import processes
from pycontainer.linux.files import read_text, write_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pycontainer.cgroups.cgroup import Cgroup
    from pycontainer.cgroups.paths import CgroupPaths
    from pycontainer.cgroups.resources.writes import ResourcePlan, Write

NO_PRIVILEGE = (EPERM, EACCES, EROFS)

# Controllers that cannot work in a threaded subtree of v2.
DOMAIN_CONTROLLERS = frozenset(("memory", "io", "hugetlb", "rdma", "misc"))

FIELD = "linux.cgroupsPath"


def create(
    cgroup: Cgroup, plan: ResourcePlan | None, rootless: bool, started: bool = False
) -> list[str]:
    """See Cgroup.create. `started`: systemd has made some of it, with a process inside."""
    try:
        lost = _make_all(cgroup, plan, started)
        _mark(cgroup, cgroup.paths.all_directories())
        if not lost and cgroup.paths.mode != "none":
            return []
        cgroup.paths, warnings = go_without(cgroup.paths, plan, rootless, lost)
        return warnings
    except BaseException:
        from pycontainer.base.steps import attempt

        attempt([cgroup.undo])  # what stays is tried once more, and is in the state for `delete`
        raise


def _make_all(cgroup: Cgroup, plan: ResourcePlan | None, started: bool) -> dict[str, int]:
    """Make each directory; returns those that lack of privilege forbids, with the errno."""
    paths = cgroup.paths
    tops = _mountpoints(cgroup)
    cpuset = paths.directories.get("cpuset", "")
    lost: dict[str, int] = {}
    for directory in paths.all_directories():
        try:
            existed = not _make(directory, tops, cgroup.made)
            if existed and not started:
                check_fit(paths, directory)
            if directory == cpuset:
                _fill_cpuset(cgroup, tops, plan)
            elif not paths.v1_directories():
                _prepare_v2(directory, tops[0], plan)
        except OSError as error:
            number = error.errno or 0
            if number not in NO_PRIVILEGE:
                raise _failed(directory, number) from None
            lost[directory] = number
            if directory in cgroup.made:  # it would be forgotten
                from pycontainer.cgroups.processes import remove_directory

                remove_directory(directory, 0, recursive=False)
                cgroup.made.remove(directory)
    return lost


def _mark(cgroup: Cgroup, directories: list[str]) -> None:
    """Write down whose cgroup it is, for `gc`: lost with the cgroup, and best effort."""
    if not cgroup.owner:
        return
    from pycontainer.cgroups.owner_xattr import put, value_of

    value = value_of(cgroup.owner)
    for directory in directories:
        put(directory, value)


def _mountpoints(cgroup: Cgroup) -> tuple[str, ...]:
    if cgroup.layout is None:
        from pycontainer.cgroups.layout import probe

        cgroup.layout = probe()
    return tuple(hierarchy.mountpoint for hierarchy in cgroup.layout.hierarchies)


def _make(directory: str, tops: tuple[str, ...], made: list[str]) -> bool:
    """mkdir -p below a mount point; False when the directory was there already."""
    for _ in range(10):  # an ancestor may be removed by someone else between two calls
        made.append(directory)  # before it: else an interruption would leave it behind
        try:
            posix.mkdir(directory, 0o755)
        except OSError as error:
            made.remove(directory)
            if error.errno == EEXIST:
                return False
            parent = directory[: directory.rindex("/")]
            if error.errno != ENOENT or parent in tops or not parent:
                raise
            _make(parent, tops, made)
            continue
        return True
    raise OSError(ENOENT, "parent cgroup keeps disappearing")


def _failed(directory: str, number: int, code: str = "os-error", **params: str) -> OperationError:
    facts = {"operation": "cgroup_create", "field": FIELD, **params}
    return OperationError.of("create cgroup", directory, number, code, **facts)


def check_fit(paths: CgroupPaths, directory: str = "") -> None:
    """config-linux.md#control-groups: no container in a cgroup that has others, or is frozen."""
    if not directory:
        directory = paths.all_directories()[-1]
    pids = processes(directory)
    if pids:
        raise StateError(
            f"container's cgroup is not empty: {len(pids)} process(es) found",
            "cgroup-not-empty",
            field=FIELD,
            path=directory,
            pids=pids[:5],
        )
    from pycontainer.cgroups.processes import frozen

    if frozen(paths):
        raise StateError("container's cgroup unexpectedly frozen", "cgroup-frozen", field=FIELD)


# -- v1 ------------------------------------------------------------------------------------


def _fill_cpuset(cgroup: Cgroup, tops: tuple[str, ...], plan: ResourcePlan | None) -> None:
    """Give the cpuset its cpus and nodes: the config's, or else the parent's.

    The config's at once, because a sibling may own some of the parent's exclusively.
    """
    directory = cgroup.paths.directories["cpuset"]
    top = next((top for top in tops if directory.startswith(top + "/")), "")
    parent = directory[: directory.rindex("/")]
    prefix = "cpuset." if posix.access(directory + "/cpuset.cpus", posix.F_OK) else ""
    wanted = {write.file: write for write in _writes_of(plan, "cpuset")}
    for name in ("cpus", "mems"):
        write = wanted.get("cpuset." + name)
        if write:
            _inherit(parent, top, prefix + name)
            cgroup.apply((write,))
        else:
            _inherit(directory, top, prefix + name)


def _inherit(directory: str, top: str, name: str) -> str:
    """The cpuset file's value, copied from the nearest ancestor with one when it is empty."""
    value = read_text(f"{directory}/{name}").strip()
    if value or directory == top:
        return value
    value = _inherit(directory[: directory.rindex("/")], top, name)
    write_text(f"{directory}/{name}", value)
    return value


def _writes_of(plan: ResourcePlan | None, controller: str) -> list[Write]:
    return [write for write in plan.writes if write.controller == controller] if plan else []


# -- v2 ------------------------------------------------------------------------------------


def _prepare_v2(directory: str, top: str, plan: ResourcePlan | None) -> None:
    """Enable the controllers above the cgroup and settle what type it is."""
    levels = _levels(directory, top)
    kind = read_text(directory + "/cgroup.type").strip()
    if kind != "domain":
        _settle_type(levels[1:] + [directory], plan)
    available = read_text(top + "/cgroup.controllers").split()
    parent_has = read_text(levels[-1] + "/cgroup.subtree_control").split()
    if not set(available).issubset(parent_has):
        for level in levels:
            _enable(level, available)


def _levels(directory: str, top: str) -> list[str]:
    """The cgroups above the directory, from the top of the hierarchy down."""
    levels = []
    current = directory
    while current != top:
        current = current[: current.rindex("/")]
        levels.append(current)
    return levels[::-1]


def _enable(directory: str, controllers: list[str]) -> None:
    """Add to cgroup.subtree_control what can be added.

    One that cannot (EBUSY: processes in the way; ENOENT: not given to this cgroup) is left out;
    a limit that needs it fails later and says so.
    """
    try:
        have = set(read_text(directory + "/cgroup.subtree_control").split())
        given = set(read_text(directory + "/cgroup.controllers").split())
    except OSError:
        return
    missing = [name for name in controllers if name in given and name not in have]
    for group in (missing, *([name] for name in missing)):
        if not group:
            continue
        try:
            write_text(directory + "/cgroup.subtree_control", " ".join("+" + n for n in group))
        except OSError:
            continue
        if group is missing:
            return


def _settle_type(directories: list[str], plan: ResourcePlan | None) -> None:
    """Below a threaded cgroup or processes, a new cgroup is unusable until it is threaded too.

    That is only possible when no limit needs a controller that works for whole processes.
    """
    asked = sorted({w.controller for w in plan.writes} & DOMAIN_CONTROLLERS) if plan else []
    for directory in directories:
        kind = read_text(directory + "/cgroup.type").strip()
        if kind == "domain":
            continue
        if asked:
            raise HostError(
                f"enter cgroup {directory}: it is of type {kind!r}, which cannot have limits of "
                f"{', '.join(asked)}",
                "cgroup-invalid" if kind == "domain invalid" else "cgroup-threaded",
                FIELD,
                path=directory,
                type=kind,
            )
        if kind == "domain invalid":
            write_text(directory + "/cgroup.type", "threaded")


# -- without privilege ---------------------------------------------------------------------


def go_without(
    paths: CgroupPaths, plan: ResourcePlan | None, rootless: bool, lost: dict[str, int]
) -> tuple[CgroupPaths, list[str]]:
    """Drop the hierarchies that could not be had (`lost`: directory to errno), or all where none is
    mounted: the paths that are left, and warnings. HostError if the config asks for one of them.
    """
    directory, number = next(iter(lost.items()), ("", 0))
    if paths.explicit and lost:
        raise _failed(directory, number, "no-cgroup", mode=paths.mode)
    code, reason = "not-mounted", "no cgroup is mounted"
    if lost:
        code = "no-cgroup" if directory == paths.unified else "no-hierarchy"
        reason = f"cannot create {directory}: {os_reason(number)}"
    asked = _asked(paths, plan, rootless, lost)
    if asked or paths.explicit:
        raise HostError(
            f"set {', '.join(asked) or 'the cgroup path'}: {reason}",
            code,
            FIELD if paths.explicit else "linux.resources",
            mode=paths.mode,
            controller=asked[0].split(".")[2] if asked else "",
        )
    left = paths.without(set(lost))
    if left.mode == "none":
        without = "the container runs without a cgroup of its own (no limits, no pause)"
        return left, [f"{without}: {reason}"]
    names = sorted(name or "unified" for name, path in paths.directories.items() if path in lost)
    return left, [f"the container has no cgroup of {', '.join(names)}: {reason}"]


def _asked(
    paths: CgroupPaths, plan: ResourcePlan | None, rootless: bool, lost: dict[str, int]
) -> list[str]:
    """The fields of the config that cannot hold without the lost hierarchies."""
    if plan is None:
        return []
    fields = []
    for controller, names in plan.fields().items():
        directory = paths.directory(controller)
        if not directory or directory in lost:
            fields += names
    if plan.explicit_devices and not rootless:
        directory = paths.directory("devices")
        if not directory or directory in lost:
            fields.append("linux.resources.devices")
    return fields
