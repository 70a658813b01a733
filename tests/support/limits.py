"""The table of limits that tests set with each driver, and compare with what runc makes of them.

On v2 `cpu.shares` is left out: Debian's runc still converts it the old way.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.support.cgroups import V1

MEGABYTE = 1 << 20


def disk() -> dict[str, int]:
    """The device number of a disk that can be throttled, the first of them."""
    for line in Path("/proc/partitions").read_text().splitlines()[2:]:
        major, minor, _, name = line.split()
        if Path("/sys/block", name).exists():
            return {"major": int(major), "minor": int(minor)}
    return {"major": 7, "minor": 0}


DISK = disk()
CONFIGS: dict[str, dict[str, Any]] = {
    "nothing": {},
    "memory and cpu": {
        "memory": {"limit": 64 * MEGABYTE, "swap": 96 * MEGABYTE, "reservation": 32 * MEGABYTE},
        "cpu": {"quota": 20000, "period": 50000, "cpus": "0", "mems": "0"},
        "pids": {"limit": 33},
    },
    "no limit of swap and tasks": {
        "memory": {"limit": 64 * MEGABYTE, "swap": -1},
        "cpu": {"quota": 33000, "period": 100000},
        "pids": {"limit": -1},
    },
    "reservation": {"memory": {"limit": 64 * MEGABYTE, "reservation": 32 * MEGABYTE}},
    "of v1 only": {"memory": {"limit": 64 * MEGABYTE, "swappiness": 17, "disableOOMKiller": True}},
    "no swap": {"memory": {"limit": 64 * MEGABYTE, "swap": 64 * MEGABYTE}},
    "unlimited": {
        "memory": {"limit": -1},
        "cpu": {"quota": -1},
    },
    "cpus": {"cpu": {"cpus": "0-1", "mems": "0", "period": 50000}},
    "devices": {
        "devices": [
            {"allow": False, "access": "rwm"},
            {"allow": True, "type": "c", "major": 10, "minor": 229, "access": "rw"},
            {"allow": True, "type": "b", "major": 7, "access": "r"},
        ],
        "cpu": {"period": 50000},
    },
    "access that Linux does not know": {
        "devices": [
            {"allow": False, "access": "rwm"},
            {"allow": True, "type": "c", "major": 10, "minor": 229, "access": "rx"},
            {"allow": True, "type": "c", "major": 10, "minor": 228, "access": "r w"},
            {"allow": False, "type": "c", "major": 10, "minor": 229, "access": "q"},
        ]
    },
    # Any negative number is none; runc 1.1 knows only this one with cgroup v2.
    "no limit of tasks": {"pids": {"limit": -5 if V1 else -1}},
    "all devices": {"devices": [{"allow": True, "access": "rwm"}], "blockIO": {"weight": 321}},
    "disk": {
        "blockIO": {
            "weight": 123,
            "throttleReadBpsDevice": [{**DISK, "rate": 10 * MEGABYTE}],
            "throttleWriteBpsDevice": [{**DISK, "rate": 20 * MEGABYTE}],
            "throttleReadIOPSDevice": [{**DISK, "rate": 300}],
            "throttleWriteIOPSDevice": [{**DISK, "rate": 400}],
        }
    },
    "huge pages": {"hugepageLimits": [{"pageSize": "2MB", "limit": 4 * MEGABYTE}]},
}
if V1:
    CONFIGS["shares"] = {"cpu": {"shares": 512}}
    CONFIGS["network class"] = {"network": {"classID": 1048577}}
    CONFIGS["network priority"] = {"network": {"priorities": [{"name": "lo", "priority": 5}]}}
else:
    CONFIGS["unified"] = {
        "unified": {
            "memory.high": "50000000",
            "memory.low": "4096",
            "memory.max": "80000000",
            "memory.min": "8192",
            "memory.swap.max": "max",
            "cpu.max": "max 50000",
            "cpu.weight": "77",
            "cpuset.cpus": "0",
            "cpuset.mems": "0",
            "pids.max": "44",
            "memory.oom.group": "1",
        }
    }
    CONFIGS["unified, other files"] = {
        "unified": {"io.weight": "55", "cpu.max": "12000 60000", "pids.max": "max"}
    }

# What a unit is told beyond what runc tells it. No swap at all: runc leaves that to the kernel's
# file, and systemd, which knows nothing of it, gives the swap back when it reloads.
UNIT_DIFFERENCES = {} if V1 else {"no swap": {"MemorySwapMax": "0"}}
# Files of the cgroup in which later versions of runc do as we do, and this one does not.
FILE_DIFFERENCES = {} if V1 else {"huge pages": {"hugetlb.2MB.rsvd.max": [str(4 * MEGABYTE)]}}
