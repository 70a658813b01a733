"""Limits read back from the kernel and from systemd, next to what runc sets from the same config.

Generated from one table, for each driver that this host has. On v2 `cpu.shares` is left out:
Debian's runc still converts it the old way.
"""

from __future__ import annotations

import pytest

from tests.support.box import Box
from tests.support.cgroups import DRIVERS, V1, flags, settings, unit_properties, units
from tests.support.runtimes import has_runc

MEGABYTE = 1 << 20
CONFIGS = {
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
    "unlimited": {
        "memory": {"limit": -1},
        "cpu": {"quota": -1},
    },
    "devices": {
        "devices": [
            {"allow": False, "access": "rwm"},
            {"allow": True, "type": "c", "major": 10, "minor": 229, "access": "rw"},
            {"allow": True, "type": "b", "major": 7, "access": "r"},
        ],
        "cpu": {"period": 50000},
    },
    "all devices": {"devices": [{"allow": True, "access": "rwm"}], "blockIO": {"weight": 321}},
}
if not V1:
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
else:
    CONFIGS["shares"] = {"cpu": {"shares": 512}}


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("driver", DRIVERS)
def test_same_as_runc(box: Box, driver: str, name: str) -> None:
    if not has_runc():
        pytest.skip("needs runc to compare with")
    bundle = box.bundle("/bin/true")
    bundle.linux["resources"] = CONFIGS[name]
    found = {}
    for runtime in (box.runc, box.pycontainer):
        container = box.id(runtime.name)
        if driver == "systemd":
            bundle.linux["cgroupsPath"] = f":test:{container}"
        else:
            bundle.linux["cgroupsPath"] = f"/{container}"
        done = runtime(*flags(driver), "create", "-b", bundle, container)
        found[runtime.name] = [done.status != 0]
        if done.status == 0:
            found[runtime.name].append(settings(runtime, container))
            if driver == "systemd":
                found[runtime.name].append(unit_properties(f"test-{container}.scope"))
        runtime("delete", "--force", container)
    assert found["pycontainer"] == found["runc"]
    assert units(box.token) == []
