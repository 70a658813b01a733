"""What this host and this process can do, probed once and passed in; tests make their own.

The plan depends on the host only through a `Host`, so that a plan can be compiled, printed and
compared anywhere.
"""

from __future__ import annotations

import posix

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

ALL_CAPABILITIES = (1 << 41) - 1


class Host:
    """Facts about the host.

    `permitted`: the capabilities of this process, as a mask. `rootless`: this process has no
    privileges over the host (another user, or a user namespace). `apparmor`, `selinux`: the LSM
    is there and enabled. `kcore`: /proc/kcore exists. `mounts`: we may open mounts and attach them,
    in the mount namespace that we are in. `setgroups`: the user namespace that we are in has it.
    `procfs_pidns`: a procfs can be mounted for another pid namespace, `ambient`: our securebits
    allow ambient capabilities (None: find out when asked).
    """

    __slots__ = (
        "_ambient",
        "_procfs_pidns",
        "apparmor",
        "gid",
        "kcore",
        "mounts",
        "permitted",
        "rootless",
        "selinux",
        "setgroups",
        "uid",
    )

    def __init__(
        self,
        *,
        uid: int = 0,
        gid: int = 0,
        rootless: bool = False,
        permitted: int = ALL_CAPABILITIES,
        apparmor: bool = False,
        selinux: bool = False,
        kcore: bool = True,
        mounts: bool = True,
        setgroups: bool = True,
        procfs_pidns: bool | None = False,
        ambient: bool | None = True,
    ) -> None:
        self.uid = uid
        self.gid = gid
        self.rootless = rootless
        self.permitted = permitted
        self.apparmor = apparmor
        self.selinux = selinux
        self.kcore = kcore
        self.mounts = mounts
        self.setgroups = setgroups
        self._procfs_pidns = procfs_pidns
        self._ambient = ambient

    @property
    def ambient(self) -> bool:
        """Few configs have ambient capabilities: they pay for the question."""
        if self._ambient is None:
            from pycontainer._shim import lib

            self._ambient = bool(lib.shim_ambient_allowed())
        return self._ambient

    @property
    def procfs_pidns(self) -> bool:
        """As for `ambient`."""
        if self._procfs_pidns is None:
            from pycontainer._shim import lib

            self._procfs_pidns = bool(lib.shim_procfs_pidns())
        return self._procfs_pidns


def probe(rootless: bool = False) -> Host:
    """Look at this host: a few system calls."""
    from pycontainer._shim import ffi, lib
    from pycontainer.base.errors import check

    permitted = ffi.new("unsigned long *")
    check(lib.shim_capabilities(permitted), "read our capabilities")
    return Host(
        uid=posix.geteuid(),
        gid=posix.getegid(),
        rootless=rootless,
        permitted=permitted[0],
        apparmor=_says("/sys/module/apparmor/parameters/enabled", b"Y"),
        selinux=posix.access("/sys/fs/selinux/enforce", posix.F_OK),
        kcore=posix.access("/proc/kcore", posix.F_OK),
        mounts=not rootless or _may_mount(lib),
        setgroups=not rootless or not _says("/proc/self/setgroups", b"d"),  # deny
        procfs_pidns=None,
        ambient=None,
    )


def _may_mount(lib: Any) -> bool:
    """Privileges count only over the user namespace that owns our mount namespace."""
    fd: int = lib.shim_open_tree(b"/", 0)
    if fd < 0:
        return False
    posix.close(fd)
    return True


def _says(path: str, letter: bytes) -> bool:
    """Whether a file begins with this letter; a file that is not there does not."""
    try:
        fd = posix.open(path, posix.O_RDONLY | posix.O_CLOEXEC)
    except OSError:
        return False
    try:
        return posix.read(fd, 1) == letter
    finally:
        posix.close(fd)


def kernel() -> tuple[int, int]:
    """The running kernel's version, (6, 18) for "6.18.44" as for "6.18-rc1"."""
    major, minor = posix.uname().release.split(".")[:2]
    digits = "".join(filter(str.isdigit, minor.partition("-")[0]))
    return int(major), int(digits or 0)
