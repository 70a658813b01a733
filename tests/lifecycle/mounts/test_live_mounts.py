"""`mounts add` and `mounts remove`: crun's commands for a container that runs."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.support.box import Box
from tests.support.runtimes import Done, Runtime


class Live:
    """A running container, and the two commands for it."""

    def __init__(self, box: Box, pyc: Runtime, user_namespace: bool = False) -> None:
        box.needs_root("changes the mounts of a running container")
        self.box, self.pyc, self.name = box, pyc, box.id()
        bundle = box.bundle("/bin/sleep", "1000")
        if user_namespace:
            for path in (bundle.rootfs, *bundle.rootfs.rglob("*")):
                os.lchown(path, 5000, 5000)
            bundle.new_namespace("user")
            for kind in ("uidMappings", "gidMappings"):
                bundle.linux[kind] = [{"containerID": 0, "hostID": 5000, "size": 2000}]
        self.bundle = bundle
        pyc("run", "-d", "-b", bundle, self.name).ok()

    def __call__(self, verb: str, *mounts: Any) -> Done:
        file = self.box.directory / "mounts.json"
        file.write_text(json.dumps(mounts))
        return self.pyc("mounts", verb, self.name, file)

    def inside(self, script: str) -> str:
        return self.pyc("exec", self.name, "sh", "-c", script).ok().out


def mount(destination: str, source: Any = "tmpfs", *options: str) -> dict[str, Any]:
    kind = "tmpfs" if source == "tmpfs" else "bind"
    entry = {"destination": destination, "source": str(source), "type": kind}
    return {**entry, "options": [*(["bind"] if kind == "bind" else []), *options]}


@pytest.fixture
def source(box: Box) -> Path:
    path = box.directory / "source"
    path.mkdir(mode=0o755)
    (path / "file").write_text("found\n")
    return path


@pytest.mark.parametrize("user_namespace", [False, True])
def test_mounts_come_and_go(box: Box, pyc: Runtime, source: Path, user_namespace: bool):
    live = Live(box, pyc, user_namespace)
    live(
        "add",
        mount("/mnt/new/place", source, "ro", "rprivate"),
        mount("/mnt/file", source / "file"),
        mount("/tmp", "tmpfs", "size=64k", "mode=711"),
        mount("/mnt/fixed", "tmpfs", "ro"),
    ).ok()
    info = live.inside("cat /mnt/new/place/file /mnt/file; stat -c '%a %u' /tmp; cat /proc/mounts")
    assert info.startswith("found\nfound\n711 0\n")
    lines = {line.split()[1]: line.split()[3].split(",") for line in info.splitlines()[3:]}
    assert "ro" in lines["/mnt/new/place"] and "size=64k" in lines["/tmp"]
    assert "ro" in lines["/mnt/fixed"]
    # Init's own view, and nothing of it on the host.
    pid = pyc.state(live.name)["pid"]
    assert Path(f"/proc/{pid}/root/mnt/file").read_text() == "found\n"
    assert str(live.bundle.rootfs / "mnt") not in Path("/proc/self/mountinfo").read_text()
    live("remove", mount("/mnt/new/place"), mount("/tmp"), mount("/mnt/fixed")).ok()
    live("remove", {"destination": "/mnt/file"}).ok()
    assert (
        live.inside("cat /mnt/file; ls /mnt/new/place; grep -c /mnt/ /proc/mounts || true") == "0\n"
    )


def test_one_upon_another(box: Box, pyc: Runtime, source: Path):
    live = Live(box, pyc)
    two = [mount("/mnt", "tmpfs"), mount("/mnt/below", source, "rro")]
    live("add", *two).ok()
    assert live.inside("cat /mnt/below/file; ! touch /mnt/below/x 2>/dev/null && echo ro") == (
        "found\nro\n"
    )
    live("remove", *two).ok()
    assert live.inside("ls /mnt") == ""


def test_of_a_container_that_waits(box: Box, pyc: Runtime, source: Path):
    box.needs_root("changes the mounts of a container")
    bundle, name = box.bundle("/bin/cat", "/mnt/file"), box.id()
    pyc("create", "-b", bundle, name).ok()
    file = box.directory / "mounts.json"
    file.write_text(json.dumps({"mounts": [mount("/mnt", source)]}))
    pyc("mounts", "add", name, file).ok()
    pyc("start", name).ok()
    pyc.wait_for(name, "stopped")
    pyc("mounts", "add", name, file).fails("container not running")


def test_ids_and_links_too(box: Box, pyc: Runtime, source: Path):
    live = Live(box, pyc)
    (source / "link").symlink_to("file")
    os.chown(source / "file", 3, 4)
    option = "idmap=uids=0-1000-10;gids=0-1000-10"
    live("add", mount("/mnt/x", source, option), mount("/tmp/l", source / "link", "copy-symlink"))
    assert live.inside("stat -c %u:%g /mnt/x/file; readlink /tmp/l") == "1003:1004\nfile\n"


def test_a_link_of_the_container_leads_nowhere_else(box: Box, pyc: Runtime, source: Path):
    live = Live(box, pyc)
    outside = box.directory / "outside"
    outside.mkdir()
    live.inside(f"ln -s {outside} /mnt/way; ln -s /proc/self /mnt/self")
    live("add", mount("/mnt/way/x", source)).ok()
    assert live.inside(f"cat {outside}/x/file") == "found\n"
    assert not list(outside.iterdir())


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ({"destination": "/mnt", "type": "proc"}, "cannot be mounted from outside"),
        ({"destination": "/mnt", "type": "cgroup"}, "cannot be mounted from outside"),
        (mount("/", "tmpfs"), "must be below the root"),
        (mount("/proc", "/mnt"), "must be below the root, and not /proc"),
        (mount("/proc/self", "/mnt"), "inside /proc"),
        (mount("/mnt", "tmpfs", "remount"), "not possible in a container that runs"),
        (mount("/mnt", "tmpfs", "shared"), "not possible in a container that runs"),
        (mount("/mnt", "/no/such/source"), "no such file or directory"),
        (mount("/bin/busybox", "/usr"), "the source is a directory, the target is a file"),
        ({"destination": "/mnt"}, "mounts[0].type"),
        ({"type": "tmpfs"}, "mounts[0].destination"),
        ("/mnt", "mounts[0]"),
    ],
)
def test_what_is_not_added(box: Box, pyc: Runtime, entry: Any, words: str):
    live = Live(box, pyc)
    before = live.inside("cat /proc/mounts")
    live("add", entry).fails(words)
    assert live.inside("cat /proc/mounts") == before


def test_what_is_not_removed(box: Box, pyc: Runtime):
    live = Live(box, pyc)
    live("remove", {"destination": "/mnt"}).fails("unmount /mnt: nothing is mounted there")
    live("remove", {"destination": "/"}).fails("is the root of the container")
    live("remove", {"source": "/"}).fails("each must have a destination")
    live("remove", {"destination": "/no/such/place"}).fails("no such file or directory")


def test_words_that_are_wrong(box: Box, pyc: Runtime):
    live = Live(box, pyc)
    pyc("mounts", "change", live.name, "x").fails("mounts change: must be add or remove")
    pyc("mounts", "add", live.name, "/no/such/file").fails("read /no/such/file: no such file")
    pyc("mounts", "add", box.id("none"), "x").fails("does not exist")
    for text, words in (("{", "read"), ("{}", "has no mounts"), ("3", "has no mounts")):
        file = box.directory / "x.json"
        file.write_text(text)
        pyc("mounts", "add", live.name, file).fails(words)


def test_the_hosts_own_mounts_stay(box: Box, pyc: Runtime, source: Path):
    box.needs_root("shares the host's mounts")
    bundle, name = box.bundle("/bin/sleep", "1000"), box.id()
    bundle.drop_namespace("mount")
    for key in ("maskedPaths", "readonlyPaths"):
        bundle.linux.pop(key, None)
    bundle.config["mounts"] = []
    pyc("run", "-d", "-b", bundle, name).ok()
    file = box.directory / "mounts.json"
    file.write_text(json.dumps([mount("/mnt", source)]))
    pyc("mounts", "add", name, file).fails("it has the host's own")
