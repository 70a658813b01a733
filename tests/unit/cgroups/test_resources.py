"""Every resource of the spec as writes: golden, for v1 and v2."""

from __future__ import annotations

import pytest

from pycontainer.base.errors import ConfigError
from pycontainer.cgroups.resources import compile_resources
from pycontainer.cgroups.resources.v2 import cpu_weight, io_weight, swap_max

EVERYTHING = {
    "memory": {
        "limit": 1000,
        "reservation": 500,
        "swap": 3000,
        "kernel": 7,
        "kernelTCP": 8,
        "swappiness": 10,
        "disableOOMKiller": True,
        "useHierarchy": True,
    },
    "cpu": {
        "shares": 512,
        "quota": 50000,
        "burst": 1000,
        "period": 100000,
        "realtimeRuntime": 950,
        "realtimePeriod": 1000,
        "cpus": "0-1",
        "mems": "0",
        "idle": 0,
    },
    "pids": {"limit": 99},
    "blockIO": {
        "weight": 500,
        "leafWeight": 300,
        "weightDevice": [{"major": 8, "minor": 0, "weight": 400, "leafWeight": 200}],
        "throttleReadBpsDevice": [{"major": 8, "minor": 0, "rate": 1}],
        "throttleWriteBpsDevice": [{"major": 8, "minor": 0, "rate": 2}],
        "throttleReadIOPSDevice": [{"major": 8, "minor": 0, "rate": 3}],
        "throttleWriteIOPSDevice": [{"major": 8, "minor": 16, "rate": 4}],
    },
    "hugepageLimits": [{"pageSize": "2MB", "limit": 4194304}],
    "network": {"classID": 1048577, "priorities": [{"name": "eth0", "priority": 5}]},
    "rdma": {"mlx5_1": {"hcaHandles": 3, "hcaObjects": 10}, "rxe3": {"hcaObjects": 7}},
}


def lines(plan):
    return [f"{w.controller} {w.file} = {w.value}" for w in plan.writes]


def test_v1_everything():
    plan = compile_resources(EVERYTHING, "hybrid")
    assert lines(plan) == [
        "cpuset cpuset.cpus = 0-1",
        "cpuset cpuset.mems = 0",
        "memory memory.limit_in_bytes = 1000",
        "memory memory.memsw.limit_in_bytes = 3000",
        "memory memory.soft_limit_in_bytes = 500",
        "memory memory.oom_control = 1",
        "memory memory.swappiness = 10",
        "cpu cpu.shares = 512",
        "cpu cpu.cfs_period_us = 100000",
        "cpu cpu.cfs_burst_us = 1000",
        "cpu cpu.cfs_quota_us = 50000",
        "cpu cpu.idle = 0",
        "cpu cpu.rt_period_us = 1000",
        "cpu cpu.rt_runtime_us = 950",
        "pids pids.max = 99",
        "blkio blkio.weight = 500",
        "blkio blkio.leaf_weight = 300",
        "blkio blkio.weight_device = 8:0 400",
        "blkio blkio.leaf_weight_device = 8:0 200",
        "blkio blkio.throttle.read_bps_device = 8:0 1",
        "blkio blkio.throttle.write_bps_device = 8:0 2",
        "blkio blkio.throttle.read_iops_device = 8:0 3",
        "blkio blkio.throttle.write_iops_device = 8:16 4",
        "hugetlb hugetlb.2MB.limit_in_bytes = 4194304",
        "hugetlb hugetlb.2MB.rsvd.limit_in_bytes = 4194304",
        "net_cls net_cls.classid = 1048577",
        "net_prio net_prio.ifpriomap = eth0 5",
        "rdma rdma.max = mlx5_1 hca_handle=3 hca_object=10",
        "rdma rdma.max = rxe3 hca_object=7",
    ]
    assert [text.split(" ")[0] for text in plan.warnings] == [
        "linux.resources.memory.kernel",
        "linux.resources.memory.kernelTCP",
    ]


