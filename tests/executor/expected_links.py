"""What crun's mounts need as the system calls that it means, see expected.py."""

from __future__ import annotations

from tests.executor.steps import (
    BOTH_EMPTY,
    CLONED,
    EMPTY,
    NOFOLLOW,
    RECURSIVE,
    directories,
    members,
    new_file,
    parent_of,
    root,
)
from tests.executor.verdict import Check, Fd, Walk

SRC_NOFOLLOW, DEST_NOFOLLOW, COPY_SYMLINK = 1, 2, 4
CHANGE = 40  # bytes of each
DETACH, UMOUNT_NOFOLLOW = 2, 8


def bind_link(walk: Walk) -> None:
    source, slot, links = walk["source"], walk["slot"], walk["links"]
    tree = f"tree:{source}" if slot < 0 else f"slot:{slot}"
    if slot < 0:
        flags = CLONED | (RECURSIVE if walk["recursive"] else 0)
        flags |= NOFOLLOW if links & (SRC_NOFOLLOW | COPY_SYMLINK) else 0
        walk.want("open_tree", -100, source, flags)
    if links & COPY_SYMLINK and (walk.next_is("symlinkat") or walk.next_is("mkdirat")):
        parent, name = parent_of(walk, walk["target"])
        walk.want("symlinkat", ..., parent, name, fails=("EEXIST",))
        return
    first, clear = walk["attr_set"], walk["attr_clear"] | walk["soft_clear"]
    if first or clear:
        attributes = members(attr_set=first, attr_clr=clear)
        walk.want("mount_setattr", Fd(tree), "", EMPTY, attributes)
    if not links & DEST_NOFOLLOW:
        directories(walk, walk["target"])
        new_file(walk, walk["target"])
    walk.want("move_mount", Fd(tree), "", root(walk["target"]), "", BOTH_EMPTY)
    for _ in range(walk["changes"]["bytes"] // CHANGE):
        walk.want("mount_setattr", Fd(tree), "", ..., ...)


def unmount(walk: Walk) -> None:
    directory, _, name = walk["target"].rpartition("/")
    walk.want("fchdir", root(directory or "/"))
    walk.want("umount2", name, DETACH | UMOUNT_NOFOLLOW)


def finish(walk: Walk) -> None:
    walk.want("exit_group", 0)


EXPECTED: dict[str, Check] = {"bind_link": bind_link, "unmount": unmount, "finish": finish}
