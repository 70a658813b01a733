"""scheduler, ioPriority, memoryPolicy and execCPUAffinity, as the kernel sees the process."""

from __future__ import annotations

import ctypes
import json
import os
import platform
import re
from pathlib import Path

import pytest

NUMBERS = {  # of system calls that Python has no word for
    "x86_64": {"ioprio_get": 252, "sched_getattr": 315},
    "aarch64": {"ioprio_get": 31, "sched_getattr": 275},
}[platform.machine()]
RELEASE = tuple(int(part) for part in re.findall(r"\d+", os.uname().release)[:2])
LIBC = ctypes.CDLL(None, use_errno=True)


class SchedAttr(ctypes.Structure):
    _fields_ = (
        ("size", ctypes.c_uint32),
        ("policy", ctypes.c_uint32),
        ("flags", ctypes.c_uint64),
        ("nice", ctypes.c_int32),
        ("priority", ctypes.c_uint32),
        ("runtime", ctypes.c_uint64),
        ("deadline", ctypes.c_uint64),
        ("period", ctypes.c_uint64),
    )


def scheduling(pid: int) -> SchedAttr:
    attr = SchedAttr()
    result = LIBC.syscall(NUMBERS["sched_getattr"], pid, ctypes.byref(attr), ctypes.sizeof(attr), 0)
    assert result == 0, os.strerror(ctypes.get_errno())
    return attr


def io_priority(pid: int) -> tuple[int, int]:
    value = LIBC.syscall(NUMBERS["ioprio_get"], 1, pid)
    return value >> 13, value & 0x1FFF


def started(box, bundle) -> int:
    bundle.process["args"] = ["/bin/sleep", "1000"]
    box.pycontainer("run", "-d", "-b", bundle, box.id()).ok()
    return box.pycontainer.state(box.id())["pid"]


POLICIES = [
    {"policy": "SCHED_OTHER", "nice": 7},
    {"policy": "SCHED_BATCH", "nice": -3},
    {"policy": "SCHED_IDLE"},
    {"policy": "SCHED_FIFO", "priority": 10},
    {"policy": "SCHED_RR", "priority": 20, "flags": ["SCHED_FLAG_RESET_ON_FORK"]},
    {"policy": "SCHED_DEADLINE", "runtime": 10**6, "deadline": 10**8, "period": 10**9},
]
NUMBER_OF = {"OTHER": 0, "FIFO": 1, "RR": 2, "BATCH": 3, "IDLE": 5, "DEADLINE": 6}


def needs_privileges(box, entry) -> None:
    """Skips the test where an ordinary user asks for more than their share of the processor."""
    if (
        entry["policy"] not in ("SCHED_OTHER", "SCHED_BATCH", "SCHED_IDLE")
        or entry.get("nice", 0) < 0
    ):
        box.needs_root("asks for more than others get")


@pytest.mark.parametrize("entry", POLICIES, ids=lambda entry: entry["policy"])
def test_scheduler(box, entry):
    needs_privileges(box, entry)
    bundle = box.bundle()
    bundle.process["scheduler"] = entry
    bundle.process["user"] = box.somebody()
    if "priority" in entry:  # on v1, a cgroup's processes share its realtime budget
        bundle.linux["cgroupsPath"] = f"/{box.id()}"
        cpu = {"realtimeRuntime": 10000, "realtimePeriod": 1000000}
        bundle.linux.setdefault("resources", {})["cpu"] = cpu
    attr = scheduling(started(box, bundle))
    assert attr.policy == NUMBER_OF[entry["policy"].removeprefix("SCHED_")]
    assert attr.flags == len(entry.get("flags", ()))
    assert attr.priority == entry.get("priority", 0)
    if attr.policy in (0, 3):
        assert attr.nice == entry["nice"]
    if attr.policy == 6:
        times = (attr.runtime, attr.deadline, attr.period)
        assert times == (entry["runtime"], entry["deadline"], entry["period"])


DEADLINE = POLICIES[-1]
RESETS = {"policy": "SCHED_BATCH", "nice": 5, "flags": ["SCHED_FLAG_RESET_ON_FORK"]}
STAT = ("/bin/cat", "/proc/self/stat")


@pytest.mark.parametrize("entry", [DEADLINE, RESETS], ids=["deadline", "reset on fork"])
def test_a_policy_that_no_child_inherits(box, entry):
    """Hooks are children, and so is a process that joins: the policy is set after them."""
    needs_privileges(box, entry)
    number = str(NUMBER_OF[entry["policy"].removeprefix("SCHED_")])
    bundle = box.bundle(*STAT)
    hook = {"path": "/bin/sh", "args": ["sh", "-c", "cat /proc/self/stat > /tmp/hook"]}
    bundle.config["hooks"] = {"startContainer": [hook]}
    bundle.process["scheduler"] = entry
    bundle.process["user"] = box.somebody()
    bundle.process["capabilities"] = {}
    assert box.run(bundle).ok().out.split()[40] == number
    assert (bundle.rootfs / "tmp/hook").read_text().split()[40] == "0"
    started(box, bundle)
    assert box.pycontainer("exec", box.id(), *STAT).ok().out.split()[40] == number


def test_scheduler_of_exec(box):
    """A process that joins has the scheduler of the config, as init had it."""
    bundle = box.bundle()
    bundle.process["scheduler"] = {"policy": "SCHED_OTHER", "nice": 5}
    started(box, bundle)
    out = box.pycontainer("exec", box.id(), "/bin/cat", "/proc/self/stat").ok().out
    assert out.split()[18] == "5"


