"""Layers become the tree that they mean and nothing else: unpacked, and as layers of an overlay."""

from __future__ import annotations

import os
import stat
import struct
import tarfile
from pathlib import Path

import pytest

from tests.support.box import Box
from tests.support.images import Layout, busybox, entry, hard_link, image, layer, symlink
from tests.support.runtimes import Done

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, see test_as_user.py")

# security.capability, version 2, effective: CAP_NET_BIND_SERVICE.
CAPABILITY = struct.pack("<5I", 0x02000001, 1 << 10, 0, 0, 0)


def unpack(box: Box, *layers: bytes) -> Path:
    """The root of a new bundle."""
    number = len(list(box.directory.glob("image*")))
    source = image(box.directory / f"image{number}", *layers)
    bundle = box.directory / f"made{number}"
    box.pycontainer("bundle", source, bundle).ok()
    return bundle / "rootfs"


def refused(box: Box, *layers: bytes) -> Done:
    """An image that is none; nothing of it stays."""
    bundle = box.directory / "refused"
    done = box.pycontainer("bundle", image(box.directory / "image", *layers), bundle)
    assert not bundle.exists()
    return done.fails()


def tree(root: Path) -> dict[str, str]:
    """Each path with what is there: for comparing."""
    found = {}
    for path in sorted(root.rglob("*")):
        name = str(path.relative_to(root))
        if path.is_symlink():
            found[name] = f"-> {os.readlink(path)}"
        elif path.is_dir():
            found[name] = "directory"
        else:
            found[name] = path.read_text(errors="replace")
    return found


# --- what a tree has ---


def test_owners_modes_times_and_attributes(box: Box):
    file = entry("a/file", "text", uid=1000, gid=50, mode=0o4751)
    file[0].pax_headers = {
        "mtime": "1234567890.123456789",
        "SCHILY.xattr.user.note": "hello",
        "SCHILY.xattr.security.capability": CAPABILITY.decode("utf-8", "surrogateescape"),
    }
    directory = entry("a/", mode=0o2770, uid=7, mtime=99)
    root = unpack(box, layer(directory, file, symlink("a/link", "/etc", uid=5, mtime=7)))
    found = (root / "a/file").stat()
    assert (found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode)) == (1000, 50, 0o4751)
    assert found.st_mtime_ns == 1234567890123456789
    assert os.getxattr(root / "a/file", "user.note") == b"hello"
    assert os.getxattr(root / "a/file", "security.capability") == CAPABILITY
    above = (root / "a").stat()
    assert (above.st_uid, stat.S_IMODE(above.st_mode), above.st_mtime) == (7, 0o2770, 99)
    link = (root / "a/link").lstat()
    assert (link.st_uid, link.st_mtime) == (5, 7)


def test_every_kind_of_file(box: Box):
    root = unpack(
        box,
        layer(
            entry("null", type=tarfile.CHRTYPE, devmajor=1, devminor=3, mode=0o666),
            entry("pipe", type=tarfile.FIFOTYPE, mode=0o622),
            entry("first", "same"),
            hard_link("second", "first"),
            symlink("dangling", "../../nowhere"),
            entry("long/" + "x" * 200 + "/" + "y" * 200, "deep"),
        ),
    )
    assert (root / "null").stat().st_rdev == os.makedev(1, 3)
    assert stat.S_IMODE((root / "null").stat().st_mode) == 0o666
    assert stat.S_ISFIFO((root / "pipe").stat().st_mode)
    assert (root / "first").stat().st_ino == (root / "second").stat().st_ino
    assert os.readlink(root / "dangling") == "../../nowhere"
    assert (root / "long" / ("x" * 200) / ("y" * 200)).read_text() == "deep"


def test_names_that_are_no_text(box: Box):
    name = b"caf\xe9".decode("utf-8", "surrogateescape")
    root = unpack(box, layer(entry(name, "x"), format=tarfile.GNU_FORMAT))
    assert os.listdir(os.fsencode(root)) == [b"caf\xe9"]


