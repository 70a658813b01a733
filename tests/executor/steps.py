"""What several operations have in common, as steps of a Walk: see verdict.py."""

from __future__ import annotations

import posixpath
import re

from tests.executor.trace import number
from tests.executor.verdict import Fd, Walk

EMPTY = 0x1000  # AT_EMPTY_PATH
BOTH_EMPTY = 0x44  # MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH
CLONED = 0x80001  # OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC
RECURSIVE = 0x8000
NOFOLLOW = 0x100  # AT_SYMLINK_NOFOLLOW
NEWUSER = 0x10000000
HIDDEN = 2  # `missing` of bind_host
RDONLY, NOSUID, NODEV, NOEXEC, NOSYMFOLLOW = 1, 2, 4, 8, 0x200000
PRIVATE = 1 << 18
ACCESS_TIME = 0xF0  # MOUNT_ATTR__ATIME | MOUNT_ATTR_NODIRATIME
CAPABILITIES = 41


def root(path: str) -> Fd:
    return Fd(f"root:{posixpath.normpath(path)}")


def members(**values: int):
    """A struct that has these members; all others of a mount_attr are 0."""

    def check(word: str) -> bool:
        found = {k: number(v) for k, v in re.findall(r"(\w+)=([|0-9a-fx-]+)", word)}
        return found == {**dict.fromkeys(found, 0), **values}

    return check


def directories(walk: Walk, path: str) -> None:
    """What was missing of `path`, made part by part."""
    while walk.next_is("mkdirat"):
        call = walk.want("mkdirat", ..., ..., lambda word: number(word) <= 0o755, fails=("EEXIST",))
        made = f"{walk.fds[call.number(0)]}/{call.text(1)}".replace("//", "/")
        if not f"root:{path}/".startswith(f"{made}/"):
            raise walk.wrong(f"{made} is no part of {path}")


def parent_of(walk: Walk, path: str) -> tuple[Fd, str]:
    directory, _, name = path.rpartition("/")
    directories(walk, directory or "/")
    return root(directory or "/"), name


def new_file(walk: Walk, path: str) -> None:
    if walk.next_is("openat"):
        parent, name = parent_of(walk, path)
        walk.want("openat", parent, name, ..., fails=("EEXIST",))


def attach(walk: Walk, tree: str, target: str) -> None:
    walk.want("move_mount", Fd(f"tree:{tree}"), "", root(target), "", BOTH_EMPTY)


def configured(walk: Walk, context: str, options: list[str]) -> None:
    """A file system that gets these options, and is made."""
    for option in options:
        key, equals, value = option.partition("=")
        if key == "pidns":  # by descriptor, from a procfs of its own
            new_proc(walk)
            walk.want("fsconfig", Fd(context), 5, key, None, ...)
        elif equals:
            walk.want("fsconfig", Fd(context), 1, key, value, 0)
        else:
            walk.want("fsconfig", Fd(context), 0, key, None, 0)
    walk.want("fsconfig", Fd(context), 6, None, None, 0)


def new_proc(walk: Walk) -> None:
    """The procfs of the executor's own, once."""
    if not walk.proc:
        walk.want("fsopen", "proc", 1)
        walk.want("fsconfig", Fd("fs:proc"), 6)
        walk.want("fsmount", Fd("fs:proc"), 1, 0)
        walk.proc = True


def write_proc(walk: Walk, file: str, value: str) -> None:
    new_proc(walk)
    walk.want("openat2", Fd("tree:fs:proc"), file, members(flags=0x80001, resolve=0xF))
    walk.want("write", ..., value, len(value.encode()))


def send(walk: Walk, kind: int) -> None:
    walk.want("sendmsg", Fd("channel"), lambda word: f'iov_base="\\{kind}\\0\\0\\0' in word)


def cloned(flags: int):
    return lambda word: number(re.findall(r"flags=([|0-9a-fx]+)", word)[0]) == flags
