"""What of the layer store no container needs: found, and removed on demand (`gc`).

A layer is needed by a container that exists, or whose creator is at work, and by a bundle whose
config names it. A complete layer that none needs is kept for a while, for the next container.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from typing import Any

from pycontainer.base.errors import ContainerError
from pycontainer.image.store import LayerStore
from pycontainer.lifecycle.gc import Orphan
from pycontainer.linux.process import alive
from pycontainer.state.store import Store


def orphans(path: str, unused_s: float) -> Iterator[Orphan]:
    """What may go, in the order in which it should; layers if not used for so many seconds."""
    store = LayerStore(path)
    if not os.path.isdir(f"{store.path}/layers"):
        return
    for directory, owner in _containers(store):
        if not _is_alive(directory, owner):
            note = f"of container {owner.get('id', '?')}, which is gone"
            yield Orphan("layer", directory, note, lambda d=directory: _remove(store, d))  # type: ignore[misc]
    for record, bundle, _ in _bundles(store):
        if not os.path.exists(f"{bundle}/config.json"):
            note = f"of bundle {bundle}, which is gone"
            yield Orphan("record", record, note, lambda r=record: os.unlink(r))  # type: ignore[misc]
    used = _used(store)
    for name in sorted(os.listdir(f"{store.path}/layers")):
        directory = f"{store.path}/layers/{name}"
        idle = time.time() - os.stat(directory).st_mtime
        if name.startswith(".new-"):
            note = "unpacking it was interrupted"
        elif f"{directory}/fs" in used or idle < unused_s:
            continue
        else:
            note = f"{_size(directory) >> 20} MiB, not used for {int(idle)} s"
        yield Orphan("layer", directory, note, lambda d=directory: _remove(store, d))  # type: ignore[misc]


def user_of(store: LayerStore, writable: str) -> str:
    """The id of the container that has this directory of a writable layer; "" for none."""
    for directory, owner in _containers(store):
        if owner.get("writable") == writable and _is_alive(directory, owner):
            return str(owner["id"])
    return ""


def _remove(store: LayerStore, directory: str) -> None:
    """If still no container needs it."""
    with store.lock("use"), store.lock("unpack"):
        owner = dict(_containers(store)).get(directory)
        if f"{directory}/fs" in _used(store) or (owner and _is_alive(directory, owner)):
            raise ContainerError("it is in use again", "in-use")
        store.remove(directory)


def _used(store: LayerStore) -> set[str]:
    """The directories of all layers that a container needs."""
    found: set[str] = set()
    for directory, owner in _containers(store):
        if _is_alive(directory, owner):
            found.update(owner.get("layers", ()))
    for _, bundle, layers in _bundles(store):
        if os.path.exists(f"{bundle}/config.json"):
            found.update(layers)
    return found


def _containers(store: LayerStore) -> Iterator[tuple[str, dict[str, Any]]]:
    for directory, _ in _entries(f"{store.path}/containers"):
        yield directory, _document(f"{directory}/owner.json")


def _bundles(store: LayerStore) -> Iterator[tuple[str, str, list[str]]]:
    for record, _ in _entries(f"{store.path}/bundles"):
        document = _document(record)
        yield record, document.get("bundle", ""), document.get("layers", [])


def _entries(path: str) -> list[tuple[str, str]]:
    try:
        return [(f"{path}/{name}", name) for name in sorted(os.listdir(path))]
    except FileNotFoundError:
        return []


def _document(path: str) -> dict[str, Any]:
    try:
        with open(path, encoding="utf-8") as file:
            found = json.load(file)
        return found if isinstance(found, dict) else {}
    except (OSError, ValueError):
        return {}


def _is_alive(directory: str, owner: dict[str, Any]) -> bool:
    """Whether its container exists, or is being made; in doubt it does."""
    if alive(owner.get("pid", 0), owner.get("started") or 0):
        return True
    try:
        with Store(owner.get("root", "/nowhere")).open(owner.get("id", "-")) as entry:
            if not entry.exists():
                return entry.is_locked()
            return entry.read_facts().extra.get("layer") == directory
    except ContainerError:
        return os.access(f"{owner.get('root')}/{owner.get('id')}", os.F_OK)


def _size(directory: str) -> int:
    return int(_document(f"{directory}/info.json").get("size", 0))
