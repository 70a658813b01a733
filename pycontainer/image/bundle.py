"""What the commands do with an image: `bundle`, `run --image`, `run --overlay`.

Each leaves a directory that is a bundle. Without an overlay its rootfs is a tree of its own; with
one, the first entry of `mounts` puts an overlay of shared layers and the directory's own `upper` on
/, so the config alone says what the container's root is.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from typing import Any

from pycontainer.base.errors import HostError, UsageError
from pycontainer.image import ImageError, convert, directories, gc, overlay
from pycontainer.image.source import Image, open_image
from pycontainer.image.store import LayerStore, Tree, etc_of, unpack
from pycontainer.image.streams import Budget
from pycontainer.linux import namespace_child, trees
from pycontainer.linux.process import start_time

Warn = Callable[[str], None]


class Made:
    """A bundle for a container: its directory, its config, and what `delete` removes."""

    def __init__(self, bundle: str, config: dict[str, Any], layer: str) -> None:
        self.bundle = bundle
        self.config = config
        self.layer = layer


def make_bundle(
    name: str,
    directory: str,
    options: convert.Options,
    *,
    platform: str = "",
    shared: bool = False,
    store: str = "",
    budget: Budget,
    warn: Warn,
) -> None:
    """DIRECTORY with a config.json and a root file system; nothing is left after a failure.

    `shared`: the root is an overlay of the store's layers and DIRECTORY/upper.
    """
    image = open_image(name, platform)
    path = os.path.abspath(directory)
    if os.path.exists(path) and os.listdir(path):
        raise HostError(f"use {directory}: directory not empty", "directory-not-empty")
    options.hostname = options.hostname or _hostname(os.path.basename(path))
    existed = os.path.isdir(path)
    ids = namespace_child.ids_of_caller()
    try:
        os.makedirs(f"{path}/rootfs", exist_ok=True)
        if shared:
            _shared_root(image, path, options, LayerStore(store), budget, warn)
        else:
            _own_root(image, path, options, ids, budget, warn)
    except OSError as error:
        _take_back(path, existed, ids)
        where = error.filename if isinstance(error.filename, str) else path
        raise HostError.of("make", where, error) from None
    except BaseException:
        _take_back(path, existed, ids)
        raise


def _take_back(path: str, existed: bool, ids: namespace_child.Ids | None) -> None:
    if not existed:
        trees.remove(path, ids)
        return
    for name in os.listdir(path):
        inner = os.path.join(path, name)
        trees.remove(inner, ids) if os.path.isdir(inner) else os.unlink(inner)


def _own_root(
    image: Image,
    path: str,
    options: convert.Options,
    ids: namespace_child.Ids | None,
    budget: Budget,
    warn: Warn,
) -> None:
    if image.root:
        etc = etc_of(image.root)
    else:
        squash = ids is not None and ids.squash
        info = namespace_child.run(
            lambda: unpack(image.layers, f"{path}/rootfs", budget, squash=squash),
            ids,
            failure=ImageError,
        )
        _tell_skipped(info, warn)
        etc = info["etc"]
    config = _configured(image, options, etc, ids, warn)
    if not image.root:
        directories.add_to_tree(image.settings, config, f"{path}/rootfs", ids)
    else:
        os.rmdir(f"{path}/rootfs")
        config["root"]["path"] = image.root
    _write(path, config)


def _shared_root(
    image: Image,
    path: str,
    options: convert.Options,
    store: LayerStore,
    budget: Budget,
    warn: Warn,
) -> None:
    with store.lock("use", shared=True):
        tree = store.tree(image, budget)
        config = _configured(image, options, tree.etc, store.ids, warn)
        for name in ("upper", "work"):
            os.makedirs(f"{path}/{name}", exist_ok=True)
        _mount_root(config, tree, path, bool(store.ids))
        directories.add_to_overlay(image.settings, config, tree.directories, (path, path), store)
        store.pin(path, tree.directories)
        _write(path, config)


def for_container(
    name: str,
    container: tuple[str, str],
    options: convert.Options,
    *,
    platform: str = "",
    keep_in: str = "",
    store: str = "",
    budget: Budget,
    warn: Warn,
) -> Made:
    """A bundle of an image for one container, `container` being its state root and its id.

    `keep_in`: the directory of a writable layer that outlives the container; else it has one that
    goes with it.
    """
    layers = LayerStore(store)
    image = open_image(name, platform)
    options.hostname = options.hostname or _hostname(container[1])
    with layers.lock("use", shared=True):
        tree = layers.tree(image, budget)
        config = _configured(image, options, tree.etc, layers.ids, warn)
        return _writable(layers, tree, config, container, keep_in, image.settings)


def read_only(
    name: str, directory: str, options: convert.Options, *, store: str, budget: Budget
) -> dict[str, Any]:
    """The config of an image whose layers are all of the root, so that any number of containers may
    have it at once; DIRECTORY gets what it needs, and is what the config is relative to.

    The topmost layer is one of empty mount points, which cannot be made any more.
    """
    layers = LayerStore(store)
    image = open_image(name)
    with layers.lock("use", shared=True):
        tree = layers.tree(image, budget)
        config = _configured(image, options, tree.etc, layers.ids, lambda text: None)
        layers.pin(directory, tree.directories)
        os.mkdir(f"{directory}/rootfs")
        for mount in config["mounts"]:
            point = f"{directory}/points{mount['destination']}"
            if mount["type"] != "bind":
                os.makedirs(point, exist_ok=True)
            else:
                os.makedirs(os.path.dirname(point), exist_ok=True)
                open(point, "x").close()
        lower = [f"{directory}/points", *tree.directories]
        shared = overlay.entry(lower, directory, user=bool(layers.ids), writable=False)
        config["mounts"] = [shared, *config["mounts"]]
        _write(directory, config)
    return config


def over_bundle(
    config: dict[str, Any], rootfs: str, container: tuple[str, str], *, keep_in: str, store: str
) -> Made:
    """A bundle's config with an overlay on its root, which stays as it is."""
    layers = LayerStore(store)
    if (config.get("root") or {}).get("readonly"):
        config["root"] = {**config["root"], "readonly": False}
    spaces = (config.get("linux") or {}).get("namespaces") or ()
    if not any(space["type"] == "mount" for space in spaces):
        raise UsageError(
            "--overlay needs a mount namespace of the container's own",
            "needs-namespace",
            namespace="mount",
        )
    with layers.lock("use", shared=True):
        made = _writable(layers, Tree([rootfs], {}), config, container, keep_in)
        config["root"]["path"] = f"{made.bundle}/rootfs"
        return made


