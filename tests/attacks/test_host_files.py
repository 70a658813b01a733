"""No file of the host that config.json does not name can be changed from a container.

The attacks run in a mount namespace of their own where a null device of the test's lies over the
host's: should one succeed, only that one is hit.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.box import Box
from tests.support.bundles import Bundle
from tests.support.runtimes import PATIENCE, Runtime

MASKED = ("/proc/keys", "/proc/timer_list", "/etc/secret", "/etc/closed")
LOOK = """
cat /proc/self/mountinfo
for f in /proc/keys /etc/secret; do
    cat $f; echo "inode $(stat -c %d:%i $f)"; done
ls /etc/closed
echo x > /dev/null && test "$(head -c 1 /dev/zero | od -An -tx1)" = " 00" || echo broken
"""
NULL = """
mknod -m 666 "$0" c 1 3 && mount --bind "$0" /dev/null && exec "$@"
"""
CAPABILITIES = ["CAP_CHOWN", "CAP_FOWNER", "CAP_DAC_OVERRIDE", "CAP_SYS_ADMIN"]


def alone(box: Box, setup: str, argv: list[str], file: Path) -> subprocess.CompletedProcess[str]:
    """Run a command in a mount namespace of its own after `setup`, whose $0 is a new file."""
    box.needs_root("makes devices")
    argv = ["unshare", "-m", "--propagation", "private", "sh", "-ec", setup, str(file), *argv]
    return subprocess.run(
        argv, check=False, timeout=PATIENCE, text=True, capture_output=True,
        stdin=subprocess.DEVNULL,
    )  # fmt: skip


def with_masks(box: Box, script: str) -> Bundle:
    bundle = box.bundle().script(script)
    (bundle.rootfs / "etc/secret").write_text("secret\n")
    (bundle.rootfs / "etc/closed").mkdir()
    (bundle.rootfs / "etc/closed/secret").write_text("secret\n")
    bundle.linux["maskedPaths"] = [*MASKED, "/etc/secret/", "/etc//secret"]
    return bundle


def mapped(first: int) -> Callable[[Bundle], None]:
    """In a user namespace; 0 is the host's root itself."""

    def change(bundle: Bundle) -> None:
        for path in (bundle.rootfs, *bundle.rootfs.rglob("*")):
            os.lchown(path, first, first)
        bundle.new_namespace("user")
        for kind in ("uidMappings", "gidMappings"):
            bundle.linux[kind] = [{"containerID": 0, "hostID": first, "size": 65536}]

    return change


def with_the_hosts_network(bundle: Bundle) -> None:
    mapped(0)(bundle)
    for kind in ("network", "ipc", "cgroup"):
        bundle.drop_namespace(kind)
    options = ["nosuid", "noexec", "nodev", "relatime"]
    kind = {"type": "cgroup", "source": "cgroup"}
    bundle.config["mounts"].append({"destination": "/sys/fs/cgroup", **kind, "options": options})


def unchanged(bundle: Bundle) -> None:
    """The default config."""


def listed_device(bundle: Bundle) -> None:
    mapped(0)(bundle)
    bundle.linux["devices"] = [{"path": "/dev/mine", "type": "c", "major": 1, "minor": 5}]


def split(bundle: Bundle) -> None:
    """The host's root has another number than 0."""
    mapped(100000)(bundle)
    for kind in ("uidMappings", "gidMappings"):
        bundle.linux[kind][0]["size"] = 1000
        bundle.linux[kind].append({"containerID": 1000, "hostID": 0, "size": 1})


def without_a_dev(bundle: Bundle) -> None:
    """Devices lie in the root itself."""
    mapped(0)(bundle)
    mounts = bundle.config["mounts"]
    bundle.config["mounts"] = [m for m in mounts if not m["destination"].startswith("/dev")]


def shared_and_read_only(bundle: Bundle) -> None:
    mapped(0)(bundle)
    bundle.linux["rootfsPropagation"] = "shared"
    bundle.config["root"]["readonly"] = True
    bundle.linux["readonlyPaths"] += ["dev/null", "/etc", "/dev/shm"]


