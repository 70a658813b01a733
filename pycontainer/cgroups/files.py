"""The children and the processes of a cgroup's directory."""

from __future__ import annotations

import posix

from pycontainer.linux.files import read_text


def subdirectories(path: str) -> list[str]:
    """The child cgroups' directories; none when the cgroup is gone."""
    try:
        if posix.stat(path).st_nlink == 2:  # cgroupfs counts child directories there
            return []
        with posix.scandir(path) as entries:
            return [entry.path for entry in entries if entry.is_dir(follow_symlinks=False)]
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        from errno import ENODEV

        if error.errno == ENODEV:  # removed while it was read
            return []
        raise


def processes(path: str, recursive: bool = True) -> list[int]:
    """The pids in the cgroup, and in those below it. A cgroup that is gone has none.

    A threaded v2 cgroup does not list processes (EOPNOTSUPP); its threads are given then. Pids of
    other pid namespaces read as 0 and are left out.
    """
    try:
        text = read_text(path + "/cgroup.procs")
    except OSError as error:
        from errno import ENODEV, ENOENT, EOPNOTSUPP

        if error.errno in (ENOENT, ENODEV):
            return []
        if error.errno != EOPNOTSUPP:
            raise
        text = read_text(path + "/cgroup.threads")
    pids = [int(line) for line in text.split() if line != "0"]
    if recursive:
        for child in subdirectories(path):
            pids += processes(child)
    return pids
