"""Images made by hand: layers from lists of entries, as OCI layouts or docker archives."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.support.bundles import APPLETS, BUSYBOX, GROUP, PASSWD

LAYER = "application/vnd.oci.image.layer.v1.tar"
INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"


def _zstd(data: bytes) -> bytes:
    zstandard = pytest.importorskip("zstandard", reason="needs zstandard to write zstd")
    compressed: bytes = zstandard.compress(data)
    return compressed


COMPRESS: dict[str, Callable[[bytes], bytes]] = {
    "": bytes,
    "+gzip": gzip.compress,
    "+zstd": _zstd,
}

Entry = tuple[tarfile.TarInfo, bytes]


def entry(name: str, data: bytes | str = b"", **fields: Any) -> Entry:
    """A file, or what `type` says; a name that ends with / is a directory."""
    info = tarfile.TarInfo(name)
    info.mode = 0o644
    content = data.encode() if isinstance(data, str) else data
    if name.endswith("/"):
        info.type, info.mode = tarfile.DIRTYPE, 0o755
    for field, value in fields.items():
        setattr(info, field, value)
    if info.type in (tarfile.REGTYPE, tarfile.GNUTYPE_SPARSE):
        info.size = len(content)
    return info, content


def symlink(name: str, target: str, **fields: Any) -> Entry:
    return entry(name, type=tarfile.SYMTYPE, linkname=target, **fields)


def hard_link(name: str, target: str, **fields: Any) -> Entry:
    return entry(name, type=tarfile.LNKTYPE, linkname=target, **fields)


def layer(*entries: Entry, format: int = tarfile.PAX_FORMAT) -> bytes:
    """A tar archive."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=format, errors="surrogateescape") as tar:
        for info, data in entries:
            tar.addfile(info, io.BytesIO(data) if info.size else None)
    return out.getvalue()


@cache
def busybox() -> bytes:
    """A layer with busybox, its links, and users."""
    directories = ("bin/", "etc/", "proc/", "sys/", "dev/", "root/", "home/", "home/alice/")
    return layer(
        *(entry(name) for name in directories),
        entry("tmp/", mode=0o1777),
        entry("bin/busybox", BUSYBOX.read_bytes(), mode=0o755),
        *(symlink(f"bin/{name}", "busybox") for name in APPLETS),
        entry("etc/passwd", PASSWD),
        entry("etc/group", GROUP),
    )


def digest(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


class Layout:
    """An OCI layout in a directory."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.manifests: list[dict[str, Any]] = []
        (path / "blobs/sha256").mkdir(parents=True)
        (path / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')

    def blob(self, data: bytes, media: str) -> dict[str, Any]:
        """Write a blob; its descriptor."""
        name = digest(data)
        (self.path / "blobs" / name.replace(":", "/")).write_bytes(data)
        return {"mediaType": media, "digest": name, "size": len(data)}

    def image(
        self,
        *layers: bytes,
        config: dict[str, Any] | None = None,
        name: str = "app",
        compress: str = "+gzip",
        platform: dict[str, str] | None = None,
        **descriptor: Any,
    ) -> dict[str, Any]:
        """Add an image; its descriptor, which is in the index unless it has no `name`."""
        document = {
            "os": "linux",
            "architecture": "amd64",
            "config": config or {},
            "rootfs": {"type": "layers", "diff_ids": [digest(data) for data in layers]},
        }
        packed = [self.blob(COMPRESS[compress](d), LAYER + compress) for d in layers]
        manifest = {
            "schemaVersion": 2,
            "config": self.blob(json.dumps(document).encode(), CONFIG),
            "layers": packed,
        }
        made = {**self.blob(json.dumps(manifest).encode(), MANIFEST), **descriptor}
        if platform:
            made["platform"] = platform
        if name:
            made["annotations"] = {"org.opencontainers.image.ref.name": name}
            self.manifests.append(made)
        self.write()
        return made

    def write(self) -> None:
        index = {"schemaVersion": 2, "manifests": self.manifests}
        (self.path / "index.json").write_text(json.dumps(index))

    def tar(self, path: Path) -> Path:
        """The same as an archive."""
        with tarfile.open(path, "w") as tar:
            tar.add(self.path, arcname=".")
        return path


def image(path: Path, *layers: bytes, compress: str = "", **options: Any) -> Path:
    """An OCI layout with one image."""
    made = Layout(path)
    made.image(*layers, compress=compress, **options)
    return path


def docker_archive(path: Path, layers: Sequence[bytes], config: dict[str, Any]) -> Path:
    """As `docker save` of old writes it."""
    diff_ids = [digest(data) for data in layers]
    document = json.dumps(
        {"os": "linux", "config": config, "rootfs": {"type": "layers", "diff_ids": diff_ids}}
    ).encode()
    name = hashlib.sha256(document).hexdigest() + ".json"
    paths = [f"{number}/layer.tar" for number in range(len(layers))]
    manifest = [{"Config": name, "RepoTags": ["example.com/app:1"], "Layers": paths}]
    files = {name: document, "manifest.json": json.dumps(manifest).encode()}
    with tarfile.open(path, "w") as tar:
        # The first layer last: any order is one.
        parts = reversed(list(zip(paths, layers, strict=True)))
        for file, data in {**files, **dict(parts)}.items():
            info, _ = entry(file, data)
            tar.addfile(info, io.BytesIO(data))
    return path
