"""The files of an image by name: in a directory, or in a tar archive that holds one."""

from __future__ import annotations

import io
import json
import os
import stat
import tarfile
import tempfile
from itertools import islice
from typing import IO, Any, cast

from pycontainer.image import ImageError, headers
from pycontainer.image.streams import Budget, Decompressed, Hashed, compression

MEMBERS_MAX = 100_000  # files of an archive that are known by name; those of an image come first
LINKS_MAX = 8  # links to links within an archive
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
                raise ImageError(f"open {path}: not a regular file", "not-an-archive")
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
        self._members: dict[str, _Member] = {}
        try:
            for entry in islice(headers.entries(file), MEMBERS_MAX):
                self._members[entry.name.removeprefix("./")] = _Member(entry)
        except (ImageError, *headers.FAILURES) as error:
            reason = str(error).removeprefix(headers.READ)
            raise ImageError(f"read {path}: {reason}", "not-an-archive") from None

    def has(self, name: str) -> bool:
        """Whether there is such a file."""
        return name in self._members

    def open(self, name: str) -> IO[bytes]:
        """The file, to be read; links within the archive are followed, as docker save has them."""
        member = self._members.get(name)
        for _ in range(LINKS_MAX):
            if member is None or not member.target:
                break
            member = self._members.get(member.target)
        if member is None or not member.is_file:
            raise ImageError(f"{self.path} has no file {name}", "bad-image")
        return self._part(member.start, member.size)

    def whole(self) -> IO[bytes]:
        """The archive itself."""
        return self._part(0, os.fstat(self.file.fileno()).st_size)

    def _part(self, start: int, size: int) -> IO[bytes]:
        return cast(IO[bytes], io.BufferedReader(_Part(self.file.fileno(), start, size)))


class _Member:
    """Where a file in an archive is, or what name a link leads to."""

    __slots__ = ("is_file", "size", "start", "target")

    def __init__(self, entry: tarfile.TarInfo) -> None:
        self.is_file = entry.isreg() and not entry.issparse()
        self.start, self.size = entry.offset_data, entry.size
        self.target = ""
        if entry.issym() or entry.islnk():
            above = os.path.dirname(entry.name) if entry.issym() else ""
            self.target = os.path.normpath(os.path.join(above, entry.linkname))


class _Part(io.RawIOBase):
    """Bytes of a file, read at a position of its own: threads and forked processes share the file,
    and with it the position that the kernel keeps."""

    def __init__(self, fd: int, start: int, size: int) -> None:
        self._fd = fd
        self._start = start
        self._size = size
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
        self._at = max(0, base + offset)
        return self._at

    def readinto(self, buffer: Any) -> int:
        count = max(0, min(len(buffer), self._size - self._at))
        data = os.pread(self._fd, count, self._start + self._at)
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)


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
            raise ImageError(f"{name} is larger than {DOCUMENT_MAX} bytes", "too-large")
        source.finish(name)
    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise ImageError(f"read {name}: {error}", "bad-image") from None
    if name == "manifest.json" and isinstance(value, list):
        value = {"archives": value}
    if not isinstance(value, dict):
        raise ImageError(f"read {name}: not a JSON object", "bad-image")
    return value
