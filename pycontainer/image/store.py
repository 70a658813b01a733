"""Layers, unpacked once and shared: in /var/lib/pycontainer, or in a user's data directory.

    layers/HEX/       one layer on top of those below it (its ChainID, image-spec config.md)
        fs/           what it adds, as overlay's upper directory has it
        info.json     sizes, and /etc/passwd and /etc/group as they are with this layer on top
    containers/NAME/  of one container: config.json, rootfs (empty), upper, work, owner.json
    bundles/HEX.json  a bundle elsewhere that uses layers

A layer is unpacked on an overlay of those below it, in a private mount namespace: so links, missing
directories and whiteouts mean what they mean in one tree, and the kernel notes the difference. A
layer is there once it is complete, by a rename. Who needs layers holds the lock `use`, shared,
until it is written down that it does; gc (image/gc.py) holds it alone.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pycontainer.base.errors import HostError
from pycontainer.image import ImageError, overlay
from pycontainer.image.layer import Unpacker
from pycontainer.image.root import Root
from pycontainer.image.source import Image, Layer
from pycontainer.image.streams import Budget, Decompressed
from pycontainer.linux import image_file, namespace_child, trees

NAME_LENGTH = 32  # hexadecimal digits of a ChainID: 128 bits
ETC = ("passwd", "group")
ETC_MAX = 1 << 20


def default_path() -> str:
    """Where layers are kept."""
    if os.geteuid() == 0:
        return "/var/lib/pycontainer"
    base = os.environ.get("XDG_DATA_HOME") or os.path.expanduser("~/.local/share")
    return os.path.join(base, "pycontainer")


class Tree:
    """A root file system made of layers: their directories, the topmost first, and its /etc."""

    def __init__(self, directories: list[str], etc: dict[str, str]) -> None:
        self.directories = directories
        self.etc = etc


class LayerStore:
    """The layers below one directory, which is made when it is needed."""

    def __init__(self, path: str = "") -> None:
        self.path = os.path.abspath(path or default_path())
        self.layers = f"{self.path}/layers"
        self.ids = namespace_child.ids_of_caller()

    @contextmanager
    def lock(self, name: str, *, shared: bool = False) -> Iterator[None]:
        """Hold one of the store's locks: "use", "unpack" or "containers"."""
        try:
            os.makedirs(f"{self.layers}", 0o700, exist_ok=True)
            fd = os.open(f"{self.path}/{name}.lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise HostError.of("make", self.path, error, code="no-layer-store") from None
        try:
            fcntl.flock(fd, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)
            yield
        finally:
            os.close(fd)

    def tree(self, image: Image, budget: Budget) -> Tree:
        """The image's layers, unpacked where they are not there. The caller holds "use"."""
        if image.root:
            return Tree([image.root], etc_of(image.root))
        chain, names, layers = "", [], []
        for layer in image.layers:
            diff_id = layer.diff_id or _diff_id(layer, budget)
            chain = diff_id if not chain else _sha256(f"{chain} {diff_id}")
            names.append(_name(chain))
            layers.append([layer])
        if not names:
            raise ImageError("the image has no layers", "bad-image")
        paths = [f"{self.directory(name)}:" for name in names]
        if len("".join(paths)) > overlay.VALUE_MAX and not overlay.appends():
            # Then the layers cannot be named one by one: they become one.
            names, layers = [_name(_sha256(f"all {chain}"))], [image.layers]
        for number, name in enumerate(names):
            self._ensure(name, names[:number], layers[number], budget)
        top = json.loads(_read(f"{self.layers}/{names[-1]}/info.json"))
        return Tree([self.directory(name) for name in reversed(names)], top["etc"])

    def directory(self, name: str) -> str:
        """What a layer adds."""
        return f"{self.layers}/{name}/fs"

    def _ensure(self, name: str, below: list[str], layers: list[Layer], budget: Budget) -> None:
        final = f"{self.layers}/{name}"
        if os.path.exists(f"{final}/info.json"):
            os.utime(final)  # when it was used last
            return
        with self.lock("unpack"):
            if os.path.exists(f"{final}/info.json"):
                return
            new = f"{self.layers}/.new-{secrets.token_hex(8)}"
            os.makedirs(f"{new}/fs", 0o755)
            os.chmod(new, 0o711)
            try:
                task = lambda: self._unpack(new, below, layers, budget)  # noqa: E731
                info = namespace_child.run(task, self.ids, mounts=bool(below), failure=ImageError)
                with open(f"{new}/info.json", "x", encoding="utf-8") as file:
                    json.dump(info, file)
                os.rename(new, final)
            except BaseException:
                self.remove(new)
                raise

    def _unpack(
        self, new: str, below: list[str], layers: list[Layer], budget: Budget
    ) -> dict[str, Any]:
        """In the child process: the layers on top of `below`."""
        target = f"{new}/fs"
        if below:
            target = f"{new}/merged"
            os.makedirs(target)
            _copy_directory(self.directory(below[-1]), f"{new}/fs")
            os.makedirs(f"{new}/work")
            lower = [self.directory(name) for name in reversed(below)]
            work, user = f"{new}/work", self.ids is not None
            overlay.mount(lower, f"{new}/fs", work, target, layers=self.layers, user=user)
        squash = self.ids is not None and self.ids.squash
        info = unpack(layers, target, budget, squash=squash)
        if below:
            overlay.unmount(target)
            for name in ("work", "merged"):
                trees.remove_own(f"{new}/{name}")
        return info

    def new_container(self, owner: dict[str, Any]) -> str:
        """A directory for one container's writable layer, which `remove` takes away."""
        path = f"{self.path}/containers/{secrets.token_hex(8)}"
        os.makedirs(path, 0o711)
        for name in ("rootfs", "upper", "work"):
            os.mkdir(f"{path}/{name}", 0o755)
        with open(f"{path}/owner.json", "x", encoding="utf-8") as file:
            json.dump(owner, file)
        return path

    def pin(self, bundle: str, layers: list[str]) -> None:
        """Write down that a bundle elsewhere uses layers."""
        os.makedirs(f"{self.path}/bundles", 0o700, exist_ok=True)
        name = hashlib.sha256(os.fsencode(bundle)).hexdigest()[:NAME_LENGTH]
        with open(f"{self.path}/bundles/{name}.json", "w", encoding="utf-8") as file:
            json.dump({"bundle": bundle, "layers": layers}, file)

    def remove(self, path: str) -> None:
        """A directory of the store, with files that may belong to other ids of the user's."""
        trees.remove(path, self.ids)


def unpack(layers: list[Layer], target: str, budget: Budget, *, squash: bool) -> dict[str, Any]:
    """The layers, the lowest first, into a directory; what there is to know about it."""
    fd = os.open(target, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        root = Root(fd)
        unpacker = Unpacker(root, budget, squash=squash)
        for layer in layers:
            with layer.open() as file:
                contents = Decompressed(file, layer.digest, layer.diff_id, budget)
                unpacker.apply(contents)
                contents.finish()
        budget.progress(0)
        report = unpacker.report
        return {
            "files": report.files,
            "size": report.size,
            "skipped": report.skipped,
            "etc": _etc(root),
        }
    finally:
        os.close(fd)


def etc_of(path: str) -> dict[str, str]:
    """/etc/passwd and /etc/group of a root file system, "" without one."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        return _etc(Root(fd))
    finally:
        os.close(fd)


def _etc(root: Root) -> dict[str, str]:
    found = dict.fromkeys(ETC, "")
    for name in ETC:
        try:
            fd = root.open(b"etc/" + name.encode(), os.O_PATH)
        except OSError:
            continue
        try:
            found[name] = image_file.read_file(fd, ETC_MAX).decode("utf-8", "replace")
        except OSError:
            pass
        finally:
            os.close(fd)
    return found


def _copy_directory(source: str, target: str) -> None:
    """What the root's own directory is, until a layer says otherwise."""
    found = os.stat(source)
    os.chown(target, found.st_uid, found.st_gid)
    os.chmod(target, stat.S_IMODE(found.st_mode))
    os.utime(target, ns=(found.st_mtime_ns, found.st_mtime_ns))


def _read(path: str) -> str:
    with open(path, encoding="utf-8") as file:
        return file.read()


def _diff_id(layer: Layer, budget: Budget) -> str:
    """Of a root tar, which has no description."""
    with layer.open() as file:
        layer.diff_id = Decompressed(file, "", "", Budget(budget.size)).finish()
    return layer.diff_id


def _sha256(text: str) -> str:
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def _name(chain: str) -> str:
    return chain.partition(":")[2][:NAME_LENGTH]