def test_v2_everything():
    plan = compile_resources({**EVERYTHING, "unified": {"memory.high": "900"}}, "v2")
    assert lines(plan) == [
        "pids pids.max = 99",
        "memory memory.swap.max = 2000",
        "memory memory.max = 1000",
        "memory memory.low = 500",
        "io io.bfq.weight = 500",
        "io io.bfq.weight = 8:0 400",
        "io io.max = 8:0 rbps=1",
        "io io.max = 8:0 wbps=2",
        "io io.max = 8:0 riops=3",
        "io io.max = 8:16 wiops=4",
        "cpu cpu.idle = 0",
        "cpu cpu.weight = 59",
        "cpu cpu.max.burst = 1000",
        "cpu cpu.max = 50000 100000",
        "cpuset cpuset.cpus = 0-1",
        "cpuset cpuset.mems = 0",
        "hugetlb hugetlb.2MB.max = 4194304",
        "hugetlb hugetlb.2MB.rsvd.max = 4194304",
        "rdma rdma.max = mlx5_1 hca_handle=3 hca_object=10",
        "rdma rdma.max = rxe3 hca_object=7",
        "memory memory.high = 900",
    ]
    assert plan.writes[4].alternatives == (("io.weight", "4950"),)
    ignored = {text.split(" ")[0].removeprefix("linux.resources.") for text in plan.warnings}
    assert ignored == {
        "memory.kernel",
        "memory.kernelTCP",
        "memory.swappiness",
        "memory.disableOOMKiller",
        "cpu.realtimeRuntime",
        "cpu.realtimePeriod",
        "blockIO.leafWeight",
        "network.classID",
        "network.priorities",
    }


def test_fields_name_their_place_in_the_config():
    fields = [w.field for w in compile_resources(EVERYTHING, "v1").writes]
    assert "linux.resources.memory.limit" in fields
    assert "linux.resources.blockIO.weightDevice[0].leafWeight" in fields
    assert "linux.resources.blockIO.throttleWriteIOPSDevice[0]" in fields
    assert "linux.resources.hugepageLimits[0]" in fields
    assert "linux.resources.rdma.rxe3" in fields
    unified = compile_resources({"unified": {"cpu.weight": "5"}}, "v2").writes
    assert [w.field for w in unified] == ["linux.resources.unified['cpu.weight']"]


@pytest.mark.parametrize("mode", ["v1", "v2"])
@pytest.mark.parametrize(
    "resources",
    [
        {},
        {"memory": {}, "cpu": {}, "pids": {}, "blockIO": {}, "network": {}},
        {"memory": {"limit": 0, "swap": 0, "reservation": 0}, "cpu": {"shares": 0, "quota": 0}},
        {"memory": {"swappiness": 2**64 - 1}, "cpu": {"period": 0, "cpus": ""}},
        {"memory": None, "cpu": {"shares": None}, "pids": {"limit": None}, "rdma": None},
        {"network": {"classID": 0, "priorities": []}, "hugepageLimits": []},
    ],
)
def test_nothing_asked_nothing_written(resources, mode):
    plan = compile_resources(resources, mode)
    assert plan.writes == []
    assert plan.warnings == []


@pytest.mark.parametrize(("limit", "value"), [(-1, "max"), (-5, "max"), (0, "1"), (7, "7")])
@pytest.mark.parametrize("mode", ["v1", "v2"])
def test_pids(mode, limit, value):
    assert lines(compile_resources({"pids": {"limit": limit}}, mode)) == [
        f"pids pids.max = {value}"
    ]


def test_v1_unlimited_memory_frees_swap_too():
    plan = compile_resources({"memory": {"limit": -1}}, "v1")
    assert lines(plan) == [
        "memory memory.limit_in_bytes = -1",
        "memory memory.memsw.limit_in_bytes = -1",
    ]
    assert plan.writes[1].optional


def test_v1_refuses_unified():
    with pytest.raises(ConfigError, match="unified"):
        compile_resources({"unified": {"memory.high": "1"}}, "v1")
    assert compile_resources({"unified": {}}, "hybrid").writes == []


