"""The files of an image by name: in a directory, or in a tar archive that holds one."""

from __future__ import annotations

import json
import os
import stat
import tarfile
import tempfile
from typing import IO, Any

from pycontainer.image import ImageError
from pycontainer.image.streams import Budget, Decompressed, Hashed, compression

DOCUMENT_MAX = 8 << 20  # bytes of a manifest, an index or a config


class Directory:
    """The files below a directory."""

    def __init__(self, path: str) -> None:
        self.path = path

    def has(self, name: str) -> bool:
        """Whether there is such a file."""
        return os.path.isfile(os.path.join(self.path, name))

    def open(self, name: str) -> IO[bytes]:
        """The file, to be read; ImageError when there is none."""
        path = os.path.join(self.path, name)
        try:
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                os.close(fd)
                raise ImageError(f"open {path}: not a regular file")
            return open(fd, "rb")
        except OSError as error:
            raise ImageError.of("open", path, error) from None


class Archive:
    """The files in a tar archive, which is unpacked to a temporary file first if compressed."""

    def __init__(self, path: str) -> None:
        self.path = path
        file = Directory("/").open(os.path.abspath(path))
        if compression(file.read(8)):
            file.seek(0)
            file = _decompressed(file)
        file.seek(0)
        self.file = file
        try:
            self._tar = tarfile.open(fileobj=file, mode="r:", errors="surrogateescape")
            self._members = {m.name.removeprefix("./"): m for m in self._tar}
        except (tarfile.TarError, ValueError, RecursionError) as error:
            raise ImageError(f"read {path}: {error}", hint="is it a tar archive?") from None

    def has(self, name: str) -> bool:
        """Whether there is such a file."""
        return name in self._members

    def open(self, name: str) -> IO[bytes]:
        """The file, to be read; links within the archive are followed, as docker save has them."""
        try:
            file = self._tar.extractfile(self._members[name])
        except (KeyError, tarfile.TarError, RecursionError):
            file = None
        if file is None:
            raise ImageError(f"{self.path} has no file {name}")
        return file


def _decompressed(file: IO[bytes]) -> IO[bytes]:
    spool = tempfile.TemporaryFile(dir=os.environ.get("TMPDIR") or "/var/tmp")
    whole = Decompressed(file, "", "", Budget())
    while data := whole.read():
        spool.write(data)
    return spool


Files = Directory | Archive


def document(files: Files, name: str, digest: str = "") -> dict[str, Any]:
    """A JSON object, verified by its digest if there is one."""
    with files.open(name) as file:
        source = Hashed(file, digest)
        data = source.read(DOCUMENT_MAX + 1)
        if len(data) > DOCUMENT_MAX:
            raise ImageError(f"{name} is larger than {DOCUMENT_MAX} bytes")
        source.finish(name)
    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise ImageError(f"read {name}: {error}") from None
    if name == "manifest.json" and isinstance(value, list):
        value = {"archives": value}
    if not isinstance(value, dict):
        raise ImageError(f"read {name}: not a JSON object")
    return value
