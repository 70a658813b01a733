"""What `checkpoint` and `restore` are asked for, and what both say to CRIU alike."""

from __future__ import annotations

import posix

from pycontainer.base.errors import HostError, UsageError
from pycontainer.criu import rpc as wire
from pycontainer.tables.annotations import CRIU_CONFIG

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

DESCRIPTORS = "descriptors.json"  # in the images: where init's stdio went
CLONE_NEWNET = 0x40000000
_CONFIG_FILE = "/etc/criu/runc.conf"
_LOG_LEVEL = 4
# Options of the command line that are options of CRIU's, one to one.
_FLAGS = {
    "tcp-established": "tcp_established",
    "ext-unix-sk": "ext_unix_sk",
    "shell-job": "shell_job",
    "file-locks": "file_locks",
    "auto-dedup": "auto_dedup",
    "lazy-pages": "lazy_pages",
    "link-remap": "link_remap",
    "tcp-skip-in-flight": "tcp_skip_in_flight",
    "tcp-close": "tcp_close",
    "leave-running": "leave_running",
}


class CriuOptions:
    """`flags` are members of CRIU's options; paths are absolute, `parent` is relative to images."""

    __slots__ = (
        "flags",
        "images",
        "lsm_mount_context",
        "lsm_profile",
        "page_server",
        "parent",
        "pre_dump",
        "status_fd",
        "work",
    )

    def __init__(self, images: str, work: str = "", parent: str = "") -> None:
        self.images = images
        self.work = work
        self.parent = parent
        self.flags: dict[str, Any] = {}
        self.page_server: dict[str, Any] = {}
        self.pre_dump = False
        self.status_fd = -1
        self.lsm_profile = ""
        self.lsm_mount_context = ""

    @property
    def log_directory(self) -> str:
        """Where CRIU writes its log."""
        return self.work or self.images

    def set_flags(self, given: dict[str, Any]) -> None:
        """From the command line: `given` are the options of either command by name."""
        self.flags = {
            name: bool(given[option]) for option, name in _FLAGS.items() if option in given
        }
        mode = given.get("manage-cgroups-mode") or ""
        if mode not in wire.CGROUP_MODES:
            raise _none_of(f'invalid manage-cgroups-mode value "{mode}"', wire.CGROUP_MODES)
        self.flags["manage_cgroups"] = True  # what came before modes
        self.flags["manage_cgroups_mode"] = wire.CGROUP_MODES[mode]
        lock = given.get("network-lock")
        if lock:
            if lock not in wire.NETWORK_LOCKS:
                raise _none_of(f'invalid network-lock value "{lock}"', wire.NETWORK_LOCKS)
            self.flags["network_lock"] = wire.NETWORK_LOCKS[lock]
        for name in given.get("empty-ns") or ():
            if name != "network":
                raise UsageError(f'namespace "{name}" is not supported', "not-one-of")
        # Network devices are never ours: their owner makes them again.
        self.flags["empty_ns"] = CLONE_NEWNET

    def set_page_server(self, text: str) -> None:
        """ADDRESS:PORT; an IPv6 address stands in brackets."""
        address, colon, port = text.rpartition(":")
        if not (address and colon and port.isdigit() and int(port) < 1 << 16):
            raise UsageError("Use --page-server ADDRESS:PORT to specify page server", "wrong-form")
        self.page_server = {"address": address.strip("[]"), "port": int(port)}


def _none_of(text: str, choices: Iterable[str]) -> UsageError:
    names = [choice for choice in choices if choice]
    return UsageError(text, "not-one-of", choices=names)


def common(options: CriuOptions, config: dict[str, Any], log: str) -> dict[str, Any]:
    """The options of CRIU that dump and restore share, but for descriptors."""
    request = {
        **options.flags,
        "log_level": _LOG_LEVEL,
        "log_file": log,
        "notify_scripts": True,
        "orphan_pts_master": True,
    }
    file = (config.get("annotations") or {}).get(CRIU_CONFIG, _CONFIG_FILE)
    if file:
        request["config_file"] = file
    return request


def open_directory(path: str, create: bool = False) -> int:
    """A descriptor of it; HostError when it cannot be had."""
    try:
        if create:
            try:
                posix.mkdir(path, 0o700)
            except FileExistsError:
                pass
        return posix.open(path, posix.O_RDONLY | posix.O_DIRECTORY | posix.O_CLOEXEC)
    except OSError as error:
        raise HostError.of("open directory", path, error) from None
