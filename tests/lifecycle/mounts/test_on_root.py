"""The root as a link, and mounts on /: the last one takes its place, and nothing else shows."""

from __future__ import annotations

import shutil

import pytest

from tests.support.box import Box
from tests.support.bundles import Bundle
from tests.support.runtimes import Runtime, has_runc

LOOK = "cat /which; cut -d' ' -f5 /proc/self/mountinfo"


def other_root(bundle: Bundle, number: int) -> dict[str, object]:
    """A mount of a copy of the bundle's root, which says which one it is."""
    root = bundle.path / f"root{number}"
    shutil.copytree(bundle.rootfs, root, symlinks=True)
    (root / "which").write_text(f"root {number}\n")
    return {"destination": "/", "type": "bind", "source": str(root), "options": ["rbind"]}


def user_namespace(bundle: Bundle) -> None:
    bundle.new_namespace("user")
    for kind in ("uidMappings", "gidMappings"):
        bundle.linux[kind] = [{"containerID": 0, "hostID": 0, "size": 100}]


@pytest.mark.parametrize("kind", ["host", "user"])
@pytest.mark.parametrize("flags", [(), ("--no-pivot",)])
@pytest.mark.parametrize("count", [1, 2])
def test_the_last_one_is_the_root(box: Box, kind: str, flags: tuple[str, ...], count: int):
    box.needs_root("has its own ids mapped")
    bundle = box.bundle().script(LOOK)
    bundle.config["mounts"][:0] = [other_root(bundle, number + 1) for number in range(count)]
    if kind == "user":
        user_namespace(bundle)
    first, *points = box.run(bundle, *flags).ok().out.splitlines()
    assert first == f"root {count}"
    if not flags:  # else the kernel shows what lies below
        assert points.count("/") == 1
        assert {point.split("/")[1] for point in points} <= {"", "proc", "sys", "dev"}
    if has_runc():  # newer ones refuse it
        done = box.run(bundle, *flags, runtime="runc")
        assert done.status or done.out.startswith(f"root {count}\n")


def test_it_may_be_a_new_file_system(box: Box, pyc: Runtime):
    bundle = box.bundle("/bin/busybox", "ls", "/")
    (bundle.path / "bin").mkdir()
    shutil.copy(bundle.rootfs / "bin/busybox", bundle.path / "bin/busybox")
    bundle.config["mounts"][:0] = [
        {"destination": "/", "type": "tmpfs", "source": "none", "options": ["mode=755"]},
        {"destination": "/bin", "type": "bind", "source": "bin", "options": ["rbind"]},
    ]
    assert box.run(bundle).ok().out.split() == ["bin", "dev", "proc", "sys"]
    bundle.config["mounts"][0]["options"].append("silent")
    box.run(bundle).fails("mounts[0]", "silent")


@pytest.mark.parametrize("kind", ["host", "user"])
def test_the_root_may_be_a_symlink(box: Box, kind: str):
    """With crun it may; runc refuses it."""
    bundle = box.bundle("/bin/cat", "/which")
    (bundle.rootfs / "which").write_text("the root\n")
    if kind == "user":
        box.needs_root("has its own ids mapped")
        user_namespace(bundle)
    (bundle.path / "link").symlink_to("rootfs")
    bundle.config["root"]["path"] = "link"
    assert box.run(bundle).ok().out == "the root\n"
