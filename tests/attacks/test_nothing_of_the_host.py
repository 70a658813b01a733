"""No inode of the host that config.json does not name appears writable in a container.

A container that may change the owner, the mode or the times of a file changes them for everybody
who has that file. Where the host's own /dev/null would be hit, a node that stands in for it lies
there, in a mount namespace of the test's.
"""

from __future__ import annotations

import json
import os
import shlex
import stat
import subprocess
from pathlib import Path

import pytest

from tests.support.box import Box
from tests.support.bundles import Bundle
from tests.support.runtimes import Runtime

MASKED = ["/proc/keys", "/proc/kcore", "/proc/keys", "/sys/firmware", "/proc/acpi"]
CHANGE = ["CAP_CHOWN", "CAP_FOWNER", "CAP_DAC_OVERRIDE"]


def mappings(first: int) -> list[dict[str, int]]:
    return [{"containerID": 0, "hostID": first, "size": 65534}]


def plain(bundle: Bundle) -> None:
    pass


def same_ids(bundle: Bundle) -> None:
    bundle.new_namespace("user")
    bundle.linux["uidMappings"] = bundle.linux["gidMappings"] = mappings(0)


def other_ids(bundle: Bundle) -> None:
    same_ids(bundle)
    bundle.linux["uidMappings"] = bundle.linux["gidMappings"] = mappings(100000)


def without_own_network(bundle: Bundle) -> None:
    same_ids(bundle)
    for kind in ("network", "cgroup", "ipc"):
        bundle.drop_namespace(kind)


SHAPES = [plain, same_ids, other_ids, without_own_network]


def allow(bundle: Bundle, names: list[str]) -> None:
    """Give the program these capabilities."""
    for kind in ("bounding", "effective", "permitted"):
        bundle.process["capabilities"][kind] = names
    bundle.process["noNewPrivileges"] = False


def host_devices() -> set[str]:
    """major:minor of every file system that the host has mounted."""
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    return {line.split()[2] for line in lines}


