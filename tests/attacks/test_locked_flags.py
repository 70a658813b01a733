"""A user namespace clears no flag of the host's mounts: read-only, nosuid, nodev, noexec."""

from __future__ import annotations

import shlex
import subprocess

import pytest

from tests.support.box import Box
from tests.support.bundles import Bundle
from tests.support.runtimes import Runtime


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


@pytest.fixture
def readonly(box: Box) -> str:
    """A script that makes $1 a read-only mount, nosuid, nodev and noexec."""
    (box.directory / "source").mkdir()
    return 'mount -t tmpfs t "$1"; mount -o remount,bind,ro,nosuid,nodev,noexec "$1"; '


def bound(box: Box, *options: str) -> Bundle:
    bundle = box.bundle().script("grep ' /mnt ' /proc/self/mounts")
    bundle.new_namespace("user")
    ids = [{"containerID": 0, "hostID": 100000, "size": 65534}]
    bundle.linux["uidMappings"] = bundle.linux["gidMappings"] = ids
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
