"""One layer, applied to a root: tarfile reads the headers, Root is where everything is made.

The order is that of the archive. Whiteouts (image-spec, layer.md) hide what lower layers have, not
what the same layer brings. What cannot be kept is counted in `Report`, and is a warning of whoever
asked; what would leave the root, or is none of the formats, is an ImageError.
"""

from __future__ import annotations

import errno
import os
import stat
import tarfile
from decimal import Decimal
from typing import Any

from pycontainer.image import ImageError, headers
from pycontainer.image.root import Root
from pycontainer.image.streams import CHUNK, Budget, Decompressed

WHITEOUT = b".wh."
AUFS = b".wh..wh."  # of an old file system of engines; what begins like this means nothing here
OPAQUE = b".wh..wh..opq"
XATTR = "SCHILY.xattr."
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_HANDLE = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC  # what chmod may have, by its name in procfs
_NO_XATTR = (errno.EPERM, errno.EOPNOTSUPP, errno.EINVAL)
_DEVICES = {
    tarfile.CHRTYPE: stat.S_IFCHR,
    tarfile.BLKTYPE: stat.S_IFBLK,
    tarfile.FIFOTYPE: stat.S_IFIFO,
}


class Report:
    """What was made, and what could not be."""

    def __init__(self) -> None:
        self.files = 0
        self.size = 0
        self.skipped: dict[str, int] = {}

    def skip(self, what: str) -> None:
        """One more that could not be kept."""
        self.skipped[what] = self.skipped.get(what, 0) + 1


def split(name: str) -> tuple[bytes, bytes]:
    """Directory and last component below the root; ImageError when the name leads out of it."""
    parts: list[bytes] = []
    if "\0" in name:
        raise ImageError(f"{name!r} is no path", "unsafe-path")
    for part in name.encode("utf-8", "surrogateescape").split(b"/"):
        if part == b"..":
            if not parts:
                raise ImageError(f"{name!r} leads out of the root", "unsafe-path")
            parts.pop()
        elif part not in (b"", b"."):
            parts.append(part)
    if any(part.startswith(WHITEOUT) for part in parts[:-1]) and not parts[0].startswith(AUFS):
        raise ImageError(f"{name!r} is below a whiteout", "bad-layer")
    return b"/".join(parts[:-1]), parts[-1] if parts else b""


