"""`checkpoint`: a running container becomes a directory of images, through CRIU."""

from __future__ import annotations

import fcntl
import posix

from pycontainer.base import jsonfast
from pycontainer.base.errors import HostError, OperationError, StateError, UsageError, os_reason
from pycontainer.criu import mounts as criu_mounts
from pycontainer.criu import rpc as wire
from pycontainer.criu.options import DESCRIPTORS, common, open_directory
from pycontainer.criu.service import OLDEST, Criu, Service, explained

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pycontainer.criu.options import CriuOptions
    from pycontainer.lifecycle.container import Container

_LOG = "dump.log"
_FREEZES_V2 = 31400  # CRIU 3.14 knows the freezer of cgroup v2
_TELLS_READY = 31500  # CRIU 3.15 says when its lazy page server is
# Namespaces that may belong to others: (type in config.json, name of CRIU's, since)
_EXTERNAL = (("network", "net", 31100), ("pid", "pid", 31500))


def checkpoint(container: Container, options: CriuOptions) -> None:
    """Write the images; unless told to leave it running, the container is deleted afterwards."""
    check_status(container)
    criu = Criu(container.settings)
    criu.require(OLDEST, "checkpoint")
    if options.pre_dump:
        criu.require_feature("mem_track")
    if options.flags.get("lazy_pages"):
        criu.require_feature("lazy_pages")
        _check_status_fd(options.status_fd)
    images = open_directory(options.images, create=True)
    work = open_directory(options.work, create=True) if options.work else -1
    try:
        request = _request(criu, container, options)
        request["images_dir_fd"] = images
        if work >= 0:
            request["work_dir_fd"] = work
        if not options.pre_dump:
            _write_descriptors(images, container.facts.pid)
        kind = wire.PRE_DUMP if options.pre_dump else wire.DUMP
        Service(criu, []).ask({"type": kind, "opts": request}, _Listener(options).hear)
    except OperationError as error:
        raise explained(error, f"{options.log_directory}/{_LOG}") from None
    finally:
        posix.close(images)
        if work >= 0:
            posix.close(work)
    if not (options.pre_dump or options.flags.get("leave_running")):
        container.delete(force=True)


def check_status(container: Container) -> None:
    """StateError unless there are processes that run."""
    now = container.status()
    if now not in ("running", "paused"):
        raise StateError(f"container cannot be checkpointed in {now} state", "wrong-state")


class _Listener:
    """What CRIU says on its way: only that pages are served is of use to the caller."""

    __slots__ = ("options",)

    def __init__(self, options: CriuOptions) -> None:
        self.options = options

    def hear(self, script: str, pid: int, fds: list[int]) -> None:
        fd = self.options.status_fd
        if script == "status-ready" and fd >= 0:
            posix.write(fd, b"\0")
            posix.close(fd)
            self.options.status_fd = -1


def _request(criu: Criu, container: Container, options: CriuOptions) -> dict[str, Any]:
    facts, config = container.facts, container.config()
    request = {
        **common(options, config, _LOG),
        "pid": facts.pid,
        "root": facts.rootfs,
        "external": _external_namespaces(criu, config),
    }
    freezer = container.cgroup.paths.directory("freezer")
    if container.cgroup.paths.mode == "v2":
        usable = criu.version() >= _FREEZES_V2
        freezer = container.cgroup.paths.unified if usable else ""
    if freezer:
        request["freeze_cgroup"] = freezer
    if options.page_server:
        request["ps"] = options.page_server
    if options.parent:
        request["parent_img"] = options.parent
        request["track_mem"] = True
    if not options.pre_dump:
        root = f"/proc/{facts.pid}/root"
        request["ext_mnt"] = criu_mounts.dumped(config, root, container.cgroup.paths)
    return request


def _external_namespaces(criu: Criu, config: dict[str, Any]) -> list[str]:
    spaces = (config.get("linux") or {}).get("namespaces") or ()
    paths = {space["type"]: space.get("path") for space in spaces}
    found = []
    for kind, name, since in _EXTERNAL:
        path = paths.get(kind)
        if not path:
            continue
        criu.require(since, f"checkpoint in a {kind} namespace that is not its own")
        try:
            number = posix.stat(path).st_ino
        except OSError as error:
            raise HostError(
                f"find {kind} namespace {path}: {os_reason(error.errno or 0)}", "os-error"
            ) from None
        found.append(f"{name}[{number}]:{namespace_key(name)}")
    return found


def namespace_key(name: str) -> str:
    """What images call a namespace that is not theirs; the same as runc does."""
    return f"extRoot{name.capitalize()}NS"


def _write_descriptors(images: int, pid: int) -> None:
    """Where stdio goes: pipes are replaced on a restore by what is there then."""
    links = []
    for fd in range(3):
        try:
            links.append(posix.readlink(f"/proc/{pid}/fd/{fd}"))
        except OSError:
            links.append("")  # closed
    flags = posix.O_WRONLY | posix.O_CREAT | posix.O_TRUNC | posix.O_CLOEXEC
    file = posix.open(DESCRIPTORS, flags, 0o600, dir_fd=images)
    try:
        posix.write(file, jsonfast.dumps(links).encode())
    finally:
        posix.close(file)


def _check_status_fd(fd: int) -> None:
    if fd < 0:
        return
    try:
        writable = fcntl.fcntl(fd, fcntl.F_GETFL) & (posix.O_WRONLY | posix.O_RDWR)
    except OSError as error:
        raise UsageError(
            f"invalid --status-fd argument {fd}: {os_reason(error.errno or 0)}", "os-error"
        ) from None
    if not writable:
        raise UsageError(f"invalid --status-fd argument {fd}: not writable", "not-writable")