def _writable(
    store: LayerStore,
    tree: Tree,
    config: dict[str, Any],
    container: tuple[str, str],
    keep_in: str,
    settings: dict[str, Any] | None = None,
) -> Made:
    writable = os.path.abspath(keep_in) if keep_in else ""
    owner = {
        "root": container[0],
        "id": container[1],
        "layers": tree.directories,
        "writable": writable,
        "pid": os.getpid(),
        "started": start_time(os.getpid()),
    }
    with store.lock("containers"):
        if writable and (user := gc.user_of(store, writable)):
            raise HostError(f"use {keep_in}: container {user} uses it", "in-use")
        path = store.new_container(owner)
    writable = writable or path
    try:
        for name in ("upper", "work"):
            os.makedirs(f"{writable}/{name}", exist_ok=True)
        mapped = any(space["type"] == "user" for space in config["linux"]["namespaces"])
        _mount_root(config, tree, writable, mapped)
        if settings is not None:
            directories.add_to_overlay(settings, config, tree.directories, (writable, path), store)
        _write(path, config)
    except BaseException:
        store.remove(path)
        raise
    return Made(path, config, path)


def _mount_root(config: dict[str, Any], tree: Tree, writable: str, user: bool) -> None:
    """The overlay; its own root directory is as the topmost layer has it."""
    found = os.stat(tree.directories[0])
    upper = f"{writable}/upper"
    if not os.listdir(upper):
        try:
            os.chown(upper, found.st_uid, found.st_gid)
        except PermissionError:
            pass  # of an ordinary user's range: then it is the user's, who is root in there
        os.chmod(upper, found.st_mode & 0o7777)
    config["mounts"] = [
        overlay.entry(tree.directories, writable, user=user),
        *(config.get("mounts") or ()),
    ]


def _configured(
    image: Image,
    options: convert.Options,
    etc: dict[str, str],
    ids: namespace_child.Ids | None,
    warn: Warn,
) -> dict[str, Any]:
    config, warnings = convert.config(image, options, etc, ids)
    for warning in warnings:
        warn(warning)
    return config


def _tell_skipped(info: dict[str, Any], warn: Warn) -> None:
    for what, count in info["skipped"].items():
        warn(f"left out while unpacking: {what} ({count} files)")


def _write(path: str, config: dict[str, Any]) -> None:
    """The bundle's config.json, and the files beside it that it has mounted."""
    if any(mount.get("source") == convert.HOSTS for mount in config["mounts"]):
        names = f"localhost {config['hostname']}"
        with open(f"{path}/{convert.HOSTS}", "x", encoding="utf-8") as hosts:
            hosts.write(f"127.0.0.1 {names}\n::1 {names}\n")
    with open(f"{path}/config.json", "x", encoding="utf-8") as file:
        json.dump(config, file, indent=2)


def _hostname(name: str) -> str:
    """What of a name may be a host's."""
    kept = "".join(c if c.isascii() and (c.isalnum() or c == "-") else "-" for c in name)
    return kept.strip("-")[:63] or "container"


def progress() -> Callable[[int], None] | None:
    """How much has been unpacked, on a terminal."""
    if not os.isatty(2):
        return None
    shown = [0, 0]

    def show(count: int) -> None:
        shown[0] += count
        if shown[0] - shown[1] >= 4 << 20 or (not count and shown[1]):
            shown[1] = shown[0]
            end = f"unpacking: {shown[0] >> 20} MiB" if count else "\033[K"
            sys.stderr.write(f"\r{end}")
            sys.stderr.flush()

    return show