@pytest.mark.parametrize("format", ["gnu", "0.0", "0.1", "1.0"])
def test_sparse_files(box: Box, format: str):
    import subprocess

    source = box.directory / "sparse"
    with source.open("wb") as file:
        file.write(b"begin")
        file.seek(64 << 20)
        file.write(b"end")
    archive = box.directory / "sparse.tar"
    kind = ["--format=gnu"] if format == "gnu" else ["--format=pax", f"--sparse-version={format}"]
    command = ["tar", *kind, "-S", "-C", str(box.directory), "-cf", str(archive), "sparse"]
    subprocess.run(command, check=True)
    root = unpack(box, archive.read_bytes())
    made = root / "sparse"
    assert made.stat().st_size == (64 << 20) + 3
    assert made.stat().st_blocks * 512 < 1 << 20
    assert made.read_bytes() == source.read_bytes()


@pytest.mark.parametrize("compress", ["", "+gzip", "+zstd"])
def test_compressions(box: Box, compress: str):
    source = image(box.directory / "image", layer(entry("a", "x")), compress=compress)
    box.pycontainer("bundle", source, box.directory / "made").ok()
    assert tree(box.directory / "made/rootfs") == {"a": "x"}


# --- layers ---

LOWER = (
    entry("keep", "lower"),
    entry("gone", "lower"),
    entry("dir/"),
    entry("dir/one", "lower"),
    entry("dir/two", "lower"),
    entry("dir/inner/"),
    entry("dir/inner/three", "lower"),
    entry("real/"),
    entry("real/file", "lower"),
    symlink("alias", "real"),
    symlink("usr", "/real"),
    entry("sticky/", mode=0o1777),
)
CASES = {
    "whiteout": ([entry(".wh.gone")], {"gone": None, "keep": "lower"}),
    "whiteout of a directory": ([entry(".wh.dir")], {"dir": None, "dir/one": None}),
    "whiteout of nothing": ([entry("none/.wh.x"), entry(".wh.none")], {"keep": "lower"}),
    "whiteout before the new file": ([entry(".wh.gone"), entry("gone", "new")], {"gone": "new"}),
    "whiteout after the new file": ([entry("gone", "new"), entry(".wh.gone")], {"gone": "new"}),
    "whiteout around a new file": (
        [entry("dir/four", "new"), entry(".wh.dir")],
        {"dir/four": "new", "dir/one": None, "dir/inner": None},
    ),
    "opaque": (
        [entry("dir/"), entry("dir/.wh..wh..opq"), entry("dir/new", "new")],
        {"dir/one": None, "dir/inner": None, "dir/new": "new"},
    ),
    "opaque, last": (
        [entry("dir/"), entry("dir/new", "new"), entry("dir/.wh..wh..opq")],
        {"dir/one": None, "dir/inner/three": None, "dir/new": "new"},
    ),
    "through a link of a lower layer": (
        [entry("alias/new", "new"), entry("usr/other", "new")],
        {"real/new": "new", "real/other": "new", "alias": "-> real", "real/file": "lower"},
    ),
    "whiteout through a link": ([entry("alias/.wh.file")], {"real/file": None}),
    "hard link to a lower layer": (
        [hard_link("dir/linked", "keep")],
        {"dir/linked": "lower", "keep": "lower"},
    ),
    "a file for a directory": ([entry("dir", "new")], {"dir": "new"}),
    "a directory for a file": ([entry("keep/"), entry("keep/x", "new")], {"keep/x": "new"}),
    "a link for a directory": ([symlink("dir", "real")], {"dir": "-> real"}),
    "a link, and through it": (
        [symlink("new", "real"), entry("new/x", "new")],
        {"real/x": "new", "new": "-> real"},
    ),
    "aufs": ([entry(".wh..wh.plnk/"), entry(".wh..wh.aufs")], {".wh..wh.plnk": None}),
}


@pytest.mark.parametrize("name", CASES)
def test_two_layers(box: Box, name: str):
    """As one tree, and as the overlay that a container sees."""
    upper, expected = CASES[name]
    layers = [busybox(), layer(*LOWER), layer(*upper)]
    found = tree(unpack(box, *layers))
    assert {path: found.get(path) for path in expected} == expected
    source = image(box.directory / "again", *layers)
    look = "cd /; find . -xdev | grep -v -e ./proc/ -e ./sys/ -e ./dev/ | sort"
    options = ("--layers", box.directory / "store", "--image", source)
    done = box.pycontainer("run", *options, box.id("c"), "sh", "-c", look)
    seen = set(done.ok().out.split()) - {".", "./etc/hosts"}
    hidden = {path for path in found if path.startswith(("proc/", "sys/", "dev/"))}
    assert seen == {f"./{path}" for path in found.keys() - hidden}
    look = "; ".join(f"cat /{path}" for path, text in expected.items() if text in ("lower", "new"))
    done = box.pycontainer("run", *options, box.id("d"), "sh", "-c", look or "true").ok()
    assert done.out == "".join(text for text in expected.values() if text in ("lower", "new"))


