"""Mounts, devices and the root: every option as the kernel shows it inside; beside runc's."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.support.box import Box
from tests.support.bundles import Bundle
from tests.support.differences import MOUNT_DIFFERENCES
from tests.support.runtimes import Runtime, has_runc

# options of one mount on /mnt: tmpfs unless they say bind
OPTIONS: dict[str, list[str]] = {
    name: name.split()
    for name in (
        "rw",
        "ro",
        "nosuid nodev noexec",
        "suid dev exec",
        "noatime",
        "relatime",
        "strictatime",
        "nodiratime",
        "noatime nodiratime",
        "sync",
        "dirsync",
        "ro rw",
        "nosuid suid",
        "size=64k mode=700",
        "mode=1777 uid=1000 gid=50",
        "private",
        "rprivate",
        "slave",
        "shared",
        "rshared",
        "unbindable",
        "bind",
        "rbind",
        "bind ro",
        "rbind ro",
        "bind nosuid nodev noexec noatime",
        "bind ro private",
        "bind rslave",
        "bind shared",
        "rbind rro",
    )
}
SHOW = "grep ' /mnt' /proc/self/mountinfo; stat -c '%a %u %g' /mnt; ls /mnt"


def mounted(bundle: Bundle, options: list[str]) -> Bundle:
    source = bundle.path / "source"
    (source / "inner").mkdir(parents=True)
    (source / "file").touch()
    entry: dict[str, Any] = {"destination": "/mnt", "options": options}
    if {"bind", "rbind"} & set(options):
        entry |= {"type": "none", "source": "source"}
    else:
        entry |= {"type": "tmpfs", "source": "tmpfs"}
    bundle.config["mounts"].append(entry)
    return bundle


def seen(text: str) -> list[str]:
    """mountinfo without ids, devices, names of peer groups, and tmpfs's mode (see its stat)."""
    lines = []
    for line in text.splitlines():
        if " - " in line:
            fields, _, rest = line.partition(" - ")
            _, _, _, _, target, options, *tags = fields.split()
            kinds = sorted(tag.partition(":")[0] for tag in tags if "propagate" not in tag)
            line = (
                f"{target} {options} {' '.join(kinds)} - {re.sub(',(inode64|mode=.*)', '', rest)}"
            )
        lines.append(line)
    return lines


@pytest.mark.parametrize("case", OPTIONS)
def test_options(box: Box, case: str):
    if "bind" in case and "noatime" in case:
        box.needs_root("the host's mounts keep their access times")
    if "uid=1000" in case:
        box.needs_ids()
    looks = {}
    for runtime in box.both():
        bundle = mounted(box.bundle().script(SHOW), OPTIONS[case])
        looks[runtime.name] = seen(box.run(bundle, runtime=runtime.name).ok().out)
    ours = looks.pop("pycontainer")
    assert ours[0].startswith("/mnt ")
    for theirs in looks.values():
        for number, line in enumerate(theirs):
            theirs[number] = MOUNT_DIFFERENCES.get((case, line), (line,))[0]
        assert ours == theirs


TYPES = {
    "proc": ("proc", "proc", []),
    "sysfs": ("sysfs", "sysfs", ["ro"]),
    "tmpfs": ("tmpfs", "tmpfs", ["size=1m"]),
    "devpts": ("devpts", "devpts", ["newinstance", "ptmxmode=0666", "mode=0620"]),
    "mqueue": ("mqueue", "mqueue", ["nosuid"]),
    "cgroup": ("cgroup", "cgroup", ["ro", "nosuid"]),
}


@pytest.mark.parametrize("kind", TYPES)
def test_types(box: Box, kind: str):
    fstype, source, options = TYPES[kind]
    looks = []
    for runtime in box.both():
        bundle = box.bundle().script("grep ' /mnt/x ' /proc/self/mountinfo; ls -A /mnt/x | head -3")
        entry = {"destination": "/mnt/x", "type": fstype, "source": source, "options": options}
        bundle.config["mounts"].append(entry)
        lines = seen(box.run(bundle, runtime=runtime.name).ok().out)
        looks.append(lines[:1] if kind in ("proc", "cgroup") else lines)
    assert looks[0] and all(fstype in line or kind == "cgroup" for line in looks[0][:1])
    if kind != "cgroup":  # ours is read-only, as the option says: see INSIDE_DIFFERENCES
        assert looks[0] == looks[-1]


def test_order_and_nesting(box: Box, pyc: Runtime):
    bundle = box.bundle().script("cat /mnt/a/file; ls /mnt; cat /etc/new/deep/file")
    one, two = bundle.path / "one", bundle.path / "two"
    for directory in (one, two):
        directory.mkdir()
        (directory / "file").write_text(f"{directory.name}\n")
    (one / "a").mkdir()
    bind = {"type": "none", "options": ["bind"]}
    bundle.config["mounts"] += [
        {**bind, "destination": "/mnt", "source": str(one)},
        {**bind, "destination": "/mnt/a", "source": str(two)},
        {**bind, "destination": "/etc/new/deep/file", "source": "one/file"},
    ]
    assert box.run(bundle).ok().out == "two\na\nfile\none\n"