class Unpacker:
    """The layers of one image on their way to one root.

    `squash`: there is one id only, which owns everything.
    """

    def __init__(self, root: Root, budget: Budget, *, squash: bool) -> None:
        self.root = root
        self.budget = budget
        self.squash = squash
        self.report = Report()
        self._written: set[bytes] = set()
        self._devices: set[bytes] = set()  # that could not be made
        self._times: dict[bytes, int] = {}  # of directories, which get them last

    def apply(self, layer: Decompressed) -> None:
        """All entries of one layer; ImageError, and then the root is of no use."""
        self._written, self._times = set(), {}
        if layer.empty:
            return
        try:
            tar = headers.open_stream(layer)
            while (entry := tar.next()) is not None:
                tar.members = []  # type: ignore[attr-defined]
                self.budget.take_entry()
                self._add(tar, entry)
        except headers.FAILURES as error:
            raise ImageError(f"read a layer: {error}", "bad-layer") from None
        self._set_directory_times()
        self.root.close()

    def _add(self, tar: tarfile.TarFile, entry: tarfile.TarInfo) -> None:
        head, tail = split(entry.name)
        try:
            if head.startswith(AUFS):
                pass
            elif tail.startswith(WHITEOUT):
                self._whiteout(head, tail)
            else:
                self._make(tar, entry, head, tail)
        except OSError as error:
            reason = self.root.reason(error)
            unmapped = error.errno == errno.EINVAL and not self.squash
            code = "unmapped-owner" if unmapped else "os-error"
            owner: dict[str, Any] = {"uid": entry.uid, "gid": entry.gid} if unmapped else {}
            raise ImageError(f"unpack {entry.name!r}: {reason}", code, **owner) from None
        self.report.files += 1

    def _make(self, tar: tarfile.TarFile, entry: tarfile.TarInfo, head: bytes, tail: bytes) -> None:
        path = head + b"/" + tail if head else tail
        directory = self.root.directory(head)
        if entry.isdir():
            if tail:
                self._make_directory(directory, tail)
            self._finish(directory, tail or b".", entry)
            self._times[path] = _mtime(entry)
        else:
            if not tail:
                raise ImageError("the root itself is no directory", "bad-layer")
            if self._is_there(directory, tail):
                if entry.islnk() and split(entry.linkname) == (head, tail):
                    return
                self.root.remove(directory, tail)
                directory = self.root.directory(head)
            if entry.islnk():
                if b"/".join(filter(None, split(entry.linkname))) in self._devices:
                    self._skip_device(path)
                    return
                self._link(directory, tail, entry)
                self._finish_link(directory, tail, entry)
            elif self._create(tar, entry, directory, tail):
                self._finish(directory, tail, entry)
            else:
                self._skip_device(path)
                return
        self._written.add(path)
        self._devices.discard(path)

    @staticmethod
    def _is_there(directory: int, name: bytes) -> bool:
        try:
            os.stat(name, dir_fd=directory, follow_symlinks=False)
        except FileNotFoundError:
            return False
        return True

    def _make_directory(self, directory: int, name: bytes) -> None:
        try:
            os.mkdir(name, 0o700, dir_fd=directory)
        except FileExistsError:
            mode = os.stat(name, dir_fd=directory, follow_symlinks=False).st_mode
            if not stat.S_ISDIR(mode):
                os.unlink(name, dir_fd=directory)
                os.mkdir(name, 0o700, dir_fd=directory)

    def _create(self, tar: tarfile.TarFile, entry: Any, directory: int, name: bytes) -> bool:
        """Whether it was made: devices are not for everybody."""
        if entry.isreg():
            self._write(tar, entry, directory, name)
        elif entry.issym():
            os.symlink(entry.linkname.encode("utf-8", "surrogateescape"), name, dir_fd=directory)
        elif entry.type in _DEVICES:
            device = os.makedev(entry.devmajor, entry.devminor)
            try:
                os.mknod(name, _DEVICES[entry.type] | 0o600, device, dir_fd=directory)
            except PermissionError:
                return False
        else:
            raise ImageError(f"{entry.name!r} has the unknown type {entry.type!r}", "bad-layer")
        return True

    def _skip_device(self, path: bytes) -> None:
        """A link to it is none either."""
        self.report.skip("device nodes")
        self._devices.add(path)

    def _write(self, tar: tarfile.TarFile, entry: Any, directory: int, name: bytes) -> None:
        source: Any = tar.fileobj
        source.seek(entry.offset_data)
        fd = os.open(name, _NEW, 0o600, dir_fd=directory)
        try:
            if entry.sparse is None:
                self._copy(source, fd, entry.size)
            else:
                for offset, size in entry.sparse:
                    os.lseek(fd, offset, os.SEEK_SET)
                    self._copy(source, fd, size)
                os.ftruncate(fd, entry.size)
        finally:
            os.close(fd)

    def _copy(self, source: Any, fd: int, size: int) -> None:
        self.report.size += size
        while size > 0:
            data = source.read(min(size, CHUNK))
            if not data:
                raise ImageError("read a layer: it ends in the middle of a file", "bad-layer")
            size -= len(data)
            while data:
                data = data[os.write(fd, data) :]

    def _link(self, directory: int, name: bytes, entry: tarfile.TarInfo) -> None:
        head, tail = split(entry.linkname)
        target = self.root.open(head, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.link(tail, name, src_dir_fd=target, dst_dir_fd=directory, follow_symlinks=False)
        finally:
            os.close(target)

    def _finish_link(self, directory: int, name: bytes, entry: tarfile.TarInfo) -> None:
        """The file becomes what the link's header says, as engines do it; a change of the owner
        would take capabilities away, so nothing is changed that is so already."""
        found = os.stat(name, dir_fd=directory, follow_symlinks=False)
        kind = stat.S_IFMT(found.st_mode)
        owner = (0, 0) if self.squash else (entry.uid, entry.gid)
        if (found.st_uid, found.st_gid) != owner or (
            kind != stat.S_IFLNK and stat.S_IMODE(found.st_mode) != entry.mode & 0o7777
        ):
            if kind == stat.S_IFLNK:
                entry.type = tarfile.SYMTYPE
            self._finish(directory, name, entry)
        elif found.st_mtime_ns != (time := _mtime(entry)):
            os.utime(name, ns=(time, time), dir_fd=directory, follow_symlinks=False)

    def _finish(self, directory: int, name: bytes, entry: tarfile.TarInfo) -> None:
        """Owner, extended attributes, mode and time, in the order in which none undoes another."""
        if not self.squash:
            os.chown(name, entry.uid, entry.gid, dir_fd=directory, follow_symlinks=False)
        elif entry.uid or entry.gid:
            self.report.skip("owners other than root")
        for key, value in entry.pax_headers.items():
            if key.startswith(XATTR):
                self._xattr(directory, name, key[len(XATTR) :], value)
        if not entry.issym():
            handle = os.open(name, _HANDLE, dir_fd=directory)
            try:
                os.chmod(f"/proc/self/fd/{handle}", entry.mode & 0o7777)
            finally:
                os.close(handle)
        if not entry.isdir():
            time = _mtime(entry)
            os.utime(name, ns=(time, time), dir_fd=directory, follow_symlinks=False)

    def _xattr(self, directory: int, name: bytes, attribute: str, value: str) -> None:
        """What tells overlay, or a security module of the host, what to do is no image's to say."""
        if attribute.startswith(("trusted.overlay.", "user.overlay.")) or (
            attribute.startswith("security.") and attribute != "security.capability"
        ):
            self.report.skip(f"attributes {attribute}")
            return
        path = f"/proc/self/fd/{directory}/".encode() + name
        data = value.encode("utf-8", "surrogateescape")
        try:
            os.setxattr(path, attribute, data, follow_symlinks=False)
        except OSError as error:
            if error.errno not in _NO_XATTR:
                raise
            self.report.skip(f"attributes {attribute}")

    def _whiteout(self, head: bytes, tail: bytes) -> None:
        name = tail[len(WHITEOUT) :]
        if tail == OPAQUE:
            names = None
        elif tail.startswith(AUFS):
            return
        elif name in (b"", b".", b".."):
            raise ImageError(f"{tail!r} is no whiteout", "bad-layer")
        else:
            names = [name]
        try:
            directory = self.root.open(head, os.O_RDONLY | os.O_DIRECTORY)
        except FileNotFoundError:
            if names is None:
                self.root.directory(head)  # an opaque directory is a directory
            return
        prefix = head + b"/" if head else b""
        try:
            for each in names or [os.fsencode(entry) for entry in os.listdir(directory)]:
                self.root.remove(directory, each, prefix + each, self._written)
        finally:
            os.close(directory)

    def _set_directory_times(self) -> None:
        """Those that are there still: a later entry may have put a link in their place."""
        for path, time in self._times.items():
            head, _, tail = path.rpartition(b"/")
            name = tail or b"."
            directory = self.root.directory(head)
            try:
                if stat.S_ISDIR(os.stat(name, dir_fd=directory, follow_symlinks=False).st_mode):
                    os.utime(name, ns=(time, time), dir_fd=directory, follow_symlinks=False)
            except FileNotFoundError:
                pass


def _mtime(entry: tarfile.TarInfo) -> int:
    """Nanoseconds, 0 for what is before 1970 or after 2262, as engines do it.

    A pax header has them as a decimal, of which a float loses the end.
    """
    try:
        time = Decimal(entry.pax_headers.get("mtime") or entry.mtime) * 1_000_000_000
        return int(time) if 0 <= time < 1 << 63 else 0
    except (ArithmeticError, ValueError):
        return 0
