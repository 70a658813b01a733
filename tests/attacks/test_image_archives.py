"""Archives that ask for more memory or time than they are worth, as layers and as images.

Each is small; what it asks for is not. The command has one gigabyte of address space, which an
image of any size must do with, and a minute.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import resource
import subprocess
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.box import Box
from tests.support.images import LAYER, Layout, digest, entry, hard_link, image, layer, symlink
from tests.support.runtimes import SLOWNESS

MEMORY = 1 << 30
PATIENCE_S = 60 * SLOWNESS
BLOCK = 512


def record(key: str, value: str) -> bytes:
    """One line of a pax header, which begins with its own length."""
    text = f" {key}={value}\n".encode()
    size = len(text)
    while len(str(size)) + len(text) != size:
        size = len(str(size)) + len(text)
    return str(size).encode() + text


def pax(body: bytes) -> bytes:
    header = tarfile.TarInfo("pax")
    header.type, header.size = tarfile.XHDTYPE, len(body)
    return header.tobuf(tarfile.USTAR_FORMAT) + body + bytes(-len(body) % BLOCK)


def endless_sparse_map() -> Iterator[bytes]:
    """GNU's sparse format 1.0: a number says how many numbers follow."""
    keys = {"major": "1", "minor": "0", "name": "s", "realsize": "100"}
    yield pax(b"".join(record(f"GNU.sparse.{key}", value) for key, value in keys.items()))
    header = tarfile.TarInfo("s")
    header.size = 1 << 33
    yield header.tobuf(tarfile.GNU_FORMAT) + b"900000000000\n"
    for _ in range(40):
        yield b"1\n" * (1 << 19)


def endless_sparse_blocks() -> Iterator[bytes]:
    """GNU's old format: each block says that there is another one."""
    header = bytearray(tarfile.TarInfo("s").tobuf(tarfile.GNU_FORMAT))
    header[156:157], header[482] = b"S", 1
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    yield bytes(header)
    block = b"00000000001\0" * 42
    for _ in range(200):
        yield (block + b"\1" + bytes(BLOCK - len(block) - 1)) * 1024


def endless_file() -> Iterator[bytes]:
    header = tarfile.TarInfo("zeros")
    header.size = 1 << 40
    yield header.tobuf(tarfile.GNU_FORMAT)
    for _ in range(110):
        yield bytes(1 << 20)


def long_numbers() -> Iterator[bytes]:
    yield pax(b"1" * (1 << 19)) + layer(entry("a", "x"))


def large_exponents() -> Iterator[bytes]:
    yield pax(record("mtime", "1e999999"))
    yield layer(entry("a", "x"))


BOMBS: dict[str, tuple[Callable[[], Iterator[bytes]], str]] = {
    "sparse map": (endless_sparse_map, "map of more than"),
    "sparse blocks": (endless_sparse_blocks, "map of more than"),
    "size": (endless_file, "--max-size"),
    "numbers": (long_numbers, "read a layer"),
}


def compressed(parts: Iterator[bytes], path: Path) -> str:
    """Write them; the digest of what they are uncompressed."""
    whole = hashlib.sha256()
    with gzip.open(path, "wb", compresslevel=1) as file:
        for part in parts:
            whole.update(part)
            file.write(part)
    return "sha256:" + whole.hexdigest()


def bundle(box: Box, source: Path) -> subprocess.CompletedProcess[str]:
    """Within the bounds; nothing stays of what is refused."""
    made = box.directory / "made"
    limit = lambda: resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))  # noqa: E731
    argv = [*box.pycontainer.argv("bundle", "--max-size", "100M", str(source), str(made))]
    done = subprocess.run(
        argv, preexec_fn=limit, timeout=PATIENCE_S, capture_output=True, text=True, check=False
    )
    assert made.exists() == (done.returncode == 0)
    return done


