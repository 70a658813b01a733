"""Where mounts may lie: below what is to be read-only, on the root, where symlinks lead."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pycontainer.cgroups import layout
from tests.support.box import Box
from tests.support.bundles import Bundle

SHOW = "grep -E ' /(mnt|run)' /proc/self/mountinfo | cut -d' ' -f5-6"


def add(bundle: Bundle, destination: str, *options: str, first: bool = False, **entry: Any) -> None:
    """One more mount; of a type, or a bind of `source`."""
    entry |= {"destination": destination, "options": list(options)}
    if "type" in entry:
        entry.setdefault("source", entry["type"])
    mounts = bundle.config["mounts"]
    mounts.insert(0 if first else len(mounts), entry)


@pytest.fixture
def source(box: Box) -> Path:
    """A directory with a file, to be bound."""
    path = box.directory / "source"
    path.mkdir()
    (path / "file").write_text("text\n")
    return path


@pytest.mark.parametrize("more", [[], ["tmpcopyup"], ["silent"]], ids=["", "copied", "classic"])
def test_mounts_below_a_read_only_tmpfs(box: Box, source: Path, more: list[str]):
    """Their mount points are made while it can be written."""
    bundle = box.bundle().script(f"{SHOW}; cat /mnt/a/file; touch /mnt/x")
    add(bundle, "/mnt", "ro", "nosuid", *more, type="tmpfs")
    add(bundle, "/mnt/a", "bind", source=str(source))
    add(bundle, "/mnt/b/c", type="tmpfs")
    done = box.run(bundle)
    lines = done.out.splitlines()
    assert lines[0] == "/mnt ro,nosuid,relatime" and lines[3] == "text", done
    assert [line.split()[0] for line in lines[1:3]] == ["/mnt/a", "/mnt/b/c"]
    assert "Read-only file system" in done.err


def test_a_read_only_tmpfs_that_is_covered(box: Box, source: Path):
    """What lies on it stays as it was asked for."""
    bundle = box.bundle().script(f"{SHOW}; touch /mnt/new")
    add(bundle, "/mnt", "ro", type="tmpfs")
    add(bundle, "/mnt", "bind", source=str(source))
    assert box.run(bundle).ok().out.splitlines()[1].startswith("/mnt rw")


def test_a_dev_that_is_remounted_read_only(box: Box):
    bundle = box.bundle().script("grep ' /dev ' /proc/self/mountinfo; touch /dev/x")
    add(bundle, "/dev", "remount", "ro", type="tmpfs")
    done = box.run(bundle)
    assert " /dev ro" in done.out and "Read-only file system" in done.err


@pytest.mark.parametrize("flags", [(), ("--no-pivot",)], ids=["pivot", "no pivot"])
def test_a_mount_on_the_root_is_the_root(box: Box, source: Path, flags: tuple[str, ...]):
    """As with runc before 1.4 (issue 5070): pods mount the host's / at /."""
    bundle = box.bundle().script("cat /here; ls /proc/self/status; touch /dev/null; touch /mnt/x")
    other = box.bundle()
    (other.rootfs / "here").write_text("the other one\n")
    add(bundle, "/", "rbind", "ro", first=True, source=str(other.rootfs))
    done = box.run(bundle, *flags)
    assert done.out == "the other one\n/proc/self/status\n", done
    assert "Read-only file system" in done.err


def test_a_new_file_system_on_the_root(box: Box, source: Path):
    """With the files of the root that it covers."""
    bundle = box.bundle().script("grep -c ' / / ' /proc/self/mountinfo; touch /new && ls /new")
    add(bundle, "/", "tmpcopyup", first=True, type="tmpfs")
    assert box.run(bundle).ok().out == "1\n/new\n"
    assert not (bundle.rootfs / "new").exists()