def test_a_missing_directory_is_what_the_lower_layer_has(box: Box):
    layers = [busybox(), layer(*LOWER), layer(entry("sticky/new", "x"))]
    source = image(box.directory / "image", *layers)
    options = ("--layers", box.directory / "store", "--image", source)
    done = box.pycontainer("run", *options, box.id(), "stat", "-c", "%a", "/sticky").ok()
    assert done.out.strip() == "1777"


# --- what archives try ---

OUT = {
    "dot dot": [entry("../escaped", "x")],
    "dot dot inside": [entry("a/../../escaped", "x")],
    "hard link to the host": [hard_link("x", "../../../etc/passwd")],
    "whiteout of dot dot": [entry("a/"), entry("a/.wh...")],
    "whiteout of dot": [entry("a/"), entry("a/.wh..")],
    "below a whiteout": [entry("a/.wh.b/c", "x")],
    "name with a null": [entry("a", pax_headers={"path": "a\0b"})],
    "unknown type": [entry("a", type=b"V")],
    "hard link to nothing": [hard_link("a", "b")],
    "through a file": [entry("a", "x"), entry("a/b", "x")],
    "through a link to nowhere": [symlink("a", "nowhere"), entry("a/b", "x")],
    "through links in a circle": [symlink("a", "b"), symlink("b", "a"), entry("a/c", "x")],
}


@pytest.mark.parametrize("name", OUT)
def test_refused(box: Box, name: str):
    refused(box, layer(*OUT[name]))
    assert not (box.directory / "escaped").exists()


IN = {
    "absolute": ([entry("/abs", "x")], {"abs": "x"}),
    "through an absolute link": (
        [symlink("a", "{outside}"), entry("{inside}/"), entry("a/f", "x")],
        {"{inside}/f": "x"},
    ),
    "through a link up": (
        [symlink("a", "../../../../{inside}"), entry("{inside}/"), entry("a/f", "x")],
        {"{inside}/f": "x"},
    ),
    "over a link": ([symlink("a", "{outside}/f"), entry("a", "x")], {"a": "x"}),
    "over a hard link": (
        [entry("a", "first"), hard_link("b", "a"), entry("b", "second")],
        {"a": "first", "b": "second"},
    ),
    "a directory for a link": ([symlink("a", "{outside}"), entry("a/")], {"a": "directory"}),
    "a hard link to a link": (
        [symlink("a", "{outside}/secret"), hard_link("b", "a")],
        {"b": "-> {outside}/secret"},
    ),
    "whiteout of a link": ([symlink("a", "{outside}"), entry(".wh.a")], {}),
}


@pytest.mark.parametrize("name", IN)
def test_nothing_outside(box: Box, name: str):
    """What is no error stays inside; a file of the host is neither read nor written."""
    outside = box.directory / "outside"
    outside.mkdir()
    (outside / "secret").write_text("secret")
    words = {"outside": str(outside), "inside": str(outside).lstrip("/")}
    entries, expected = IN[name]
    for info, _ in entries:
        info.name, info.linkname = info.name.format(**words), info.linkname.format(**words)
    root = unpack(box, layer(*entries))
    found = tree(root)
    for path, text in expected.items():
        assert found[path.format(**words)] == text.format(**words)
    assert tree(outside) == {"secret": "secret"}


def test_procfs_is_not_followed(box: Box):
    refused(box, layer(symlink("a", "/proc/self/root"), entry("a/escaped", "x")))


@pytest.mark.parametrize("name", ["trusted.overlay.opaque", "user.overlay.opaque", "security.ima"])
def test_attributes_that_tell_the_host_something(box: Box, name: str):
    directory = entry("a/")
    directory[0].pax_headers = {f"SCHILY.xattr.{name}": "y"}
    source = image(box.directory / "image", layer(directory))
    done = box.pycontainer("bundle", source, box.directory / "made").ok()
    assert f"attributes {name}" in done.err
    assert name not in os.listxattr(box.directory / "made/rootfs/a")


# --- bombs, and what is not what it says ---


