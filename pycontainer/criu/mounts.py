"""Mounts that CRIU must not copy because they come from outside: it is told where they are.

On a dump each is named by its place in the container; on a restore the same name is given the
file on the host that is to be there. Places are resolved as the container's root sees them.
"""

from __future__ import annotations

import posix
from _stat import S_ISDIR, S_ISLNK
from errno import EINVAL, ENOENT, ENOTDIR

from pycontainer._shim import lib
from pycontainer.base.errors import HostError, os_reason
from pycontainer.linux.process import UNKNOWN_STATUS, reap
from pycontainer.tables.mount_options import parse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pycontainer.cgroups.paths import CgroupPaths

_MAX_LINKS = 40  # as the kernel
_NULL = "/dev/null"


def dumped(config: dict[str, Any], root: str, cgroup: CgroupPaths) -> list[dict[str, str]]:
    """The external mounts of a container whose root can be seen at `root`."""
    places = [place for place, _ in _binds(config, root)]
    places += [place for place, _ in _cgroups(config, root, cgroup)]
    places += [device["path"] for device in _linux(config).get("devices") or ()]
    found = [{"key": place, "val": place} for place in places]
    for path in _linux(config).get("maskedPaths") or ():
        place = resolve(root, path)
        try:
            directory = S_ISDIR(posix.stat(f"{root}{place}").st_mode)
        except OSError:
            continue  # not there, not masked
        if not directory:
            found.append({"key": place, "val": _NULL})
    return found


def restored(
    config: dict[str, Any], bundle: str, root: str, cgroup: CgroupPaths
) -> list[dict[str, str]]:
    """The same by name, with the host's file for each."""
    pairs = []
    for place, mount in _binds(config, root):
        source = mount.get("source") or ""
        pairs.append((place, source if source.startswith("/") else f"{bundle}/{source}"))
    pairs += _cgroups(config, root, cgroup)
    if _linux(config).get("maskedPaths"):
        pairs.append((_NULL, _NULL))
    pairs += [(device["path"],) * 2 for device in _linux(config).get("devices") or ()]
    return [{"key": place, "val": source} for place, source in pairs]


def seal_masks(config: dict[str, Any], pid: int) -> None:
    """CRIU binds the host's null device where a file was masked: the container may not change
    its mode, owner or times."""
    opened: list[int] = []
    try:
        for name, flags in (("ns/mnt", posix.O_RDONLY), ("root", posix.O_PATH | posix.O_DIRECTORY)):
            opened.append(posix.open(f"/proc/{pid}/{name}", flags | posix.O_CLOEXEC))
        for path in _linux(config).get("maskedPaths") or ():
            result = lib.shim_seal_in(*opened, path.encode())
            if result not in (0, -ENOENT, -ENOTDIR, -EINVAL):  # not there, or not masked
                raise HostError(
                    f"make the masked {path} read-only: {os_reason(-result)}", "os-error"
                )
    finally:
        for fd in opened:
            posix.close(fd)


def make_places(config: dict[str, Any], bundle: str, root: str) -> None:
    """Make what mounts are to stand on, inside `root`, where it is missing.

    By a child whose root it is: no symlink in there leads out. What lies on a tmpfs comes back
    with it, and cgroups with theirs.
    """
    mounts = config.get("mounts") or ()
    hidden = [m["destination"].rstrip("/") + "/" for m in mounts if m.get("type") == "tmpfs"]
    wanted = []
    for mount in mounts:
        place = mount["destination"]
        if mount.get("type") in ("cgroup", "cgroup2") or place.startswith(tuple(hidden)):
            continue
        wanted.append((place, _is_file(mount, bundle)))
    child = posix.fork()
    if child == 0:
        try:
            posix.chroot(root)
            posix.chdir("/")
            for place, file in wanted:
                _make(place, file)
            posix._exit(0)
        except OSError as error:
            posix._exit(error.errno or 255)
        finally:
            posix._exit(255)
    status = reap(child)
    if status is None:
        raise HostError(f"make mount points in {root}: {UNKNOWN_STATUS}")
    if status:
        code = posix.waitstatus_to_exitcode(status)
        raise HostError.of("make mount points in", root, code)


def resolve(root: str, path: str) -> str:
    """`path` with its symlinks replaced, each within `root`; what isn't there stays as it is."""
    parts = [part for part in path.split("/") if part not in ("", ".")][::-1]
    done: list[str] = []
    links = 0
    while parts:
        part = parts.pop()
        if part == "..":
            del done[-1:]
            continue
        here = "/".join(["", *done, part])
        try:
            link = S_ISLNK(posix.lstat(root + here).st_mode)
        except OSError:
            link = False
        if not link or links == _MAX_LINKS:
            done.append(part)
            continue
        links += 1
        target = posix.readlink(root + here)
        if target.startswith("/"):
            done = []
        parts += [part for part in target.split("/") if part not in ("", ".")][::-1]
    return "/" + "/".join(done)


def _binds(config: dict[str, Any], root: str) -> list[tuple[str, dict[str, Any]]]:
    found = []
    for mount in config.get("mounts") or ():
        options = parse(mount.get("options") or ())
        if options.bind and not options.remount:
            found.append((resolve(root, mount["destination"]), mount))
    return found


def _cgroups(config: dict[str, Any], root: str, cgroup: CgroupPaths) -> list[tuple[str, str]]:
    """v1 without a cgroup namespace: each hierarchy is a bind mount of the host's."""
    kinds = {space["type"] for space in _linux(config).get("namespaces") or ()}
    if cgroup.mode == "v2" or "cgroup" in kinds:
        return []
    from pycontainer.cgroups.layout import probe
    from pycontainer.cgroups.mounts import mount_entries

    found = []
    for mount in config.get("mounts") or ():
        if mount.get("type") in ("cgroup", "cgroup2"):
            place = resolve(root, mount["destination"])
            for name, _, directory, _ in mount_entries(probe(), cgroup):
                if directory:
                    found.append((f"{place}/{name}", directory))
    return found


def _linux(config: dict[str, Any]) -> dict[str, Any]:
    return config.get("linux") or {}


def _is_file(mount: dict[str, Any], bundle: str) -> bool:
    if not parse(mount.get("options") or ()).bind:
        return False
    source = mount.get("source") or ""
    try:
        stat = posix.stat(source if source.startswith("/") else f"{bundle}/{source}")
    except OSError as error:
        raise HostError.of("bind", source, error) from None
    return not S_ISDIR(stat.st_mode)


def _make(place: str, file: bool) -> None:
    directory, _, name = place.rstrip("/").rpartition("/")
    path = ""
    for part in directory.split("/"):
        if part:
            path += f"/{part}"
            _make_directory(path)
    if not file:
        _make_directory(f"{path}/{name}")
    else:
        try:
            posix.stat(f"{path}/{name}")
        except FileNotFoundError:
            posix.close(posix.open(f"{path}/{name}", posix.O_CREAT | posix.O_CLOEXEC, 0o755))


def _make_directory(path: str) -> None:
    try:
        posix.mkdir(path, 0o755)
    except FileExistsError:
        pass
