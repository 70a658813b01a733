"""The parts of `pycontainer info` about security modules, filters and other programs."""

from __future__ import annotations

import os

from pycontainer.diagnose.namespaces import read
from pycontainer.hostinfo.item import Item

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pycontainer.base.settings import Settings


def security() -> list[Item]:
    """LSMs, seccomp, what is around this process itself."""
    modules = [name for name in read("/sys/kernel/security/lsm").split(",") if name]
    return [
        Item("lsm", modules, "security modules of the kernel (securityfs shows them)"),
        _apparmor(),
        _selinux(),
        _seccomp(),
        _confined(),
    ]


def _apparmor() -> Item:
    if read("/sys/module/apparmor/parameters/enabled") != "Y":
        return Item("apparmor", False, "process.apparmorProfile is refused")
    current = read("/proc/self/attr/apparmor/current") or read("/proc/self/attr/current")
    return Item(
        "apparmor", True, f"process.apparmorProfile works; we are {current or 'unconfined'}"
    )


def _selinux() -> Item:
    mode = read("/sys/fs/selinux/enforce")
    if mode not in ("0", "1"):
        return Item("selinux", False, "process.selinuxLabel is refused")
    words = "enforcing" if mode == "1" else "permissive"
    return Item("selinux", True, f"{words}; process.selinuxLabel works")


def _seccomp() -> Item:
    from pycontainer.hostinfo import features

    actions = read("/proc/sys/kernel/seccomp/actions_avail").split()
    library = features.libseccomp_version()
    if not actions:
        return Item("seccomp", False, "this kernel has no filters: linux.seccomp is refused")
    if not library:
        words = "linux.seccomp cannot be compiled without libseccomp.so.2"
        return Item("seccomp", False, words, "sudo apt install libseccomp2")
    return Item(
        "seccomp", f"libseccomp {library}", f"linux.seccomp works; actions: {' '.join(actions)}"
    )


def _confined() -> Item:
    """Is this process itself in a container?"""
    status = dict(
        line.split(":\t", 1) for line in read("/proc/self/status").splitlines() if ":\t" in line
    )
    filtered, frozen = status.get("Seccomp") == "2", status.get("NoNewPrivs") == "1"
    words = []
    if filtered:
        words.append("a seccomp filter is around us: an outer container may forbid things")
    if frozen:
        words.append("no_new_privs is set: newuidmap and newgidmap get no privileges")
    return Item("confined", bool(words), "; ".join(words) or "no filter around us, no no_new_privs")


def programs(settings: Settings) -> list[Item]:
    """Programs that we call, or that call us."""
    rows = (
        (settings.criu or "criu", "criu", "checkpoint and restore"),
        ("runc", "runc", "another runtime, to compare with"),
        ("crun", "crun", "another runtime, to compare with"),
        ("podman", "podman", "an engine: podman --runtime PATH uses pycontainer"),
    )
    return [_program(*row) for row in rows]


def _program(command: str, key: str, use: str) -> Item:
    from subprocess import SubprocessError, run

    path = _find(command)
    if not path:
        return Item(key, "", f"not installed: {use}")
    try:
        done = run([path, "--version"], capture_output=True, text=True, timeout=5, check=False)
    except (OSError, SubprocessError):
        return Item(key, path, f"does not run: {use}")
    first = (done.stdout.splitlines() or [""])[0]
    number = next((word for word in first.split() if word[:1].isdigit()), first)
    return Item(key, f"{path} {number}".rstrip(), use)


def _find(command: str) -> str:
    """Where a program is; not shutil.which, whose compression libraries no snapshot should hold."""
    directories = [""] if "/" in command else [*os.get_exec_path(), "/usr/sbin", "/sbin"]
    paths = (os.path.join(directory, command) for directory in directories)
    return next((path for path in paths if os.path.isfile(path) and os.access(path, os.X_OK)), "")
