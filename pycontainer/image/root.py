"""A directory that is written to as if it were /: whatever an archive says, nothing leaves it.

The directory of every entry is opened by openat2 with RESOLVE_IN_ROOT; the entry itself is then
named by that descriptor and its last component, which no call follows if it is a link. So links in
the tree may point anywhere, as they may in a container: they are links within the tree.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Container

from pycontainer._shim import lib
from pycontainer.base.errors import os_reason
from pycontainer.image import ImageError

DEEPEST = 400  # levels of directories that a removal follows
_OPEN = os.O_RDONLY | os.O_DIRECTORY | os.O_NONBLOCK


class Root:
    """The tree below the directory `fd`, which is the caller's to close."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self._path: bytes | None = None  # of the directory that was used last, and stays open
        self._directory = -1

    def close(self) -> None:
        """Forget the directory that was used last."""
        if self._directory >= 0:
            os.close(self._directory)
        self._path, self._directory = None, -1

    def open(self, path: bytes, flags: int = os.O_RDONLY) -> int:
        """Open a path below the root, following links within it; FileNotFoundError and the like."""
        fd = lib.shim_open_in_root(self.fd, path or b".", flags, 0)
        if fd < 0:
            raise OSError(-fd, os.strerror(-fd), path)
        return int(fd)

    def directory(self, path: bytes) -> int:
        """A descriptor of the directory, made with those above it if it is missing.

        It stays the root's, and is valid until the next call.
        """
        if path != self._path or self._directory < 0:
            fd = self._open_or_make(path)
            self.close()
            self._path, self._directory = path, fd
        return self._directory

    def _open_or_make(self, path: bytes) -> int:
        try:
            return self.open(path, _OPEN)
        except FileNotFoundError:
            head, _, tail = path.rpartition(b"/")
            above = self._open_or_make(head)
            try:
                os.mkdir(tail, 0o755, dir_fd=above)
            finally:
                os.close(above)
            return self.open(path, _OPEN)
        except RecursionError:
            raise ImageError("directories are nested too deeply", "too-deep") from None

    def remove(
        self, directory: int, name: bytes, path: bytes = b"", keep: Container[bytes] = ()
    ) -> None:
        """Remove a file, or a directory with all that is below it.

        What is in `keep` stays, and what is above that; `path` is the name's, as `keep` has them.
        """
        self._remove(directory, name, path, keep, 0)
        self.close()  # what was removed may be on the way to it

    def _remove(
        self, directory: int, name: bytes, path: bytes, keep: Container[bytes], depth: int
    ) -> bool:
        """Whether it is gone."""
        try:
            mode = os.stat(name, dir_fd=directory, follow_symlinks=False).st_mode
        except FileNotFoundError:
            return True
        if not stat.S_ISDIR(mode):
            if path in keep:
                return False
            os.unlink(name, dir_fd=directory)
            return True
        if depth == DEEPEST:
            raise ImageError("directories are nested too deeply", "too-deep")
        inner = os.open(name, _OPEN | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
        try:
            names = [os.fsencode(entry) for entry in os.listdir(inner)]
            gone = [self._remove(inner, n, path + b"/" + n, keep, depth + 1) for n in names]
        finally:
            os.close(inner)
        if path in keep or not all(gone):
            return False
        os.rmdir(name, dir_fd=directory)
        return True

    def reason(self, error: OSError) -> str:
        """Why a path could not be written to, for the message."""
        words = {
            errno.ENOTDIR: "a part of its path is not a directory",
            errno.EEXIST: "a part of its path is a link to nowhere",
            errno.ELOOP: "too many links in its path",
            errno.EXDEV: "a part of its path is another mount",
        }
        return words.get(error.errno or 0, os_reason(error.errno or 0))
