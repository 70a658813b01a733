"""Each flag of `update` on a running container reaches the kernel; a bad value changes nothing."""

from __future__ import annotations

import json

import pytest

from tests.support.box import Box
from tests.support.cgroups import (
    DRIVERS,
    V1,
    directories,
    flags,
    setting,
    settings,
    unit_properties,
)

MEGABYTE = 1 << 20
# option and value, (v1 file, content), (v2 file, content)
FLAGS = [
    ("--memory", "64m", ("memory.limit_in_bytes", 64 * MEGABYTE), ("memory.max", 64 * MEGABYTE)),
    (
        "--memory-reservation",
        "32m",
        ("memory.soft_limit_in_bytes", 32 * MEGABYTE),
        ("memory.low", 32 * MEGABYTE),
    ),
    ("--pids-limit", "44", ("pids.max", 44), ("pids.max", 44)),
    ("--pids-limit", "-1", ("pids.max", "max"), ("pids.max", "max")),
    ("--cpu-quota", "20000", ("cpu.cfs_quota_us", 20000), ("cpu.max", "20000 100000")),
    ("--cpu-period", "50000", ("cpu.cfs_period_us", 50000), ("cpu.max", "20000 50000")),
    ("--cpu-burst", "500", ("cpu.cfs_burst_us", 500), ("cpu.max.burst", 500)),
    ("--cpu-quota", "-1", ("cpu.cfs_quota_us", -1), ("cpu.max", "max 50000")),
    ("--cpu-share", "512", ("cpu.shares", 512), ("cpu.weight", 59)),
    ("--cpu-idle", "1", ("cpu.idle", 1), ("cpu.idle", 1)),
    ("--cpuset-cpus", "0", ("cpuset.cpus", 0), ("cpuset.cpus", 0)),
    ("--cpuset-mems", "0", ("cpuset.mems", 0), ("cpuset.mems", 0)),
    ("--memory", "-1", ("memory.limit_in_bytes", 2**63 - 4096), ("memory.max", "max")),
]


def running(box: Box, driver: str, resources: dict | None = None) -> str:
    box.needs_a_cgroup()
    bundle = box.bundle("/bin/sleep", "1000")
    bundle.linux["resources"] = resources or {}
    name = box.id("c")
    box.pycontainer(*flags(driver), "run", "-d", "-b", bundle, name).ok()
    return name


@pytest.mark.parametrize("driver", DRIVERS)
def test_each_flag(box: Box, driver: str) -> None:
    pyc = box.pycontainer
    name = running(box, driver)
    for option, value, v1, v2 in FLAGS:
        file, content = v1 if V1 else v2
        try:
            setting(pyc, name, file)
        except AssertionError:
            continue  # this kernel has no such control
        pyc("update", option, value, name).ok()
        assert setting(pyc, name, file) == str(content), option
    if driver == "systemd":
        assert unit_properties(f"pycontainer-{name}.scope")["AllowedCPUs"] == "0"
    pyc("delete", "-f", name).ok()


@pytest.mark.parametrize("driver", DRIVERS)
def test_a_document(box: Box, driver: str) -> None:
    """As containerd gives it: everything at once, on stdin; nulls are nothing."""
    pyc = box.pycontainer
    name = running(box, driver, {"memory": {"limit": 64 * MEGABYTE}})
    resources = {
        "memory": {"limit": 128 * MEGABYTE},
        "cpu": {"quota": 30000, "period": 60000, "shares": None},
        "pids": {"limit": 55},
        "blockIO": None,
        "devices": [{"allow": False, "access": "rwm"}],
    }
    pyc("update", "--resources", "-", name, input=json.dumps(resources).encode()).ok()
    memory = "memory.limit_in_bytes" if V1 else "memory.max"
    assert setting(pyc, name, memory) == str(128 * MEGABYTE)
    assert setting(pyc, name, "pids.max") == "55"
    assert setting(pyc, name, "cpu.cfs_quota_us" if V1 else "cpu.max").split()[0] == "30000"
    if driver == "systemd":
        found = unit_properties(f"pycontainer-{name}.scope")
        assert found["MemoryLimit" if V1 else "MemoryMax"] == str(128 * MEGABYTE)
        assert found["TasksMax"] == "55"
    pyc("delete", "-f", name).ok()


