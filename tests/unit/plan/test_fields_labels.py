"""Labels of AppArmor and SELinux in the plan, and their absence on a host without."""

from __future__ import annotations

import pytest

from pycontainer.errors import HostError
from pycontainer.host import Host
from pycontainer.plan.op import op

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
        op("self_write", "attr/apparmor/exec", "exec profile", field="process.apparmorProfile"),
        op("self_write", "attr/exec", "label", field="process.selinuxLabel"),
    ]


def test_label_of_mounts():
    """All file systems that take one; a label with commas is one option."""
    plan = compiled.plan(compiled.config(mountLabel=LABEL), Host(selinux=True))
    mounts = {item["target"].decode(): item["options"] for item in compiled.of_kind(plan, "mount")}
    for target in ("/dev", "/dev/pts", "/dev/shm"):
        assert f"context={LABEL}".encode() in mounts[target].split(b"\0")
    for target in ("/proc", "/sys", "/dev/mqueue"):
        assert b"context" not in mounts[target]


def test_label_with_mount_2():
    """A flag that only mount(2) has: the label in quotes."""
    config = compiled.config(mountLabel=LABEL)
    entry = {"destination": "/x", "type": "tmpfs", "source": "t", "options": ["iversion"]}
    config["mounts"].append(entry)
    item = compiled.of_kind(compiled.plan(config, Host(selinux=True)), "mount")[-1]
    assert item["options"] == f'context="{LABEL}"\0'.encode()
