"""The facts of a refused value, from which diagnose/cgroups.py says what helps; loaded after it."""

from __future__ import annotations

from errno import EACCES, EBUSY, EINVAL, ENODEV, ENOENT, ERANGE

from pycontainer.base.errors import HostError, OperationError, os_reason
from pycontainer.cgroups.paths import CgroupPaths
from pycontainer.linux.files import read_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pycontainer.cgroups.resources.writes import Write

KIND = "cgroup_write"


def missing_controller(write: Write, paths: CgroupPaths) -> HostError:
    """The error for a limit whose controller the container has no cgroup in."""
    name = write.controller
    if paths.mode == "none":
        text = f"set {write.file}: no cgroup could be created or joined"
        return HostError(text, "no-cgroup", write.field)
    where, code = ("v2", "no-controller-v2") if paths.mode == "v2" else ("v1", "no-hierarchy")
    text = f"set {write.file}: cgroup {where} has no controller {name!r} mounted here"
    return HostError(text, code, write.field, controller=name)


def write_failed(write: Write, paths: CgroupPaths, error: OSError) -> OperationError:
    """The error for a refused write: file, value, field, reason."""
    number = error.errno or 0
    directory = paths.directory(write.controller)
    code = "write-refused"
    facts: dict[str, Any] = {"value": write.value, "controller": write.controller}
    if number == ENOENT and paths.mode == "v2" and write.controller != "cgroup":
        available = _text(f"{directory}/cgroup.controllers").split()
        if write.controller not in available:
            code, facts["available"] = "no-controller", available
    if number == EBUSY and write.controller == "memory":
        code = "memory-in-use"
        facts["usage"] = _text(f"{directory}/memory.usage_in_bytes")
        facts["peak"] = _text(f"{directory}/memory.max_usage_in_bytes")
    if write.controller == "cpuset" and number in (EACCES, EINVAL, ERANGE, ENODEV):
        above = f"{directory[: directory.rindex('/')]}/{write.file}"
        facts["parent"] = _text(above) or _text(above + ".effective")
    return OperationError(
        f"write {write.value!r} to {directory}/{write.file}: {os_reason(number)}",
        code,
        field=write.field,
        operation=KIND,
        errno=number,
        path=f"{directory}/{write.file}",
        **facts,
    )


def _text(path: str) -> str:
    try:
        return read_text(path).strip()
    except OSError:
        return ""
