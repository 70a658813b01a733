"""Id-mapped mounts seen from inside: config.md#mounts, and beside crun where it can run."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

UIDS = [{"containerID": 0, "hostID": 100000, "size": 65536}]
SHIFT = [{"containerID": 1000, "hostID": 4000, "size": 10}]


@pytest.fixture
def tmp_path():
    """pytest's own are closed to others, and so to the root of a user namespace."""
    path = Path(tempfile.mkdtemp(prefix="pycontainer-idmap-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


def owner(path: str) -> str:
    return f"stat -c '%u:%g' {path}"


@pytest.fixture
def source(box):
    """A directory with files of some owners, and a mount below it."""
    box.needs_root("id-mapped mounts take privileges over the host")
    path = box.directory / "source"
    (path / "sub").mkdir(parents=True)
    for name, uid, gid in (("a", 0, 0), ("b", 1000, 1003), ("c", 5000, 5000)):
        (path / name).write_text(name)
        os.chown(path / name, uid, gid)
    subprocess.run(["mount", "-t", "tmpfs", "idmap-test", path / "sub"], check=True)
    (path / "sub" / "d").write_text("d")
    os.chown(path / "sub" / "d", 1001, 1002)
    yield path
    subprocess.run(["umount", path / "sub"], check=True)


def add(bundle, source, *options: str, **members) -> None:
    entry = {"destination": "/mnt/x", "type": "none", "source": str(source)}
    bundle.config["mounts"].append({**entry, "options": list(options), **members})


def test_mappings_of_the_mount(box, source):
    """What the source's 1000 is becomes 4000; what has no mapping is nobody's."""
    bundle = box.bundle().script(f"{owner('/mnt/x/b')}; {owner('/mnt/x/a')}; {owner('/mnt/x/c')}")
    add(bundle, source, "rbind", "idmap", uidMappings=SHIFT, gidMappings=SHIFT)
    assert box.run(bundle).ok().out.split() == ["4000:4003", "65534:65534", "65534:65534"]


@pytest.mark.parametrize(("option", "below"), [("idmap", "1001:1002"), ("ridmap", "4001:4002")])
def test_below(box, source, option, below):
    """ridmap maps the mounts below too, idmap does not."""
    bundle = box.bundle().script(f"{owner('/mnt/x/b')}; {owner('/mnt/x/sub/d')}")
    add(bundle, source, "rbind", option, uidMappings=SHIFT, gidMappings=SHIFT)
    assert box.run(bundle).ok().out.split() == ["4000:4003", below]


def test_writing_maps_back(box, source):
    """A file that uid 4001 makes inside belongs to uid 1001 outside."""
    os.chown(source, 1001, 1002)
    bundle = box.bundle().script("touch /mnt/x/new")
    bundle.process["user"] = {"uid": 4001, "gid": 4002}
    add(bundle, source, "bind", "idmap", uidMappings=SHIFT, gidMappings=SHIFT)
    box.run(bundle).ok()
    facts = (source / "new").stat()
    assert (facts.st_uid, facts.st_gid) == (1001, 1002)


def user_namespace(bundle) -> None:
    bundle.new_namespace("user")
    bundle.linux["uidMappings"] = UIDS
    bundle.linux["gidMappings"] = UIDS
    for directory, _, files in os.walk(bundle.rootfs):
        for name in (directory, *(os.path.join(directory, file) for file in files)):
            if not name.endswith("/busybox"):
                os.lchown(name, 100000, 100000)


@pytest.mark.parametrize("members", [{}, {"uidMappings": UIDS, "gidMappings": UIDS}])
def test_in_a_user_namespace(box, source, members):
    """With the container's own mappings, named or not, the host's ids are those inside."""
    bundle = box.bundle().script(f"{owner('/mnt/x/a')}; {owner('/mnt/x/b')}")
    user_namespace(bundle)
    add(bundle, source, "bind", "idmap", **members)
    assert box.run(bundle).ok().out.split() == ["0:0", "1000:1003"]


def test_in_a_joined_user_namespace(box, source):
    """idmap without mappings takes those of the namespace that is joined."""
    first = box.bundle("/bin/sleep", "1000")
    user_namespace(first)
    box.pycontainer("run", "-d", "-b", first, box.id("first")).ok()
    pid = box.pycontainer.state(box.id("first"))["pid"]
    bundle = box.bundle().script(owner("/mnt/x/b"))
    user_namespace(bundle)
    bundle.drop_namespace("user")
    del bundle.linux["uidMappings"], bundle.linux["gidMappings"]
    bundle.join_namespace("user", f"/proc/{pid}/ns/user")
    add(bundle, source, "bind", "idmap")
    assert box.run(bundle).ok().out.split() == ["1000:1003"]


def test_refused_by_the_file_system(box):
    """procfs has no id-mapped mounts: the error names the field, and why."""
    bundle = box.bundle()
    add(bundle, "/proc", "bind", "idmap", uidMappings=SHIFT, gidMappings=SHIFT)
    words = ("map the ids of /proc", "invalid argument", "].uidMappings", "no id-mapped mounts")
    if os.geteuid() != 0:  # before the file system is asked
        words = ("id-mapped mounts take privileges over the host", "mounts[")
    box.run(bundle).fails(*words)
    box.empty()
