"""Id maps without privileges: ranges of /etc/subuid and /etc/subgid, by newuidmap and newgidmap.

An ordinary user may map one id, the own one. Every other map is written by two programs of shadow
(uidmap on Debian), which have the privilege and check it against the two files, subuid(5). Both
are searched in $PATH, and after that in the places where distributions have them.
"""

from __future__ import annotations

import posix

from pycontainer.linux.process import UNKNOWN_STATUS, reap
from pycontainer.linux.spawn import spawn

PLACES = ("/usr/bin", "/bin", "/usr/local/bin", "/run/wrappers/bin")  # the last one is NixOS's
OUTPUT_MAX = 4096  # bytes of what a program says that are kept


def write(pid: int, file: str, lines: str) -> str:
    """Write `lines` to the map `file`, "uid_map" or "gid_map"; what went wrong, or ""."""
    name = program_of(file)
    path = find(name)
    if not path:
        return f"{name} is not installed"
    return _run(path, [name, str(pid), *lines.split()])


def program_of(file: str) -> str:
    """newuidmap for "uid_map", newgidmap for "gid_map"."""
    return "new" + file.replace("_", "")


def find(name: str) -> str:
    """The program's path, "" when there is none."""
    search = posix.environ.get(b"PATH", b"").decode("utf-8", "surrogateescape").split(":")
    for directory in (*search, *PLACES):
        path = f"{directory}/{name}"
        if directory.startswith("/") and posix.access(path, posix.X_OK):
            return path
    return ""


def _run(path: str, argv: list[str]) -> str:
    """ "" when the program has succeeded; else what it said, on one line."""
    reader, writer = posix.pipe()
    try:
        try:
            pid = spawn(path, argv, (0, writer, writer))
        except OSError as error:
            return f"run {path}: {posix.strerror(error.errno or 0).lower()}"
        finally:
            posix.close(writer)
        said = b""
        while len(said) < OUTPUT_MAX and (more := posix.read(reader, OUTPUT_MAX)):
            said += more
    finally:
        posix.close(reader)
    status = reap(pid)
    if status == 0:
        return ""
    text = " ".join(said.decode("utf-8", "replace").split())
    if status is None:
        return f"{path}: {UNKNOWN_STATUS}{text and ': '}{text}"
    return text or f"{path} ended with status {posix.waitstatus_to_exitcode(status)}"
