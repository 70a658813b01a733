"""A program whose stdio is /dev/null cannot reach the host's device by it.

A descriptor of the host's own file would let /proc/self/fd change its mode and owner. As in
test_host_files.py, a null device of the test's lies over the host's.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.attacks.test_host_files import CAPABILITIES, NULL, alone, mapped, unchanged
from tests.support.box import Box
from tests.support.bundles import Bundle

ATTACK = """
for f in /proc/self/fd/0 /proc/self/fd/1 /proc/self/fd/2; do
    chmod 640 $f; chown 12345 $f; touch -d 2001-01-01 $f; done 2>/tmp/said
touch /tmp/done
test -c /proc/self/fd/0
"""
TO_NULL = '"$@" </dev/null >/dev/null 2>"$0.said" || { cat "$0.said"; exit 1; }'


def capable(bundle: Bundle) -> Bundle:
    bundle.process["capabilities"] = dict.fromkeys(bundle.process["capabilities"], CAPABILITIES)
    return bundle


def intact(null: Path) -> bool:
    found = null.stat()
    return (found.st_mode & 0o777, found.st_uid) == (0o666, 0) and found.st_mtime > 1_000_000_000


def bind_dev(box: Box, bundle: Bundle) -> Path:
    """/dev is a directory of the host's: no device is made there."""
    dev = box.directory / "dev"
    dev.mkdir()
    mounts = bundle.config["mounts"]
    bundle.config["mounts"] = [m for m in mounts if not m["destination"].startswith("/dev")]
    bundle.config["mounts"].append({"destination": "/dev", "source": str(dev), "options": ["bind"]})
    return dev


INSTEAD: dict[str, Callable[[Path], object]] = {
    "none": lambda null: None,
    "a link to nowhere": lambda null: null.symlink_to("/nowhere"),
    "a link to another": lambda null: null.symlink_to("/dev/zero"),
    "a file": lambda null: null.write_text(""),
    "another device": lambda null: os.mknod(null, 0o20666, os.makedev(1, 5)),
}


@pytest.mark.parametrize("user", [unchanged, mapped(100000)], ids=["host", "mapped"])
@pytest.mark.parametrize("kind", INSTEAD)
def test_a_dev_without_a_null_device(box: Box, kind: str, user: Callable[[Bundle], None]):
    """The program gets one of its own; in a user namespace without the host's ids, it may keep the
    host's, whose owner nobody in there is."""
    bundle = capable(box.bundle().script(ATTACK))
    user(bundle)
    bundle.linux["maskedPaths"] = []
    INSTEAD[kind](bind_dev(box, bundle) / "null")
    null = box.directory / "null"
    argv = box.pycontainer.argv("run", "-b", bundle, box.id())
    done = alone(box, NULL, ["sh", "-c", TO_NULL, str(null), *argv], null)
    assert done.returncode == 0, done
    assert intact(null)


@pytest.mark.parametrize("flag", ["", "-d"], ids=["waits", "detached"])
@pytest.mark.parametrize("gone", ["", "rm /dev/null;", "ln -sf /dev/zero /dev/null;"])
def test_exec(box: Box, gone: str, flag: str):
    """Also when the container has taken its null device away before."""
    bundle = capable(box.bundle().script(f"{gone} touch /tmp/ready; exec sleep 1000"))
    null = box.directory / "null"
    ready = bundle.rootfs / "tmp/ready"
    runtime = " ".join(box.pycontainer.argv())
    script = f"""
    {runtime} run -d -b {bundle.path} {box.id()} </dev/null >/dev/null 2>&1
    until [ -e {ready} ]; do sleep 0.02; done
    {runtime} exec {flag} {box.id()} sh -c "$1" </dev/null >/dev/null 2>&1
    for i in $(seq 100); do [ ! -e {ready.parent}/done ] || exit 0; sleep 0.05; done; exit 1
    """
    bundle.write()
    done = alone(box, NULL, ["sh", "-c", script, "sh", ATTACK], null)
    assert done.returncode == 0, done
    assert intact(null)


def test_runc_is_vulnerable_to_that(box: Box):
    """The control: with `exec -d`, which passes the caller's stdio on."""
    runtime = " ".join(box.runc.argv())
    bundle = capable(box.bundle("/bin/sleep", "1000"))
    bundle.write()
    null = box.directory / "null"
    script = f"""
    {runtime} run -d -b {bundle.path} {box.id()} </dev/null >/dev/null 2>&1
    {runtime} exec -d {box.id()} sh -c "$1" </dev/null >/dev/null 2>&1
    for i in $(seq 100); do [ ! -e {bundle.rootfs}/tmp/done ] || exit 0; sleep 0.05; done; exit 1
    """
    assert alone(box, NULL, ["sh", "-c", script, "sh", ATTACK], null).returncode == 0
    assert not intact(null)
