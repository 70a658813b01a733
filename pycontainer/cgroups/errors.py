"""Why the kernel refused a value, or a cgroup, and what helps; loaded only when it did."""

from __future__ import annotations

import os
from errno import EACCES, EBUSY, EINVAL, ENODEV, ENOENT, EOPNOTSUPP, EPERM, ERANGE, EROFS

from pycontainer.base.errors import HostError, OperationError, os_reason
from pycontainer.base.obstacle import Obstacle
from pycontainer.cgroups.paths import CgroupPaths
from pycontainer.linux.files import read_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pycontainer.cgroups.resources.writes import Write

KIND = "cgroup_write"
DELEGATE = (
    "sudo mkdir -p /etc/systemd/system/user@.service.d && "
    "printf '[Service]\\nDelegate=cpu cpuset io memory pids\\n' | "
    "sudo tee /etc/systemd/system/user@.service.d/delegate.conf && "
    "sudo systemctl daemon-reload (then log in again)"
)
UNIFIED = "boot with systemd.unified_cgroup_hierarchy=1"


def missing_controller(write: Write, paths: CgroupPaths) -> HostError:
    """The error for a limit whose controller the container has no cgroup in."""
    name = write.controller
    if paths.mode == "none":
        return HostError(
            f"set {write.file}: no cgroup could be created or joined",
            "no-cgroup",
            write.field,
            hint="fix: leave the limit out, or have a cgroup delegated: see `pycontainer info`",
        )
    where, code = ("v2", "no-controller-v2") if paths.mode == "v2" else ("v1", "no-hierarchy")
    return HostError(
        f"set {write.file}: cgroup {where} has no controller {name!r} mounted here",
        code,
        write.field,
        hint="fix: leave the limit out, or have root mount the controller",
        controller=name,
    )


def write_failed(write: Write, paths: CgroupPaths, error: OSError) -> OperationError:
    """The error for a refused write: file, value, field, reason, and what to do about it."""
    number = error.errno or 0
    directory = paths.directory(write.controller)
    code = "write-refused"
    facts: dict[str, Any] = {"value": write.value, "controller": write.controller}
    hint = ""
    if number == ENOENT and paths.mode == "v2":
        hint = _unavailable(write.controller, directory)
        code = "no-controller" if hint else code
    if number == EBUSY and write.controller == "memory":
        code = "memory-in-use"
        facts["usage"] = usage = _text(f"{directory}/memory.usage_in_bytes")
        facts["peak"] = peak = _text(f"{directory}/memory.max_usage_in_bytes")
        hint = f"current usage is {usage} bytes, peak usage {peak} bytes"
    return OperationError(
        f"write {write.value!r} to {directory}/{write.file}: {os_reason(number)}",
        code,
        field=write.field,
        operation=KIND,
        errno=number,
        path=f"{directory}/{write.file}",
        hint=hint or _hint(write, directory, number),
        **facts,
    )


def _hint(write: Write, directory: str, number: int) -> str:
    if number == ENOENT and write.file.startswith("memory.memsw"):
        return "the kernel accounts no swap; boot it with swapaccount=1 or leave swap out"
    if number == ENOENT:
        return "this kernel has no such control"
    if number in (EACCES, EPERM) and write.controller == "devices":
        return "the parent cgroup does not allow the device"
    if number in (EACCES, EPERM):
        return "the cgroup is not delegated to this user, or a parent's limit forbids it"
    if number == EROFS:
        return "the cgroup file system is mounted read-only"
    return _value_hint(write, directory, number)


def _value_hint(write: Write, directory: str, number: int) -> str:
    """Why this value, of this file, is not acceptable."""
    if write.controller == "cpuset" and number in (EACCES, EINVAL, ERANGE, ENODEV):
        parent = directory[: directory.rindex("/")]
        for name in (write.file, write.file + ".effective"):
            if value := _text(f"{parent}/{name}"):
                return f"the parent cgroup has {value}; fix: choose some of these"
        return "no such cpu or memory node"
    if "rt_" in write.file and number in (EINVAL, EOPNOTSUPP):
        return "the parent cgroup has no realtime budget left to give"
    if number == EINVAL and write.field.endswith(".quota") and 0 < _number(write.value) < 1000:
        return "fix: give at least 1000, in microseconds for each period: 50000 is half a CPU"
    if write.file.startswith("cpu.") and number == EINVAL:
        return _cpu_hint(write, directory)
    if write.controller in ("blkio", "io") and number == ENODEV:
        return "there is no such block device; fix: take MAJ:MIN of one that `lsblk` lists"
    if write.controller in ("blkio", "io") and number in (EOPNOTSUPP, EINVAL, ERANGE):
        return "out of range, or the device's scheduler does not support it"
    return ""


def _cpu_hint(write: Write, directory: str) -> str:
    if write.field.endswith(".period") and not 1000 <= _number(write.value) <= 1000000:
        return "fix: give 1000 to 1000000, in microseconds: 100000 is usual"
    return "out of range, or more than the parent cgroup's quota allows"


def _number(value: str) -> int:
    """The first number of a cgroup's value; 0 for a word."""
    first = value.split()[0] if value.split() else ""
    return int(first) if first.isdigit() else 0


def _unavailable(controller: str, directory: str) -> str:
    """Whether the v2 cgroup lacks the controller, in words."""
    if controller == "cgroup":
        return ""
    available = _text(f"{directory}/cgroup.controllers").split()
    if controller in available:
        return ""
    return "; ".join(
        filter(
            None,
            (
                f"controller {controller!r} is not available here (there are: "
                f"{', '.join(available) or 'none'})",
                "it must be delegated by the parent cgroups",
                not_delegated(controller),
            ),
        )
    )


def _text(path: str) -> str:
    try:
        return read_text(path).strip()
    except OSError:
        return ""


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


def not_delegated(controller: str) -> str:
    """What gives an ordinary user this controller; "" for root."""
    usual = controller in ("cpu", "cpuset", "io", "memory", "pids")
    return f"fix: {DELEGATE}" if os.geteuid() != 0 and usual else ""


def bus() -> str:
    """The socket of the caller's own systemd manager, "" without one."""
    path = f"/run/user/{os.geteuid()}/bus"
    return path if os.path.exists(path) else ""