@pytest.mark.parametrize("name", BOMBS)
def test_a_layer(box: Box, name: str):
    """As the layer of an image, and as a root archive."""
    parts, words = BOMBS[name]
    made = Layout(box.directory / "image")
    descriptor = made.image(layer(), compress="+gzip")
    blobs = made.path / "blobs/sha256"
    diff_id = compressed(parts(), box.directory / "bomb")
    bomb = (box.directory / "bomb").read_bytes()
    assert len(bomb) < 8 << 20
    # The image names the bomb as its layer, with the right digests.
    manifest = json.loads((blobs / descriptor["digest"].partition(":")[2]).read_text())
    manifest["layers"] = [made.blob(bomb, LAYER + "+gzip")]
    config = json.loads((blobs / manifest["config"]["digest"].partition(":")[2]).read_text())
    config["rootfs"]["diff_ids"] = [diff_id]
    manifest["config"] = made.blob(json.dumps(config).encode(), manifest["config"]["mediaType"])
    made.manifests = [made.blob(json.dumps(manifest).encode(), descriptor["mediaType"])]
    made.write()
    done = bundle(box, made.path)
    assert done.returncode != 0 and words in done.stderr and "internal error" not in done.stderr
    done = bundle(box, box.directory / "bomb")
    assert done.returncode != 0 and "internal error" not in done.stderr


def test_a_time_with_a_large_exponent(box: Box):
    """It is not written out as a number of a million digits."""
    (box.directory / "root.tar").write_bytes(b"".join(large_exponents()))
    done = bundle(box, box.directory / "root.tar")
    if done.returncode == 0:
        assert (box.directory / "made/rootfs/a").stat().st_mtime == 0
    else:
        assert "internal error" not in done.stderr


def test_a_header_for_all_files(box: Box):
    """A global header could give every file a name, an owner or an attribute."""
    headers = tarfile.TarInfo.create_pax_global_header(
        {"path": "../../escaped", "uid": "77", "SCHILY.xattr.user.x": "y", "size": "3"}
    )
    (box.directory / "root.tar").write_bytes(headers + layer(entry("a", "x"), entry("b", "y")))
    assert bundle(box, box.directory / "root.tar").returncode == 0
    root = box.directory / "made/rootfs"
    assert sorted(os.listdir(root)) == ["a", "b"]
    assert (root / "a").read_text() == "x" and os.listxattr(root / "a") == []


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, as only root could write there")
@pytest.mark.parametrize("kind", ["hard link", "link", "device"])
def test_a_path_that_changes_its_kind(box: Box, kind: str):
    """The same name twice: first something that leads out, then what is written through it."""
    outside = box.directory / "outside"
    outside.write_text("mine")
    first = {
        "hard link": hard_link("a", f"/{outside}"),
        "link": symlink("a", str(outside)),
        "device": entry("a", type=tarfile.CHRTYPE, devmajor=1, devminor=1, mode=0o666),
    }[kind]
    source = image(box.directory / "image", layer(first, entry("a", "theirs", mode=0o777)))
    done = bundle(box, source)
    assert outside.read_text() == "mine" and outside.stat().st_mode & 0o777 != 0o777
    if done.returncode == 0:
        made = box.directory / "made/rootfs/a"
        assert made.is_file() and not made.is_symlink() and made.read_text() == "theirs"


def test_the_bytes_that_are_unpacked_are_those_that_were_verified(box: Box):
    """A layer whose digest is right but whose contents are others, and the other way round."""
    made = Layout(box.directory / "image")
    data = layer(entry("a", "x"))
    made.image(data, compress="+gzip")
    for blob in (made.path / "blobs/sha256").iterdir():
        if blob.read_bytes()[:2] == b"\x1f\x8b":
            blob.write_bytes(gzip.compress(layer(entry("a", "y"))))
    done = bundle(box, made.path)
    assert done.returncode != 0 and "digest" in done.stderr and digest(data) not in done.stdout
