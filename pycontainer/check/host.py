"""What this host, or this user, cannot do although the config is right.

The compilation of the plan has said already what it knows (errors.py); here is what would only show
when the container is made.
"""

from __future__ import annotations

import os
from typing import Any

from pycontainer.base.nearest import did_you_mean
from pycontainer.check.case import Case
from pycontainer.diagnose import values
from pycontainer.diagnose.namespaces import read
from pycontainer.linux.host import probe
from pycontainer.tables import mount_options
from pycontainer.tables.namespaces import FILES

_CAP_SYS_RESOURCE = 24
# Types that are modules where they are not built in: mount(2) loads them by itself.
_SYSCTL_ROOT = "/proc/sys/"


def find(case: Case) -> None:
    """All of it."""
    for part in (_namespaces, _filesystems, _sysctls, _apparmor, _rlimits, _cpus, _controllers):
        part(case)


def _namespaces(case: Case) -> None:
    for index, space in enumerate(case.linux.get("namespaces") or ()):
        kind, path = space["type"], space.get("path") or ""
        file = f"/proc/self/ns/{FILES[kind]}"
        if not os.path.exists(file):
            case.add("error", f"linux.namespaces[{index}]", f"this kernel has no {kind} namespaces")
        elif path and not os.path.exists(path):
            message = f"{path} does not exist"
            case.add("error", f"linux.namespaces[{index}].path", message, "start its owner first")


def _filesystems(case: Case) -> None:
    known = [line.split()[-1] for line in read("/proc/filesystems").splitlines()]
    for index, mount in enumerate(case.mounts):
        kind = (mount.get("type") or "").partition(".")[0]
        parsed = mount_options.parse(mount.get("options") or ())
        if not kind or parsed.bind or parsed.remount or kind in known or kind == "cgroup":
            continue
        if kind == "none":
            message = "none is no file system, and the options have neither bind nor rbind"
            case.add("error", f"mounts[{index}].type", message, 'add "rbind" to its options')
            continue
        near = did_you_mean(kind, known)
        message = f"this kernel has no file system {kind}"
        message += f"; {near}" if near else " at the moment; it may be a module"
        case.add("error" if near else "warning", f"mounts[{index}].type", message)


def _sysctls(case: Case) -> None:
    from pycontainer.spec.rules.namespaces import sysctl_parts

    for key in case.linux.get("sysctl") or ():
        path = _SYSCTL_ROOT + "/".join(sysctl_parts(key))
        directory = os.path.dirname(path)
        if os.path.exists(path) or not os.path.isdir(_SYSCTL_ROOT + key.split(".")[0]):
            continue
        if "/conf/" in path or "/neigh/" in path:
            continue  # of a network device that only the container has
        name = os.path.basename(path)
        known = os.listdir(directory) if os.path.isdir(directory) else []
        near = did_you_mean(key, (key[: -len(name)] + other for other in known))
        # New network namespaces show fewer parameters, never more.
        message = "this kernel has no such parameter" + (near and f"; {near}")
        case.add("error", f'linux.sysctl["{key}"]', message)


def _apparmor(case: Case) -> None:
    profile = case.process.get("apparmorProfile")
    if not profile or profile == "unconfined":
        return
    loaded = read("/sys/kernel/security/apparmor/profiles")
    if loaded and profile not in {line.rpartition(" (")[0] for line in loaded.splitlines()}:
        case.add(
            "error",
            "process.apparmorProfile",
            f"the profile {profile} is not loaded",
            "load it with apparmor_parser -r FILE",
        )


def _rlimits(case: Case) -> None:
    import resource

    nr_open = int(read("/proc/sys/fs/nr_open") or 0)
    may_raise = bool(probe().permitted >> _CAP_SYS_RESOURCE & 1) and not case.settings.rootless
    for index, limit in enumerate(case.process.get("rlimits") or ()):
        field, hard = f"process.rlimits[{index}].hard", limit["hard"]
        if limit["type"] == "RLIMIT_NOFILE" and nr_open and hard > nr_open:
            message = f"is {hard}, above this host's fs.nr_open ({nr_open})"
            case.add("error", field, message, values.room_for_files(nr_open, hard))
            continue
        number = getattr(resource, limit["type"], None)
        if number is None or may_raise:
            continue
        ours = resource.getrlimit(number)[1]
        if ours != resource.RLIM_INFINITY and hard > ours:
            message = f"is {hard}, above our own hard limit ({ours}), and we may not raise it"
            case.add("error", field, message, "lower it, or start with CAP_SYS_RESOURCE")


def _cpus(case: Case) -> None:
    from pycontainer.spec.rules.context import ranges

    for name, file in (("cpus", "cpu/online"), ("mems", "node/online")):
        wanted = (case.resources.get("cpu") or {}).get(name)
        online = read(f"/sys/devices/system/{file}")
        if not wanted or not online:
            continue
        there = _numbers(ranges(online))
        missing = sorted(_numbers(ranges(wanted)) - there)
        if missing:
            message = f"is {wanted}; this host has {online}"
            case.add("error", f"linux.resources.cpu.{name}", message)


def _numbers(pairs: list[tuple[int, int]] | None) -> set[int]:
    return {number for first, last in pairs or () for number in range(first, min(last, 8192) + 1)}


# Part of linux.resources -> controllers, of v1 and of v2.
_CONTROLLERS = {
    "memory": ("memory", "memory"),
    "cpu": ("cpu", "cpu"),
    "pids": ("pids", "pids"),
    "blockIO": ("blkio", "io"),
    "hugepageLimits": ("hugetlb", "hugetlb"),
    "rdma": ("rdma", "rdma"),
}


def _controllers(case: Case) -> None:
    """A limit of a controller that is not mounted."""
    layout = case.layout
    if layout is None or layout.mode == "none":
        return
    for part, (old, new) in _CONTROLLERS.items():
        if not _limits(case.resources.get(part)):
            continue
        if case.on_v2():
            there = new in read("/sys/fs/cgroup/cgroup.controllers").split()
            name = new
        else:
            there, name = layout.find(old) is not None, old
        if not there and not case.found(f"linux.resources.{part}", "error", "warning"):
            case.add(
                "error", f"linux.resources.{part}", f"this host has no cgroup controller {name}"
            )


def _limits(value: Any) -> bool:
    """Whether it asks for anything: engines write zeros for "no limit"."""
    if isinstance(value, dict):
        return any(_limits(member) for member in value.values())
    if isinstance(value, list):
        return bool(value)
    return bool(value) and value is not True and value not in (-1, (1 << 64) - 1)
