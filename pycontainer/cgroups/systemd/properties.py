"""Limits as properties of a systemd unit, so that systemd knows and keeps them.

Input: the writes that cgroupfs gets as well. Output: (name, (signature, value)) pairs, those that
runc sets. Whatever has no property is written to cgroupfs only; what has one is written too,
because systemd rounds some values. `systemd` is asked for its version where that matters.
"""

from __future__ import annotations

from pycontainer.base.errors import ConfigError
from pycontainer.cgroups.systemd.annotations import of_annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    from pycontainer.cgroups.resources.devices import Rule
    from pycontainer.cgroups.resources.writes import ResourcePlan, Write

    Property = tuple[str, tuple[str, Any]]

INFINITY = 2**64 - 1
DEFAULT_PERIOD_US = 100000
CPUSET_SINCE, PERIOD_SINCE, IDLE_SINCE, OOM_POLICY_SINCE = 244, 242, 252, 253
LONGEST_MASK = 8192  # cpus; the kernel's own limit
_CPU_MAX = "linux.resources.unified['cpu.max']"  # else it is of our own making

# file of cgroup v2 -> property with an unsigned number, "max" being infinity
V2_NUMBERS = {
    "memory.max": "MemoryMax",
    "memory.high": "MemoryHigh",
    "memory.low": "MemoryLow",
    "memory.min": "MemoryMin",
    "memory.swap.max": "MemorySwapMax",
    "cpu.weight": "CPUWeight",
}
V1_NUMBERS = {
    "memory.limit_in_bytes": "MemoryLimit",
    "cpu.shares": "CPUShares",
    "blkio.weight": "BlockIOWeight",
}
OOM_POLICIES = {"0": "continue", "1": "kill"}
CPUSETS = {"cpuset.cpus": "AllowedCPUs", "cpuset.mems": "AllowedMemoryNodes"}


def of_plan(
    plan: ResourcePlan, config: dict, mode: str, version: Callable[[], int], trusted: bool
) -> list[Property]:
    """Everything that the unit gets when it starts: the annotations' first, limits win.

    `trusted`: see annotations.py.
    """
    found = dict(of_annotations(config.get("annotations") or {}, trusted))
    found.update(of_writes(plan.writes, mode, version))
    resources = (config.get("linux") or {}).get("resources") or {}
    unified = resources.get("unified") or {}
    if not (resources.get("cpu") or {}).get("period") and "cpu.max" not in unified:
        found.pop("CPUQuotaPeriodUSec", None)  # the config has none
    policy = OOM_POLICIES.get(unified.get("memory.oom.group", "").strip())
    # Only now: a running scope's cannot be changed.
    if policy and version() >= OOM_POLICY_SINCE:
        found["OOMPolicy"] = ("s", policy)
    return list(found.items())


def of_writes(
    writes: Iterable[Write], mode: str, version: Callable[[], int]
) -> dict[str, tuple[str, Any]]:
    """The properties of a plan's writes; of two writes to one property, the later one counts."""
    v2 = mode == "v2"
    numbers = V2_NUMBERS if v2 else V1_NUMBERS
    found: dict[str, tuple[str, Any]] = {}
    values: dict[str, str] = {}
    for write in writes:
        if write.limit_check:
            continue
        values[write.file] = value = write.value.strip()
        if write.file in numbers:
            found[numbers[write.file]] = ("t", _number(write, value))
        elif write.file == "pids.max":
            # systemd takes no 0 here; the kernel gets it by cgroupfs.
            found["TasksMax"] = ("t", _number(write, value) or 1)
        elif write.file in CPUSETS and version() >= CPUSET_SINCE:
            found[CPUSETS[write.file]] = ("ay", _mask(write, value))
    _cpu_quota(values, v2, found, version)
    if v2 and values.get("cpu.idle") == "1" and version() >= IDLE_SINCE:
        found["CPUWeight"] = ("t", 0)
    return found


def _number(write: Write, value: str) -> int:
    return INFINITY if value in ("max", "-1") else _amount(value, write.field)


