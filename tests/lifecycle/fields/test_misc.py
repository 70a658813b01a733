"""Small fields, seen from inside: devices of every type, propagation, console size, umask,
personality, labels, and properties that nobody knows."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from pathlib import Path

import pytest

from pycontainer.linux.host import probe

STAT = "stat -c '%n %F %a %u:%g %t:%T'"


@pytest.fixture
def devices(box):
    """Lists them in the config; what an ordinary user has instead: conformance/rootless."""
    box.needs_root("makes devices")
    return list_devices


def list_devices(bundle, *entries) -> None:
    bundle.linux["devices"] = list(entries)
    rule = {"allow": True, "access": "rwm"}
    bundle.linux.setdefault("resources", {})["devices"] = [rule]


def test_devices_of_every_type(box, devices):
    bundle = box.bundle().script(f"{STAT} /dev/t/*")
    base = {"fileMode": 0o640, "uid": 7, "gid": 8}
    devices(
        bundle,
        {"path": "/dev/t/block", "type": "b", "major": 7, "minor": 300, **base},
        {"path": "/dev/t/char", "type": "c", "major": 1, "minor": 5, **base},
        {"path": "/dev/t/fifo", "type": "p", **base},
        {"path": "/dev/t/plain", "type": "c", "major": 1, "minor": 3},
        {"path": "/dev/t/unbuffered", "type": "u", "major": 1, "minor": 7, **base},
    )
    assert box.run(bundle).ok().out.splitlines() == [
        "/dev/t/block block special file 640 7:8 7:12c",
        "/dev/t/char character special file 640 7:8 1:5",
        "/dev/t/fifo fifo 640 7:8 0:0",
        "/dev/t/plain character special file 666 0:0 1:3",
        "/dev/t/unbuffered character special file 640 7:8 1:7",
    ]


def test_devices_as_runc(box, devices):
    bundle = box.bundle().script(f"{STAT} /dev/* | sort")
    devices(
        bundle,
        {"path": "/dev/loop", "type": "b", "major": 7, "minor": 3, "fileMode": 0o660, "gid": 6},
        {"path": "/dev/pipe", "type": "p", "fileMode": 0o600, "uid": 3},
    )
    ours, theirs = box.run(bundle).ok().out, box.run(bundle, runtime="runc").ok().out
    assert ours == theirs


def test_a_default_device_of_ones_own(box, devices):
    """A listed /dev/null is the one that is made."""
    bundle = box.bundle().script(f"{STAT} /dev/null")
    devices(bundle, {"path": "/dev/null", "type": "c", "major": 1, "minor": 3, "fileMode": 0o600})
    assert box.run(bundle).ok().out == "/dev/null character special file 600 0:0 1:3\n"


def test_a_device_in_the_way(box, devices):
    """A file of another kind is there already: an error, as config-linux.md#devices wants."""
    bundle = box.bundle()
    (bundle.rootfs / "opt" / "thing").write_text("")
    devices(bundle, {"path": "/opt/thing", "type": "c", "major": 1, "minor": 3})
    box.run(bundle).fails("mknod /opt/thing c 1:3", "another file is there already")


def test_the_same_device_is_in_the_way(box, devices):
    bundle = box.bundle("/bin/true")
    os.mknod(bundle.rootfs / "opt" / "thing", 0o020600, os.makedev(1, 3))
    devices(bundle, {"path": "/opt/thing", "type": "c", "major": 1, "minor": 3})
    box.run(bundle).ok()


PROPAGATION = [
    ("shared", r"shared:\d+( master:\d+)?"),
    ("rshared", r"shared:\d+( master:\d+)?"),
    ("slave", ""),
    ("rslave", ""),
    ("private", ""),
    ("rprivate", ""),
    ("unbindable", "unbindable"),
    ("runbindable", "unbindable"),
]


@pytest.mark.parametrize(("name", "tag"), PROPAGATION)
def test_rootfs_propagation(box, name, tag):
    """What mountinfo says of "/" inside."""
    bundle = box.bundle("/bin/cat", "/proc/self/mountinfo")
    bundle.linux["rootfsPropagation"] = name
    lines = box.run(bundle).ok().out.splitlines()
    (root,) = (line for line in lines if line.split(" ")[4] == "/")
    tags = " ".join(root.split(" - ")[0].split(" ")[6:])
    assert re.fullmatch(tag or r"(master:\d+)?", tags), root


