"""The headers of tar archives: tarfile reads them, and an attacker may have written them."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from typing import IO, Any

from pycontainer.image import ImageError

READ_AHEAD = 1 << 15  # bytes that tarfile reads at once, and copies for each header
HEADER_MAX = 1 << 20  # bytes of an extended header or a sparse file's map, which go into memory
READ = "read a layer: "  # begins the messages
# What tarfile raises for an archive that is none.
FAILURES = (tarfile.TarError, ValueError, OverflowError, RecursionError, LookupError)
_EXTENDED = (
    tarfile.XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
)


class Header(tarfile.TarInfo):
    """A header that is refused where tarfile would end quietly, or read without bounds."""

    @classmethod
    def frombuf(cls, buf: Any, encoding: str, errors: str) -> Header:
        try:
            header = super().frombuf(buf, encoding, errors)
        except (tarfile.EOFHeaderError, tarfile.EmptyHeaderError):  # type: ignore[attr-defined]
            raise
        except (tarfile.HeaderError, ValueError) as error:
            raise ImageError(f"{READ}{error}", "bad-layer") from None
        if header.type in _EXTENDED and header.size > HEADER_MAX:
            raise ImageError(f"{READ}an extended header of {header.size} bytes", "bad-layer")
        if header.size < 0:
            raise ImageError(f"{READ}a file of negative size", "bad-layer")
        return header

    def _proc_sparse(self, tarfile: Any) -> Any:
        return self._bounded("_proc_sparse", tarfile)

    def _proc_gnusparse_10(self, next: Any, pax_headers: Any, tarfile: Any) -> Any:
        return self._bounded("_proc_gnusparse_10", next, pax_headers, tarfile)

    def _bounded(self, method: str, *arguments: Any) -> Any:
        """tarfile reads the map of a sparse file to its end, which need not come."""
        archive = arguments[-1]
        stream = archive.fileobj
        archive.fileobj = _Bounded(stream)
        try:
            return getattr(super(), method)(*arguments)
        finally:
            archive.fileobj = stream


class _Bounded:
    """A stream of which no more than one extended header is read."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._left = HEADER_MAX

    def read(self, size: int) -> bytes:
        self._left -= size
        if self._left < 0:
            raise ImageError(
                f"{READ}a sparse file's map of more than {HEADER_MAX} bytes", "bad-layer"
            )
        data: bytes = self._stream.read(size)
        return data

    def tell(self) -> int:
        return int(self._stream.tell())


class _NoGlobalHeaders(dict[str, str]):
    """What tarfile keeps of global extended headers: nothing, as engines ignore them."""

    def __setitem__(self, key: str, value: str) -> None:
        pass


def open_stream(file: Any) -> tarfile.TarFile:
    """An archive that is read from its beginning to its end."""
    return tarfile.open(fileobj=file, mode="r|", bufsize=READ_AHEAD, **_OPTIONS)


def entries(file: IO[bytes]) -> Iterator[tarfile.TarInfo]:
    """All entries of an archive in a file; none of them stays in memory."""
    tar = tarfile.open(fileobj=file, mode="r:", **_OPTIONS)
    while (entry := tar.next()) is not None:
        tar.members = []  # type: ignore[attr-defined]
        yield entry


_OPTIONS: Any = {
    "tarinfo": Header,
    "encoding": "utf-8",
    "errors": "surrogateescape",
    "pax_headers": _NoGlobalHeaders(),
}
