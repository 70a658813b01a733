"""Directories that a container needs and its image may lack: volumes and the working directory.

Engines make them when they make the container, and give them to the user who runs in it.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import Any

from pycontainer.base.errors import os_reason
from pycontainer.image import ImageError, overlay
from pycontainer.image.layer import split
from pycontainer.image.root import Root
from pycontainer.image.store import LayerStore
from pycontainer.linux import namespace_child

Config = dict[str, Any]


def add_to_tree(
    settings: Config, config: Config, tree: str, ids: namespace_child.Ids | None
) -> None:
    """Make what is missing in the root file system `tree`."""
    if paths := _missing(settings, config, [tree]):
        owner = _owner(config, ids)
        namespace_child.run(lambda: _make(paths, tree, owner), ids, failure=ImageError)


def add_to_overlay(
    settings: Config, config: Config, lower: Sequence[str], at: tuple[str, str], store: LayerStore
) -> None:
    """Make what is missing over the layers `lower`.

    `at`: the directory with "upper" and "work", and the one with an empty "rootfs" to mount on.
    """
    writable, target = at[0], f"{at[1]}/rootfs"
    paths = _missing(settings, config, [*lower, f"{writable}/upper"])
    if not paths:
        return
    owner = _owner(config, store.ids)

    def task() -> None:
        upper, work, user = f"{writable}/upper", f"{writable}/work", store.ids is not None
        overlay.mount(lower, upper, work, target, layers=store.layers, user=user)
        _make(paths, target, owner)
        overlay.unmount(target)

    namespace_child.run(task, store.ids, mounts=True, failure=ImageError)


def _missing(settings: Config, config: Config, trees: Iterable[str]) -> list[str]:
    """What none of the trees has. It may be there: a link can lead from one tree to another."""
    volumes = settings.get("Volumes") or ()
    left = [path for path in (config["process"]["cwd"], *volumes) if any(split(path))]
    for tree in trees if left else ():
        fd = os.open(tree, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            left = [path for path in left if not _has(Root(fd), path)]
        finally:
            os.close(fd)
    return left


def _has(root: Root, path: str) -> bool:
    try:
        os.close(root.open(os.fsencode(path), os.O_PATH | os.O_DIRECTORY))
    except OSError:
        return False
    return True


def _owner(config: Config, ids: namespace_child.Ids | None) -> tuple[int, int]:
    if ids is not None and ids.squash:
        return 0, 0  # the only ids that there are
    user = config["process"]["user"]
    return user["uid"], user["gid"]


def _make(paths: Iterable[str], tree: str, owner: tuple[int, int]) -> None:
    """In the child process: the last component of each path is the owner's."""
    fd = os.open(tree, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    root = Root(fd)
    for path in paths:
        head, tail = split(path)
        try:
            directory = root.directory(head)
            os.mkdir(tail, 0o755, dir_fd=directory)
            os.chown(tail, *owner, dir_fd=directory, follow_symlinks=False)
        except FileExistsError:
            pass
        except OSError as error:
            reason = os_reason(error.errno or 0)
            raise ImageError(f"make {path} in the container: {reason}", "os-error") from None
    root.close()
    os.close(fd)
