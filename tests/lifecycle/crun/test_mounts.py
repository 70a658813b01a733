"""Mount options of crun's: symbolic links that are bound as they are, and mappings in words."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from tests.support.box import Box
from tests.support.bundles import Bundle
from tests.support.runtimes import Runtime

SHOW = "readlink /mnt/x || cat /mnt/x; grep /mnt/ /proc/self/mountinfo | wc -l"
USER_NAMESPACE = pytest.mark.parametrize("user_namespace", [False, True])


def bound(box: Box, source: Path, *options: str, to: str = "/mnt/x", **more: Any) -> Bundle:
    """A bundle that shows what is at /mnt/x, with one more mount there."""
    bundle = box.bundle().script(SHOW)
    mount = {"destination": to, "type": "bind", "source": str(source)}
    bundle.config["mounts"].append({**mount, "options": ["bind", *options], **more})
    return bundle


def in_user_namespace(bundle: Bundle, first: int = 5000) -> None:
    for path in (bundle.rootfs, *bundle.rootfs.rglob("*")):
        os.lchown(path, first, first)
    bundle.new_namespace("user")
    for kind in ("uidMappings", "gidMappings"):
        bundle.linux[kind] = [{"containerID": 0, "hostID": first, "size": 2000}]


@pytest.fixture
def link(box: Box) -> Path:
    """A symbolic link to `file` beside it."""
    (box.directory / "file").write_text("the file\n")
    path = box.directory / "link"
    path.symlink_to("file")
    return path


def outcome(pyc: Runtime, box: Box, bundle: Bundle) -> list[str]:
    return pyc("run", "-b", bundle, box.id()).ok().out.splitlines()


@USER_NAMESPACE
def test_a_link_is_copied(box: Box, pyc: Runtime, link: Path, user_namespace: bool):
    bundle = bound(box, link, "copy-symlink", "ro", "rprivate")
    if user_namespace:
        box.needs_root("maps ids")
        in_user_namespace(bundle)
    assert outcome(pyc, box, bundle) == ["file", "0"]
    assert os.readlink(bundle.rootfs / "mnt" / "x") == "file"
    # Once more: it is there already, and the same.
    assert outcome(pyc, box, bundle) == ["file", "0"]
    (bundle.rootfs / "mnt" / "x").unlink()
    (bundle.rootfs / "mnt" / "x").symlink_to("other")
    done = pyc("run", "-b", bundle, box.id())
    done.fails("there is something else than that symbolic link at /mnt/x", "mounts[")
    (bundle.rootfs / "mnt" / "x").unlink()
    (bundle.rootfs / "mnt" / "x").write_text("")
    pyc("run", "-b", bundle, box.id()).fails("something else than that symbolic link")


def test_what_is_no_link_is_bound(box: Box, pyc: Runtime, link: Path):
    bundle = bound(box, link.parent / "file", "copy-symlink")
    assert outcome(pyc, box, bundle) == ["the file", "1"]
    # Without the option a link is followed.
    assert outcome(pyc, box, bound(box, link)) == ["the file", "1"]


def test_a_copied_link_leads_nowhere_else(box: Box, pyc: Runtime, link: Path):
    """Directories on the way are made in the root, whatever a link of the image says."""
    outside = box.directory / "outside"
    outside.mkdir()
    bundle = bound(box, link, "copy-symlink", to="/mnt/way/x")
    (bundle.rootfs / "mnt" / "way").symlink_to(outside)
    pyc("run", "-b", bundle, box.id()).ok()
    assert not list(outside.iterdir())


@USER_NAMESPACE
def test_the_link_itself_is_the_source(box: Box, pyc: Runtime, link: Path, user_namespace: bool):
    bundle = bound(box, link, "src-nofollow", "rprivate", "rro")
    if user_namespace:
        box.needs_root("maps ids")
        in_user_namespace(bundle)
    assert outcome(pyc, box, bundle) == ["file", "1"]
    assert (bundle.rootfs / "mnt" / "x").is_file()  # the mount point that was made


def test_a_dangling_link_as_the_source(box: Box, pyc: Runtime, link: Path):
    link.with_name("file").unlink()
    assert outcome(pyc, box, bound(box, link, "src-nofollow")) == ["file", "1"]
    pyc("run", "-b", bound(box, link), box.id()).fails("no such file or directory")


def test_the_link_itself_is_the_destination(box: Box, pyc: Runtime, link: Path):
    bundle = bound(box, link.parent / "file", "dest-nofollow", "rslave")
    there = bundle.rootfs / "mnt" / "x"
    there.symlink_to("elsewhere")
    (there.parent / "elsewhere").write_text("untouched\n")
    bundle.script(f"cat /mnt/elsewhere; {SHOW}")
    assert outcome(pyc, box, bundle) == ["untouched", "the file", "1"]
    assert os.readlink(there) == "elsewhere"


def test_a_link_over_a_link(box: Box, pyc: Runtime, link: Path):
    bundle = bound(box, link, "src-nofollow", "dest-nofollow")
    (bundle.rootfs / "mnt" / "x").symlink_to("elsewhere")
    assert outcome(pyc, box, bundle) == ["file", "1"]


def test_a_destination_that_is_not_there(box: Box, pyc: Runtime, link: Path):
    bundle = bound(box, link.parent / "file", "dest-nofollow")
    pyc("run", "-b", bundle, box.id()).fails("dest-nofollow", "/mnt/x", "no such file")
    (bundle.rootfs / "mnt" / "x").mkdir()
    done = pyc("run", "-b", bundle, box.id())
    done.fails("only one of source and target is a directory")


@pytest.mark.parametrize(
    ("link_to", "place"),
    [("/proc", "/mnt/way/self/exe"), ("/sys", "/mnt/way/class"), ("", "/dev/pts/ptmx")],
)
def test_what_is_the_kernels_stays(box: Box, pyc: Runtime, link: Path, link_to: str, place: str):
    """Not even through a directory that an image has made a link to it."""
    bundle = bound(box, link.parent / "file", "dest-nofollow", to=place)
    if link_to:
        (bundle.rootfs / "mnt" / "way").symlink_to(link_to)
    if link_to == "/sys":
        bundle.config["mounts"][-1]["source"] = str(link.parent)
    pyc("run", "-b", bundle, box.id()).fails("it must not lie in a file system of the kernel's")


@pytest.mark.parametrize(
    ("options", "to", "kind", "words"),
    [
        (["bind", "copy-symlink", "src-nofollow"], "/mnt/x", "none", "has copy-symlink beside"),
        (["bind", "copy-symlink", "dest-nofollow"], "/mnt/x", "none", "has copy-symlink beside"),
        (["bind", "src-nofollow"], "/proc", "none", "/proc must be none"),
        (["src-nofollow"], "/mnt/x", "tmpfs", "are for bind mounts"),
        (["idmap=uids=0-1-1;gids=0-1-1"], "/mnt/x", "tmpfs", "are for bind mounts"),
    ],
)
def test_what_does_not_go(
    box: Box, pyc: Runtime, options: list[str], to: str, kind: str, words: str
):
    bundle = bound(box, box.directory, to=to)
    bundle.config["mounts"][-1] |= {"options": options, "type": kind}
    pyc("run", "-b", bundle, box.id()).fails(words, "mounts[")


# -- mappings --------------------------------------------------------------------------------

IDS = "stat -c %u:%g /mnt/x/a /mnt/x/b"


def owned(box: Box, *ids: tuple[int, int]) -> Path:
    box.needs_root("maps ids")
    directory = box.directory / "owned"
    directory.mkdir()
    for name, (uid, gid) in zip("ab", ids, strict=True):
        (directory / name).write_text("")
        os.chown(directory / name, uid, gid)
    return directory


@pytest.mark.parametrize("word", ["idmap", "ridmap"])
def test_mappings_in_the_option(box: Box, pyc: Runtime, word: str):
    source = owned(box, (3, 5), (20, 0))
    option = f"{word}=uids=0-1000-10#20-30-1;gids=0-2000-10"
    bundle = bound(box, source, option).script(IDS)
    assert outcome(pyc, box, bundle) == ["1003:2005", "30:2000"]


def test_mappings_relative_to_the_user_namespace(box: Box, pyc: Runtime):
    source = owned(box, (3, 5), (4, 6))
    os.chmod(box.directory, 0o755)
    bundle = bound(box, source, "idmap=uids=@0-100-10;gids=@0-200-10").script(IDS)
    in_user_namespace(bundle)
    assert outcome(pyc, box, bundle) == ["103:205", "104:206"]


def test_the_mounts_own_mappings_come_first(box: Box, pyc: Runtime):
    mappings = [{"containerID": 0, "hostID": 70, "size": 10}]
    bundle = bound(
        box,
        owned(box, (3, 5), (4, 6)),
        "idmap=uids=0-1000-10;gids=0-1000-10",
        uidMappings=mappings,
        gidMappings=mappings,
    ).script(IDS)
    assert outcome(pyc, box, bundle) == ["73:75", "74:76"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("uids=0-1000-10", "must be idmap=uids="),
        ("uids=0-1000;gids=0-1000-10", "has 0-1000, must be"),
        ("uids=0-1000-10;gids=0-1000-10;x=3", "has x=3, must be"),
        ("uids=0-1000-10;gids=0--1-10", "has 0--1-10, must be"),
        ("uids=0-1000-10;uids=0-1000-10", "has uids=0-1000-10, must be"),
        ("uids=0-1000-0;gids=0-1000-10", "has 0-1000-0, must be"),
        ("uids=0-4294967290-10;gids=0-1000-10", "has 0-4294967290-10, must be"),
        ("uids=@0-1000-10;gids=0-1000-10", "no mapping of the user namespace holds"),
        ("", "idmap needs mappings"),
    ],
)
def test_mappings_that_are_none(box: Box, pyc: Runtime, text: str, words: str):
    bundle = bound(box, owned(box, (3, 5), (4, 6)), f"idmap={text}")
    done = pyc("run", "-b", bundle, box.id())
    done.err = done.err.replace('\\"', "")
    done.fails(words, "mounts[")
