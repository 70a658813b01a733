"""Plans without a kernel: a config in, its operations out, on a host of our own making."""

from __future__ import annotations

import copy
from typing import Any

from pycontainer.cgroups.layout import Layout
from pycontainer.cgroups.paths import CgroupPaths
from pycontainer.cgroups.resources.writes import ResourcePlan
from pycontainer.linux.host import Host
from pycontainer.plan.builder import Plan
from pycontainer.plan.cgroup import CgroupPlan
from pycontainer.plan.create import Inputs, compile_create
from pycontainer.plan.exec import EntryInputs, compile_exec
from pycontainer.plan.ops import Op
from pycontainer.spec import default_config


def config(**linux: Any) -> dict[str, Any]:
    """The default config, with these members of `linux`."""
    made = copy.deepcopy(default_config.example())
    made["linux"].update(linux)
    return made


def plan(document: dict[str, Any], host: Host | None = None, **options: Any) -> Plan:
    """The plan of `create`, without a cgroup."""
    paths = CgroupPaths("none", {}, False, "disabled")
    cgroup = CgroupPlan(Layout("none", ()), paths, ResourcePlan([], [], b"", False, []))
    state = {"ociVersion": "1.3.0", "id": "c1", "status": "creating", "bundle": "/b"}
    inputs = Inputs(host or Host(), cgroup, bundle="/b", rootfs="/b/rootfs", state=state, **options)
    return compile_create(document, inputs)


def entry_plan(document: dict[str, Any], host: Host | None = None, **options: Any) -> Plan:
    """The plan of `exec`."""
    spaces = [{"type": "pid", "path": "/proc/1/ns/pid"}, {"type": "mount", "path": "/m"}]
    return compile_exec(document, EntryInputs(host or Host(), spaces, **options))


def of_kind(made: Plan, *kinds: str) -> list[Op]:
    """The operations of these kinds, in order."""
    return [op for op in made.ops if op.kind in kinds]


def one(made: Plan, kind: str) -> Op:
    """The only operation of its kind."""
    (op,) = of_kind(made, kind)
    return op


def kinds(made: Plan) -> list[str]:
    """The kinds, in order."""
    return [op.kind for op in made.ops]
