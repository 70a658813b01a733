"""Golden plans: a config in, its operations out, each as `pycontainer plan` words it.

The expected texts are in golden/. After a change that is meant: PYCONTAINER_GOLDEN=write pytest
tests/unit/plan, then read the difference.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pycontainer.cgroups.layout import Hierarchy, Layout
from pycontainer.cgroups.paths import CgroupPaths
from pycontainer.cgroups.resources.writes import ResourcePlan, Write
from pycontainer.linux.host import Host
from pycontainer.plan import describe
from pycontainer.plan.builder import Plan
from pycontainer.plan.cgroup import CgroupPlan
from pycontainer.plan.create import Inputs, compile_create
from pycontainer.seccomp.cache import Filter
from tests.unit.plan.compiled import config, entry_plan, plan

GOLDEN = Path(__file__).parent / "golden"
WRITE = os.environ.get("PYCONTAINER_GOLDEN") == "write"
RANGE = [{"containerID": 0, "hostID": 100000, "size": 65536}]


def default() -> Plan:
    """runc's default spec."""
    return plan(config())


def user_namespace() -> Plan:
    """The executor makes it, and the others in it; a child goes on."""
    document = config(uidMappings=RANGE, gidMappings=RANGE)
    document["linux"]["namespaces"].append({"type": "user"})
    document["mounts"].append({"destination": "/data", "source": "/srv", "options": ["rbind"]})
    zero = {"path": "/dev/mine", "type": "c", "major": 1, "minor": 5, "uid": 7}
    document["linux"]["devices"] = [zero, {"path": "/dev/pipe", "type": "p"}]
    return plan(document)


def rootless() -> Plan:
    """Without privileges over the host."""
    one = [{"containerID": 0, "hostID": 1000, "size": 1}]
    document = config(uidMappings=one, gidMappings=one)
    document["linux"]["namespaces"].append({"type": "user"})
    return plan(document, Host(uid=1000, gid=1000, rootless=True, permitted=0))


def joined_namespaces() -> Plan:
    """Mount last; pid before the clone."""
    kinds = ("mount", "pid", "ipc", "uts", "network", "cgroup")
    return plan(config(namespaces=[{"type": k, "path": f"/ns/{k}"} for k in kinds]))


def joined_user_namespace() -> Plan:
    """What is new belongs to the joined user namespace."""
    spaces = [{"type": "user", "path": "/ns/user"}, {"type": "pid"}, {"type": "mount"}]
    return plan(config(namespaces=[*spaces, {"type": "network", "path": "/ns/net"}]))


def without_namespaces() -> Plan:
    """chroot is all that is left."""
    document = config(namespaces=[], maskedPaths=[], readonlyPaths=[])
    document["mounts"] = []
    return plan(document)


def hooks() -> Plan:
    """All that run before the program does."""
    document = config()
    document["hooks"] = {
        stage: [{"path": f"/bin/{stage}", "args": ["a", "b"], "timeout": 5}]
        for stage in ("prestart", "createRuntime", "createContainer", "startContainer")
    }
    return plan(document)


def devices_and_terminal() -> Plan:
    """Devices of the config replace the defaults of the same path."""
    document = config(
        devices=[
            {"type": "b", "path": "/dev/sda", "major": 8, "minor": 0, "fileMode": 0o640, "gid": 6},
            {"type": "c", "path": "/dev/null", "major": 1, "minor": 3},
            {"type": "p", "path": "/dev/fifo"},
        ]
    )
    document["process"]["terminal"] = True
    document["process"]["consoleSize"] = {"height": 25, "width": 80}
    return plan(document)


def process_settings() -> Plan:
    """Everything that `process` can ask for."""
    document = config(
        personality={"domain": "LINUX32"}, sysctl={"net.ipv4.ip_forward": "1", "kernel/a.b": "x"}
    )
    document["domainname"] = "example.org"
    document["process"] |= {
        "user": {"uid": 1000, "gid": 1000, "additionalGids": [5, 6], "umask": 63},
        "oomScoreAdj": 100,
        "noNewPrivileges": False,
        "apparmorProfile": "profile",
        "selinuxLabel": "a:b:c",
        "env": ["HOME=/h", "A=1", "A=2"],
        "rlimits": [{"type": "RLIMIT_CORE", "soft": 0, "hard": 2**64 - 1}],
    }
    loaded = Filter(b"\0" * 80, 0, False, (), ())
    return plan(document, Host(apparmor=True, selinux=True), filter=loaded, gated=False)


