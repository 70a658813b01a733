"""Devices and the symlinks of /dev: the defaults of runtime-linux.md, and `linux.devices`."""

from __future__ import annotations

from _stat import S_IFBLK, S_IFCHR, S_IFIFO

from pycontainer.base.settings import clean
from pycontainer.plan.builder import Sketch
from pycontainer.tables.mount_options import parse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    # Of devices that are made before the user namespace is entered, by path (the defaults) or by
    # their number in linux.devices.
    Slots = dict[str | int, int]

# config-linux.md#default-devices: path, major, minor
DEFAULT_DEVICES = (
    ("/dev/null", 1, 3),
    ("/dev/zero", 1, 5),
    ("/dev/full", 1, 7),
    ("/dev/random", 1, 8),
    ("/dev/urandom", 1, 9),
    ("/dev/tty", 5, 0),
)
# runtime-linux.md#dev-symbolic-links: target, path, replace what is there
SYMLINKS = (
    ("/proc/self/fd", "/dev/fd", 0),
    ("/proc/self/fd/0", "/dev/stdin", 0),
    ("/proc/self/fd/1", "/dev/stdout", 0),
    ("/proc/self/fd/2", "/dev/stderr", 0),
)
_PTMX = "/dev/ptmx"
_TYPES = {"c": S_IFCHR, "u": S_IFCHR, "b": S_IFBLK, "p": S_IFIFO}


def node(device: dict[str, Any]) -> tuple[int, int]:
    """Of a listed device: the mode with the type, and the numbers as major << 32 | minor."""
    mode = device.get("fileMode")
    mode = (0o666 if mode is None else mode & 0o7777) | _TYPES[device["type"]]
    return mode, device.get("major", 0) << 32 | device.get("minor", 0)


def compile_devices(sketch: Sketch, bound: set[str], slots: Slots) -> None:
    """All devices and symlinks, unless the config binds a /dev of its own; what it has `bound` to
    places in there stays (/dev/urandom on /dev/random, say). `slots` are of those made outside."""
    if dev_is_bound(sketch):
        return
    named = bound | {clean(device["path"]) for device in sketch.linux.get("devices") or ()}
    bind = int(sketch.spaces.user)
    for path, major, minor in DEFAULT_DEVICES:
        if path not in named:
            number = major << 32 | minor
            slot = slots.get(path, -1)
            sketch.add(
                "mknod",
                mode=S_IFCHR | 0o666,
                device=number,
                uid=0,
                gid=0,
                bind=bind,
                slot=slot,
                path=path,
                source=path,
            )
    _listed(sketch, bind, bound, slots)
    for target, path, replace in SYMLINKS:
        sketch.add("symlink", replace=replace, target=target, path=path)
    if sketch.host.kcore:
        sketch.add("symlink", replace=0, target="/proc/kcore", path="/dev/core")
    if _PTMX not in bound:
        sketch.add("symlink", replace=1, target="pts/ptmx", path=_PTMX)


def _listed(sketch: Sketch, bind: int, bound: set[str], slots: Slots) -> None:
    for index, device in enumerate(sketch.linux.get("devices") or ()):
        path = clean(device["path"])
        if path == _PTMX:  # the link to the container's own takes its place: engines list it, too
            continue
        if path in bound:
            continue
        field = f"linux.devices[{index}]"
        pipe = device["type"] == "p"  # which takes no privilege, and is the container's own
        mode, number = node(device)
        sketch.add(
            "mknod",
            mode=mode,
            device=number,
            uid=device.get("uid") or 0,
            gid=device.get("gid") or 0,
            bind=int(bind and not pipe),
            slot=slots.get(index, -1),
            path=path,
            source="" if pipe else path,
            field=field,
        )


def dev_is_bound(sketch: Sketch) -> bool:
    """True when /dev is a directory of the host's, which has its own devices."""
    return any(
        clean(mount["destination"]) == "/dev" and parse(mount.get("options") or ()).bind
        for mount in sketch.config.get("mounts") or ()
    )
