"""cgroup v2: the spec's v1-shaped properties converted, and `unified` as it is.

Kernel: Documentation/admin-guide/cgroup-v2.rst. What v2 has no file for is left out with a
warning instead of in silence.
"""

from __future__ import annotations

from pycontainer.base.errors import ConfigError
from pycontainer.cgroups.resources.writes import (
    ROOT,
    Write,
    check_name,
    hugepage_writes,
    integer,
    pids_writes,
    present_writes,
    rdma_writes,
    section_of,
    warn_unsupported,
)

NO_FILE = "cgroup v2 has no such control"
UNSUPPORTED = (
    ("memory", "disableOOMKiller", NO_FILE),
    ("cpu", "realtimeRuntime", NO_FILE),
    ("cpu", "realtimePeriod", NO_FILE),
    ("blockIO", "leafWeight", NO_FILE),
    ("network", "classID", NO_FILE),
    ("network", "priorities", NO_FILE),
)

THROTTLE = (
    ("throttleReadBpsDevice", "rbps"),
    ("throttleWriteBpsDevice", "wbps"),
    ("throttleReadIOPSDevice", "riops"),
    ("throttleWriteIOPSDevice", "wiops"),
)

DEFAULT_PERIOD_US = 100000  # the kernel's


def compile_writes(resources: dict, warnings: list[str]) -> list[Write]:
    """All limits; `unified` last, so that it has the last word. ConfigError when contradictory."""
    if not resources:
        return []
    warn_unsupported(resources, UNSUPPORTED, warnings)
    swappiness = section_of(resources, "memory").get("swappiness")
    if swappiness is not None and swappiness not in (-1, 2**64 - 1):
        warnings.append(f"{ROOT}.memory.swappiness is ignored: {NO_FILE}")
    writes = pids_writes(resources)
    writes += _memory(resources)
    writes += _io(resources)
    writes += _cpu(resources)
    writes += _cpuset(resources)
    writes += hugepage_writes(resources, ".max")
    writes += rdma_writes(resources)
    writes += _unified(resources)
    return writes


def cpu_weight(shares: int) -> int:
    """v1 shares [2, 262144] as v2 weight [1, 10000] with 1024 as 100; 0 stays "not set".

    The curve that Kubernetes and the runtimes agreed on: its exponent is quadratic in log2.
    """
    if shares == 0:
        return 0
    if shares <= 2:
        return 1
    if shares >= 262144:
        return 10000
    from math import ceil, log2

    power = log2(shares)
    return ceil(10 ** ((power * power + 125 * power) / 612 - 7 / 34))


def io_weight(weight: int) -> int:
    """v1 blkio weight [10, 1000] as v2 io.weight [1, 10000]; 0 stays "not set"."""
    return 0 if weight == 0 else 1 + (weight - 10) * 9999 // 990


def swap_max(swap: int, limit: int) -> str:
    """v1's memory+swap limit as v2's swap limit; "" when there is nothing to set."""
    field = ROOT + ".memory.swap"
    if limit == -1 and swap == 0:
        return "max"  # unlimited memory means unlimited swap, too
    if swap == 0:
        return ""
    if swap == -1:
        return "max"
    if limit == -1:
        return str(swap)
    if limit == 0:
        raise ConfigError("unable to set swap limit without memory limit", "required", field)
    if swap < limit:
        raise ConfigError("memory+swap limit should be >= memory limit", "out-of-range", field)
    return str(swap - limit)


def _memory(resources: dict) -> list[Write]:
    memory = section_of(resources, "memory")
    if not memory:
        return []
    field = ROOT + ".memory."
    limit, swap = integer(memory, "limit"), integer(memory, "swap")
    writes = []
    if memory.get("checkBeforeUpdate"):
        for value, name in ((swap, "swap"), (limit, "limit")):
            if value > 0:
                writes.append(
                    Write("memory", "memory.current", str(value), field + name, limit_check=True)
                )
    if amount := swap_max(swap, limit):
        # Where swap is off there is no file, and nothing to limit.
        writes.append(
            Write(
                "memory", "memory.swap.max", amount, field + "swap", optional=amount in ("max", "0")
            )
        )
    for name, file in (("limit", "memory.max"), ("reservation", "memory.low")):
        if value := integer(memory, name):
            writes.append(Write("memory", file, "max" if value == -1 else str(value), field + name))
    return writes


def _io(resources: dict) -> list[Write]:
    block = section_of(resources, "blockIO")
    if not block:
        return []
    field = ROOT + ".blockIO."
    writes = []
    if weight := integer(block, "weight"):
        writes.append(
            Write(
                "io",
                "io.bfq.weight",
                str(weight),
                field + "weight",
                alternatives=(("io.weight", str(io_weight(weight))),),
            )
        )
    for index, entry in enumerate(block.get("weightDevice") or ()):
        where = f"{field}weightDevice[{index}]"
        if weight := integer(entry, "weight"):
            writes.append(
                Write(
                    "io",
                    "io.bfq.weight",
                    f"{int(entry['major'])}:{int(entry['minor'])} {weight}",
                    where + ".weight",
                    optional=True,
                    warning=f"{where}.weight is ignored: the BFQ scheduler is not loaded",
                )
            )
    for name, key in THROTTLE:
        for index, entry in enumerate(block.get(name) or ()):
            value = f"{int(entry['major'])}:{int(entry['minor'])} {key}={int(entry['rate'])}"
            writes.append(Write("io", "io.max", value, f"{field}{name}[{index}]"))
    return writes


def _cpu(resources: dict) -> list[Write]:
    cpu = section_of(resources, "cpu")
    if not cpu:
        return []
    field = ROOT + ".cpu."
    writes = present_writes(resources, "cpu", "cpu", (("idle", "cpu.idle", {}),))
    if weight := cpu_weight(integer(cpu, "shares")):
        writes.append(Write("cpu", "cpu.weight", str(weight), field + "shares"))
    writes += present_writes(
        resources, "cpu", "cpu", (("burst", "cpu.max.burst", {"deferrable": True}),)
    )
    quota, period = integer(cpu, "quota"), integer(cpu, "period")
    if quota or period:
        value = f"{quota if quota > 0 else 'max'} {period or DEFAULT_PERIOD_US}"
        writes.append(Write("cpu", "cpu.max", value, field + ("quota" if quota else "period")))
    return writes


def _cpuset(resources: dict) -> list[Write]:
    cpu = section_of(resources, "cpu")
    return [
        Write("cpuset", "cpuset." + name, cpu[name], f"{ROOT}.cpu.{name}")
        for name in ("cpus", "mems")
        if cpu.get(name)
    ]


def _unified(resources: dict) -> list[Write]:
    writes = []
    for name, value in (resources.get("unified") or {}).items():
        field = f"{ROOT}.unified[{name!r}]"
        check_name(name, field)
        controller, dot, _ = name.partition(".")
        if not dot:
            raise ConfigError(
                "must be in the form CONTROLLER.PARAMETER",
                "wrong-form",
                field,
            )
        writes.append(Write(controller, name, value, field, by_line="\n" in value))
    return writes
