"""The systemd driver beyond limits: units, slices, annotations, reloads, refusals."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.box import Box
from tests.support.cgroups import (
    MANAGER,
    ROOT,
    SYSTEMD,
    V1,
    directories,
    setting,
    settings,
    unit_properties,
    units,
)
from tests.support.runtimes import Runtime

pytestmark = pytest.mark.skipif(not SYSTEMD, reason="needs systemd")


@pytest.fixture(autouse=True)
def _with_systemd(box: Box) -> None:
    box.needs_a_cgroup()


def test_a_life_in_a_scope(box: Box) -> None:
    pyc, name = box.pycontainer, box.id()
    bundle = box.bundle("/bin/sleep", "1000")
    pyc("--systemd-cgroup", "create", "-b", bundle, name).ok()
    unit = f"pycontainer-{name}.scope"
    assert unit_properties(unit)["ActiveState"] == "active"
    # The process that started the scope is gone, init is in.
    assert pyc("ps", "-f", "json", name).out.strip() == f"[{pyc.state(name)['pid']}]"
    pyc("start", name).ok()
    inside = pyc("exec", name, "cat", "/proc/self/cgroup").ok().out
    assert V1 or inside == "0::/\n"
    pyc("pause", name).ok()
    assert pyc.status(name) == "paused"
    pyc("resume", name).ok()
    pyc("kill", name, "KILL").ok()
    pyc.wait_for(name, "stopped")
    pyc("delete", name).ok()
    assert units(name) == []
    box.empty()


def test_limits_survive_a_reload(box: Box) -> None:
    """systemctl daemon-reload applies again what systemd knows: all of ours must stay."""
    pyc, name = box.pycontainer, box.id()
    bundle = box.bundle("/bin/sleep", "1000")
    bundle.linux["resources"] = {
        "memory": {"limit": 64 << 20},
        "cpu": {"quota": 33333, "period": 100000},
        "pids": {"limit": 20},
    }
    if ROOT:
        bundle.linux["resources"]["devices"] = [
            {"allow": False, "access": "rwm"},
            {"allow": True, "type": "c", "major": 241, "minor": 1, "access": "r"},
        ]
    pyc("--systemd-cgroup", "run", "-d", "-b", bundle, name).ok()
    pyc("update", "--pids-limit", "30", name).ok()
    before = settings(pyc, name)
    assert setting(pyc, name, "pids.max") == "30"
    subprocess.run(["systemctl", *MANAGER, "daemon-reload"], check=True)
    assert settings(pyc, name) == before
    if ROOT:
        device_rules_hold(pyc, name)
    pyc("delete", "-f", name).ok()


def device_rules_hold(pyc: Runtime, name: str) -> None:
    script = "mknod /tmp/zero c 1 5; mknod /tmp/fuse c 10 229; mknod /tmp/nobody c 241 1; "
    script += "head -c1 /tmp/zero >/dev/null; cat /tmp/fuse /tmp/nobody"
    done = pyc("exec", "--cap", "CAP_MKNOD", name, "sh", "-c", script)
    assert "zero" not in done.err
    assert "/tmp/fuse': Operation not permitted" in done.err
    assert "/tmp/nobody': No such device" in done.err  # allowed, but nothing is behind it


def test_one_task_is_enough(box: Box) -> None:
    """The process that starts the scope does not count."""
    bundle = box.bundle("/bin/true")
    bundle.linux["resources"] = {"pids": {"limit": 1}}
    box.pycontainer("--systemd-cgroup", "run", "-b", bundle, box.id()).ok()


def test_annotations(box: Box) -> None:
    pyc, name = box.pycontainer, box.id()
    bundle = box.bundle("/bin/sleep", "1000")
    prefix = "org.systemd.property."
    bundle.config["annotations"] = {
        f"{prefix}TimeoutStopSec": "uint64 123",
        f"{prefix}CollectMode": "'inactive-or-failed'",
    }
    pyc("--systemd-cgroup", "run", "-d", "-b", bundle, name).ok()
    found = unit_properties(f"pycontainer-{name}.scope")
    assert found["TimeoutStopUSec"] == "2min 3s"
    assert found["CollectMode"] == "inactive-or-failed"
    pyc("delete", "-f", name).ok()
    bundle.config["annotations"] = {f"{prefix}NoSuchThing": "1"}
    pyc("--systemd-cgroup", "run", "-d", "-b", bundle, name).fails("NoSuchThing", "--trust-anno")
    trusting = ("--systemd-cgroup", "--trust-annotations", "run", "-d", "-b", bundle, name)
    pyc(*trusting).fails("NoSuchThing", "unit")
    bundle.config["annotations"] = {f"{prefix}Conflicts": "['dbus.service']"}
    pyc("--systemd-cgroup", "run", "-d", "-b", bundle, name).fails("Conflicts")
    bundle.config["annotations"] = {f"{prefix}CollectMode": "oops"}
    pyc("--systemd-cgroup", "run", "-d", "-b", bundle, name).fails("annotations", "quotes")
    assert units(name) == []
    box.empty()


def test_slices(box: Box) -> None:
    """In a nested slice, and as a slice."""
    pyc = box.pycontainer
    paths = [f"{box.token}-a.slice:x:y", f":x:{box.token}b.slice"]
    if os.geteuid() != 0:
        del paths[1]  # systemd moves nobody into a slice, and the way there may be root's
    for number, path in enumerate(paths):
        name = box.id(str(number))
        bundle = box.bundle("/bin/sleep", "1000")
        bundle.linux["cgroupsPath"] = path
        pyc("--systemd-cgroup", "run", "-d", "-b", bundle, name).ok()
        directory = next(iter(directories(pyc, name).values()))
        assert str(pyc.state(name)["pid"]) in (directory / "cgroup.procs").read_text().split()
        pyc("delete", "-f", name).ok()
        assert not directory.exists()
    subprocess.run(
        ["systemctl", *MANAGER, "stop", f"{box.token}-a.slice", f"{box.token}.slice"], check=False
    )


def test_refusals_leave_nothing(box: Box) -> None:
    pyc, name = box.pycontainer, box.id()
    bundle = box.bundle("/bin/sleep", "1000")
    run = ("--systemd-cgroup", "run", "-d", "-b")
    bundle.linux["cgroupsPath"] = "/not/this/form"
    pyc(*run, bundle, name).fails("slice:prefix:name")
    bundle.linux["cgroupsPath"] = f":t:{name}"
    pyc(*run, bundle, name).ok()
    pyc(*run, bundle, name + "2").fails("unit", "already")
    assert pyc.status(name) == "running"  # the other one's failure did it no harm
    pyc("delete", "-f", name).ok()
    bundle.linux["resources"] = {"memory": {"limit": 64 << 20}, "cpu": {"cpus": "4000"}}
    pyc(*run, bundle, name).fails("cpu")
    bundle.linux["resources"] = {}
    bundle.process["args"] = ["/no/such/program"]
    pyc(*run, bundle, name).fails("no such file")
    assert units(box.token) == []
    box.empty()


@pytest.mark.skipif(not ROOT or shutil.which("criu") is None, reason="needs root, and CRIU")
def test_a_refused_restore_leaves_nothing(box: Box) -> None:
    pyc, name = box.pycontainer, box.id()
    bundle = box.bundle("/bin/sleep", "1000")
    bundle.config["annotations"] = {"org.systemd.property.NoSuchThing": "1"}
    images = box.directory / "images"
    images.mkdir()
    words = ("restore", "-d", "--image-path", images, "-b", bundle, name)
    pyc("--systemd-cgroup", *words).fails("NoSuchThing")
    assert units(name) == []
    assert list(Path("/sys/fs/cgroup").rglob(f"*{name}*")) == []
    box.empty()


@pytest.mark.skipif(V1, reason="v2 only")
def test_ownership(box: Box) -> None:
    """config-linux.md#cgroup-ownership: the program's user gets the cgroup if it is writable."""
    box.needs_root("gives the cgroup away")
    pyc = box.pycontainer
    for driver in ([], ["--systemd-cgroup"]):
        name = box.id(str(len(driver)))
        bundle = box.bundle("/bin/sleep", "1000")
        bundle.process["user"] = {"uid": 1000, "gid": 1000}
        bundle.drop_namespace("cgroup")
        bundle.new_namespace("cgroup")
        for mount in bundle.config["mounts"]:
            if mount["type"] == "cgroup":
                mount["options"] = [o for o in mount["options"] if o != "ro"]
        pyc(*driver, "run", "-d", "-b", bundle, name).ok()
        directory = directories(pyc, name)[""]
        assert os.stat(directory).st_uid == 1000
        assert os.stat(directory / "cgroup.procs").st_uid == 1000
        assert os.stat(directory / "memory.max").st_uid == 0
        pyc("exec", name, "mkdir", "/sys/fs/cgroup/below").ok()
        pyc("delete", "-f", name).ok()