def test_devices_that_stay_the_same(box: Box) -> None:
    """A hook that gives a device (NVIDIA's does) is not undone by an update with the same rules."""
    if not V1:
        pytest.skip("the rules of cgroup v2 cannot be read back")
    pyc = box.pycontainer
    rules = [{"allow": False, "access": "rwm"}, {"allow": True, "type": "c", "access": "r"}]
    name = running(box, "cgroupfs", {"devices": rules})
    cgroup = directories(pyc, name)["devices"]
    (cgroup / "devices.allow").write_text("b 7:3 rw")
    same = {"devices": [{**rule, "major": None} for rule in rules], "pids": {}}
    pyc("update", "-r", "-", name, input=json.dumps(same).encode()).ok()
    assert "b 7:3 rw" in setting(pyc, name, "devices.list")
    same["devices"].append({"allow": True, "type": "c", "major": 10, "minor": 229, "access": "rw"})
    pyc("update", "-r", "-", name, input=json.dumps(same).encode()).ok()
    assert "c 10:229 rw" in setting(pyc, name, "devices.list")
    assert "b 7:3 rw" not in setting(pyc, name, "devices.list")
    pyc("update", "-r", "-", name, input=b"null").ok()
    pyc("delete", "-f", name).ok()


BAD = [
    (["--pids-limit", "5", "--cpuset-cpus", "999"], "cpus"),
    (["--memory", "lots"], "invalid size"),
    (["--cpu-share", "-5"], "not a number"),
    (["--memory", "64m", "--cpu-period", "5"], ""),
    (["--memory", "64m", "--memory-swap", "32m"], "swap"),
    (["--pids-limit", "7", "--cpu-idle", "5"], "idle"),
    (["--resources", "/nowhere"], "no such file"),
    (["--l3-cache-schema", "L3:0=f", "--pids-limit", "7"], ""),
]


@pytest.mark.parametrize("driver", DRIVERS)
def test_bad_values_change_nothing(box: Box, driver: str) -> None:
    pyc = box.pycontainer
    name = running(box, driver, {"pids": {"limit": 50}, "cpu": {"quota": 40000}})
    before = settings(pyc, name)
    unit = f"pycontainer-{name}.scope"
    shown = unit_properties(unit) if driver == "systemd" else None
    for arguments, words in BAD:
        pyc("update", *arguments, name).fails(*([words] if words else []))
        assert settings(pyc, name) == before, arguments
        assert shown is None or unit_properties(unit) == shown, arguments
    pyc("update", "-r", "-", name, input=b"[]").fails("must be an object")
    pyc("update", "-r", "-", name, input=b"{").fails("resources")
    pyc("update", "-r", "-", name, input=b'{"pids": {"limit": "x"}}').fails("linux.resources.pids")
    assert settings(pyc, name) == before
    pyc("delete", "-f", name).ok()


def test_what_is_ignored_is_said_once(box: Box) -> None:
    pyc = box.pycontainer
    name = running(box, "cgroupfs")
    done = pyc("update", "--kernel-memory", "1m", name).ok()
    assert len(done.err.splitlines()) == 1 and "memory.kernel is ignored" in done.err
    pyc("delete", "-f", name).ok()


def test_stopped(box: Box) -> None:
    pyc = box.pycontainer
    bundle = box.bundle("/bin/true")
    name = box.id("c")
    pyc("run", "-d", "-b", bundle, name).ok()
    pyc.wait_for(name, "stopped")
    pyc("update", "--pids-limit", "5", name).fails("container not running")
    pyc("delete", name).ok()


def test_check_before_update(box: Box) -> None:
    pyc = box.pycontainer
    name = running(box, "cgroupfs", {"memory": {"limit": 64 * MEGABYTE}})
    before = settings(pyc, name)
    document = {"memory": {"limit": 4096, "checkBeforeUpdate": True}, "pids": {"limit": 9}}
    done = pyc("update", "-r", "-", name, input=json.dumps(document).encode())
    if not V1:
        done.fails("current usage")
        assert settings(pyc, name) == before
    pyc("delete", "-f", name).ok()


# -- all or nothing ------------------------------------------------------------------------

