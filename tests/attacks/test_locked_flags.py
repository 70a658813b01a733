"""A user namespace clears no flag of the host's mounts: read-only, nosuid, nodev, noexec."""

from __future__ import annotations

import json
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


def with_ids(bundle: Bundle, first: int = 100000) -> None:
    bundle.new_namespace("user")
    ids = [{"containerID": 0, "hostID": first, "size": 65534}]
    bundle.linux["uidMappings"] = bundle.linux["gidMappings"] = ids


def bound(box: Box, *options: str) -> Bundle:
    bundle = box.bundle().script("grep ' /mnt ' /proc/self/mounts")
    with_ids(bundle)
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


LOCKED = """
grep ' /mnt' /proc/self/mounts
mount -o remount,bind,rw /mnt && echo changed
mount -o remount,bind,rw /mnt/sub && echo changed
umount /mnt/sub && echo uncovered
true
"""
BELOW = 'mount -t tmpfs t "$1/sub"; mount -o remount,bind,ro "$1/sub"; '


def with_root(bundle: Bundle) -> Bundle:
    """A root of the user namespace that is the host's, and may mount."""
    bundle.script(LOCKED)
    with_ids(bundle, 0)
    kinds = bundle.process["capabilities"]
    bundle.process["capabilities"] = dict.fromkeys(kinds, ["CAP_SYS_ADMIN"])
    return bundle


def read_only_below(readonly: str) -> str:
    return readonly.replace("mount -o", 'mkdir "$1/sub"; mount -o') + BELOW


@pytest.mark.parametrize("runtime", ["pycontainer", "runc"])
def test_root_inside_changes_no_flag_of_the_host(box: Box, readonly: str, runtime: str):
    """What the host has locked by its mounts, and what it has covered, stays so afterwards."""
    bundle = with_root(bound(box, "rbind"))
    script = read_only_below(readonly) + '$RT run -b "$2" "$3" 2>/dev/null'
    source = box.directory / "source"
    out = in_namespace(box.runtime(runtime), script, source, bundle, box.id())
    assert out.count(" ro,") == 2 and "changed" not in out and "uncovered" not in out, out


def test_nothing_is_uncovered(box: Box, readonly: str):
    """A bind of the top alone would show what lies below the other mount; runc refuses it, too."""
    bundle = with_root(bound(box, "bind"))
    script = read_only_below(readonly) + 'if $RT run -b "$2" "$3" 2>&1; then echo ran; fi'
    out = in_namespace(box.pycontainer, script, box.directory / "source", bundle, box.id())
    assert "must come along in a user namespace" in out and not out.endswith("ran\n"), out


def test_a_root_on_a_read_only_mount_stays_read_only(box: Box):
    bundle = with_root(bound(box, "bind"))
    bundle.config["mounts"].pop()
    bundle.script("mount -o remount,bind,rw / && echo changed; touch /x && echo made; true")
    bundle.write()
    script = 'mount --bind "$1" "$1"; mount -o remount,bind,ro "$1"; $RT run -b "$2" "$3"'
    script += " 2>/dev/null"
    out = in_namespace(box.pycontainer, script, bundle.rootfs, bundle.path, box.id())
    assert out == ""


def test_mounts_that_are_added_later_are_locked_too(box: Box, readonly: str):
    bundle = with_root(bound(box, "bind"))
    mount = bundle.config["mounts"].pop()
    bundle.process["args"] = ["/bin/sleep", "1000"]
    file = box.directory / "mounts.json"
    file.write_text(json.dumps([{**mount, "options": ["rbind", "rprivate"]}]))
    look = box.directory / "look"
    look.write_text(LOCKED)
    script = read_only_below(readonly) + (
        '$RT run -d -b "$2" "$3" >/dev/null; $RT mounts add "$3" "$4";'
        '$RT exec --cap CAP_SYS_ADMIN "$3" sh -c "$(cat "$5")" 2>/dev/null; $RT delete -f "$3"'
    )
    source = box.directory / "source"
    out = in_namespace(box.pycontainer, script, source, bundle, box.id(), file, look)
    assert out.count(" ro,") == 2 and "changed" not in out and "uncovered" not in out, out


def test_access_times_as_with_runc(box: Box):
    """Each word beside a source of each kind, in a user namespace and without one."""
    words = [["noatime"], ["relatime"], ["strictatime"], ["nodiratime"], ["atime"], ["diratime"],
             ["norelatime"], ["noatime", "nodiratime"], ["nosuid"], ["relatime", "diratime"],
             []]  # fmt: skip
    for user in (False, True):
        for kind in ("relatime", "noatime", "strictatime", "noatime,nodiratime"):
            source = box.directory / f"{kind}-{user}"
            source.mkdir()
            for options in words:
                found = []
                for runtime in box.both():
                    bundle = box.bundle().script("grep ' /mnt ' /proc/self/mounts")
                    if user:
                        with_ids(bundle, 0)
                    mount = {"destination": "/mnt", "type": "bind", "source": str(source)}
                    bundle.config["mounts"].append({**mount, "options": ["bind", *options]})
                    script = 'mount -t tmpfs t "$1"; mount -o "remount,bind,$4" "$1";'
                    script += 'if $RT run -b "$2" "$3" 2>/dev/null; then true; else echo no; fi'
                    out = in_namespace(runtime, script, source, bundle, box.id(), kind)
                    found.append(out.replace(" size=", "").split()[3:4] or ["refused"])
                assert found[0] == found[-1], (user, kind, options, found)
