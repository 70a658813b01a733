"""The global options of a command as one value, handed to everything below the command line.

Also the decisions that depend on who runs us: where state lives, and whether cgroup permission
errors are expected. Every command loads this file, so it imports only `posix`.
"""

from __future__ import annotations

import posix

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

NAME = "pycontainer"
SYSTEM_ROOT = "/run/" + NAME
_WHOLE_RANGE = [b"0", b"0", b"4294967295"]  # /proc/self/uid_map of the initial user namespace


class Log:
    """Where diagnostics go; this one drops them, the command line hands in one that writes."""

    __slots__ = ()

    def debug(self, message: str) -> None:
        """For someone who asked for --debug."""

    def warning(self, message: str) -> None:
        """Something was ignored or is deprecated; the command goes on."""


class Settings:
    """Global options. `root` is absolute and clean; `rootless` None means: find out when asked;
    `no_cgroup` leaves containers in the cgroup of the caller; `trust_annotations` lets those of a
    config reach beyond the container."""

    __slots__ = (
        "_rootless",
        "criu",
        "debug",
        "invocation",
        "log",
        "no_cgroup",
        "root",
        "systemd_cgroup",
        "timing",
        "trust_annotations",
    )

    def __init__(
        self,
        root: str = SYSTEM_ROOT,
        *,
        systemd_cgroup: bool = False,
        rootless: bool | None = None,
        trust_annotations: bool = False,
        debug: bool = False,
        log: Log | None = None,
    ) -> None:
        self.root = root
        self.systemd_cgroup = systemd_cgroup
        self._rootless = rootless
        self.trust_annotations = trust_annotations
        self.debug = debug
        self.log = log or Log()
        self.criu = "criu"
        self.no_cgroup = False
        self.timing: Any = None  # a Timing (executor/timing.py), for --trace and --debug
        # Of a process that does nothing but this command: its words, the command's place in them.
        self.invocation: tuple[list[str], int] | None = None

    @property
    def rootless(self) -> bool:
        """Ignore cgroup permission errors: said so, or not root of the initial user namespace."""
        if self._rootless is None:
            self._rootless = posix.geteuid() != 0 or in_user_namespace()
        return self._rootless


def in_user_namespace() -> bool:
    """True unless this process is in the initial user namespace (or the kernel has none)."""
    try:
        fd = posix.open("/proc/self/uid_map", posix.O_RDONLY | posix.O_CLOEXEC)
    except OSError:
        return False
    try:
        return posix.read(fd, 4096).split() != _WHOLE_RANGE
    finally:
        posix.close(fd)


def default_root(environ: Mapping[bytes, bytes]) -> tuple[str, bool]:
    """The state directory without --root, and whether it is below $XDG_RUNTIME_DIR.

    Root of the initial user namespace never uses $XDG_RUNTIME_DIR, which sudo may have left
    behind; root of another one does, unless $USER says that it was meant to be root.
    """
    directory = environ.get(b"XDG_RUNTIME_DIR", b"")
    if not directory:
        return SYSTEM_ROOT, False
    if posix.geteuid() == 0 and (not in_user_namespace() or environ.get(b"USER") == b"root"):
        return SYSTEM_ROOT, False
    return directory.decode("utf-8", "surrogateescape") + "/" + NAME, True


def absolute(path: str) -> str:
    """The path made absolute, without `.`, `..` and double slashes; symlinks are not looked at."""
    return clean(path if path.startswith("/") else posix.getcwd() + "/" + path)


def clean(path: str) -> str:
    """An absolute path without empty, `.` and `..` parts, whose root is `/`."""
    if "//" not in path and "/." not in path and path[:1] == "/" and path[-1:] != "/":
        return path
    parts: list[str] = []
    for part in path.split("/"):
        if part == "..":
            del parts[-1:]
        elif part not in ("", "."):
            parts.append(part)
    return "/" + "/".join(parts)
