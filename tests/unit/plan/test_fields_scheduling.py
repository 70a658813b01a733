"""scheduler, ioPriority, memoryPolicy and execCPUAffinity in the plan."""

from __future__ import annotations

import struct

import pytest

from pycontainer.plan import describe
from pycontainer.plan.scheduling import bit_mask

from . import compiled


def with_process(**members):
    config = compiled.config()
    config["process"].update(members)
    return config


def test_nothing_asked_for():
    plan = compiled.plan(compiled.config())
    assert not compiled.of_kind(plan, "scheduler", "io_priority", "memory_policy")


def test_deadline():
    entry = {"policy": "SCHED_DEADLINE", "runtime": 1, "deadline": 2, "period": 3}
    entry["flags"] = ["SCHED_FLAG_RESET_ON_FORK", "SCHED_FLAG_DL_OVERRUN"]
    op = compiled.one(compiled.plan(with_process(scheduler=entry)), "scheduler")
    assert op["attr"] == struct.pack("<IIQiIQQQII", 56, 6, 5, 0, 0, 1, 2, 3, 0, 0)
    assert op.field == "process.scheduler"
    assert describe.line(op) == (
        "schedule as SCHED_DEADLINE, SCHED_FLAG_RESET_ON_FORK, SCHED_FLAG_DL_OVERRUN,"
        " runtime 1, deadline 2, period 3"
    )


def test_nice_below_zero():
    entry = {"policy": "SCHED_BATCH", "nice": -5}
    op = compiled.one(compiled.plan(with_process(scheduler=entry)), "scheduler")
    assert op["attr"] == struct.pack("<IIQiIQQQII", 56, 3, 0, -5, 0, 0, 0, 0, 0, 0)
    assert describe.line(op) == "schedule as SCHED_BATCH, nice -5"


def test_io_priority():
    entry = {"class": "IOPRIO_CLASS_IDLE", "priority": 4}
    op = compiled.one(compiled.plan(with_process(ioPriority=entry)), "io_priority")
    assert op["value"] == 3 << 13 | 4
    assert describe.line(op) == "set I/O priority IOPRIO_CLASS_IDLE 4"


def test_memory_policy():
    entry = {"mode": "MPOL_INTERLEAVE", "nodes": "0-1,65", "flags": ["MPOL_F_STATIC_NODES"]}
    op = compiled.one(compiled.plan(compiled.config(memoryPolicy=entry)), "memory_policy")
    assert op["mode"] == 3 | 1 << 15
    assert op["nodes"] == struct.pack("<QQ", 3, 2)
    assert describe.line(op) == (
        "set memory policy MPOL_INTERLEAVE, MPOL_F_STATIC_NODES on nodes 0-1,65"
    )


def test_privileges_are_still_there():
    """All of it before the user and the capabilities change."""
    config = with_process(scheduler={"policy": "SCHED_FIFO", "priority": 1})
    config["process"]["ioPriority"] = {"class": "IOPRIO_CLASS_RT"}
    kinds = compiled.kinds(compiled.plan(config))
    assert kinds.index("scheduler") < kinds.index("io_priority") < kinds.index("bounding")


def test_affinity_around_the_cgroup():
    config = with_process(execCPUAffinity={"initial": "1", "final": "0,2-3"})
    plan = compiled.entry_plan(config, entrances=("/sys/fs/cgroup/cpu/c/tasks",))
    wanted = ("cpu_affinity", "cgroup_join", "setns")
    first, join, second, *_ = compiled.of_kind(plan, *wanted)
    assert (first["cpus"], join.kind) == (struct.pack("<Q", 2), "cgroup_join")
    assert second["cpus"] == struct.pack("<Q", 0b1101)
    assert second.field == "process.execCPUAffinity.final"
    assert describe.line(second) == "run on CPUs 0,2-3"


def test_affinity_is_not_for_init():
    """Which gets all CPUs, once it is in its cgroup, whatever its caller is bound to."""
    plan = compiled.plan(with_process(execCPUAffinity={"initial": "1", "final": "0"}))
    every = compiled.one(plan, "cpu_affinity")
    assert every["cpus"] == b""
    assert describe.line(every) == "run on CPUs of any number"


@pytest.mark.parametrize(
    ("entry", "masks"),
    [
        (None, [b""]),
        ({}, [b""]),
        ({"initial": "", "final": ""}, [b""]),
        ({"initial": "1"}, [struct.pack("<Q", 2)]),
        ({"final": "1"}, [struct.pack("<Q", 2)]),
    ],
)
def test_affinity_of_exec(entry, masks):
    """All CPUs only for who asks for none."""
    config = with_process(**({} if entry is None else {"execCPUAffinity": entry}))
    plan = compiled.entry_plan(config, entrances=("/sys/fs/cgroup/cpu/c/tasks",))
    kinds = [op.kind for op in plan.ops]
    assert [op["cpus"] for op in compiled.of_kind(plan, "cpu_affinity")] == masks
    if masks == [b""]:
        assert kinds.index("cgroup_join") < kinds.index("cpu_affinity") < kinds.index("setns")


@pytest.mark.parametrize(
    ("ranges", "mask"),
    [
        ("", b""),
        ("0", b"\1" + bytes(7)),
        ("63", bytes(7) + b"\x80"),
        ("64", bytes(8) + b"\1" + bytes(7)),
    ],
)
def test_bit_mask(ranges, mask):
    assert bit_mask(ranges) == mask
