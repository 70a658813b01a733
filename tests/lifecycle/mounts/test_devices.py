"""What lies in /dev, when the config has other ideas than the defaults."""

from __future__ import annotations

import os
import subprocess

import pytest

from tests.support.box import Box
from tests.support.bundles import Bundle
from tests.support.runtimes import COMMAND


def bind(source: str, target: str) -> dict[str, object]:
    return {"destination": target, "type": "bind", "source": source, "options": ["bind"]}


@pytest.mark.parametrize("kind", ["host", "user"])
@pytest.mark.parametrize("listed", [False, True])
def test_a_device_that_is_mounted_over_stays_so(box: Box, kind: str, listed: bool):
    """/dev/urandom on /dev/random is an old trick of those who run short of entropy."""
    bundle = box.bundle().script("stat -c %t:%T /dev/random; ls /dev/ptmx; stat -c %F /dev/ptmx")
    if kind == "user":
        bundle.new_namespace("user")
        for mappings in ("uidMappings", "gidMappings"):
            bundle.linux[mappings] = [{"containerID": 0, "hostID": 0, "size": 100}]
    mounts = [bind("/dev/urandom", "/dev/random"), bind("/dev/ptmx", "/dev/ptmx")]
    bundle.config["mounts"] += mounts
    if listed:
        device = {"path": "/dev/random", "type": "c", "major": 1, "minor": 8}
        bundle.linux["devices"] = [device]
    box.needs_root("has its own ids mapped")
    out = box.run(bundle).ok().out
    assert out == "1:9\n/dev/ptmx\ncharacter special file\n"


def user_namespace(bundle: Bundle, first: int) -> None:
    """The container's ids from 0 to 999 are the host's from `first` on."""
    bundle.new_namespace("user")
    for kind in ("uidMappings", "gidMappings"):
        bundle.linux[kind] = [{"containerID": 0, "hostID": first, "size": 1000}]
    bundle.path.chmod(0o755)
    for place in (bundle.rootfs, *bundle.rootfs.rglob("*")):
        os.lchown(place, first, first)


ZERO = {"type": "c", "major": 1, "minor": 5}


def test_devices_of_a_user_namespace_are_the_configs(box: Box):
    """Its root may make none; runc binds the host's of the same path, if there is one."""
    box.needs_root("makes devices")
    bundle, name = box.bundle(), box.id()
    user_namespace(bundle, 100000)
    bundle.linux["devices"] = [
        {"path": "/dev/mine/zero", "fileMode": 0o640, "uid": 7, "gid": 8, **ZERO},
        {"path": "/dev/full", "type": "c", "major": 1, "minor": 7},
        {"path": "/srv/fifo", "type": "p", "fileMode": 0o600, "uid": 7},
    ]
    rules = [{"allow": True, "access": "rwm"}]
    bundle.linux.setdefault("resources", {})["devices"] = rules
    # Whoever keeps the state may do so where no device can be opened, as on /run.
    state = box.directory / "nodev"
    state.mkdir()
    mount = f'mount -t tmpfs -o nodev none {state} && exec "$@"'
    private = ["unshare", "--mount", "sh", "-c", mount, "sh", str(COMMAND), "--root", str(state)]
    look = "stat -c '%n %A %u:%g %t:%T' /dev/mine/zero /dev/full /srv/fifo; head -c2 /dev/full"
    bundle.script(look)
    argv = [*private, "run", "-b", str(bundle), name]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.stdout == (
        "/dev/mine/zero crw-r----- 7:8 1:5\n"
        "/dev/full crw-rw-rw- 0:0 1:7\n"
        "/srv/fifo prw------- 7:0 0:0\n\0\0"
    ), done
    assert box.run(bundle).ok().out == done.stdout


def test_a_device_whose_owner_is_not_mapped_is_the_hosts(box: Box):
    box.needs_root("makes devices")
    bundle = box.bundle("/bin/stat", "-c", "%u:%g", "/dev/full")
    user_namespace(bundle, 100000)
    device = {"path": "/dev/full", "type": "c", "major": 1, "minor": 7, "uid": 5000}
    bundle.linux["devices"] = [device]
    assert box.run(bundle).ok().out == "65534:65534\n"
