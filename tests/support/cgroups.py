"""What the kernel and systemd say about a container's cgroup, and which drivers can be tried."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

from pycontainer.cgroups.layout import probe
from tests.support.runtimes import Runtime

MODE = probe().mode
V1 = MODE in ("v1", "hybrid")
SYSTEMD = Path("/run/systemd/system").is_dir()
ROOT = os.geteuid() == 0
DRIVERS = ["cgroupfs", *(["systemd"] if SYSTEMD else [])]
if not ROOT:  # the setup has one: unprivileged.py
    DRIVERS = [
        "systemd" if os.environ.get("PYCONTAINER_ROOTLESS", "").endswith("systemd") else "cgroupfs"
    ]
# For systemctl: whose systemd it is that makes the containers' units.
MANAGER = [] if ROOT else ["--user"]

# Files whose content is a setting (others count, or differ between any two cgroups).
SETTINGS = (
    "memory.limit_in_bytes memory.memsw.limit_in_bytes memory.soft_limit_in_bytes "
    "memory.swappiness cpu.shares cpu.cfs_quota_us cpu.cfs_period_us cpu.idle cpu.rt_runtime_us "
    "cpu.rt_period_us cpuset.cpus cpuset.mems pids.max blkio.weight blkio.bfq.weight "
    "blkio.throttle.read_bps_device blkio.throttle.write_bps_device "
    "blkio.throttle.read_iops_device blkio.throttle.write_iops_device "
    "devices.list memory.oom_control net_cls.classid net_prio.ifpriomap cpu.cfs_burst_us "
    "memory.max memory.low memory.high memory.min memory.swap.max memory.oom.group "
    "cpu.max cpu.weight cpu.max.burst io.weight io.bfq.weight io.max rdma.max "
    "hugetlb.2MB.max hugetlb.2MB.rsvd.max hugetlb.2MB.limit_in_bytes"
).split()

# Properties of a unit that a runtime sets (those about time, ids and use are left out).
PROPERTIES = (
    "Slice Delegate DelegateControllers DefaultDependencies CPUAccounting MemoryAccounting "
    "TasksAccounting IOAccounting BlockIOAccounting MemoryMax MemoryHigh MemoryLow MemoryMin "
    "MemorySwapMax MemoryLimit CPUWeight CPUShares CPUQuotaPerSecUSec CPUQuotaPeriodUSec "
    "AllowedCPUs AllowedMemoryNodes TasksMax BlockIOWeight DevicePolicy DeviceAllow OOMPolicy "
    "CollectMode TimeoutStopUSec ActiveState"
).split()


def flags(driver: str) -> list[str]:
    """The global options that choose a driver."""
    return ["--systemd-cgroup"] if driver == "systemd" else []


def directories(runtime: Runtime, container: str) -> dict[str, Path]:
    """Controller to directory, as the runtime's state has it; "" is v2."""
    state = json.loads((runtime.root / container / "state.json").read_text())
    paths = state["cgroup"]["paths"] if "cgroup" in state else state["cgroup_paths"]
    return {name: Path(path) for name, path in paths.items()}


def settings(runtime: Runtime, container: str) -> dict[str, list[str]]:
    """File to its lines, of every setting that the kernel has."""
    found = {}
    for directory in directories(runtime, container).values():
        for name in SETTINGS:
            if (directory / name).exists():
                found[name] = sorted((directory / name).read_text().splitlines())
    return found


def setting(runtime: Runtime, container: str, name: str) -> str:
    """One file, stripped."""
    for directory in directories(runtime, container).values():
        if (directory / name).exists():
            return (directory / name).read_text().strip()
    raise AssertionError(f"no {name}")


def unit_properties(unit: str, *options: str) -> dict[str, object]:
    """What `systemctl show` says of a unit; device lists as sets. `options`: --user."""
    argv = ["systemctl", *(options or MANAGER), "show", unit, *(f"-p{name}" for name in PROPERTIES)]
    text = subprocess.run(argv, check=True, capture_output=True, text=True).stdout
    found: dict[str, object] = {}
    devices = set()
    for line in text.splitlines():
        name, _, value = line.partition("=")
        if name == "DeviceAllow":
            # Debian's runc looks up the names of the major numbers.
            devices.add(value.replace("char-pts", "char-136").replace("block-loop", "block-7"))
        else:
            found[name] = value
    found["DeviceAllow"] = devices
    return found


def units(token: str) -> list[str]:
    """Units of systemd, of any state, that have the token in their name."""
    if not SYSTEMD:
        return []
    argv = ["systemctl", *MANAGER, "list-units", "--all", "--plain", "--no-legend"]
    text = subprocess.run(argv, check=True, capture_output=True, text=True).stdout
    return [line for line in text.splitlines() if token in line]
