"""systemd's side as pure functions: names, places, properties."""

from __future__ import annotations

import pytest

from pycontainer.base.errors import ConfigError, HostError
from pycontainer.cgroups.layout import Hierarchy, Layout
from pycontainer.cgroups.paths import CgroupPaths
from pycontainer.cgroups.resources import compile_resources, devices
from pycontainer.cgroups.systemd import properties as unit_properties
from pycontainer.cgroups.systemd import unit
from pycontainer.cgroups.systemd.annotations import of_annotations

V2 = Layout("v2", (Hierarchy((), "/sys/fs/cgroup", "/"),))
V1 = Layout(
    "v1",
    (
        Hierarchy(("cpu", "cpuacct"), "/sys/fs/cgroup/cpu,cpuacct", "/"),
        Hierarchy(("name=systemd",), "/sys/fs/cgroup/systemd", "/"),
    ),
)
INFINITY = 2**64 - 1


@pytest.mark.parametrize(
    ("path", "user", "name", "slice"),
    [
        ("", False, "pycontainer-c1.scope", "system.slice"),
        ("", True, "pycontainer-c1.scope", "user.slice"),
        ("machine.slice:libpod:abc", False, "libpod-abc.scope", "machine.slice"),
        ("::abc", False, "-abc.scope", "system.slice"),
        ("-:p:abc", False, "p-abc.scope", "-.slice"),
        ("a-b.slice:x:own.slice", False, "own.slice", "a-b.slice"),
    ],
)
def test_names(path, user, name, slice):
    found = unit.parse(path, "c1", user)
    assert (found.name, found.slice, found.user) == (name, slice, user)


def test_an_id_that_systemd_would_not_take():
    assert unit.parse("", "a+b", False).name == "pycontainer-a\\x2bb.scope"


@pytest.mark.parametrize(
    "path", ["/a/b", "a:b", "a:b:c:d", "a/b.slice:p:n", "a--b.slice:p:n", "x:p:n", "s.slice:p:a b"]
)
def test_paths_that_name_no_unit(path):
    with pytest.raises(ConfigError):
        unit.parse(path, "c", False)


@pytest.mark.parametrize(
    ("slice", "path"),
    [
        ("system.slice", "/system.slice"),
        ("a-b-c.slice", "/a.slice/a-b.slice/a-b-c.slice"),
        ("-.slice", ""),
    ],
)
def test_slices_expand(slice, path):
    assert unit.expand_slice(slice) == path


def test_places():
    found = unit.place(unit.parse("a-b.slice:p:n", "c", False), V2, "", True)
    assert found.unified == "/sys/fs/cgroup/a.slice/a-b.slice/p-n.scope"
    found = unit.place(unit.parse("", "c", True), V2, "/user.slice/user@1.service", False)
    assert found.unified.startswith("/sys/fs/cgroup/user.slice/user@1.service/user.slice/pyc")
    found = unit.place(unit.parse("", "c", False), V1, "", False)
    assert set(found.all_directories()) == {
        "/sys/fs/cgroup/cpu,cpuacct/system.slice/pycontainer-c.scope",
        "/sys/fs/cgroup/systemd/system.slice/pycontainer-c.scope",
    }
    again = CgroupPaths.from_dict(found.to_dict())
    assert (again.unit, again.driver) == (found.unit, "systemd")
    with pytest.raises(HostError, match="v1"):
        unit.place(unit.parse("", "c", True), V1, "", False)


def properties(resources, mode="v2", version=252):
    plan = compile_resources(resources, mode)
    return unit_properties.of_writes(plan.writes, mode, lambda: version)


@pytest.mark.parametrize(
    ("resources", "expected"),
    [
        ({"memory": {"limit": 1 << 20}}, {"MemoryMax": 1 << 20}),
        ({"memory": {"limit": -1}}, {"MemoryMax": INFINITY, "MemorySwapMax": INFINITY}),
        ({"memory": {"reservation": 4096}}, {"MemoryLow": 4096}),
        (
            {"memory": {"limit": 4096, "swap": 8192}},
            {"MemoryMax": 4096, "MemorySwapMax": 4096},
        ),
        ({"cpu": {"idle": 1}}, {"CPUWeight": 0}),
        (
            {"cpu": {"quota": 20000, "period": 50000}},
            {"CPUQuotaPeriodUSec": 50000, "CPUQuotaPerSecUSec": 400000},
        ),
        ({"cpu": {"quota": 33333}}, {"CPUQuotaPeriodUSec": 100000, "CPUQuotaPerSecUSec": 340000}),
        ({"cpu": {"quota": -1}}, {"CPUQuotaPeriodUSec": 100000, "CPUQuotaPerSecUSec": INFINITY}),
        ({"cpu": {"cpus": "0-2,9"}}, {"AllowedCPUs": b"\x07\x02"}),
        ({"cpu": {"mems": "1"}}, {"AllowedMemoryNodes": b"\x02"}),
        ({"pids": {"limit": -1}}, {"TasksMax": INFINITY}),
        ({"pids": {"limit": 0}}, {"TasksMax": 1}),
        ({"unified": {"memory.high": "1000", "memory.min": "max"}}, None),
        (
            {"unified": {"cpu.max": "20000\t50000\n"}},
            {"CPUQuotaPeriodUSec": 50000, "CPUQuotaPerSecUSec": 400000},
        ),
        (
            {"memory": {"limit": 4096}, "unified": {"memory.max": "8192"}},
            {"MemoryMax": 8192},
        ),
    ],
)
def test_properties_of_v2(resources, expected):
    if expected is None:
        expected = {"MemoryHigh": 1000, "MemoryMin": INFINITY}
    found = {name: value for name, (_, value) in properties(resources).items()}
    found.pop("MemorySwapMax", None) if "MemorySwapMax" not in expected else None
    assert found == expected


