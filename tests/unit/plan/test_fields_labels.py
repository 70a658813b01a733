"""Labels of AppArmor and SELinux in the plan, and their absence on a host without."""

from __future__ import annotations

import pytest

from pycontainer.base.errors import ConfigError, HostError
from pycontainer.cgroups.layout import Hierarchy, Layout
from pycontainer.cgroups.paths import CgroupPaths
from pycontainer.cgroups.resources.writes import ResourcePlan
from pycontainer.linux.host import Host
from pycontainer.plan.cgroup import CgroupPlan
from pycontainer.plan.create import Inputs, compile_create
from pycontainer.plan.ops import op

from . import compiled

LABEL = "system_u:object_r:container_file_t:s0:c1,c2"


def with_process(**members):
    config = compiled.config()
    config["process"].update(members)
    return config


@pytest.mark.parametrize(
    ("config", "name", "field"),
    [
        (with_process(apparmorProfile="p"), "apparmor", "process.apparmorProfile"),
        (with_process(selinuxLabel="l"), "selinux", "process.selinuxLabel"),
        (compiled.config(mountLabel=LABEL), "selinux", "linux.mountLabel"),
    ],
)
def test_refused_where_there_is_none(config, name, field):
    with pytest.raises(HostError, match=f"{name} is not enabled on this host") as caught:
        compiled.plan(config)
    assert caught.value.field == field


def test_written_to_the_process_itself():
    host = Host(apparmor=True, selinux=True)
    config = with_process(apparmorProfile="profile", selinuxLabel="label")
    writes = compiled.of_kind(compiled.plan(config, host), "self_write")
    assert writes == [
        op("self_write", "attr/keycreate", "label", field="process.selinuxLabel"),
        op("self_write", "attr/apparmor/exec", "exec profile", field="process.apparmorProfile"),
        op("self_write", "attr/exec", "label", field="process.selinuxLabel"),
    ]


@pytest.mark.parametrize("kind", ["context", "fscontext", "defcontext", "rootcontext"])
def test_which_label_of_mounts(kind):
    """crun's annotation; mount(8) says what each one labels."""
    config = compiled.config(mountLabel=LABEL)
    config["annotations"] = {"run.oci.mount_context_type": kind}
    plan = compiled.plan(config, Host(selinux=True))
    options = [item["options"] for item in compiled.of_kind(plan, "mount")]
    assert sum(f"{kind}={LABEL}".encode() in one.split(b"\0") for one in options) == 4
    assert kind == "context" or not any(b"\0context=" in b"\0" + one for one in options)


def test_a_label_of_no_kind():
    config = compiled.config(mountLabel=LABEL)
    config["annotations"] = {"run.oci.mount_context_type": "text"}
    with pytest.raises(ConfigError, match="must be one of context, fscontext") as caught:
        compiled.plan(config, Host(selinux=True))
    assert caught.value.field == 'annotations["run.oci.mount_context_type"]'


def test_label_of_mounts():
    """All file systems that take one; a label with commas is one option."""
    plan = compiled.plan(compiled.config(mountLabel=LABEL), Host(selinux=True))
    mounts = {item["target"].decode(): item["options"] for item in compiled.of_kind(plan, "mount")}
    for target in ("/dev", "/dev/pts", "/dev/shm"):
        assert f"context={LABEL}".encode() in mounts[target].split(b"\0")
    for target in ("/proc", "/sys", "/dev/mqueue"):
        assert b"context" not in mounts[target]

    labelled = compiled.one(plan, "label_file")
    assert (labelled["path"], labelled["label"]) == (b"/dev/mqueue", LABEL.encode())
    kinds = [item.kind for item in plan.ops if b"/dev/mqueue" in item.texts]
    assert kinds == ["mount", "label_file"]
    assert compiled.one(plan, "own_files")["label"] == LABEL.encode()


def test_the_directories_of_v1_cgroups():
    """The tmpfs that holds them, as with runc, not the hierarchies."""
    layout = Layout("v1", (Hierarchy(("memory",), "/sys/fs/cgroup/memory", "/"),))
    paths = CgroupPaths("v1", {"memory": "/sys/fs/cgroup/memory/c1"}, True)
    cgroup = CgroupPlan(layout, paths, ResourcePlan([], [], b"", False, []))
    config = compiled.config(mountLabel=LABEL)
    config["linux"]["namespaces"].append({"type": "cgroup"})
    config["mounts"].append({"destination": "/sys/fs/cgroup", "type": "cgroup"})
    inputs = Inputs(Host(selinux=True), cgroup, bundle="/b", rootfs="/r", state={"id": "c1"})
    mounts = {
        item["target"].decode(): item["options"]
        for item in compiled.of_kind(compile_create(config, inputs), "mount")
    }
    assert f"context={LABEL}".encode() in mounts["/sys/fs/cgroup"].split(b"\0")
    assert b"context" not in mounts["/sys/fs/cgroup/memory"]


@pytest.mark.parametrize("name", ["context", "fscontext", "defcontext", "rootcontext"])
def test_a_mount_that_says_its_own(name):
    """The kernel takes one of them, not two."""
    config = compiled.config(mountLabel=LABEL)
    own = f"{name}=a:b:c:s0"
    config["mounts"].append({"destination": "/x", "type": "tmpfs", "options": [own]})
    item = compiled.of_kind(compiled.plan(config, Host(selinux=True)), "mount")[-1]
    assert item["options"] == f"{own}\0".encode()


def test_the_keys_of_a_process_that_joins():
    """While the process is where its /proc is: before it joins anything."""
    plan = compiled.entry_plan(with_process(selinuxLabel="label"), Host(selinux=True))
    kinds = compiled.kinds(plan)
    assert kinds.index("self_write") < kinds.index("setns") < kinds.index("keyring")
    last = len(kinds) - kinds[::-1].index("self_write") - 1
    assert last < kinds.index("setns") < kinds.index("respawn"), "the child inherits them"


def test_label_with_mount_2():
    """A flag that only mount(2) has: the label in quotes."""
    config = compiled.config(mountLabel=LABEL)
    entry = {"destination": "/x", "type": "tmpfs", "source": "t", "options": ["iversion"]}
    config["mounts"].append(entry)
    item = compiled.of_kind(compiled.plan(config, Host(selinux=True)), "mount")[-1]
    assert item["options"] == f'context="{LABEL}"\0'.encode()
