"""A cgroup that cannot be made, or takes no such value: what to do about it."""

from __future__ import annotations

import os
from errno import EACCES, EINVAL, ENODEV, ENOENT, EOPNOTSUPP, EPERM, ERANGE, EROFS

from pycontainer.base.errors import ContainerError
from pycontainer.base.obstacle import Obstacle

DELEGATE = (
    "sudo mkdir -p /etc/systemd/system/user@.service.d && "
    "printf '[Service]\\nDelegate=cpu cpuset io memory pids\\n' | "
    "sudo tee /etc/systemd/system/user@.service.d/delegate.conf && "
    "sudo systemctl daemon-reload (then log in again)"
)
UNIFIED = "boot with systemd.unified_cgroup_hierarchy=1"


def none_to_be_had(mode: str) -> Obstacle:
    """Why no cgroup could be made, by the host's mode."""
    if mode == "none" and not os.path.exists("/proc/self/cgroup"):
        return Obstacle("/proc is not mounted here", "sudo mount -t proc proc /proc")
    if mode == "none":
        return Obstacle("no cgroups are mounted here", "sudo mount -t cgroup2 none /sys/fs/cgroup")
    if os.geteuid() == 0:
        return Obstacle("the outer container has them read-only, or gives no rights over them")
    if mode != "v2":
        return Obstacle("only cgroup v2 can be delegated to an ordinary user", UNIFIED)
    if bus():
        return Obstacle(
            "this cgroup is not yours, but your own systemd manager can make one",
            "pycontainer --systemd-cgroup ...",
        )
    return Obstacle(
        "no cgroup is delegated to you, and your own systemd manager does not run",
        f"sudo loginctl enable-linger {os.geteuid()} (then: pycontainer --systemd-cgroup ...)",
    )


def bus() -> str:
    """The socket of the caller's own systemd manager, "" without one."""
    path = f"/run/user/{os.geteuid()}/bus"
    return path if os.path.exists(path) else ""


def not_made(error: ContainerError) -> str:
    """No cgroup, or none in one of the hierarchies (`mode` is the host's)."""
    if mode := error.params.get("mode"):
        limits = "" if error.errno else "; or leave the limits out"
        return f"{none_to_be_had(mode)}{limits}"
    if error.code == "no-cgroup" and not error.field:  # --cgroup of exec
        v2 = os.path.exists(os.path.join(os.path.dirname(error.path), "cgroup.controllers"))
        each = "" if v2 else " (and for each other controller)"
        return (
            f"fix: mkdir -p {error.path}{each}, or give --cgroup a path that exists below the "
            "container's cgroup"
        )
    if error.code == "no-cgroup":
        return "fix: leave the limit out, or have a cgroup delegated: see `pycontainer info`"
    return "fix: leave the limit out, or have root mount the controller" if error.field else ""


def no_controller(error: ContainerError) -> str:
    """The cgroup v2 lacks the controller."""
    name, available = error.params["controller"], error.params["available"]
    usual = name in ("cpu", "cpuset", "io", "memory", "pids")
    fix = f"; fix: {DELEGATE}" if os.geteuid() != 0 and usual else ""
    there = ", ".join(available) or "none"
    return (
        f"controller {name!r} is not available here (there are: {there}); "
        f"it must be delegated by the parent cgroups{fix}"
    )


_BYTES = "fix: give bytes, for example 512M, or max"
# (start and end of the file's name, errno, what to do); the first that fits holds.
_VALUES = (
    ("pids.max", "", EINVAL, "fix: give 0 to 4194304; -1 (in unified: max) means no limit"),
    ("memory.oom.group", "", EINVAL, "fix: give 0 or 1"),
    ("memory.", "limit_in_bytes", EINVAL, "memory.swap includes memory.limit, and is not below it"),
    ("memory.", "", EINVAL, _BYTES),
    ("hugetlb.", "", EINVAL, _BYTES),
    ("cpu.weight.nice", "", ERANGE, "fix: give -20 to 19"),
    ("cpu.weight", "", ERANGE, "fix: give 1 to 10000; 100 is usual"),
    ("net_prio.ifpriomap", "", EINVAL, "there is no such network interface"),
    ("net_prio.ifpriomap", "", ENODEV, "there is no such network interface"),
)


def write_refused(error: ContainerError) -> str:
    """Why this value, of this file, is not acceptable."""
    errno, controller, value = error.errno, error.params["controller"], error.params["value"]
    file = error.path.rpartition("/")[2]
    if "parent" in error.params:
        parent = error.params["parent"]
        return (
            f"the parent cgroup allows {parent}; fix: choose some of these"
            if parent
            else "no such cpu or memory node"
        )
    if errno == ENOENT and file.startswith("memory.memsw"):
        return "the kernel accounts no swap; boot it with swapaccount=1 or leave swap out"
    if errno == ENOENT:
        return "this kernel has no such control"
    if errno in (EACCES, EPERM) and controller == "devices":
        return "the parent cgroup does not allow the device"
    if errno in (EACCES, EPERM):
        return "the cgroup is not delegated to this user, or a parent's limit forbids it"
    if errno == EROFS:
        return "the cgroup file system is mounted read-only"
    if "rt_" in file and errno in (EINVAL, EOPNOTSUPP):
        return "the parent cgroup has no realtime budget left to give"
    quota = error.field.endswith(".quota") and 0 < _number(value) < 1000
    if errno == EINVAL and quota:
        return "fix: give at least 1000, in microseconds for each period: 50000 is half a CPU"
    period = error.field.endswith(".period") and not 1000 <= _number(value) <= 1000000
    if errno == EINVAL and period:
        return "fix: give 1000 to 1000000, in microseconds: 100000 is usual"
    for start, end, of_errno, words in _VALUES:
        if file.startswith(start) and file.endswith(end) and errno == of_errno:
            return words
    if file.startswith("cpu.") and errno == EINVAL:
        return "out of range, or more than the parent cgroup's quota allows"
    if controller in ("blkio", "io") and errno == ENODEV:
        return "there is no such block device; fix: take MAJ:MIN of one that `lsblk` lists"
    if controller in ("blkio", "io") and errno in (EOPNOTSUPP, EINVAL, ERANGE):
        return "out of range, or the device's scheduler does not support it"
    return ""


def _number(value: str) -> int:
    """The first number of a cgroup's value; 0 for a word."""
    first = value.split()[0] if value.split() else ""
    return int(first) if first.isdigit() else 0