def test_properties_of_v1():
    resources = {
        "memory": {"limit": 4096},
        "cpu": {"shares": 512, "quota": 50000, "period": 100000, "cpus": "0"},
        "pids": {"limit": 7},
    }
    assert properties(resources, "v1") == {
        "MemoryLimit": ("t", 4096),
        "CPUShares": ("t", 512),
        "CPUQuotaPeriodUSec": ("t", 100000),
        "CPUQuotaPerSecUSec": ("t", 500000),
        "AllowedCPUs": ("ay", b"\1"),
        "TasksMax": ("t", 7),
    }


def test_old_systemd_gets_what_it_knows():
    resources = {"cpu": {"cpus": "0", "quota": 1000, "period": 2000}}
    assert set(properties(resources, version=239)) == {"CPUQuotaPerSecUSec"}


@pytest.mark.parametrize("cpus", ["x", "3-1", ",", "0-99999"])
def test_bad_cpu_lists(cpus):
    with pytest.raises(ConfigError):
        properties({"cpu": {"cpus": cpus}})


@pytest.mark.parametrize(
    ("file", "value"),
    [
        ("cpu.max", "lots"),
        ("cpu.max", "20000 50000 1"),
        ("cpu.max", "20000 max"),
        ("cpu.max", "20000 -5"),
        ("memory.low", "-5"),
        ("memory.max", "1" + "0" * 20),
    ],
)
def test_values_that_fit_no_property(file, value):
    """They would not be numbers on D-Bus either."""
    with pytest.raises(ConfigError) as caught:
        properties({"unified": {file: value}})
    assert caught.value.field == f"linux.resources.unified['{file}']"


def test_quota_is_rounded_as_systemd_does():
    assert unit_properties.rounded({"cpu": {"quota": 33333}}) == {"cpu": {"quota": 34000}}
    same = {"cpu": {"quota": 50000, "period": 100000}}
    assert unit_properties.rounded(same) is same


def test_annotations():
    found = of_annotations(
        {
            "org.systemd.property.TimeoutStopSec": "1.5",
            "org.systemd.property.CollectMode": "'inactive-or-failed'",
            "other": "x",
        }
    )
    assert found == [
        ("TimeoutStopUSec", ("t", 1500000)),
        ("CollectMode", ("s", "inactive-or-failed")),
    ]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Xo", "1"),
        ("Number1", "1"),
        ("ValidName", "nonsense"),
        ("StopSec", "'x'"),
        ("StopSec", "1e400"),
        ("PIDs", "[1]"),
    ],
)
def test_annotations_refused(name, value):
    with pytest.raises(ConfigError):
        of_annotations({f"org.systemd.property.{name}": value}, trusted=True)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Conflicts", "['dbus.service']"),
        ("FailureAction", "'reboot'"),
        ("DeviceAllow", "'x'"),
        ("OnFailure", "['x.service']"),
        ("NoSuchThing", "1"),
    ],
)
def test_annotations_that_are_not_safe(name, value):
    annotations = {f"org.systemd.property.{name}": value}
    with pytest.raises(ConfigError, match=f"property.{name}.*--trust-annotations"):
        of_annotations(annotations)
    assert of_annotations(annotations, trusted=True)[0][0] == name


@pytest.mark.parametrize(
    ("value", "expected"),
    [("100", ("t", 100)), ("uint64 7", ("t", 7)), ("-1", None), ("'x'", None), ("true", None)],
)
def test_annotations_have_a_type(value, expected):
    annotations = {"org.systemd.property.TasksMax": value}
    if expected:
        assert of_annotations(annotations) == [("TasksMax", expected)]
        return
    with pytest.raises(ConfigError, match="must be 't'"):
        of_annotations(annotations)


def device_properties(entries, mode="v2"):
    found = unit_properties.of_devices(devices.rules(entries), mode)
    return [(name, value) for name, (_, value) in found]


def test_device_properties():
    policy, *_ = [v for n, v in device_properties([]) if n == "DevicePolicy"]
    allowed = device_properties([])[-1][1]
    assert policy == "strict"
    assert ("char-*", "m") in allowed and ("char-136", "rwm") in allowed
    assert ("/dev/char/1:3", "rwm") in allowed
    assert device_properties([])[0] == ("DeviceAllow", [])


def test_device_rules_that_systemd_cannot_express():
    everything = {"allow": True, "access": "rwm"}
    hole = {"allow": False, "type": "c", "major": 10, "minor": 200, "access": "w"}
    assert ("DevicePolicy", "auto") in device_properties([everything])
    # Our program decides alone; on v1 nothing may open the list.
    assert ("DevicePolicy", "auto") in device_properties([everything, hole])
    any_major = {"allow": True, "type": "c", "minor": 5, "access": "r"}
    assert ("DevicePolicy", "auto") in device_properties([any_major])
    assert ("DevicePolicy", "strict") in device_properties([any_major], "v1")