@pytest.mark.parametrize(
    ("entry", "wanted"),
    [
        ({"class": "IOPRIO_CLASS_RT", "priority": 1}, (1, 1)),
        ({"class": "IOPRIO_CLASS_BE", "priority": 6}, (2, 6)),
        ({"class": "IOPRIO_CLASS_IDLE"}, (3, 0)),
    ],
)
def test_io_priority(box, entry, wanted):
    if entry["class"] == "IOPRIO_CLASS_RT":
        box.needs_root("asks for more than others get")
    bundle = box.bundle()
    bundle.process["ioPriority"] = entry
    assert io_priority(started(box, bundle)) == wanted


MEMORY = [
    ({"mode": "MPOL_BIND", "nodes": "0"}, "bind:0"),
    ({"mode": "MPOL_INTERLEAVE", "nodes": "0"}, "interleave:0"),
    ({"mode": "MPOL_WEIGHTED_INTERLEAVE", "nodes": "0"}, "weighted interleave:0"),
    ({"mode": "MPOL_PREFERRED", "nodes": "0"}, "prefer:0"),
    ({"mode": "MPOL_PREFERRED_MANY", "nodes": "0"}, "prefer (many):0"),
    ({"mode": "MPOL_LOCAL"}, "local"),
    ({"mode": "MPOL_DEFAULT"}, "default"),
    (
        {"mode": "MPOL_BIND", "nodes": "0", "flags": ["MPOL_F_STATIC_NODES"]},
        "bind=static:0",
    ),
]


@pytest.mark.parametrize(("entry", "wanted"), MEMORY)
def test_memory_policy(box, entry, wanted):
    """numa_maps shows the policy of every mapping."""
    bundle = box.bundle()
    bundle.linux["memoryPolicy"] = entry
    if not Path("/proc/self/numa_maps").exists():
        pytest.skip("needs a kernel with NUMA")
    if "WEIGHTED" in entry["mode"] and RELEASE < (6, 9):
        pytest.skip("needs Linux 6.9")
    pid = started(box, bundle)
    lines = Path(f"/proc/{pid}/numa_maps").read_text().splitlines()
    assert any(f" {wanted} " in f"{line} " for line in lines), lines[:3]


def test_memory_policy_refused(box):
    """A node that isn't there: the field, and the kernel's reason."""
    bundle = box.bundle()
    bundle.linux["memoryPolicy"] = {"mode": "MPOL_BIND", "nodes": "900"}
    box.run(bundle).fails("set memory policy MPOL_BIND on nodes 900", "linux.memoryPolicy")


needs_cpus = pytest.mark.skipif(os.cpu_count() == 1, reason="needs two CPUs")
ALLOWED = ("grep", "Cpus_allowed_list", "/proc/self/status")


@needs_cpus
@pytest.mark.parametrize(
    ("entry", "wanted"),
    [({"initial": "1"}, "1"), ({"final": "0"}, "0"), ({"initial": "0", "final": "1"}, "1")],
)
def test_exec_affinity(box, entry, wanted):
    """Of the process that joins, not of init."""
    bundle = box.bundle()
    bundle.process["execCPUAffinity"] = entry
    pid = started(box, bundle)
    assert os.sched_getaffinity(pid) == os.sched_getaffinity(0)
    done = box.pycontainer("exec", box.id(), *ALLOWED).ok()
    assert done.out.split()[-1] == wanted


@pytest.fixture
def bound_to_one_cpu():
    """Us, and who we start."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    yield before
    os.sched_setaffinity(0, before)


@needs_cpus
def test_affinity_of_the_caller_stays_with_it(box, bound_to_one_cpu):
    """As with runc since 1.3.1: a container has the CPUs of its cpuset."""
    init = started(box, box.bundle())
    assert os.sched_getaffinity(init) == bound_to_one_cpu
    last = box.pycontainer("exec", box.id(), *ALLOWED).ok().out.split()[-1]
    assert last != str(min(bound_to_one_cpu))
    assert last == box.pycontainer("exec", box.id(), *ALLOWED[:2], "/proc/1/status").out.split()[-1]


@needs_cpus
def test_affinity_is_the_cpusets(box, bound_to_one_cpu):
    box.needs_a_cgroup()
    bundle = box.bundle()
    bundle.linux["resources"]["cpu"] = {"cpus": str(max(bound_to_one_cpu))}
    assert os.sched_getaffinity(started(box, bundle)) == {max(bound_to_one_cpu)}
    last = box.pycontainer("exec", box.id(), *ALLOWED).ok().out.split()[-1]
    assert last == str(max(bound_to_one_cpu))


@needs_cpus
@pytest.mark.parametrize("own", [False, True])
def test_exec_affinity_of_process_json(box, own):
    """A process.json without the field has the container's."""
    bundle = box.bundle()
    bundle.process["execCPUAffinity"] = {"final": "0"}
    started(box, bundle)
    process = {"cwd": "/", "args": list(ALLOWED), "user": {"uid": 0, "gid": 0}}
    process["env"] = ["PATH=/bin"]
    if own:
        process["execCPUAffinity"] = {"final": "1"}
    file = box.directory / "process.json"
    file.write_text(json.dumps(process))
    done = box.pycontainer("exec", "--process", file, box.id()).ok()
    assert done.out.split()[-1] == ("1" if own else "0")


def test_exec_affinity_refused(box):
    bundle = box.bundle()
    bundle.process["execCPUAffinity"] = {"final": "1000"}
    started(box, bundle)
    done = box.pycontainer("exec", box.id(), "/bin/true")
    done.fails("run on CPUs 1000", "invalid argument", "execCPUAffinity.final", status=255)
