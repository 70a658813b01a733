"""The flat record beside state.json: all that csrc/launcher/front.c needs to answer alone.

    head      struct record of csrc/launcher/front.h: sizes, flags, pid and start time of init
    texts     id, state document up to the pid, state document after the status, directory of
              the freezer, cgroup directories (each with a NUL), file that counts OOM kills;
              a NUL after each of the six

It names the state.json that it was made from by inode, size and time, and is written before that
one gets its name: after a crash in between, or an edit by hand, the two do not match and the
front leaves the command to Python. So does a flag that isn't set: only what is known to be
simple may be done in C.
"""

from __future__ import annotations

import posix
from _struct import Struct

from pycontainer.base import jsonfast
from pycontainer.state.state import document

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pycontainer.state.state import Facts

NAME = "record"
_HEAD = Struct("=8sIIQQqQi6I4x")
_MAGIC = b"pycrec\0\2"  # the last byte: the layout's version
_SIZE_MAX = 65536  # of the front's buffer
_FLAGS = posix.O_WRONLY | posix.O_CREAT | posix.O_TRUNC | posix.O_CLOEXEC | posix.O_NOFOLLOW

# What the front may do by itself.
_KILL_ALONE = 1  # SIGKILL of init ends all other processes
_START = 2  # the container has neither hooks nor a service manager to tell
_DELETE = 4  # nothing but files and cgroup directories is left
_FREEZER_V1 = 8
_UNDERSTOOD = {"notifies", "hooks", "keyring"}  # members of Facts.extra


def pack(facts: Facts, file: posix.stat_result) -> bytes:
    """The record's bytes; `file` is the state.json that says the same."""
    head, tail = _document(facts)
    directories = facts.cgroup.get("paths") or {}
    freezer = directories.get("freezer", "") or directories.get("", "")
    # v1 first and v2 last, each once: the order in which the driver removes them.
    named = dict.fromkeys(path for name, path in directories.items() if name)
    every = [*named, *([directories[""]] if directories.get("") else [])]
    texts = [
        facts.id.encode(),
        head.encode(),
        tail.encode(),
        _path(freezer),
        b"".join(_path(path) + b"\0" for path in every),
        _path(_oom_file(facts)),
    ]
    body = b"".join(text + b"\0" for text in texts)
    return (
        _HEAD.pack(
            _MAGIC,
            _HEAD.size + len(body),
            _flags(facts),
            file.st_ino,
            file.st_size,
            file.st_mtime_ns,
            facts.start_time,
            facts.pid,
            *map(len, texts),
        )
        + body
    )


def write(dir_fd: int, facts: Facts, file: posix.stat_result) -> None:
    """Write the record of `facts`, if it is one that the front can hold."""
    data = pack(facts, file)
    fd = posix.open(NAME, _FLAGS, 0o600, dir_fd=dir_fd)
    try:
        if len(data) <= _SIZE_MAX:
            posix.write(fd, data)  # a short write leaves what the front does not believe
    finally:
        posix.close(fd)


def _document(facts: Facts) -> tuple[str, str]:
    """The state document before its pid, and after its status."""
    text = jsonfast.dumps(document(facts, "", 0), 2)
    # The first place is the right one: an id cannot hold a quote.
    head, _, tail = text.partition('"pid": 0,\n  "status": "')
    return head + '"pid": ', tail


def _flags(facts: Facts) -> int:
    flags = 0
    hooks = facts.extra.get("hooks")
    if facts.namespaces.get("pid", True):
        flags |= _KILL_ALONE
    if hooks is not None and _UNDERSTOOD.issuperset(facts.extra):
        if "poststart" not in hooks and not facts.extra.get("notifies"):
            flags |= _START
        if "poststop" not in hooks and facts.cgroup.get("driver", "cgroupfs") == "cgroupfs":
            flags |= _DELETE
    if (facts.cgroup.get("paths") or {}).get("freezer"):
        flags |= _FREEZER_V1
    return flags


def _oom_file(facts: Facts) -> str:
    """The file that cgroups.stats.oom.kills reads."""
    v2 = facts.cgroup.get("mode") == "v2"
    directory = (facts.cgroup.get("paths") or {}).get("" if v2 else "memory", "")
    name = "memory.events" if v2 else "memory.oom_control"
    return f"{directory}/{name}" if directory else ""


def _path(path: str) -> bytes:
    return path.encode("utf-8", "surrogateescape")
