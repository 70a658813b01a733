"""cgroup v1: which property goes into which file of which controller.

Kernel: Documentation/admin-guide/cgroup-v1/. Pairs whose values limit each other (limit and
memsw, period and quota, the realtime pair) are deferrable, so that either order of old and new
values works.
"""

from __future__ import annotations

from pycontainer.base.errors import ConfigError
from pycontainer.cgroups.resources.writes import (
    ROOT,
    Write,
    hugepage_writes,
    integer,
    pids_writes,
    present_writes,
    rdma_writes,
    section_of,
    table_writes,
)

DEFER = {"deferrable": True}
PLAIN: dict[str, bool] = {}

# The kernel clamps shares silently (MIN_SHARES, MAX_SHARES in kernel/sched).
MIN_SHARES, MAX_SHARES = 2, 262144

CPU = (
    ("shares", "cpu.shares", PLAIN),
    ("period", "cpu.cfs_period_us", DEFER),
)
CPU_BURST = (("burst", "cpu.cfs_burst_us", {"deferrable": True, "optional": True}),)  # kernel 5.14
CPU_QUOTA = (("quota", "cpu.cfs_quota_us", PLAIN),)
CPU_IDLE = (("idle", "cpu.idle", PLAIN),)  # kernel 5.15
CPU_REALTIME = (
    ("realtimePeriod", "cpu.rt_period_us", DEFER),
    ("realtimeRuntime", "cpu.rt_runtime_us", PLAIN),
)

THROTTLE = (
    ("throttleReadBpsDevice", "blkio.throttle.read_bps_device"),
    ("throttleWriteBpsDevice", "blkio.throttle.write_bps_device"),
    ("throttleReadIOPSDevice", "blkio.throttle.read_iops_device"),
    ("throttleWriteIOPSDevice", "blkio.throttle.write_iops_device"),
)


def compile_writes(resources: dict, warnings: list[str]) -> list[Write]:
    """All limits in the order of runc's subsystems; ConfigError for what v1 cannot do."""
    if resources.get("unified"):
        raise ConfigError(
            "cannot be set: this host has cgroup v1",
            "no-cgroup-v2",
            ROOT + ".unified",
        )
    if not resources:
        return []
    writes = _cpuset(resources)
    writes += _memory(resources)
    writes += _cpu(resources)
    writes += pids_writes(resources)
    writes += _blkio(resources)
    writes += hugepage_writes(resources, ".limit_in_bytes")
    writes += _network(resources)
    writes += rdma_writes(resources)
    return writes


def _cpuset(resources: dict) -> list[Write]:
    cpu = section_of(resources, "cpu")
    return [
        # A cpuset mounted with `noprefix` (Android) has plain names.
        Write(
            "cpuset",
            "cpuset." + name,
            cpu[name],
            f"{ROOT}.cpu.{name}",
            alternatives=((name, cpu[name]),),
        )
        for name in ("cpus", "mems")
        if cpu.get(name)
    ]


def _memory(resources: dict) -> list[Write]:
    memory = section_of(resources, "memory")
    if not memory:
        return []
    field = ROOT + ".memory."
    limit, swap = integer(memory, "limit"), integer(memory, "swap")
    writes = []
    if limit:
        writes.append(
            Write("memory", "memory.limit_in_bytes", str(limit), field + "limit", deferrable=True)
        )
    if limit == -1 and not swap:
        swap = -1  # unlimited memory means unlimited swap, too
    if swap:
        writes.append(
            Write(
                "memory",
                "memory.memsw.limit_in_bytes",
                str(swap),
                field + "swap",
                deferrable=True,
                optional=swap == -1,  # without swap accounting nothing is limited anyway
            )
        )
    if reservation := integer(memory, "reservation"):
        writes.append(
            Write("memory", "memory.soft_limit_in_bytes", str(reservation), field + "reservation")
        )
    if memory.get("disableOOMKiller"):
        writes.append(Write("memory", "memory.oom_control", "1", field + "disableOOMKiller"))
    return writes + _swappiness(memory)


def _swappiness(memory: dict) -> list[Write]:
    value = memory.get("swappiness")
    if value is None or value in (-1, 2**64 - 1):  # engines write -1 for "not set"
        return []
    if not 0 <= value <= 100:
        raise ConfigError(
            f"invalid value {value}: valid range is 0-100",
            "out-of-range",
            ROOT + ".memory.swappiness",
            value=value,
        )
    return [Write("memory", "memory.swappiness", str(int(value)), ROOT + ".memory.swappiness")]


def _cpu(resources: dict) -> list[Write]:
    cpu = section_of(resources, "cpu")
    if not cpu:
        return []
    shares = integer(cpu, "shares")
    if shares and not MIN_SHARES <= shares <= MAX_SHARES:
        word, bound = ("minimum", MIN_SHARES) if shares < MIN_SHARES else ("maximum", MAX_SHARES)
        raise ConfigError(
            f"the {word} allowed cpu-shares is {bound}",
            "out-of-range",
            ROOT + ".cpu.shares",
        )
    return (
        table_writes(resources, "cpu", "cpu", CPU)
        + present_writes(resources, "cpu", "cpu", CPU_BURST)
        + table_writes(resources, "cpu", "cpu", CPU_QUOTA)
        + present_writes(resources, "cpu", "cpu", CPU_IDLE)
        + table_writes(resources, "cpu", "cpu", CPU_REALTIME)
    )


def _blkio(resources: dict) -> list[Write]:
    block = section_of(resources, "blockIO")
    if not block:
        return []
    field = ROOT + ".blockIO."
    writes = []
    if weight := integer(block, "weight"):
        writes.append(_weight("blkio.%sweight", str(weight), field + "weight"))
    if leaf := integer(block, "leafWeight"):
        writes.append(Write("blkio", "blkio.leaf_weight", str(leaf), field + "leafWeight"))
    for index, entry in enumerate(block.get("weightDevice") or ()):
        device = f"{int(entry['major'])}:{int(entry['minor'])} "
        where = f"{field}weightDevice[{index}]"
        if weight := integer(entry, "weight"):
            writes.append(_weight("blkio.%sweight_device", f"{device}{weight}", where + ".weight"))
        if leaf := integer(entry, "leafWeight"):
            writes.append(
                Write("blkio", "blkio.leaf_weight_device", f"{device}{leaf}", where + ".leafWeight")
            )
    for name, file in THROTTLE:
        for index, entry in enumerate(block.get(name) or ()):
            value = f"{int(entry['major'])}:{int(entry['minor'])} {int(entry['rate'])}"
            writes.append(Write("blkio", file, value, f"{field}{name}[{index}]"))
    return writes


def _weight(pattern: str, value: str, field: str) -> Write:
    """A weight, for whichever scheduler has one: CFQ, or (since kernel 5.0) BFQ."""
    return Write("blkio", pattern % "", value, field, alternatives=((pattern % "bfq.", value),))


def _network(resources: dict) -> list[Write]:
    network = section_of(resources, "network")
    writes = []
    if class_id := integer(network, "classID"):
        writes.append(Write("net_cls", "net_cls.classid", str(class_id), ROOT + ".network.classID"))
    for index, entry in enumerate(network.get("priorities") or ()):
        value = f"{entry['name']} {int(entry['priority'])}"
        writes.append(
            Write("net_prio", "net_prio.ifpriomap", value, f"{ROOT}.network.priorities[{index}]")
        )
    return writes
