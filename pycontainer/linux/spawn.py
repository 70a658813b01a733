"""Starts programs of the host: hooks, newuidmap, newgidmap, CRIU.

A program gets the descriptors that it is given and no other one, whatever our caller has left open;
no signal is blocked or ignored in it. Nothing of the calling process is touched (its directory, its
signal handlers): it may be a foreign program.
"""

from __future__ import annotations

import posix
import sys

from pycontainer._shim import ffi, lib

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any


# How a file is opened that a hook writes its output to.
OUTPUT_FLAGS = posix.O_CREAT | posix.O_WRONLY | posix.O_APPEND | posix.O_NOCTTY | posix.O_CLOEXEC
OUTPUT_MODE = 0o600


def spawn(
    path: str,
    argv: Sequence[str],
    fds: Sequence[int],
    *,
    env: Sequence[str] | None = None,
    cwd: str | None = None,
    group: bool = False,
) -> int:
    """The new process's pid; OSError when the program cannot be started, ValueError for a NUL byte.

    `fds` become its descriptors 0, 1, 2 ...; `env` is ours when None; `cwd` is its working
    directory, `group` gives it a process group of its own.
    """
    if env is None:
        variables = [name + b"=" + value for name, value in _environment().items()]
    else:
        variables = [_bytes(entry) for entry in env]
    args = [_bytes(arg) for arg in argv]
    if any(b"\0" in text for text in (_bytes(path), *args, *variables)):
        raise ValueError("embedded null byte")
    directory = -1
    if cwd is not None:
        directory = posix.open(cwd, posix.O_PATH | posix.O_DIRECTORY | posix.O_CLOEXEC)
    try:
        kept, arg_array = _array(args)
        more, env_array = _array(variables)
        pid: int = lib.shim_spawn_program(
            _bytes(path), arg_array, env_array, list(fds), len(fds), directory, group
        )
    finally:
        if directory >= 0:
            posix.close(directory)
    if pid < 0:
        raise OSError(-pid, posix.strerror(-pid), path)
    return pid


def _environment() -> Mapping[bytes, bytes]:
    """Ours; in a program that changes it, as it is now."""
    return getattr(sys.modules.get("os"), "environb", None) or posix.environ


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _array(texts: list[bytes]) -> tuple[list[Any], Any]:
    """A NULL-terminated char *[]; it lives as long as the list that comes with it."""
    kept = [ffi.new("char[]", text) for text in texts]
    return kept, ffi.new("char *[]", [*kept, ffi.NULL])
