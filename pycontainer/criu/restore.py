"""`restore`: a container from the images that `checkpoint` has written, through CRIU.

    reserve the id, make the cgroup, make mount points, bind the root to where CRIU wants it
    CRIU, already in that cgroup, makes the processes; the first is our child (rst_sibling)
    "setup-namespaces"   hooks that are due when the namespaces exist
    "orphan-pts-master"  the terminal's master end
    "post-restore"       the pid, written down before anything runs

Anything that fails takes everything back, as a failed create does.
"""

from __future__ import annotations

import posix

from pycontainer._shim import lib
from pycontainer.base import jsonfast
from pycontainer.base.errors import ConfigError, HostError, check, os_reason
from pycontainer.criu import mounts as criu_mounts
from pycontainer.criu import rpc as wire
from pycontainer.criu.checkpoint import namespace_key
from pycontainer.criu.options import DESCRIPTORS, CriuOptions, common, open_directory
from pycontainer.criu.service import OLDEST, Criu, CriuError, Service, explained
from pycontainer.executor.engine import Started
from pycontainer.lifecycle.create import Creation
from pycontainer.linux.process import open_pidfd, start_time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pycontainer.base.settings import Settings
    from pycontainer.cgroups.cgroup import Cgroup
    from pycontainer.lifecycle.options import CreateOptions

_LOG = "restore.log"
_ROOT = "criu-root"
_FIRST_EXTRA_FD = 4  # 3 is the service's socket
_LSM_SINCE = 31600
_INHERITED = {"network": "net", "pid": "pid"}  # namespaces of others that CRIU takes as they are
_JOINED = {"mount": "mnt", "ipc": "ipc", "uts": "uts", "user": "user", "time": "time"}


def restore(
    settings: Settings, container_id: str, create: CreateOptions, options: CriuOptions
) -> int:
    """Restore and, unless detached, wait; the exit status, 0 when detached."""
    criu = Criu(settings)
    criu.require(OLDEST, "restore")
    if options.lsm_profile or options.lsm_mount_context:
        criu.require(_LSM_SINCE, "restore with another LSM label")
    from pycontainer.lifecycle.container import Container

    return Container.attend(_Restoration(settings, container_id, create, criu, options))


