"""Two trees of files are the same: every path with all that the kernel says of it."""

from __future__ import annotations

import os
import stat
import time
from pathlib import Path
from typing import Any

RECENT_S = 86400  # times of the test's own day: nobody has set them


def listing(root: Path, *, links: bool = True) -> dict[bytes, dict[str, Any]]:
    """Path → metadata and contents; the root's own time, and times of today, are left out.

    `links`: which names are one file. An overlay that changes one of them makes two files of it.
    """
    rows: dict[bytes, dict[str, Any]] = {}
    first: dict[int, bytes] = {}
    for path in [root, *_below(root)]:
        name, found = os.fsencode(path.relative_to(root)), path.lstat()
        regular = stat.S_ISREG(found.st_mode)
        rows[name] = {
            "mode": oct(found.st_mode),
            "owner": (found.st_uid, found.st_gid),
            "size": found.st_size if regular else 0,
            "time": 0 if path == root or _is_recent(found.st_mtime) else found.st_mtime_ns,
            "device": found.st_rdev,
            "target": os.readlink(path) if stat.S_ISLNK(found.st_mode) else "",
            "attributes": {
                key: os.getxattr(path, key, follow_symlinks=False)
                for key in os.listxattr(path, follow_symlinks=False)
            },
            "data": path.read_bytes() if regular else b"",
        }
        if links and not stat.S_ISDIR(found.st_mode) and not stat.S_ISLNK(found.st_mode):
            rows[name]["same file as"] = first.setdefault(found.st_ino, name)
    return rows


def _below(root: Path) -> list[Path]:
    """Path.rglob opens what links lead to."""
    found = [Path(top) / name for top, ds, fs in os.walk(root) for name in ds + fs]
    return sorted(found)


def _is_recent(mtime: float) -> bool:
    return abs(time.time() - mtime) < RECENT_S


def differences(
    ours: dict[bytes, dict[str, Any]], theirs: dict[bytes, dict[str, Any]]
) -> dict[bytes, Any]:
    """Path → what is not the same, for a message that can be read."""
    found: dict[bytes, Any] = {}
    for name in sorted(ours.keys() | theirs.keys()):
        if name not in ours or name not in theirs:
            found[name] = "only theirs" if name in theirs else "only ours"
        elif ours[name] != theirs[name]:
            both = {key: (ours[name].get(key), theirs[name].get(key)) for key in theirs[name]}
            found[name] = {key: pair for key, pair in both.items() if pair[0] != pair[1]}
    return found
