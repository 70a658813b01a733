"""Removal of whole directories, also of what belongs to other ids of an ordinary user's."""

from __future__ import annotations

import os
import secrets
import stat

from pycontainer.base.errors import HostError
from pycontainer.linux import namespace_child


def remove(path: str, ids: namespace_child.Ids | None) -> None:
    """Remove a tree; that of an ordinary user as the root of their user namespace, who may."""
    if ids is None:
        remove_own(path)
    else:
        namespace_child.run(lambda: remove_own(path), ids)


def remove_own(path: str) -> None:
    """Remove a directory, however deep it is: inner ones are moved beside it first."""
    head, _, tail = path.rpartition("/")
    above = os.open(head, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    pending, prefix, moved = [os.fsencode(tail)], f".rm-{secrets.token_hex(8)}-", 0
    try:
        while pending:
            name = pending.pop()
            fd = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=above)
            try:
                for entry in os.listdir(fd):
                    if not stat.S_ISDIR(os.lstat(entry, dir_fd=fd).st_mode):
                        os.unlink(entry, dir_fd=fd)
                        continue
                    moved += 1
                    pending.append(f"{prefix}{moved}".encode())
                    os.rename(entry, pending[-1], src_dir_fd=fd, dst_dir_fd=above)
            finally:
                os.close(fd)
            os.rmdir(name, dir_fd=above)
    except FileNotFoundError:
        pass
    except OSError as error:
        raise HostError.of("remove", path, error) from None
    finally:
        os.close(above)
