"""The overlay of layers: as an entry of config.json, and mounted for a while in a child process."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from pycontainer._shim import lib
from pycontainer.base.errors import HostError, check
from pycontainer.linux.host import kernel

VALUE_MAX = 250  # bytes of one option of the mount API: fsconfig(2) takes 256
APPENDS_LAYERS = (6, 8)  # the Linux whose overlay takes lower directories one by one


def appends() -> bool:
    """Whether overlay takes lower directories one by one (lowerdir+)."""
    return kernel() >= APPENDS_LAYERS


def entry(
    lower: Sequence[str], directory: str, *, user: bool, writable: bool = True
) -> dict[str, Any]:
    """The mount of config.json: `lower`, the topmost first, below DIRECTORY/upper if `writable`."""
    paths = [*lower, directory]
    if wrong := [path for path in paths if any(c in path for c in ":,\\") or len(path) > 240]:
        raise HostError(
            f"{wrong[0]} is no place for a layer: it has ':', ',' or is too long", "wrong-path"
        )
    if appends() and len(":".join(lower)) > VALUE_MAX:
        options = [f"lowerdir+={path}" for path in lower]
    else:
        options = [f"lowerdir={':'.join(lower)}"]
    if writable:
        options += [f"upperdir={directory}/upper", f"workdir={directory}/work"]
    if user:
        options.append("userxattr")
    return {"destination": "/", "type": "overlay", "source": "overlay", "options": options}


def mount(
    lower: Sequence[str], upper: str, work: str, target: str, *, layers: str, user: bool
) -> None:
    """Mount `lower`, the topmost first, and `upper` on TARGET: in a child process.

    `layers` is the directory of most of them: mount(2) takes one page of options, which has room
    for short names only.
    """
    os.chdir(layers)
    names = ":".join(path.removeprefix(f"{layers}/") for path in lower)
    xattr = ",userxattr" if user else ""
    options = f"lowerdir={names},upperdir={upper},workdir={work}{xattr}"
    mounted = lib.shim_mount(b"overlay", os.fsencode(target), b"overlay", 0, os.fsencode(options))
    check(mounted, f"mount an overlay of {len(lower)} layers on {target}")


def unmount(target: str) -> None:
    """Undo `mount`."""
    check(lib.shim_detach(os.fsencode(target)), f"unmount {target}")
