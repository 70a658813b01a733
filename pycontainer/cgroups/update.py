"""New limits for a container that exists: all of them, or none.

Input: the resources that hold now, and the change. A change names what is to be different; what
belongs together (quota and period, memory and swap) is written together, with the old value for
the part that it leaves out. What is done before a refusal is taken back by the transaction.
"""

from __future__ import annotations

from pycontainer.base.steps import attempt_each
from pycontainer.cgroups.resources.writes import ResourcePlan, Write
from pycontainer.linux.files import read_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from pycontainer.base.steps import Transaction
    from pycontainer.cgroups.cgroup import Cgroup

DEVICE_LISTS = (
    "weightDevice",
    "throttleReadBpsDevice",
    "throttleWriteBpsDevice",
    "throttleReadIOPSDevice",
    "throttleWriteIOPSDevice",
)
ALL_DEVICES = "a *:* rwm"
LEVELS = 5  # resources, section, list, entry, value
SECTIONS = ("memory", "cpu", "pids", "blockIO", "network")
# Where 0, or "", is no value.
UNSET = {
    "memory": ("limit", "reservation", "swap"),
    "cpu": ("shares", "quota", "period", "realtimeRuntime", "realtimePeriod", "cpus", "mems"),
    "blockIO": ("weight", "leafWeight"),
}
# With a key on the left given, those on the right are written as well.
COMPANIONS = {
    "memory": (("limit", "swap"), ("swap", "limit")),
    "cpu": (("quota", "period"), ("period", "quota")),
}


def without_nulls(document: Any, levels: int = LEVELS) -> Any:
    """Engines write null for "not set". Values nested deeper than LEVELS are left out, too."""
    if not levels and isinstance(document, (dict, list)):
        return type(document)()
    if isinstance(document, dict):
        return {k: without_nulls(v, levels - 1) for k, v in document.items() if v is not None}
    if isinstance(document, list):
        return [without_nulls(item, levels - 1) for item in document]
    return document


def without_unset(change: dict) -> dict:
    """The change without what is 0 or "" and means "not set": CRI-O sends all of them each time.

    The old value is kept, because a later change may need it as the companion.
    """
    result = dict(change)
    for name, members in UNSET.items():
        if section := change.get(name):
            result[name] = {k: v for k, v in section.items() if v or k not in members}
    return result


def with_implied(change: dict) -> dict:
    """Add what follows: no memory limit (-1), no swap limit; `idle` replaces `shares`."""
    memory, cpu = change.get("memory") or {}, change.get("cpu") or {}
    if memory.get("limit") == -1 and "swap" not in memory:
        change = {**change, "memory": {**memory, "swap": 0}}
    if "idle" in cpu and "shares" not in cpu:
        change = {**change, "cpu": {**cpu, "shares": 0}}
    return change


def merged(current: dict, change: dict) -> dict:
    """The resources that hold after the change."""
    result = dict(current)
    for name, value in change.items():
        old = current.get(name)
        if name in SECTIONS and old and value:
            section = {**old, **value}
            for listed in DEVICE_LISTS:
                if name == "blockIO" and listed in value and listed in old:
                    section[listed] = _merged_by_device(old[listed], value[listed])
            result[name] = section
        elif name in ("unified", "rdma") and old and value:
            result[name] = {**old, **value}
        elif value:
            result[name] = value
    return result


def _merged_by_device(old: list[dict], new: list[dict]) -> list[dict]:
    by_device = {(entry["major"], entry["minor"]): entry for entry in old}
    for entry in new:
        key = (entry["major"], entry["minor"])
        by_device[key] = {**by_device.get(key, {}), **entry}
    return list(by_device.values())


def effective(current: dict, change: dict) -> dict:
    """What has to be written: the change, and the companions of what it names."""
    whole = merged(current, change)
    result = dict(change)
    for name, pairs in COMPANIONS.items():
        section = dict(change.get(name) or {})
        for given, companion in pairs:
            value = (whole.get(name) or {}).get(companion)
            if given in section and companion not in section and value is not None:
                section[companion] = value
        if section:
            result[name] = section
    return result


