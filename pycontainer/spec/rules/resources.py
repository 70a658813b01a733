"""Rules of config-linux.md for linux.resources, also used by update."""

from __future__ import annotations

from pycontainer.spec.rules.context import Subject, quote, refuse, refuse_value, required

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_LIMITS = ("limit", "reservation", "swap", "kernel", "kernelTCP")
_UNSET = 2**64 - 1  # of swappiness: Docker's -1 as the unsigned number that it has to be
_THROTTLES = (
    "throttleReadBpsDevice",
    "throttleWriteBpsDevice",
    "throttleReadIOPSDevice",
    "throttleWriteIOPSDevice",
)


def _part(subject: Subject, name: str) -> Any:
    return subject.linux["resources"].get(name) or ()


def devices(subject: Subject) -> None:
    """Words of the device cgroup; -1 is accepted for "all", as engines write it.

    Access that Linux does not know is left out, as in runc.
    """
    for place, rule in enumerate(_part(subject, "devices")):
        field = f"linux.resources.devices[{place}]"
        if rule.get("type", "a") not in ("a", "b", "c", ""):
            refuse_value(f"{field}.type", "not-one-of", rule["type"], "must be a, b or c")
        access = rule.get("access")
        if access is not None:
            _access(subject, f"{field}.access", access, rule["allow"])
        for name in ("major", "minor"):
            if rule.get(name, 0) < -1:
                why = "must not be negative"
                refuse_value(f"{field}.{name}", "out-of-range", rule[name], why)


def _access(subject: Subject, field: str, access: str, allow: bool) -> None:
    known = {"r", "w", "m"}.intersection(access)
    if not access or (allow and not known):
        code = "not-one-of" if access else "empty"
        refuse_value(field, code, access, "must be of r, w and m")
    if not known.issuperset(access):
        subject.warn(field, f"is {quote(access)}; all but r, w and m is ignored")


def memory(subject: Subject) -> None:
    """Limits are bytes or -1, and swap counts memory too."""
    entry = _part(subject, "memory")
    if not entry:
        return
    field = "linux.resources.memory"
    for name in _LIMITS:
        if entry.get(name, 0) < -1:
            why = "must be bytes or -1"
            refuse_value(f"{field}.{name}", "out-of-range", entry[name], why)
    limit, swap = entry.get("limit", 0), entry.get("swap", 0)
    if 0 < swap < limit:
        why = f"below limit {limit}, which it includes"
        refuse_value(f"{field}.swap", "below-limit", swap, why)
    if 100 < entry.get("swappiness", 0) != _UNSET:
        value = entry["swappiness"]
        refuse_value(f"{field}.swappiness", "out-of-range", value, "must be 0 to 100")


def cpu(subject: Subject) -> None:
    """No burst above the quota; idle is yes or no."""
    entry = _part(subject, "cpu")
    if not entry:
        return
    field = "linux.resources.cpu"
    quota, burst = entry.get("quota", 0), entry.get("burst", 0)
    if quota > 0 and burst > quota:
        why = f"must be at most quota {quota}"
        refuse_value(f"{field}.burst", "out-of-range", burst, why)
    if entry.get("idle", 0) not in (0, 1):
        refuse_value(f"{field}.idle", "out-of-range", entry["idle"], "must be 0 or 1")
    for name in ("cpus", "mems"):
        if "\n" in entry.get(name, ""):
            refuse(f"{field}.{name}", "wrong-form", "has a line feed")


def block_io(subject: Subject) -> None:
    """Weights weigh something, throttles have a rate."""
    entry = _part(subject, "blockIO")
    if not entry:
        return
    field = "linux.resources.blockIO"
    for place, weight in enumerate(entry.get("weightDevice", ())):
        if "weight" not in weight and "leafWeight" not in weight:
            where = f"{field}.weightDevice[{place}]"
            refuse(where, "required", "must have weight or leafWeight")
    for name in _THROTTLES:
        for place, throttle in enumerate(entry.get(name, ())):
            if "rate" not in throttle:
                required(f"{field}.{name}[{place}].rate")


def rdma(subject: Subject) -> None:
    """Each device has at least one limit."""
    entry = _part(subject, "rdma")
    for name in entry:
        if "hcaHandles" not in entry[name] and "hcaObjects" not in entry[name]:
            field = f'linux.resources.rdma["{name}"]'
            refuse(field, "required", "must have hcaHandles or hcaObjects")


def unified(subject: Subject) -> None:
    """Keys are files of the container's own cgroup directory."""
    entry = _part(subject, "unified")
    for name in entry:
        if not name or "/" in name or name in (".", ".."):
            field = f'linux.resources.unified["{name}"]'
            refuse(field, "wrong-name", "is no file of a cgroup")


RULES = (devices, memory, cpu, block_io, rdma, unified)