WAYS = {
    "default": (unchanged, [], []),
    "no pivot": (unchanged, ["--no-pivot"], []),
    "no mknod": (unchanged, [], ["setpriv", "--bounding-set", "-mknod"]),
    "mapped": (mapped(100000), [], []),
    "mapped to itself": (mapped(0), [], []),
    "mapped to itself, no pivot": (mapped(0), ["--no-pivot"], []),
    "the host's namespaces, no pivot": (with_the_hosts_network, ["--no-pivot"], []),
    "mapped to itself, no mknod": (mapped(0), [], ["setpriv", "--bounding-set", "-mknod"]),
    "the host's namespaces": (with_the_hosts_network, [], []),
    "mapped to itself, a device": (listed_device, [], []),
    "mapped in two parts": (split, [], []),
    "mapped in two parts, no pivot, no mknod": (
        split,
        ["--no-pivot"],
        ["setpriv", "--bounding-set", "-mknod"],
    ),
    "without a /dev": (without_a_dev, [], []),
    "without a /dev, no mknod": (without_a_dev, [], ["setpriv", "--bounding-set", "-mknod"]),
    "shared and read-only": (shared_and_read_only, [], []),
}


def host_mounts() -> set[str]:
    """The device numbers of all file systems that the host shows."""
    return {line.split()[2] for line in Path("/proc/self/mountinfo").read_text().splitlines()}