class _Restoration(Creation):
    """A creation whose process comes from images."""

    __slots__ = ("bound", "criu", "criu_options", "extra_fds")
    starts = False  # it goes on; it has started long ago

    def __init__(
        self,
        settings: Settings,
        container_id: str,
        create: CreateOptions,
        criu: Criu,
        options: CriuOptions,
    ) -> None:
        super().__init__(settings, container_id, create, gated=False)
        self.criu = criu
        self.criu_options = options
        self.extra_fds: list[int] = []
        self.bound = True  # the root, from the moment when it may be

    def carry_out(self) -> Started:
        """Make the container; after a failure nothing of it is left."""
        try:
            return super().carry_out()
        except CriuError as error:
            raise explained(error, f"{self.criu_options.log_directory}/{_LOG}") from None

    def _make(self) -> Started:
        cgroup = self._make_cgroup()
        criu_mounts.make_places(self.config, self.bundle, self.rootfs)
        self._ask(cgroup)
        if self.started is None:
            raise CriuError("criu restore: no process has come back")
        cgroup.settle(self.cgroup_plan.resources)
        self.bound = False
        self.facts = self.facts.replace(extra=self._extra())
        self.entry.write_facts(self.facts)
        return self.started

    def _extra(self) -> dict[str, Any]:
        extra = super()._extra()
        return extra | {"bound": self.entry.path(_ROOT)} if self.bound else extra

    def _warn(self) -> None:
        """The plan has not been carried out: what it warns of has not come up."""

    def _make_cgroup(self) -> Cgroup:
        from pycontainer.executor.cgroup_handlers import Placeholder

        resources, cgroup = self.cgroup_plan.resources, self.cgroup
        assert cgroup is not None
        cgroup.start(resources, Placeholder)
        warnings = cgroup.create(resources, self.settings.rootless)
        warnings += cgroup.apply(resources.writes)
        warnings += cgroup.apply_devices(resources, self.settings.rootless)
        for warning in warnings:
            self.settings.log.warning(warning)
        return cgroup

    def _ask(self, cgroup: Cgroup) -> None:
        """The request, with the root where CRIU wants it: a mount point below no other mount."""
        root, options = self.entry.path(_ROOT), self.criu_options
        posix.mkdir(root, 0o700)
        opened = [open_directory(options.images)]
        if options.work:
            opened.append(open_directory(options.work, create=True))
        check(lib.shim_bind(self.rootfs.encode(), root.encode()), f"bind {self.rootfs} to {root}")
        try:
            request = self._request(options, cgroup)
            request["images_dir_fd"] = opened[0]
            if options.work:
                request["work_dir_fd"] = opened[1]
            request["root"] = root
            request["inherit_fd"] += self._inherited_stdio(opened[0])
            service = Service(self.criu, self.extra_fds)
            cgroup.attach(service.pid)
            request["cg_root"] = _cgroup_roots(service.pid)
            service.ask({"type": wire.RESTORE, "opts": request}, self._hear)
        finally:
            lib.shim_detach(root.encode())
            posix.rmdir(root)
            for fd in (*opened, *self.extra_fds):
                posix.close(fd)

    def _request(self, options: CriuOptions, cgroup: Cgroup) -> dict[str, Any]:
        request = {
            **common(options, self.config, _LOG),
            "evasive_devices": True,
            "rst_sibling": True,
            "ext_mnt": criu_mounts.restored(self.config, self.bundle, self.rootfs, cgroup.paths),
            "inherit_fd": [],
            "join_ns": [],
        }
        if request["manage_cgroups_mode"] == wire.CGROUP_MODES["strict"]:
            # Strict is that none may be there before. CRIU would find the one that we have made.
            request["manage_cgroups_mode"] = wire.CGROUP_MODES["full"]
        if options.lsm_profile:
            request["lsm_profile"] = options.lsm_profile
        if options.lsm_mount_context:
            request["lsm_mount_context"] = options.lsm_mount_context
        for space in (self.config.get("linux") or {}).get("namespaces") or ():
            kind, path = space["type"], space.get("path")
            if not path:
                continue
            if kind in _INHERITED:
                number = _FIRST_EXTRA_FD + len(self.extra_fds)
                self.extra_fds.append(_open_namespace(path))
                request["inherit_fd"].append({"key": namespace_key(_INHERITED[kind]), "fd": number})
            elif kind in _JOINED:
                request["join_ns"].append({"ns": _JOINED[kind], "ns_file": path})
            else:
                raise ConfigError(
                    "criu cannot restore into one that exists",
                    "not-allowed",
                    f"linux.namespaces: {kind}",
                )
        return request

    def _inherited_stdio(self, images: int) -> list[dict[str, Any]]:
        """Pipes that were stdio are our stdio now."""
        try:
            file = posix.open(DESCRIPTORS, posix.O_RDONLY | posix.O_CLOEXEC, dir_fd=images)
        except OSError as error:
            raise HostError(
                f"read {DESCRIPTORS} of images: {os_reason(error.errno or 0)}", "os-error"
            ) from None
        try:
            links = jsonfast.loads(posix.read(file, 65536))
        except ValueError as error:
            raise HostError(f"read {DESCRIPTORS} of images: {error}", "unreadable") from None
        finally:
            posix.close(file)
        return [{"key": link, "fd": fd} for fd, link in enumerate(links) if "pipe:" in link]

    def _hear(self, script: str, pid: int, fds: list[int]) -> None:
        if script == "setup-namespaces":
            for stage in ("prestart", "createRuntime"):
                if (self.config.get("hooks") or {}).get(stage):
                    self._run_hooks(stage, pid)
        elif script == "orphan-pts-master" and fds:
            self.attachment.take_console(fds[0])
        elif script == "post-restore":
            self.started = Started(pid, open_pidfd(pid, start_time(pid) or 0))
            if _has_own_time(pid):
                namespaces = {**self.facts.namespaces, "time": True}
                self.facts = self.facts.replace(namespaces=namespaces)
            self._record("created", pid)
            criu_mounts.seal_masks(self.config, pid)


def _has_own_time(pid: int) -> bool:
    """CRIU restores into a new time namespace, so that clocks go on where they were: config.json
    does not name it, and `exec` has to join it."""
    try:
        theirs, ours = (posix.stat(f"/proc/{who}/ns/time").st_ino for who in (pid, "self"))
    except FileNotFoundError:  # before Linux 5.6, or it has ended
        return False
    return theirs != ours


def _open_namespace(path: str) -> int:
    try:
        return posix.open(path, posix.O_RDONLY | posix.O_CLOEXEC)
    except OSError as error:
        raise HostError.of("open namespace", path, error) from None


def _cgroup_roots(pid: int) -> list[dict[str, str]]:
    """Where the process is in each hierarchy: what the images call their own is there now."""
    with open(f"/proc/{pid}/cgroup", encoding="utf-8") as file:
        lines = [line.rstrip("\n").split(":", 2) for line in file]
    return [{"ctrl": names, "path": path} for _, names, path in lines]