def test_more_than_allowed(box: Box):
    zeros = layer(entry("zeros", bytes(64 << 20)))
    source = image(box.directory / "image", zeros, compress="+gzip")
    assert sum(f.stat().st_size for f in source.rglob("*") if f.is_file()) < 1 << 20
    made = box.directory / "made"
    box.pycontainer("bundle", "--max-size", "32M", source, made).fails("--max-size")
    assert not made.exists()
    box.pycontainer("bundle", "--max-size", "128M", source, made).ok()


def test_an_endless_header(box: Box):
    header = tarfile.TarInfo("pax")
    header.type, header.size = tarfile.XHDTYPE, 1 << 32
    refused(box, header.tobuf(tarfile.USTAR_FORMAT) + bytes(1 << 20)).fails("extended header")


def test_headers_of_headers(box: Box):
    header = tarfile.TarInfo("pax")
    header.type, header.size = tarfile.XHDTYPE, 0
    refused(box, header.tobuf(tarfile.USTAR_FORMAT) * 5000)


def test_deep_directories_can_be_removed(box: Box):
    """Made by links, so that no path is too long; the image is refused at the end of it."""
    deep = "d/" * 1000
    entries = [entry(f"{deep}"), symlink("s", deep), entry(f"s/{deep}"), entry("../x")]
    refused(box, layer(*entries))


@pytest.mark.parametrize("cut", [700, 1300])
def test_an_archive_that_ends_early(box: Box, cut: int):
    data = layer(entry("a", b"x" * 1000), entry("b", "y"))[:cut]
    archive = box.directory / "root.tar"
    archive.write_bytes(data)
    box.pycontainer("bundle", archive, box.directory / "made").fails("read")
    assert not (box.directory / "made").exists()


def test_garbage_between_entries(box: Box):
    first, second = layer(entry("a", "x"))[:1024], layer(entry("b", "y"))
    refused(box, first + b"garbage" * 100 + second)


@pytest.mark.parametrize("what", ["layer", "config", "manifest"])
def test_a_changed_blob(box: Box, what: str):
    made = Layout(box.directory / "image")
    data = layer(entry("a", "x"))
    descriptor = made.image(data, compress="")
    import json

    path = made.path / "blobs" / descriptor["digest"].replace(":", "/")
    manifest = json.loads(path.read_text())
    chosen = {
        "layer": manifest["layers"][0]["digest"],
        "config": manifest["config"]["digest"],
        "manifest": descriptor["digest"],
    }[what]
    changed = made.path / "blobs" / chosen.replace(":", "/")
    changed.write_bytes(changed.read_bytes() + b"\n")
    box.pycontainer("bundle", made.path, box.directory / "made").fails("digest")
    assert not (box.directory / "made").exists()


def test_a_digest_that_is_a_path(box: Box):
    made = Layout(box.directory / "image")
    made.image(layer(entry("a", "x")))
    made.manifests[0]["digest"] = "sha256:../../../etc/passwd"
    made.write()
    box.pycontainer("bundle", made.path, box.directory / "made").fails("digest")


def test_compared_with_tar(box: Box, tmp_path: Path):
    """A real root, unpacked by us and by tar: the same, to the last bit of metadata."""
    import subprocess

    from tests.support.bundles import debian_root

    archive, theirs = tmp_path / "root.tar", tmp_path / "theirs"
    theirs.mkdir()
    tar = ["tar", "--xattrs", "--xattrs-include=*", "--format=pax"]
    subprocess.run([*tar, "-C", str(debian_root()), "-cf", str(archive), "."], check=True)
    subprocess.run([*tar, "-C", str(theirs), "-xpf", str(archive)], check=True)
    box.pycontainer("bundle", archive, box.directory / "made").ok()
    assert listing(box.directory / "made/rootfs") == listing(theirs)


def listing(root: Path) -> list[tuple[object, ...]]:
    """All metadata of a tree."""
    rows: list[tuple[object, ...]] = []
    for path in [root, *sorted(root.rglob("*"))]:
        at = path.lstat()
        size = at.st_size if stat.S_ISREG(at.st_mode) else 0
        what = os.readlink(path) if path.is_symlink() else ""
        attributes = [(n, os.getxattr(path, n, follow_symlinks=False))
                      for n in os.listxattr(path, follow_symlinks=False)]  # fmt: skip
        rows.append((str(path.relative_to(root)), at.st_mode, at.st_uid, at.st_gid, size,
                     at.st_mtime_ns, at.st_nlink, at.st_rdev, what, attributes))  # fmt: skip
    return rows