@pytest.mark.parametrize("name", ["slave", "rslave", "private", "rprivate"])
def test_rootfs_propagation_as_runc(box, name):
    """runc knows the others for the mounts around the root only."""
    bundle = box.bundle("/bin/cat", "/proc/self/mountinfo")
    bundle.linux["rootfsPropagation"] = name
    answers = []
    for runtime in ("pycontainer", "runc"):
        done = box.run(bundle, runtime=runtime)
        roots = [x for x in done.out.splitlines() if x.split(" ")[4] == "/"]
        tags = [re.sub(r"\d+", "N", " ".join(x.split(" - ")[0].split(" ")[6:])) for x in roots]
        answers.append((done.status, tags))
    assert answers[0] == answers[1]


def test_a_private_root_below_shared_mounts(box):
    """As on a machine with systemd; the root of a user namespace is a copy of a mount out there."""
    box.needs_root("makes the host's mounts shared")
    bundle = box.bundle("/bin/cat", "/proc/self/mountinfo")
    bundle.new_namespace("user")
    bundle.linux["uidMappings"] = bundle.linux["gidMappings"] = [
        {"containerID": 0, "hostID": 100000, "size": 65536}
    ]
    bundle.linux["rootfsPropagation"] = "private"
    run = box.pycontainer.argv("run", "-b", bundle, box.id())
    command = ["unshare", "--mount", "--propagation", "shared", *run]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    (root,) = (x for x in done.stdout.splitlines() if x.split(" ")[4] == "/")
    assert root.split(" - ")[0].split(" ")[6:] == [], root


def test_umask(box):
    bundle = box.bundle().script("umask; touch /tmp/x; stat -c %a /tmp/x")
    bundle.process["user"]["umask"] = 0o027
    assert box.run(bundle).ok().out == "0027\n640\n"


@pytest.mark.parametrize(
    ("domain", "machine"),
    [("LINUX", platform.machine()), ("LINUX32", {"x86_64": "i686"}.get(platform.machine(), ""))],
)
def test_personality(box, domain, machine):
    bundle = box.bundle("/bin/uname", "-m")
    bundle.linux["personality"] = {"domain": domain}
    out = box.run(bundle).ok().out.strip()
    assert not machine or out == machine
    running = box.bundle("/bin/sleep", "1000")
    running.linux["personality"] = {"domain": domain}
    box.pycontainer("run", "-d", "-b", running, box.id()).ok()
    joined = box.pycontainer("exec", box.id(), "/bin/uname", "-m").ok()
    assert joined.out.strip() == out


def test_unknown_properties(box):
    """Ignored, wherever they stand: config.md#extensibility."""
    bundle = box.bundle("/bin/true")
    bundle.config["org.example.unknown"] = {"a": [1]}
    bundle.linux["org.example.unknown"] = 1
    bundle.process["org.example.unknown"] = None
    bundle.config["mounts"][0]["org.example.unknown"] = "x"
    box.run(bundle).ok()


@pytest.mark.skipif(probe().selinux, reason="this machine has SELinux")
def test_selinux_absent(box):
    bundle = box.bundle()
    bundle.process["selinuxLabel"] = "system_u:system_r:container_t:s0"
    box.run(bundle).fails("selinux is not enabled on this host", "process.selinuxLabel")
    del bundle.process["selinuxLabel"]
    bundle.linux["mountLabel"] = "system_u:object_r:container_file_t:s0"
    box.run(bundle).fails("selinux is not enabled on this host", "linux.mountLabel")


@pytest.mark.skipif(probe().apparmor, reason="this machine has AppArmor")
def test_apparmor_absent(box):
    bundle = box.bundle()
    bundle.process["apparmorProfile"] = "docker-default"
    box.run(bundle).fails("apparmor is not enabled on this host", "process.apparmorProfile")


def test_keyring(box):
    """A session keyring of the container's own, named after it."""
    bundle = box.bundle().script("cat /proc/keys 2>/dev/null | grep _ses; true")
    bundle.linux["maskedPaths"] = []
    if not Path("/proc/keys").exists():
        pytest.skip("needs a kernel with keyrings")
    assert box.id("run1") in box.run(bundle).ok().out