@pytest.mark.parametrize(("shares", "word"), [(1, "minimum"), (262145, "maximum")])
def test_v1_shares_out_of_range(shares, word):
    with pytest.raises(ConfigError, match=word):
        compile_resources({"cpu": {"shares": shares}}, "v1")


def test_v1_swappiness_out_of_range():
    with pytest.raises(ConfigError, match="0-100"):
        compile_resources({"memory": {"swappiness": 101}}, "v1")


@pytest.mark.parametrize("size", ["../../x", "2MB/..", "", "2 MB", "2MB\n"])
@pytest.mark.parametrize("mode", ["v1", "v2"])
def test_page_size_cannot_name_another_file(mode, size):
    with pytest.raises(ConfigError):
        compile_resources({"hugepageLimits": [{"pageSize": size, "limit": 1}]}, mode)


@pytest.mark.parametrize("name", ["../memory.max", "memory", "memory/max", "", "cpu.we ight"])
def test_unified_names_are_files_of_the_cgroup(name):
    with pytest.raises(ConfigError):
        compile_resources({"unified": {name: "1"}}, "v2")


def test_unified_with_several_lines():
    plan = compile_resources({"unified": {"io.max": "8:0 rbps=1\n8:16 rbps=2\n"}}, "v2")
    assert plan.writes[0].by_line


def test_v2_check_before_update():
    memory = {"limit": 100, "swap": 300, "checkBeforeUpdate": True}
    plan = compile_resources({"memory": memory}, "v2")
    assert [(w.file, w.value) for w in plan.writes if w.limit_check] == [
        ("memory.current", "300"),
        ("memory.current", "100"),
    ]
    assert not any(w.limit_check for w in compile_resources({"memory": memory}, "v1").writes)


@pytest.mark.parametrize(
    ("shares", "weight"),
    # Values of the formula 10^((l^2 + 125 l)/612 - 7/34), l = log2(shares), rounded up.
    [
        (0, 0),
        (1, 1),
        (2, 1),
        (3, 2),
        (10, 4),
        (100, 17),
        (512, 59),
        (1024, 100),
        (2048, 174),
        (262143, 10000),
        (262144, 10000),
        (10**9, 10000),
    ],
)
def test_cpu_weight(shares, weight):
    assert cpu_weight(shares) == weight


def test_cpu_weight_is_monotonic():
    weights = [cpu_weight(shares) for shares in range(2, 262145, 97)]
    assert weights == sorted(weights)
    assert 1 <= weights[0] <= weights[-1] <= 10000


@pytest.mark.parametrize(("old", "new"), [(0, 0), (10, 1), (500, 4950), (1000, 10000)])
def test_io_weight(old, new):
    assert io_weight(old) == new


@pytest.mark.parametrize(
    ("swap", "limit", "value"),
    [
        (0, 0, ""),
        (0, 100, ""),
        (0, -1, "max"),
        (-1, 0, "max"),
        (-1, 100, "max"),
        (300, -1, "300"),
        (300, 100, "200"),
        (100, 100, "0"),
    ],
)
def test_swap_max(swap, limit, value):
    assert swap_max(swap, limit) == value


@pytest.mark.parametrize(("swap", "limit"), [(100, 0), (99, 100)])
def test_swap_max_refuses(swap, limit):
    with pytest.raises(ConfigError) as caught:
        swap_max(swap, limit)
    assert caught.value.field == "linux.resources.memory.swap"


@pytest.mark.parametrize(
    ("cpu", "value"),
    [
        ({"quota": 5000}, "5000 100000"),
        ({"period": 5000}, "max 5000"),
        ({"quota": -1}, "max 100000"),
        ({"quota": -1, "period": 7000}, "max 7000"),
    ],
)
def test_v2_cpu_max(cpu, value):
    assert lines(compile_resources({"cpu": cpu}, "v2")) == [f"cpu cpu.max = {value}"]


def test_v2_memory_unlimited():
    plan = compile_resources({"memory": {"limit": -1, "reservation": -1}}, "v2")
    assert lines(plan) == [
        "memory memory.swap.max = max",
        "memory memory.max = max",
        "memory memory.low = max",
    ]
