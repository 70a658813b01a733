"""A new user namespace: who acts in it, and who makes what shows joined ones of another owner."""

from __future__ import annotations

import pytest

from pycontainer.cgroups.layout import Layout
from pycontainer.cgroups.paths import CgroupPaths
from pycontainer.cgroups.resources.writes import ResourcePlan
from pycontainer.linux.host import Host
from pycontainer.plan import describe
from pycontainer.plan.builder import Plan
from pycontainer.plan.cgroup import CgroupPlan
from pycontainer.plan.create import Inputs, compile_create
from tests.unit.plan import compiled

RANGE = [{"containerID": 0, "hostID": 100000, "size": 65536}]
SHOWN = {"pid": "proc", "network": "sysfs", "ipc": "mqueue", "cgroup": "cgroup2"}


def made(kind: str, mode: str, *, user: bool = True, host: Host | None = None) -> Plan:
    """A plan that joins a namespace of this kind, on a host with this kind of cgroups."""
    document = compiled.config()
    linux = document["linux"]
    linux["namespaces"] = [{"type": "mount"}, {"type": kind, "path": "/ns/of-another"}]
    if user:
        linux["namespaces"].append({"type": "user"})
        linux |= {"uidMappings": RANGE, "gidMappings": RANGE}
    paths = CgroupPaths(mode, {}, False)
    cgroup = CgroupPlan(Layout(mode, ()), paths, ResourcePlan([], [], b"", False, []))
    state = {"ociVersion": "1.3.0", "id": "c1", "status": "creating", "bundle": "/b"}
    inputs = Inputs(host or Host(), cgroup, bundle="/b", rootfs="/b/rootfs", state=state)
    return compile_create(document, inputs)


@pytest.mark.parametrize("kind", SHOWN)
def test_it_is_made_while_its_owner_may(kind: str):
    plan = made(kind, "v2")
    opened = compiled.one(plan, "open_fs")
    assert opened["fstype"].decode() == SHOWN[kind]
    kinds = compiled.kinds(plan)
    assert kinds.index("open_fs") < kinds.index("unshare")
    if kind != "pid":  # there the clone begins
        assert kinds.index("setns") < kinds.index("open_fs")
    (bound,) = [op for op in compiled.of_kind(plan, "bind_host") if op.field == opened.field]
    assert bound["slot"] == opened["slot"]
    mounted = {op["fstype"].decode() for op in compiled.of_kind(plan, "mount")}
    assert SHOWN[kind] not in mounted


def test_root_that_has_no_id_does_not_act():
    document = compiled.config(gidMappings=RANGE)
    linux = document["linux"]
    linux["uidMappings"] = [{"containerID": 1000, "hostID": 100000, "size": 1}]
    linux["namespaces"].append({"type": "user"})
    document["process"]["user"] = {"uid": 1000, "gid": 7}
    step = compiled.one(compiled.plan(document), "become_root")
    assert (step["uid"], step["gid"]) == (1000, 0)
    assert describe.line(step) == "become 1000:0 of the user namespace"


@pytest.mark.parametrize("kind", SHOWN)
def test_without_a_user_namespace_nothing_is_different(kind: str):
    assert "open_fs" not in compiled.kinds(made(kind, "v2", user=False))


def test_cgroup_v1_has_hierarchies_instead():
    assert "open_fs" not in compiled.kinds(made("cgroup", "v1"))


def test_who_has_no_privileges_outside_tries_inside():
    host = Host(uid=1000, gid=1000, rootless=True, permitted=0, mounts=False)
    assert "open_fs" not in compiled.kinds(made("network", "none", host=host))