@pytest.mark.parametrize(
    ("link", "words"),
    [
        ("/proc", "inside /proc"),
        ("/proc/sys/kernel", "inside /proc"),
        ("proc/stat", "inside /proc"),
        ("/", "to the root itself"),
    ],
)
@pytest.mark.parametrize("kind", ["bind", "tmpfs"])
def test_symlinks_that_lead_to_where_nothing_may_be(
    box: Box, source: Path, link: str, words: str, kind: str
):
    """CVE-2019-16884: what an image calls /volume could be a mask's, or a label's, file."""
    bundle = box.bundle()
    (bundle.rootfs / "volume").symlink_to(link)
    if kind == "tmpfs" and link == "proc/stat":
        words = "not a directory"
    if kind == "tmpfs":
        add(bundle, "/volume", type="tmpfs")
    else:
        add(bundle, "/volume", "bind", source=str(source / "file" if "stat" in link else source))
    box.run(bundle).fails("error mounting", 'at \\"/volume', words)


def test_other_symlinks_are_followed(box: Box, source: Path):
    bundle = box.bundle().script("cat /mnt/file /tmp/file; grep -c ' - proc ' /proc/self/mountinfo")
    (bundle.rootfs / "volume").symlink_to("../mnt")
    (bundle.rootfs / "top").symlink_to("/")
    (bundle.rootfs / "way").symlink_to("opt")
    bundle.linux["readonlyPaths"] = []
    add(bundle, "/volume", "bind", source=str(source))
    add(bundle, "/top/tmp", "bind", source=str(source))
    add(bundle, "/way/proc", type="proc")
    assert box.run(bundle).ok().out == "text\ntext\n2\n"
    assert (bundle.rootfs / "opt" / "proc").is_dir()


def test_a_procfs_is_not_mounted_on_a_symlink_behind_another(box: Box):
    bundle = box.bundle()
    (bundle.rootfs / "way").symlink_to("opt")
    (bundle.rootfs / "opt" / "proc").symlink_to("/tmp")
    add(bundle, "/way/proc", type="proc")
    box.run(bundle).fails("must be mounted on ordinary directory")


def test_cgroup2_is_itself_where_there_is_v1(box: Box):
    """Type cgroup is whatever this host has; type cgroup2 is one file system."""
    box.needs_root("mounts the host's cgroup2")
    if layout.probe().mode == "v2":
        pytest.skip("needs a host with cgroup v1")
    bundle = box.bundle().script("grep ' /mnt/x ' /proc/self/mountinfo; ls /mnt/x/cgroup.procs")
    add(bundle, "/mnt/x", "nosuid", type="cgroup2")
    assert " - cgroup2 " in box.run(bundle).ok().out


@pytest.mark.parametrize("mapped", [False, True])
def test_a_source_on_an_earlier_mount(box: Box, mapped: bool):
    """The path of the root on the host, and below it what the container has mounted by then. With a
    user namespace, runc opens a source when it is due since 1.2."""
    looks = []
    for runtime in [box.pycontainer] if mapped else box.both():
        bundle = box.bundle().script("cat /mnt/file; grep -c ' /mnt tmpfs' /proc/self/mounts")
        data = bundle.rootfs / "data"
        data.mkdir()
        if mapped:
            bundle.new_namespace("user")
            ids = [{"containerID": 0, "hostID": 0, "size": 65536}]
            bundle.linux["uidMappings"] = bundle.linux["gidMappings"] = ids
        (box.directory / "file").write_text("found\n")
        bind = {"type": "bind", "options": ["bind"]}
        bundle.config["mounts"] += [
            {"destination": "/data", "type": "tmpfs", "source": "tmpfs"},
            {"destination": "/data/file", "source": str(box.directory / "file"), **bind},
            {"destination": "/mnt", "source": str(data), "type": "bind", "options": ["rbind"]},
        ]
        looks.append(box.run(bundle, runtime=runtime.name).ok().out)
    assert looks[0] == looks[-1] == "found\n1\n"