@pytest.mark.parametrize("way", WAYS)
def test_every_mount_of_the_hosts_is_read_only(box: Box, way: str):
    """Other than the root, and the container's own cgroups; and no mask is a file of the host."""
    box.needs_root("has privileges that it gives up")
    change, flags, before = WAYS[way]
    bundle = with_masks(box, LOOK)
    change(bundle)
    argv = [*before, *box.pycontainer.argv("run", *flags, "-b", bundle, box.id())]
    hosts = host_mounts()
    done = subprocess.run(
        argv, check=False, capture_output=True, text=True, timeout=PATIENCE,
        stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert done.returncode == 0, done
    lines = [line for line in done.stdout.splitlines() if " - " in line]
    rest = [line for line in done.stdout.splitlines() if " - " not in line]
    assert len(rest) == 2 and all(line.startswith("inode ") for line in rest), done
    null = os.stat("/dev/null")
    assert f"inode {null.st_dev}:{null.st_ino}" not in rest
    hosts &= host_mounts()  # a number that is free now may be anybody's
    writable = {
        fields[4]
        for fields in map(str.split, lines)
        if fields[2] in hosts and not fields[5].startswith("ro") and box.token not in fields[3]
    }
    assert writable <= {"/", "/dev/mqueue"}, done.stdout  # which the config asks for
    for path in MASKED[2:]:
        (mask,) = [line for line in lines if line.split()[4] == path]
        assert mask.split()[5].startswith("ro"), mask


ATTACK = """
for f in /proc/keys /dev/null; do
    chmod 0640 $f; chown 12345:12345 $f; touch -d 2001-01-01 $f; done 2>/dev/null
true
"""


def attacked(box: Box, runtime: Runtime, bundle: Bundle, before: list[str]) -> tuple[int, int, int]:
    """The null device of the host after the attack: mode, owner, time."""
    bundle.process["capabilities"] = dict.fromkeys(bundle.process["capabilities"], CAPABILITIES)
    null = box.directory / f"null-{runtime.name}"
    done = alone(box, NULL, [*before, *runtime.argv("run", "-b", bundle, box.id())], null)
    assert done.returncode == 0, done
    found = null.stat()
    return found.st_mode & 0o777, found.st_uid, int(found.st_mtime)


@pytest.mark.parametrize("way", ["default", "no mknod", "mapped to itself", "mapped"])
def test_nothing_is_changed_on_the_hosts_null_device(box: Box, way: str):
    change, _, before = WAYS[way]
    bundle = with_masks(box, ATTACK)
    change(bundle)
    if bundle.linux.get("uidMappings"):  # root there may change what it has mounted
        again = "mount -o remount,bind,rw /proc/keys; mount -o remount,bind,rw /dev/null;"
        bundle.script(again + ATTACK)
    mode, owner, time = attacked(box, box.pycontainer, bundle, before)
    assert (mode, owner) == (0o666, 0) and time > 1_000_000_000


def test_it_can_be_changed_with_runc(box: Box):
    """Where its user namespace has the host's own root, Debian's binds the host's device."""
    runc = box.runc
    bundle = with_masks(box, ATTACK)
    bundle.linux["maskedPaths"] = ["/proc/keys"]
    mapped(0)(bundle)
    assert attacked(box, runc, bundle, [])[:2] == (0o640, 12345)


def test_what_is_written_to_a_masked_file_is_gone(box: Box):
    """As with runc, where it is a null device; but here nobody may change its mode."""
    script = "echo x > /etc/secret && cat /etc/secret && ! chmod 600 /etc/secret 2>/dev/null"
    for change in (unchanged, mapped(100000)):
        bundle = with_masks(box, script)
        change(bundle)
        argv = box.pycontainer.argv("run", "-b", bundle, box.id())
        done = alone(box, NULL, argv, box.directory / change.__name__)
        assert (done.returncode, done.stdout) == (0, ""), done


COVER = """
for f in /proc/keys /etc/closed /proc/bus /proc/sysrq-trigger /dev/zero /dev/full; do
    if [ -d $f ]; then mount -t tmpfs covering $f; else mount --bind /bin/busybox $f; fi
done
"""
SHARED = """
mknod -m 666 "$0" c 1 3 && mount --bind "$0" /dev/null && mount --make-rshared /
cat /proc/self/mountinfo > "$0.before"
"$@"
cat /proc/self/mountinfo > "$0.after"
"""


@pytest.mark.parametrize("way", ["default", "no mknod", "mapped to itself"])
def test_what_is_mounted_over_a_mask_stays_inside(box: Box, way: str):
    """With a shared root, where the copy of a mount of the host's would be its peer."""
    change, _, command = WAYS[way]
    bundle = with_masks(box, COVER)
    change(bundle)
    bundle.linux["rootfsPropagation"] = "shared"
    bundle.process["capabilities"] = dict.fromkeys(bundle.process["capabilities"], CAPABILITIES)
    null = box.directory / "null"
    done = alone(
        box, SHARED, [*command, *box.pycontainer.argv("run", "-b", bundle, box.id())], null
    )
    assert done.returncode == 0, done
    before, after = (
        Counter(line.split()[4] for line in Path(f"{null}.{name}").read_text().splitlines())
        for name in ("before", "after")
    )
    assert not after - before


@pytest.mark.parametrize("options", [["ro"], []])
def test_below_the_hosts_sysfs_nothing_is_writable(box: Box, options: list[str]):
    """A user namespace without a network of its own gets the host's, as it was asked for; the
    cgroups and whatever else the host has mounted below were not asked for."""
    box.needs_root("maps root to itself")
    look = """awk '$5 ~ "^/sys" && $6 !~ "^ro" {print $5}' /proc/self/mountinfo"""
    bundle = box.bundle().script(f"busybox {look}")
    mapped(0)(bundle)
    bundle.drop_namespace("network")
    for mount in bundle.config["mounts"]:
        if mount["destination"] == "/sys":
            mount["options"] = ["nosuid", "noexec", "nodev", *options]
    bundle.config["mounts"] = [
        m for m in bundle.config["mounts"] if m["destination"] != "/sys/fs/cgroup"
    ]
    assert box.run(bundle).ok().out.split() == ([] if options else ["/sys"])


def test_masks_without_a_null_device_on_the_host(box: Box):
    """A plain file lies there; runc runs such a container, too."""
    bundle = with_masks(box, "stat -c %t:%T /proc/keys")
    plain = 'touch "$0" && mount --bind "$0" /dev/null && exec "$@" < "$0"'
    done = alone(
        box, plain, box.pycontainer.argv("run", "-b", bundle, box.id()), box.directory / "f"
    )
    assert (done.returncode, done.stdout) == (0, "1:3\n"), done


def test_a_path_that_is_masked_often_is_one_mount(box: Box):
    bundle = box.bundle()
    bundle.linux["maskedPaths"] = ["/proc/keys", "/proc/./keys", "/proc//keys"] * 1000
    plan = json.loads(box.pycontainer("plan", "--json", bundle).ok().out)
    assert len([op for op in plan if op["operation"] == "mask"]) == 1