KVM = {"allow": True, "type": "c", "major": 10, "minor": 232, "access": "rw"}
ALL = {"allow": True, "access": "rwm"}
NOTHING = {"allow": False, "access": "rwm"}
CHANGE = {
    "memory": {"limit": 128 * MEGABYTE},
    "pids": {"limit": 77},
    "cpu": {"quota": 30000, "period": 60000},
    "devices": [NOTHING, KVM],
}


def refused(box: Box, name: str, change: dict) -> str:
    """An update that is refused; its message. What `settings` reads has not changed."""
    before = settings(box.pycontainer, name)
    done = box.pycontainer("update", "-r", "-", name, input=json.dumps(change).encode()).fails()
    assert settings(box.pycontainer, name) == before
    assert "take back" not in done.err
    return done.err


@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize("old", [[NOTHING], [NOTHING, KVM], [ALL], [ALL, {**KVM, "allow": False}]])
def test_the_last_step_fails(box: Box, driver: str, old: list[dict]) -> None:
    """The new limits cannot be remembered: everything before that is taken back."""
    pyc = box.pycontainer
    resources = {"memory": {"limit": 64 * MEGABYTE}, "pids": {"limit": 50}, "devices": old}
    name = running(box, driver, resources)
    unit = f"pycontainer-{name}.scope"
    shown = unit_properties(unit) if driver == "systemd" else None
    opens = "mknod /tmp/d c 10 232; (: < /tmp/d) 2>&1; rm /tmp/d"
    answer = pyc("exec", name, "/bin/sh", "-c", opens).out
    new = pyc.root / name / ".resources.json.new"
    new.mkdir()
    assert "is a directory" in refused(box, name, CHANGE)
    assert shown is None or unit_properties(unit) == shown
    assert pyc("exec", name, "/bin/sh", "-c", opens).out == answer
    assert pyc.status(name) == "running"
    new.rmdir()
    pyc("update", "-r", "-", name, input=json.dumps(CHANGE).encode()).ok()
    assert setting(pyc, name, "pids.max") == "77"
    pyc("delete", "-f", name).ok()


@pytest.mark.parametrize("status", ["running", "paused"])
def test_a_device_that_the_parent_forbids(box: Box, status: str) -> None:
    if not V1:
        pytest.skip("cgroup v2 has no such refusal")
    pyc = box.pycontainer
    bundle = box.bundle("/bin/sleep", "1000")
    name = box.id("c")
    bundle.linux["cgroupsPath"] = f"/{box.id('parent')}/c"
    bundle.linux["resources"] = {"memory": {"limit": 64 * MEGABYTE}, "devices": [NOTHING]}
    pyc("run", "-d", "-b", bundle, name).ok()
    cgroup = directories(pyc, name)["devices"]
    try:
        (cgroup / "devices.allow").write_text("b 7:3 rw")  # as a hook does
        (cgroup.parent / "devices.deny").write_text("c 10:232 rwm")
        if status == "paused":
            pyc("pause", name).ok()
        assert "devices.allow" in refused(box, name, CHANGE)
        assert "b 7:3 rw" in setting(pyc, name, "devices.list")
        assert pyc.status(name) == status
        without = {key: value for key, value in CHANGE.items() if key != "devices"}
        pyc("update", "-r", "-", name, input=json.dumps(without).encode()).ok()
        assert "b 7:3 rw" in setting(pyc, name, "devices.list")
    finally:
        places = set(directories(pyc, name).values())
        pyc("delete", "-f", name).ok()
        for place in places:
            place.parent.rmdir()


@pytest.mark.parametrize(
    "last",
    [
        {"cpu": {"cpus": "999"}},
        {"hugepageLimits": [{"pageSize": "3MB", "limit": 0}]},
        {"unified": {"memory.nosuch": "1"}},
        {"devices": [{"allow": False, "type": "x", "access": "r"}]},
        {"memory": {"swap": 1}},
    ],
)
def test_another_limit_fails(box: Box, last: dict) -> None:
    """Before or after the others: where it stands in the order makes no difference."""
    name = running(box, "cgroupfs", {"memory": {"limit": 64 * MEGABYTE}, "devices": [NOTHING]})
    change = {**CHANGE, **last}
    if "memory" in last:
        change["memory"] = {**CHANGE["memory"], **last["memory"]}
    refused(box, name, change)
    box.pycontainer("delete", "-f", name).ok()
