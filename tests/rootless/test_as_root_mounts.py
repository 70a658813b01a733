"""User namespaces made by root: mounts, devices, stdio; beside a host whose mounts are shared."""

from __future__ import annotations

import ctypes
import os
import subprocess
from pathlib import Path

import pytest

from tests.rootless.test_as_root import BASE, mapped
from tests.support.box import Box
from tests.support.bundles import Bundle

RANGE = (0, BASE, 65536)
SHARED = "mount --make-rshared /; "  # as systemd leaves it; the tests' machine may differ


def add_bind(bundle: Bundle, source: Path | str, *options: str) -> Bundle:
    entry = {"destination": "/mnt", "type": "none", "source": str(source)}
    bundle.config["mounts"].append({**entry, "options": list(options)})
    return bundle


def run_beside(box: Box, bundle: Bundle, before: str, after: str = "true") -> str:
    """Run it in a mount namespace in which shell lines have been run; what it says, and `after`."""
    argv = box.pycontainer.argv("run", "-b", bundle, box.id())
    script = f'set -e\n{before}\n"$@"\n{after}'
    outer = ["unshare", "-m", "sh", "-c", script, "sh", *argv]
    done = subprocess.run(outer, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_host_with_shared_mounts(box: Box):
    bundle = add_bind(mapped(box, "cat /mnt/file", RANGE), box.directory, "rbind")
    (box.directory / "file").write_text("here\n")
    assert run_beside(box, bundle, SHARED) == "here\n"


@pytest.mark.parametrize("option", ["rbind", "bind"])
def test_no_mount_gets_out(box: Box, option: str):
    """What the container mounts on a source is not mounted on the host."""
    source = box.directory / "source"
    source.mkdir()
    script = "mount -t tmpfs none /mnt && touch /mnt/inside && ls /mnt"
    bundle = add_bind(mapped(box, script, RANGE), source, option)
    for name in ("bounding", "effective", "permitted"):
        bundle.process["capabilities"][name].append("CAP_SYS_ADMIN")
    out = run_beside(box, bundle, SHARED, f"ls {source}; grep -c {source} /proc/self/mountinfo ||:")
    assert out.split() == ["inside", "0"]


def test_flags_of_a_source_stay(box: Box):
    """What root has mounted nosuid, nodev, noexec and read-only is so inside, unasked."""
    source = box.directory / "source"
    source.mkdir()
    script = "grep ' /mnt ' /proc/self/mountinfo; touch /mnt/y 2>/dev/null || echo no"
    bundle = add_bind(mapped(box, script, RANGE), source, "rbind")
    flags = "nosuid,nodev,noexec,ro"
    out = run_beside(box, bundle, f"mount -t tmpfs -o {flags} none {source}")
    line, last = out.splitlines()
    assert set(flags.split(",")) <= set(line.split()[5].split(",")) and last == "no"


def test_devices_are_bound(box: Box):
    """mknod is not for the root of a user namespace: the host's nodes are, and stay the host's."""
    script = "grep -c ' /dev/null ' /proc/self/mountinfo; stat -c '%t:%T %u' /dev/null /dev/full"
    bundle = mapped(box, script + "; echo x > /dev/null", RANGE)
    assert box.run(bundle).ok().out.split() == ["1", "1:3", "65534", "1:7", "65534"]
    box.empty()
    bundle.linux["devices"] = [
        {"path": "/dev/loop-control", "type": "c", "major": 10, "minor": 237}
    ]
    if Path("/dev/loop-control").exists():
        bundle.script("stat -c %t:%T /dev/loop-control")
        assert box.run(bundle).ok().out == "a:ed\n"


def test_devices_that_are_not_bound(box: Box):
    """A pipe is made, as outside of a user namespace; /dev/ptmx, which engines find among the
    host's devices, is the link to the container's own all the same."""
    bundle = mapped(box, "stat -c '%n %F %a %u' /dev/pipe; readlink /dev/ptmx", RANGE)
    bundle.linux["devices"] = [
        {"path": "/dev/pipe", "type": "p", "fileMode": 0o640},
        {"path": "/dev//ptmx", "type": "c", "major": 5, "minor": 2},
    ]
    assert box.run(bundle).ok().out == "/dev/pipe fifo 640 0\npts/ptmx\n"


@pytest.mark.parametrize("kind, file", [("pid", "pid"), ("ipc", "ipc"), ("network", "net")])
def test_a_file_system_of_a_foreign_namespace(box: Box, kind: str, file: str):
    """proc, mqueue and sysfs of a namespace that is the host's are bound, not made."""
    places = {"pid": "/proc", "ipc": "/dev/mqueue", "network": "/sys"}
    script = f"readlink /proc/self/ns/{file}; test -d {places[kind]} && ls /sys/class/net | sort"
    bundle = mapped(box, script, RANGE)
    bundle.drop_namespace(kind)
    link, *devices = box.run(bundle).ok().out.split()
    assert link == os.readlink(f"/proc/self/ns/{file}")
    assert devices == (sorted(os.listdir("/sys/class/net")) if kind == "network" else ["lo"])


def test_stdio_of_exec_can_be_opened_again(box: Box):
    bundle, name = mapped(box, "sleep 1000", RANGE), box.id()
    box.pycontainer("run", "-d", "-b", bundle, name).ok()
    argv = box.pycontainer.argv("exec", "-u", "5", name, "sh", "-c", "echo out > /dev/stdout")
    done = subprocess.run(argv, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert done.stdout == "out\n", done.stderr


@pytest.mark.parametrize("uid", [0, 5])
def test_stdio_can_be_opened_again(box: Box, uid: int):
    """/dev/stdout is a pipe of the caller's: it is given to the program's user."""
    bundle = mapped(
        box, "echo out > /dev/stdout; echo err > /dev/stderr; stat -Lc %u /dev/fd/1", RANGE
    )
    bundle.process["user"] = {"uid": uid, "gid": uid}
    argv = box.pycontainer.argv("run", "-b", bundle, box.id())
    done = subprocess.run(argv, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert (done.returncode, done.stderr) == (0, "err\n"), done
    assert done.stdout == f"out\n{uid}\n"


def test_joined_by_path_without_a_container(box: Box):
    """A user namespace that somebody else made, and keeps by a bind of its file."""
    rows = f"0 {BASE} 65536"
    argv = ["unshare", "--user", "sh", "-c", "echo ready; exec sleep 1000"]
    outer = subprocess.Popen(argv, stdout=subprocess.PIPE)
    try:
        assert outer.stdout is not None and outer.stdout.readline() == b"ready\n"
        for name in ("uid_map", "gid_map"):
            Path(f"/proc/{outer.pid}/{name}").write_text(rows)
        bundle = box.bundle().script("id -u; readlink /proc/self/ns/user; cat /proc/self/uid_map")
        bundle.join_namespace("user", f"/proc/{outer.pid}/ns/user")
        uid, link, *words = box.run(bundle).ok().out.split()
        assert (uid, link) == ("0", os.readlink(f"/proc/{outer.pid}/ns/user"))
        assert " ".join(words) == rows
    finally:
        outer.kill()
        outer.wait()
        assert outer.stdout is not None
        outer.stdout.close()


def test_an_idmapped_root(box: Box):
    """The engine has mounted it so; files that are root's on the host are root's inside."""
    bundle = mapped(box, "stat -c %u:%g /bin/busybox; touch /tmp/new", RANGE)
    idmap_mount(bundle.rootfs, bundle.path / "seen")
    try:
        bundle.config["root"]["path"] = "seen"
        assert box.run(bundle).ok().out == "0:0\n"
    finally:
        subprocess.run(["umount", "-l", bundle.path / "seen"], check=True)
    assert (bundle.path / "rootfs/tmp/new").stat().st_uid == 0


def idmap_mount(source: Path, target: Path) -> None:
    """Mount a directory with the host's ids moved by BASE (Linux 5.12)."""
    from pycontainer._shim import lib

    target.mkdir()
    tree = lib.shim_open_tree(str(source).encode(), 1)
    rows = f"0 {BASE} 65536\n".encode()
    space = lib.shim_user_namespace(rows, rows)
    try:
        assert tree >= 0 and space >= 0
        if lib.shim_idmap(tree, space, 0) < 0:
            pytest.skip("no id-mapped mounts of this file system")
        libc = ctypes.CDLL(None, use_errno=True)  # move_mount(2), with MOVE_MOUNT_F_EMPTY_PATH
        path = str(target).encode()
        assert libc.syscall(429, tree, b"", -100, path, 4) == 0, os.strerror(ctypes.get_errno())
    finally:
        os.close(tree)
        os.close(space)


def test_a_user_namespace_in_a_user_namespace(box: Box):
    """What runs inside may make more of them."""
    make = "busybox unshare -U -r sh -c 'id -u; cat /proc/self/uid_map'"
    bundle = mapped(box, make, RANGE)
    for name in ("bounding", "effective", "permitted"):  # who maps 0 must have it (Linux 5.12)
        bundle.process["capabilities"][name].append("CAP_SETFCAP")
    assert box.run(bundle).ok().out.split() == ["0", "0", "0", "1"]


def test_a_mount_point_that_cannot_be_made(box: Box):
    """The root's files are the host's root's: that is what the error names, not the source."""
    bundle = add_bind(mapped(box, "true", RANGE), box.directory, "rbind")
    bundle.config["mounts"][-1]["destination"] = "/new"
    box.run(bundle).fails(
        f"uid {BASE} of the host, who may not write in {bundle.rootfs}", "chown -R", "mounts["
    )