def test_a_mount_stays_inside(box: Box, pyc: Runtime):
    """No mount of ours appears on the host, and symlinks lead nowhere outside."""
    bundle = box.bundle("/bin/sleep", "1000")
    outside = box.directory / "outside"
    outside.mkdir()
    (bundle.rootfs / "mnt" / "link").symlink_to(outside)
    bundle.config["mounts"].append(
        {"destination": "/mnt/link/x", "type": "tmpfs", "source": "tmpfs"}
    )
    pyc("run", "-d", "-b", bundle, box.id()).ok()
    assert list(outside.iterdir()) == []
    assert box.token not in Path("/proc/self/mountinfo").read_text()
    path = str(outside).lstrip("/")
    assert (bundle.rootfs / path / "x").is_dir()


@pytest.mark.parametrize("propagation", ["private", "slave", "shared", "unbindable"])
def test_root_propagation(box: Box, propagation: str):
    looks = []
    for runtime in box.both():
        bundle = box.bundle().script("grep -E '^([^ ]+ ){4}/ ' /proc/self/mountinfo")
        bundle.linux["rootfsPropagation"] = propagation
        done = box.run(bundle, runtime=runtime.name)
        looks.append([line.split(" - ")[0] for line in seen(done.out)])
    kind = [propagation] if propagation in ("shared", "unbindable") else []
    ((target, _, *kinds),) = (line.split() for line in looks[0])
    # A copy of a shared mount in a user namespace of its own stays behind it.
    assert target == "/" and [each for each in kinds if each != "master"] == kind
    if not kind:  # runc 1.1 ignores shared, and fails with unbindable
        assert looks[0] == looks[-1]
    box.empty()


def test_shared_propagation_harms_no_mount_of_the_host(box: Box, pyc: Runtime):
    """In a mount namespace that stands for a host where everything is shared, as with systemd."""
    box.needs_root("makes that host's mounts")
    bundle, host = box.bundle().script("mount -t tmpfs x /mnt; echo done"), box.directory / "host"
    bundle.linux["rootfsPropagation"] = "shared"
    (host / "sub").mkdir(parents=True)
    command = " ".join(pyc.argv("run", "-b", bundle, box.id()))
    # Others come and go on this machine; these stay.
    count = (
        f"grep -cE ' (/|/proc|/sys|/dev|/sys/fs/cgroup|{host}|{host}/sub) ' /proc/self/mountinfo"
    )
    script = (
        f"mount --make-rshared / && mount -t tmpfs x {host} && mkdir {host}/sub && "
        f"mount -t tmpfs x {host}/sub && {count} && {command} && "
        f"{count} && stat -fc %T {host}/sub && ls /proc/self/mountinfo"
    )
    argv = ["unshare", "-m", "--propagation", "private", "sh", "-c", script]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    before, *rest = done.stdout.splitlines()
    assert rest == ["done", before, "tmpfs", "/proc/self/mountinfo"], done


@pytest.mark.parametrize("propagation", ["slave", "private"])
def test_what_the_host_mounts_below_the_root_later(box: Box, pyc: Runtime, propagation: str):
    """A slave gets it."""
    box.needs_root("makes that host's mounts")
    bundle, name = box.bundle("/bin/sleep", "1000"), box.id()
    bundle.linux["rootfsPropagation"] = propagation
    run = " ".join(pyc.argv("run", "-d", "-b", bundle, name))
    end = " ".join(pyc.argv("delete", "--force", name))
    look = " ".join(pyc.argv("exec", name, "grep", "-c", "' /mnt '", "/proc/self/mountinfo"))
    script = (
        f"mount --bind {bundle.path} {bundle.path} && mount --make-shared {bundle.path} && {run} &&"
        f" mount -t tmpfs late {bundle.rootfs}/mnt; {look}; {end}"
    )
    argv = ["unshare", "-m", "--propagation", "private", "sh", "-c", script]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["1" if propagation == "slave" else "0"], done


