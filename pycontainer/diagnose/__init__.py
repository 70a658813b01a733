"""Why the host did not let an operation be done, and the command that fixes it.

Loaded after a failure. Enters: the plan, the operation, its errno and details. Leaves: a sentence
for the error, or "" when the host is not to blame. Each cause is looked up on the host, never
guessed from the errno alone: a wrong advice costs more than none.
"""

from __future__ import annotations

from errno import (
    EACCES,
    ECANCELED,
    EDQUOT,
    EINVAL,
    ELOOP,
    ENODEV,
    ENOENT,
    ENOSPC,
    ENOTDIR,
    EOVERFLOW,
    EPERM,
    EUSERS,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pycontainer.plan.ops import Op

    Ops = Sequence[Op]
    Finder = Callable[[Ops, Op, int, str], str]


def cause(ops: Ops, op: Op, errno: int, detail: str) -> str:
    """One sentence with the command that fixes it, or ""."""
    for kinds, numbers, find in _FINDERS:
        if op.kind in kinds and errno in numbers:
            try:
                found = find(ops, op, errno, detail)
            except OSError:
                continue  # what cannot be looked at explains nothing
            if found:
                return found
    return ""


def _user_namespace(ops: Ops, op: Op, errno: int, detail: str) -> str:
    from pycontainer.diagnose import namespaces as diagnose_namespaces

    return diagnose_namespaces.refused(op, errno)


def _restricted(ops: Ops, op: Op, errno: int, detail: str) -> str:
    """AppArmor lets the namespace be made, and then forbids all that it is for."""
    from pycontainer.diagnose import namespaces as diagnose_namespaces

    if not any(other.kind == "unshare" and other.ints[0] & NEWUSER for other in ops):
        return ""
    return str(diagnose_namespaces.apparmor() or "")


def _id_map(ops: Ops, op: Op, errno: int, detail: str) -> str:
    from pycontainer.diagnose import id_maps as diagnose_id_maps

    return diagnose_id_maps.refused(op, errno)


def _covered(ops: Ops, op: Op, errno: int, detail: str) -> str:
    from pycontainer.diagnose import mounts as diagnose_mounts

    return diagnose_mounts.refused(op["fstype"].decode())


def _locked(ops: Ops, op: Op, errno: int, detail: str) -> str:
    from pycontainer.diagnose import mounts as diagnose_mounts

    if "locked" in detail or "attributes" in detail:  # which says it all
        return ""
    return diagnose_mounts.locked(op["path" if op.kind.startswith("open") else "source"].decode())


def _way(ops: Ops, op: Op, errno: int, detail: str) -> str:
    from pycontainer.diagnose import paths as diagnose_paths

    return diagnose_paths.closed(ops, op)


def _root(ops: Ops, op: Op, errno: int, detail: str) -> str:
    from pycontainer.diagnose import paths as diagnose_paths

    return diagnose_paths.root(op)


def _source(ops: Ops, op: Op, errno: int, detail: str) -> str:
    from pycontainer.diagnose import paths as diagnose_paths

    return diagnose_paths.source(op)


def _target(ops: Ops, op: Op, errno: int, detail: str) -> str:
    from pycontainer.diagnose import paths as diagnose_paths

    return diagnose_paths.target(ops, op)


def _value(name: str) -> Finder:
    """A function of values.py."""

    def find(ops: Ops, op: Op, errno: int, detail: str) -> str:
        from pycontainer.diagnose import values

        found: str = getattr(values, name)(op, errno)
        return found

    return find


NEWUSER = 0x10000000
_PLACES = ("mount", "bind", "bind_host", "bind_link", "mkdir", "mknod", "symlink")
_NO = (EPERM, EACCES)
_OPENERS = ("open_source", "open_tree", "open_inside", "open_locked")
_FINDERS: tuple[tuple[tuple[str, ...], tuple[int, ...], Finder], ...] = (
    (("clone", "unshare", "respawn"), (EPERM, ENOSPC, EUSERS, EINVAL), _user_namespace),
    (("id_map",), (EPERM, EINVAL, ECANCELED), _id_map),
    (("id_map", "setgroups_deny", "become_root", "propagation", "rootfs"), _NO, _restricted),
    (
        ("mount", "open_source", "bind", "bind_host", "mknod", "loopback_up", "hostname"),
        _NO,
        _restricted,
    ),
    (("mount",), (EPERM,), _covered),
    ((*_OPENERS, "bind", "bind_host"), (EINVAL, EPERM), _locked),
    (
        (
            *_OPENERS,
            *("rootfs", "mount", "bind", "bind_host"),
            *("mkdir", "mknod", "symlink"),
        ),
        (EACCES, EOVERFLOW),
        _way,
    ),
    (("rootfs",), (ENOENT, ENOTDIR, EINVAL, ELOOP), _root),
    (("open_source", "open_tree", "bind", "bind_host"), (ENOENT, ENOTDIR, ELOOP), _source),
    (_PLACES, (ENOTDIR, ELOOP), _target),
    (("sysctl",), (ENOENT,), _value("sysctl")),
    (("mount",), (ENODEV,), _value("filesystem")),
    (("mount",), (EINVAL,), _value("option")),
    (("mount",), (ENOENT,), _value("layers")),
    (("memory_policy",), (EINVAL,), _value("nodes")),
    (("net_device",), (ENODEV,), _value("device")),
    (("open_namespace",), (ENOENT,), _value("namespace")),
    (("keyring",), (EDQUOT,), _value("keys")),
)
