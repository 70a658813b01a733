"""The bytes of a blob: decompressed by their magic number, counted, and verified by digest."""

from __future__ import annotations

import gzip
import hashlib
import re
import zlib
from collections.abc import Callable
from typing import IO, Any

from pycontainer.image import ImageError

CHUNK = 1 << 20
DIGEST = re.compile(r"sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128}")
ZSTD_WINDOW = 1 << 27  # bytes: the most that `zstd --ultra` uses
MEDIA = (
    (b"\x1f\x8b", "gzip"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"BZh", "bzip2"),
    (b"\xfd7zXZ", "xz"),
)


def check_digest(digest: Any) -> str:
    """The digest; ImageError unless it is one of sha256 or sha512 (it becomes part of a path)."""
    if not isinstance(digest, str) or not DIGEST.fullmatch(digest):
        raise ImageError(f"{digest!r} is no sha256 or sha512 digest", "bad-layer")
    return digest


class Budget:
    """What an image may unpack to: bytes of all layers, and entries."""

    def __init__(
        self,
        size: int = 32 << 30,
        entries: int = 2_000_000,
        progress: Callable[[int], None] | None = None,
    ) -> None:
        self.progress = progress or (lambda count: None)
        self.size = size
        self.entries = entries
        self._limits = (size, entries)

    def take(self, size: int) -> None:
        """Bytes that were decompressed."""
        self.size -= size
        self.progress(size)
        if self.size < 0:
            text = f"the image unpacks to more than {self._limits[0]} bytes"
            raise ImageError(text, "image-too-large")

    def take_entry(self) -> None:
        """One more entry of an archive."""
        self.entries -= 1
        if self.entries < 0:
            raise ImageError(f"the image has more than {self._limits[1]} files", "too-many-files")


class Hashed:
    """A file that is read once, from its beginning: its digest, and how much of it was read."""

    def __init__(self, file: IO[bytes] | Any, expected: str, budget: Budget | None = None) -> None:
        self._file = file
        self._expected = check_digest(expected) if expected else ""
        self._hash = hashlib.new(self._expected.partition(":")[0] or "sha256")
        self._budget = budget

    def read(self, size: int = CHUNK) -> bytes:
        """At most `size` bytes."""
        try:
            data: bytes = self._file.read(CHUNK if size is None or size < 0 else size)
        except (OSError, EOFError, zlib.error, ValueError, _zstd_error()) as error:
            raise ImageError(f"read a layer: {error}", "bad-layer") from None
        if self._budget is not None:
            self._budget.take(len(data))
        self._hash.update(data)
        return data

    def finish(self, what: str) -> str:
        """Read the rest; the digest, and ImageError when it is not the expected one."""
        while self.read():
            pass
        algorithm = self._expected.partition(":")[0] or "sha256"
        found = f"{algorithm}:{self._hash.hexdigest()}"
        if self._expected and found != self._expected:
            raise ImageError(f"{what} has the digest {found}, not {self._expected}", "wrong-digest")
        return found


def compression(magic: bytes) -> str:
    """The name of the compression that begins like this, or ""."""
    return next((name for prefix, name in MEDIA if magic.startswith(prefix)), "")


class Decompressed:
    """One blob: `read` gives its contents; `finish` verifies both digests, and gives the second."""

    def __init__(self, file: IO[bytes], digest: str, diff_id: str, budget: Budget) -> None:
        magic = file.read(8)
        file.seek(0)
        self._raw = Hashed(file, digest)
        opened = _OPENERS[compression(magic)](self._raw)
        self._contents = Hashed(opened, diff_id, budget)
        self.read = self._contents.read
        self.empty = not magic

    def finish(self) -> str:
        """Read the rest, check the digests; that of the contents (DiffID)."""
        found = self._contents.finish("an unpacked layer")
        self._raw.finish("a layer")
        return found


def _zstd(file: Hashed) -> Any:
    from pycontainer.base import optional_deps

    if zstandard := _find("compression.zstd"):  # Python 3.14
        return zstandard.ZstdFile(file)
    zstandard = optional_deps.load("zstandard")
    decompressor = zstandard.ZstdDecompressor(max_window_size=ZSTD_WINDOW)
    return decompressor.stream_reader(file, read_across_frames=True)


def _zstd_error() -> type[Exception]:
    """The exception of whichever module was loaded."""
    import sys

    for name in ("zstandard", "compression.zstd"):
        if name in sys.modules:
            return sys.modules[name].ZstdError
    return zlib.error


def _find(name: str) -> Any:
    import importlib

    try:
        return importlib.import_module(name)
    except ImportError:
        return None


def _refuse(name: str) -> Any:
    def refuse(file: Hashed) -> Any:
        raise ImageError(f"a layer is compressed with {name}, which images do not use", "bad-layer")

    return refuse


_OPENERS: dict[str, Any] = {
    "": lambda file: file,
    "gzip": lambda file: gzip.GzipFile(fileobj=file),
    "zstd": _zstd,
    "bzip2": _refuse("bzip2"),
    "xz": _refuse("xz"),
}