def mounts() -> Plan:
    """Options of every sort."""
    document = config(rootfsPropagation="shared")
    document["mounts"] = [
        {"destination": "/a", "source": "a", "options": ["bind", "ro", "rprivate"]},
        {"destination": "b/../c", "source": "/x", "options": ["rbind", "rnoexec", "exec"]},
        {"destination": "/dev", "type": "tmpfs", "options": ["ro", "size=1k,mode=700"]},
        {"destination": "/t", "type": "tmpfs", "options": ["tmpcopyup", "nodev", "uid=1"]},
        {"destination": "/a", "options": ["remount", "noexec", "x=y"]},
    ]
    return plan(document, no_pivot=True)


def cgroup_v1() -> Plan:
    """Limits before the clone, entered first, shown inside."""
    kinds = ("memory", "cpu", "devices")
    layout = Layout("v1", tuple(Hierarchy((k,), f"/sys/fs/cgroup/{k}", "/") for k in kinds))
    directories = {kind: f"/sys/fs/cgroup/{kind}/c1" for kind in kinds}
    limit = Write("memory", "memory.limit_in_bytes", "4096", "linux.resources.memory.limit")
    rule = Write("devices", "devices.deny", "a")
    resources = ResourcePlan([limit], [rule], b"", True, [])
    cgroup = CgroupPlan(layout, CgroupPaths("v1", directories, True), resources)
    state: dict[str, Any] = {"id": "c1"}
    return compile_create(
        config(), Inputs(Host(), cgroup, bundle="/b", rootfs="/b/rootfs", state=state)
    )


def exec_process() -> Plan:
    """`exec` is the same with less."""
    return entry_plan(config(), entrances=("/sys/fs/cgroup/pids/c1/tasks",), into_cgroup=True)


PLANS: list[Callable[[], Plan]] = [
    default, user_namespace, rootless, joined_namespaces, joined_user_namespace,
    without_namespaces, hooks, devices_and_terminal, process_settings, mounts, cgroup_v1,
    exec_process,
]  # fmt: skip


def text(made: Plan) -> str:
    """A line for each operation, without its number: one more must not change all lines."""
    return "".join(f"{line[5:]}\n" for line in describe.text(made).splitlines())


@pytest.mark.parametrize("make", PLANS, ids=lambda make: make.__name__)
def test_the_plan_is_as_it_was(make: Callable[[], Plan]):
    file = GOLDEN / f"{make.__name__}.txt"
    now = text(make())
    if WRITE:
        file.write_text(now)
    assert now == file.read_text()


def test_every_golden_file_has_a_plan():
    names = {make.__name__ for make in PLANS}
    assert {file.stem for file in GOLDEN.glob("*.txt")} == names


@pytest.mark.parametrize("make", PLANS, ids=lambda make: make.__name__)
def test_what_every_plan_has(make: Callable[[], Plan]):
    """Rules that no plan may break, whatever is in it."""
    made = make()
    kinds = [op.kind for op in made.ops]
    assert kinds[-1] == "exec" and kinds.count("exec") == 1
    assert kinds.index("clone") < min(i for i, op in enumerate(made.ops) if op.side == "container")
    assert kinds.count("respawn") <= 1
    order = ["bounding", "user", "capabilities", "chdir", "find_program"]
    assert [kind for kind in kinds if kind in order] == order
    if "seccomp" in kinds:
        assert kinds.index("capabilities") < kinds.index("seccomp") < kinds.index("exec")
    if "pivot_root" in kinds:
        assert all(i < kinds.index("pivot_root") for i, k in enumerate(kinds) if k == "mask")
    slots = [op["slot"] for op in made.ops if op.side == "runtime" and "slot" in _names(op.kind)]
    received = next((op for op in made.ops if op.kind == "receive"), None)
    late = [*range(received["first"], sum(received.ints))] if received else []
    assert slots == [*range(len(slots) - len(late)), *late]


def _names(kind: str) -> tuple[str, ...]:
    from pycontainer.plan.ops import TABLE

    return TABLE[kind][1]