def test_devices(box: Box):
    box.needs_root("makes devices")
    looks = []
    for runtime in box.both():
        bundle = box.bundle().script(
            "cd /dev; stat -c '%n %F %a %u %g %t:%T' kmsg2 fifo full sub/block zero;"
            " head -c 3 zero | od -An -tx1; echo x > null; echo x 2>&1 > full"
        )
        bundle.linux["devices"] = [
            {"path": "/dev/kmsg2", "type": "c", "major": 1, "minor": 11, "fileMode": 0o640},
            {"path": "/dev/fifo", "type": "p", "fileMode": 0o622, "uid": 1000, "gid": 50},
            {"path": "/dev/sub/block", "type": "b", "major": 7, "minor": 200, "uid": 1},
            {"path": "/dev/zero", "type": "c", "major": 1, "minor": 5, "fileMode": 0o600},
        ]
        done = box.run(bundle, runtime=runtime.name)
        looks.append((done.status, done.out, done.err))
    assert looks[0] == looks[-1]
    assert "kmsg2 character special file 640 0 0 1:b" in looks[0][1]
    assert "fifo fifo 622 1000 50 0:0" in looks[0][1]


def test_devices_whatever_the_callers_umask_is(box: Box, pyc: Runtime):
    bundle, name = box.bundle().script("stat -c %a /dev/null /dev/zero; umask"), box.id()
    argv = " ".join(pyc.argv("run", "-b", bundle, name))
    done = subprocess.run(f"umask 077; {argv}", shell=True, capture_output=True, text=True)
    assert done.stdout == "666\n666\n0022\n", done.stderr


def test_device_rules(box: Box):
    box.needs_root("makes devices")
    looks = []
    for runtime in box.both():
        bundle = box.bundle().script(
            "cat /dev/mem2 2>&1 | head -c 100; head -c 1 /dev/zero | wc -c;"
            " mknod /tmp/k c 1 11 && echo made; cat /tmp/k 2>&1"
        )
        bundle.process["capabilities"]["bounding"].append("CAP_MKNOD")
        for kind in ("effective", "permitted"):
            bundle.process["capabilities"][kind].append("CAP_MKNOD")
        bundle.linux["devices"] = [{"path": "/dev/mem2", "type": "c", "major": 1, "minor": 1}]
        done = box.run(bundle, runtime=runtime.name)
        looks.append((done.out, done.err))
    assert looks[0] == looks[-1]
    assert "Operation not permitted" in looks[0][0]


def test_no_pivot(box: Box):
    looks = []
    for runtime in box.both():
        bundle = box.bundle().script("ls /; cat /proc/self/mountinfo | wc -l; ls -d /../bin")
        looks.append(box.run(bundle, "--no-pivot", runtime=runtime.name).ok().out)
    assert looks[0] == looks[-1]


def test_a_readonly_root_with_missing_targets_on_tmpfs(box: Box, pyc: Runtime):
    bundle = box.bundle().script("ls -d /mnt/a/b && touch /x; touch /mnt/a/b/ok && echo ok")
    bundle.config["root"]["readonly"] = True
    bundle.config["mounts"].append({"destination": "/mnt/a/b", "type": "tmpfs", "source": "t"})
    done = box.run(bundle).ok()
    assert done.out == "/mnt/a/b\nok\n" and "Read-only file system" in done.err


def test_many_mounts(box: Box, pyc: Runtime):
    bundle = box.bundle().script("grep -c ' /mnt/' /proc/self/mountinfo")
    for number in range(150):
        bundle.config["mounts"].append(
            {"destination": f"/mnt/{number}", "type": "tmpfs", "source": "tmpfs"}
        )
    assert box.run(bundle).ok().out == "150\n"


@pytest.mark.skipif(not has_runc(), reason="needs runc to compare with")
def test_bind_of_files_sockets_and_fifos(box: Box):
    looks = []
    for runtime in box.both():
        bundle = box.bundle().script("stat -c '%n %F' /mnt/file /mnt/fifo /mnt/null; cat /mnt/file")
        source = bundle.path / "source"
        source.mkdir()
        (source / "file").write_text("text\n")
        os.mkfifo(source / "fifo")
        for name, where in (("file", source), ("fifo", source), ("null", Path("/dev"))):
            bundle.config["mounts"].append(
                {
                    "destination": f"/mnt/{name}",
                    "type": "bind",
                    "source": str(where / name),
                    "options": ["bind"],
                }
            )
        looks.append(box.run(bundle, runtime=runtime.name).ok().out)
    assert looks[0] == looks[-1]


def test_a_bind_mount_is_remounted_without_a_source(box: Box):
    looks = []
    for runtime in box.both():
        bundle = box.bundle().script("touch /mnt/x; grep ' /mnt ' /proc/self/mountinfo")
        (bundle.path / "source").mkdir()
        bundle.config["mounts"] += [
            {"destination": "/mnt", "source": "source", "options": ["bind"]},
            {"destination": "/mnt", "options": ["bind", "remount", "ro"]},
        ]
        done = box.run(bundle, runtime=runtime.name)
        looks.append((done.status, done.out.split(" ")[5], done.err))
    assert len(set(looks)) == 1
    assert looks[0][1].startswith("ro") and "Read-only" in looks[0][2]