def in_namespace(runtime: Runtime, script: str, *words: object) -> str:
    """Run a script in a mount namespace of its own; `$RT` is the runtime with its state root."""
    command = shlex.join(map(str, runtime.argv()))
    done = subprocess.run(
        ["unshare", "-m", "sh", "-euc", f"RT={shlex.quote(command)}; {script}", "sh",
         *map(str, words)],
        capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


# --- every mount of the container ---


@pytest.mark.parametrize("no_pivot", [False, True])
@pytest.mark.parametrize("shape", SHAPES)
def test_no_mount_is_the_hosts_and_writable(box: Box, shape, no_pivot: bool):
    """Each file system that the host has too is the root, or cannot be written to."""
    bundle = box.bundle().script("cat /proc/self/mountinfo")
    bundle.linux["maskedPaths"] = MASKED
    shape(bundle)
    for mount in bundle.config["mounts"]:
        if mount["destination"] == "/sys":
            mount["options"] = ["nosuid", "noexec", "nodev", "ro"]
    out = box.run(bundle, *(["--no-pivot"] if no_pivot else [])).ok().out
    known, wrong = host_devices(), []
    for line in out.splitlines():
        fields = line.split()
        device, place, options = fields[2], fields[4], fields[5].split(",")
        if device in known and place != "/" and "ro" not in options:
            wrong.append(line)
    assert wrong == []


@pytest.mark.parametrize("shape", SHAPES)
def test_the_hosts_null_device_keeps_its_owner_mode_and_times(box: Box, shape):
    """chmod, chown and touch on what is masked, and on the devices: nothing of it gets outside."""
    bundle = box.bundle()
    bundle.linux["maskedPaths"] = MASKED
    shape(bundle)
    allow(bundle, CHANGE)
    places = "/proc/keys /proc/kcore /dev/null /dev/zero"
    bundle.script(f"for f in {places}; do chmod 640 $f; chown 5 $f; touch -d @1 $f; done; true")
    node = box.directory / "null"
    os.mknod(node, 0o666 | stat.S_IFCHR, os.makedev(1, 3))
    node.chmod(0o666)
    before = os.stat(node)
    in_namespace(
        box.pycontainer,
        'mount --bind "$1" /dev/null; $RT run -b "$2" "$3"',
        node, bundle, box.id(),
    )  # fmt: skip
    after = os.stat(node)
    now = (after.st_mode, after.st_uid, after.st_mtime)
    assert now == (before.st_mode, before.st_uid, before.st_mtime)


def test_masked_files_are_empty_and_hidden(box: Box):
    """With CAP_MKNOD a null device of the container's own, which swallows what is written."""
    bundle = box.bundle().script("cat /proc/keys; echo x > /proc/keys; stat -c %t:%T /proc/keys")
    bundle.linux["maskedPaths"] = MASKED
    assert box.run(bundle).ok().out == "1:3\n"
    bundle.script("cat /proc/keys; ls /sys/firmware; stat -c %s /proc/keys")
    other_ids(bundle)
    assert box.run(bundle).ok().out == "0\n"


def test_masks_without_a_null_device_on_the_host(box: Box):
    bundle = box.bundle().script("stat -c %t:%T /proc/keys")
    bundle.linux["maskedPaths"] = MASKED
    plain_file = box.directory / "plain"
    plain_file.touch()
    script = 'mount --bind "$1" /dev/null; $RT run -b "$2" "$3" < "$1"'
    out = in_namespace(box.pycontainer, script, plain_file, bundle, box.id())
    assert out == "1:3\n"


# --- propagation ---


def test_what_lies_over_a_mask_stays_in_the_container(box: Box):
    """rootfsPropagation shared: mounts in the container reach the host's copy of its root, but no
    other file of the host."""
    bundle = box.bundle().script("mount --bind /bin/busybox /proc/keys")
    bundle.linux["maskedPaths"] = MASKED
    bundle.linux["rootfsPropagation"] = "shared"
    allow(bundle, ["CAP_SYS_ADMIN"])
    node = box.directory / "null"
    os.mknod(node, 0o666 | stat.S_IFCHR, os.makedev(1, 3))
    out = in_namespace(
        box.pycontainer,
        'mount --bind "$1" /dev/null; mount --make-rshared /; $RT run -b "$2" "$3" >&2;'
        " stat -c %t:%T /dev/null",
        node, bundle, box.id(),
    )  # fmt: skip
    assert out == "1:3\n"


# --- flags of the host's mounts, in a user namespace ---


@pytest.fixture
def readonly(box: Box) -> str:
    """A script that makes $1 a read-only mount, nosuid, nodev and noexec."""
    (box.directory / "source").mkdir()
    return 'mount -t tmpfs t "$1"; mount -o remount,bind,ro,nosuid,nodev,noexec "$1"; '


def bound(box: Box, *options: str) -> Bundle:
    bundle = box.bundle().script("grep ' /mnt ' /proc/self/mounts")
    other_ids(bundle)
    source = str(box.directory / "source")
    mount = {"destination": "/mnt", "type": "bind", "source": source, "options": list(options)}
    bundle.config["mounts"].append(mount)
    return bundle


KEPT = [("bind",), ("bind", "nosuid"), ("rbind", "ro"), ("bind", "relatime"), ("bind", "rnosuid")]


@pytest.mark.parametrize("options", KEPT, ids="-".join)
def test_flags_of_the_host_are_kept(box: Box, readonly: str, options: tuple[str, ...]):
    bundle = bound(box, *options)
    script = readonly + '$RT run -b "$2" "$3"'
    out = in_namespace(box.pycontainer, script, box.directory / "source", bundle, box.id())
    assert {"ro", "nosuid", "nodev", "noexec"} <= set(out.split()[3].split(","))


REFUSED = [("bind", "rw"), ("bind", "suid"), ("bind", "dev"), ("rbind", "exec"), ("rbind", "rrw"),
           ("bind", "noatime"), ("bind", "strictatime"), ("bind", "nodiratime")]  # fmt: skip


@pytest.mark.parametrize("options", REFUSED, ids="-".join)
def test_what_would_clear_one_is_refused(box: Box, readonly: str, options: tuple[str, ...]):
    bundle = bound(box, *options)
    script = readonly + 'if $RT run -b "$2" "$3" 2>&1; then echo ran; fi'
    out = in_namespace(box.pycontainer, script, box.directory / "source", bundle, box.id())
    assert "locked" in out and "ran" not in out


def test_a_remount_keeps_them_too(box: Box, readonly: str):
    bundle = bound(box, "bind")
    source = bundle.config["mounts"][-1]["source"]
    again = {"destination": "/mnt", "source": source, "options": ["remount", "bind", "nosuid"]}
    bundle.config["mounts"].append(again)
    script = readonly + '$RT run -b "$2" "$3"'
    out = in_namespace(box.pycontainer, script, box.directory / "source", bundle, box.id())
    assert "ro" in out.split()[3].split(",")
    again["options"] = ["remount", "bind", "rw"]
    script = readonly + 'if $RT run -b "$2" "$3" 2>&1; then echo ran; fi'
    out = in_namespace(box.pycontainer, script, box.directory / "source", bundle, box.id())
    assert "cannot clear locked flags" in out and "ran" not in out


def test_rw_of_a_mount_that_is_writable_is_no_change(box: Box):
    (box.directory / "source").mkdir()
    assert " rw," in box.run(bound(box, "rbind", "rw", "suid", "rprivate")).ok().out


# --- many ---


def test_a_path_that_is_masked_often_is_one_mount(box: Box):
    bundle = box.bundle()
    bundle.linux["maskedPaths"] = ["/proc/keys", "/proc/./keys", "/proc//keys"] * 1000
    plan = json.loads(box.pycontainer("plan", "--json", bundle).ok().out)
    masks = [op for op in plan if op["operation"] == "mask"]
    assert len(masks) == 1
