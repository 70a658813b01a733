"""Changes of limits as pure functions, and how a refused one is taken back."""

from __future__ import annotations

import pytest

from pycontainer.base.errors import OperationError
from pycontainer.base.steps import Transaction
from pycontainer.cgroups import update
from pycontainer.cgroups.cgroup import Cgroup
from pycontainer.cgroups.paths import CgroupPaths
from pycontainer.cgroups.resources.writes import ResourcePlan, Write
from pycontainer.cli.commands.update import bytes_of

DISK = {"major": 8, "minor": 0}


@pytest.mark.parametrize(
    ("current", "change", "expected"),
    [
        ({}, {"pids": {"limit": 5}}, {"pids": {"limit": 5}}),
        (
            {"cpu": {"quota": 1000, "period": 2000}},
            {"cpu": {"quota": 500}},
            {"cpu": {"quota": 500, "period": 2000}},
        ),
        (
            {"cpu": {"quota": 1000, "period": 2000}},
            {"cpu": {"period": 4000}},
            {"cpu": {"quota": 1000, "period": 4000}},
        ),
        (
            {"memory": {"limit": 10, "swap": 20, "reservation": 5}},
            {"memory": {"limit": 15}},
            {"memory": {"limit": 15, "swap": 20}},
        ),
        ({"cpu": {"shares": 9}}, {"memory": {"limit": 3}}, {"memory": {"limit": 3}}),
    ],
)
def test_effective(current, change, expected):
    assert update.effective(current, change) == expected


def test_settled():
    assert update.with_implied({"memory": {"limit": -1}}) == {"memory": {"limit": -1, "swap": 0}}
    assert update.with_implied({"cpu": {"idle": 1}}) == {"cpu": {"idle": 1, "shares": 0}}


def test_what_is_not_set_is_remembered():
    """As CRI-O says that only the cpus change."""
    current = {"cpu": {"quota": 20000, "period": 50000}, "memory": {"limit": 4096, "swap": 8192}}
    change = update.without_unset(
        {
            "cpu": {"shares": 0, "quota": 0, "period": 0, "cpus": "0-1", "mems": ""},
            "memory": {"limit": 0, "swap": 0},
            "pids": {"limit": 0},
        }
    )
    assert change == {"cpu": {"cpus": "0-1"}, "memory": {}, "pids": {"limit": 0}}
    whole = update.merged(current, update.with_implied(change))
    assert whole["cpu"] == {"quota": 20000, "period": 50000, "cpus": "0-1"}
    assert whole["memory"] == current["memory"]
    assert update.without_unset({"cpu": {"idle": 0, "burst": 0}}) == {
        "cpu": {"idle": 0, "burst": 0}
    }


def test_merged_devices():
    current = {"blockIO": {"weight": 5, "throttleReadBpsDevice": [{**DISK, "rate": 1}]}}
    other = {"major": 8, "minor": 16, "rate": 3}
    change = {"blockIO": {"throttleReadBpsDevice": [{**DISK, "rate": 2}, other]}}
    assert update.merged(current, change)["blockIO"] == {
        "weight": 5,
        "throttleReadBpsDevice": [{**DISK, "rate": 2}, other],
    }


def test_nulls_are_nothing():
    assert update.without_nulls({"a": None, "b": {"c": None, "d": 0}}) == {"b": {"d": 0}}


@pytest.mark.parametrize(
    ("file", "value", "text", "back"),
    [
        ("memory.max", "5", "max\n", "max"),
        ("cpu.max", "5 100", "max 100000\n", "max 100000"),
        ("io.max", "8:0 rbps=5", "8:0 rbps=9 wbps=max riops=max wiops=max\n", None),
        ("io.max", "8:0 rbps=5", "", "8:0 rbps=max"),
        ("io.bfq.weight", "5", "default 100\n8:0 7\n", "100"),
        ("io.bfq.weight", "8:0 5", "default 100\n8:0 7\n", "8:0 7"),
        ("io.bfq.weight", "8:0 5", "default 100\n", "8:0 default"),
        ("blkio.throttle.read_bps_device", "8:0 5", "", "8:0 0"),
        ("rdma.max", "mlx hca_handle=2", "", "mlx hca_handle=max"),
        ("memory.oom_control", "1", "oom_kill_disable 0\nunder_oom 0\n", "0"),
        ("cpuset.cpus", "0", "\n", ""),
    ],
)
def test_restoring(file, value, text, back):
    assert update.restoring(file, value, text) == (text.strip() if back is None else back)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("64m", 64 << 20),
        ("64MiB", 64 << 20),
        ("1.5g", 3 << 29),
        ("100", 100),
        ("100b", 100),
        ("2 kb", 2048),
        ("1t", 1 << 40),
        ("", None),
        ("x", None),
        ("-5", None),
        ("5mm", None),
        (".5g", None),
        ("b", None),
    ],
)
def test_sizes(text, size):
    assert bytes_of(text) == size


def test_a_refused_write_takes_the_others_back(tmp_path):
    for name, text in (("pids.max", "10\n"), ("cpu.weight", "100\n")):
        (tmp_path / name).write_text(text)
    (tmp_path / "memory.max").mkdir()  # the kernel's refusal
    cgroup = Cgroup(CgroupPaths("v2", {"": str(tmp_path)}, True))
    writes = [
        Write("pids", "pids.max", "5"),
        Write("cpu", "cpu.weight", "7"),
        Write("memory", "memory.max", "4096"),
    ]
    plan = ResourcePlan(writes, [], b"", False, [])
    with pytest.raises(OperationError, match=r"memory\.max"), Transaction(print) as undo:
        update.apply(cgroup, plan, undo)
    assert (tmp_path / "pids.max").read_text().startswith("10")
    assert (tmp_path / "cpu.weight").read_text().startswith("100")