def _amount(text: str, field: str) -> int:
    """What is written as `text`; ConfigError if that does not fit into a property."""
    if text.isascii() and text.isdigit() and int(text) <= INFINITY:
        return int(text)
    raise ConfigError(f"{text!r} is not a number", "wrong-type", field, value=text)


def _mask(write: Write, text: str) -> bytes:
    """A list like 0-3,5 as the bits that systemd takes, lowest byte first."""
    bits = 0
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        if not first:
            continue
        try:
            low = int(first)
            high = int(last) if dash else low
        except ValueError:
            low, high = 1, 0
        if not 0 <= low <= high < LONGEST_MASK:
            raise ConfigError(f"invalid list {text!r}", "wrong-form", write.field, value=text)
        bits |= (1 << high + 1) - (1 << low)
    if not bits:
        raise ConfigError(f"invalid list {text!r}: it is empty", "empty", write.field, value=text)
    return bits.to_bytes((bits.bit_length() + 7) // 8, "little")


def _cpu_quota(
    values: dict[str, str],
    v2: bool,
    found: dict[str, tuple[str, Any]],
    version: Callable[[], int],
) -> None:
    if v2:
        words = values.get("cpu.max", "").split()
        if not words:
            return
        numbers = [_amount(word, _CPU_MAX) for word in words if word != "max"]
        if len(words) > 2 or "max" in words[1:]:
            raise ConfigError(
                f"{values['cpu.max']!r} is no quota and period",
                "wrong-value",
                _CPU_MAX,
                value=values["cpu.max"],
            )
        quota = words[0]
        period = numbers[-1] if len(words) > 1 else DEFAULT_PERIOD_US
    else:
        quota = values.get("cpu.cfs_quota_us", "")
        period = int(values.get("cpu.cfs_period_us", 0))
        if not (quota or period):
            return
    if period and version() >= PERIOD_SINCE:
        found["CPUQuotaPeriodUSec"] = ("t", period)
    amount = INFINITY
    if quota not in ("", "max", "-1") and int(quota) > 0:
        amount = _per_second(int(quota), period or DEFAULT_PERIOD_US)
    found["CPUQuotaPerSecUSec"] = ("t", amount)


def _per_second(quota: int, period: int) -> int:
    """Microseconds of a cpu's second; systemd keeps whole percents, and must not give less."""
    amount = quota * 1_000_000 // period
    return amount + -amount % 10_000


def rounded(resources: dict) -> dict:
    """The resources with the quota that systemd's whole percents amount to: both must agree."""
    cpu = resources.get("cpu") or {}
    quota, period = cpu.get("quota") or 0, cpu.get("period") or DEFAULT_PERIOD_US
    if quota <= 0:
        return resources
    exact = quota * 1_000_000 // period
    amount = _per_second(quota, period)
    if amount == exact:
        return resources
    return {**resources, "cpu": {**cpu, "quota": amount * period // 1_000_000}}


def of_devices(rules: Iterable[Rule], mode: str) -> list[Property]:
    """systemd's approximation of the device rules, which it applies again when it reloads.

    It knows no deny rules and no `*:minor`. What it cannot say is left to our own program on v2
    (which stays in place then), and denied on v1, where systemd would otherwise open the list.
    """
    from pycontainer.cgroups.resources.devices import ANY, reduce

    entries = []
    exact = True
    try:
        default, exceptions = reduce(rules)
    except ConfigError:  # a hole, which only the v2 program can have
        default, exceptions, exact = False, {}, False
    if default:
        exact = not exceptions
        exceptions = {}
    for (kind, major, minor), access in exceptions.items():
        word = "block" if kind == "b" else "char"
        if major == ANY and minor != ANY:
            exact = False
        elif major == ANY or minor == ANY:
            entries.append((f"{word}-{'*' if major == ANY else major}", access))
        else:
            entries.append((f"/dev/{word}/{major}:{minor}", access))
    nothing: Property = ("DeviceAllow", ("a(ss)", []))  # what was allowed before
    if (default and exact) or (mode == "v2" and not exact):
        return [nothing, ("DevicePolicy", ("s", "auto"))]
    return [nothing, ("DevicePolicy", ("s", "strict")), ("DeviceAllow", ("a(ss)", entries))]