def apply(cgroup: Cgroup, plan: ResourcePlan, undo: Transaction) -> list[str]:
    """Write the limits; OperationError (or HostError) when refused. Returns warnings."""
    cgroup.apply([write for write in plan.writes if write.limit_check])
    writes = [write for write in plan.writes if not write.limit_check]
    before = [old for write in writes if (old := _now(cgroup, write)) is not None]
    undo(lambda: _restore(cgroup, before[::-1]))
    # Registered last, taken back first: systemd writes all limits that it knows again.
    cgroup.change_unit(plan, undo)
    return cgroup.apply(writes)


def _restore(cgroup: Cgroup, before: list[Write]) -> None:
    """Two rounds, each write on its own: often a limit can go back only after its companion."""
    for _ in range(2):
        failures = attempt_each(lambda old: cgroup.apply([old]), before)
    if failures:
        raise failures[0]  # such as a limit that no longer fits the usage


def apply_devices(
    cgroup: Cgroup, plan: ResourcePlan, current: ResourcePlan, rootless: bool, undo: Transaction
) -> list[str]:
    """Set new device rules; `current` are those of the limits that hold. Returns warnings."""
    restore = _device_rules(cgroup, current)
    # While a v1 list is rewritten it is empty, so the container is paused: no open may fail then.
    paused = bool(plan.device_writes) and not cgroup.frozen()
    warnings: list[str] = []
    undo(lambda: _while_paused(cgroup, paused, restore))
    cgroup.change_unit_devices(plan, undo)
    _while_paused(cgroup, paused, lambda: warnings.extend(cgroup.apply_devices(plan, rootless)))
    return warnings


def _while_paused(cgroup: Cgroup, pause: bool, step: Callable[[], None]) -> None:
    if not pause:
        return step()
    cgroup.freeze()
    try:
        step()
    finally:
        cgroup.thaw()


def _device_rules(cgroup: Cgroup, current: ResourcePlan) -> Callable[[], None]:
    """A function that restores the present device rules."""
    if cgroup.paths.mode == "v2":
        from pycontainer.cgroups.resources.device_bpf import attached

        return attached(cgroup.paths.unified)
    directory = cgroup.paths.directory("devices")
    if not directory:
        return lambda: None
    lines = read_text(f"{directory}/devices.list").splitlines()
    if ALL_DEVICES in lines:
        # The kernel does not list the exceptions of a list that allows all others.
        writes = [Write("devices", "devices.allow", ALL_DEVICES)]
        if current.device_writes and current.device_writes[0].file == "devices.allow":
            writes = current.device_writes
    else:
        # What a hook has added is in there, too.
        writes = [Write("devices", "devices.deny", ALL_DEVICES)]
        writes += [Write("devices", "devices.allow", line) for line in lines]
    return lambda: cgroup.write_device_rules(writes)


def _now(cgroup: Cgroup, write: Write) -> Write | None:
    """The write that restores what the file holds now; None when it cannot be read."""
    directory = cgroup.paths.directory(write.controller)
    for name, value in ((write.file, write.value), *write.alternatives):
        try:
            text = read_text(f"{directory}/{name}").strip("\n")
        except OSError:
            continue
        return Write(write.controller, name, restoring(name, value, text))
    return None


def restoring(file: str, value: str, text: str) -> str:
    """What to write to `file`, which reads as `text`, to undo writing `value`.

    Some files list devices, one to a line, and take one line at a time.
    """
    if file in ("memory.oom_control",):
        return text.split()[1] if len(text.split()) > 1 else "0"
    key = value.split(" ")[0]
    keyed = " " in value and (
        ":" in key or file.startswith(("rdma.", "net_prio.")) or file.endswith("_device")
    )
    if keyed:
        for line in text.splitlines():
            if line.split(" ")[0] == key:
                return line
        return f"{key} {_nothing(file, value)}"
    if text.startswith("default "):
        return text.splitlines()[0].removeprefix("default ")
    return text.splitlines()[0] if text else ""


def _nothing(file: str, value: str) -> str:
    """How a line of a device without limits would read."""
    pairs = [part.partition("=")[0] for part in value.split(" ")[1:] if "=" in part]
    if pairs:
        return " ".join(f"{name}=max" for name in pairs)
    return "default" if file == "io.bfq.weight" else "0"
