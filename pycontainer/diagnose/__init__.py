"""Why the host did not let an operation be done, and the command that fixes it.

Loaded after a failure. Input: the plan, the operation, its errno and the detail's code. Output: a
sentence for the error, or "" when the host is not to blame. Each cause is looked up on the host,
never guessed from the errno alone: a wrong advice costs more than none.
"""

from __future__ import annotations

import sys
from errno import (
    EACCES,
    ECANCELED,
    EDQUOT,
    EEXIST,
    EINVAL,
    ELOOP,
    ENODEV,
    ENOENT,
    ENOSPC,
    ENOTBLK,
    ENOTDIR,
    EOVERFLOW,
    EPERM,
    ERANGE,
    EUSERS,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from pycontainer.plan.ops import Op


def cause(ops: Sequence[Op], op: Op, errno: int, code: str) -> str:
    """One sentence with the command that fixes it, or ""; `code` is the detail's."""
    known = {"ops": ops, "op": op, "errno": errno, "code": code}
    for kinds, numbers, name, wanted in _FINDERS:
        if op.kind in kinds and errno in numbers:
            module, _, function = f"{__name__}.{name}".rpartition(".")
            __import__(module)
            try:
                found = getattr(sys.modules[module], function)(*[known[key] for key in wanted])
            except OSError:
                continue  # what cannot be looked at explains nothing
            if found:
                return str(found)
    return ""


_OP = ("op", "errno")
_PLACES = ("mount", "bind", "bind_host", "bind_link", "mkdir", "mknod", "symlink")
_NO = (EPERM, EACCES)
_OPENERS = ("open_source", "open_tree", "open_inside", "open_locked")
_RESTRICTED = (
    *("id_map", "setgroups_deny", "become_root", "propagation", "rootfs"),
    *("mount", "open_source", "bind", "bind_host", "mknod", "loopback_up", "hostname"),
)
_WAYS = (*_OPENERS, "rootfs", "mount", "bind", "bind_host", "mkdir", "mknod", "symlink")
# Operations, errnos, a function of this package that looks, and what it is told.
_FINDERS: tuple[tuple[tuple[str, ...], tuple[int, ...], str, tuple[str, ...]], ...] = (
    (("clone", "unshare", "respawn"), (EPERM, ENOSPC, EUSERS, EINVAL), "namespaces.refused", _OP),
    (("id_map",), (EPERM, EINVAL, ECANCELED), "id_maps.refused", _OP),
    (_RESTRICTED, _NO, "namespaces.restricted", ("ops",)),
    (("mount",), (EPERM,), "mounts.refused", ("op",)),
    (
        (*_OPENERS, "bind", "bind_host", "bind_link"),
        (EINVAL, EPERM),
        "mounts.locked",
        ("op", "code"),
    ),
    (_WAYS, (EACCES, EOVERFLOW), "paths.closed", ("ops", "op")),
    (("rootfs",), (ENOENT, ENOTDIR, EINVAL, ELOOP), "paths.root", ("op",)),
    (
        ("open_source", "open_tree", "bind", "bind_host"),
        (ENOENT, ENOTDIR, ELOOP),
        "paths.source",
        ("op",),
    ),
    (_PLACES, (ENOTDIR, ELOOP), "paths.target", ("ops", "op", "code")),
    (("mknod",), (EEXIST, ENOENT), "paths.device", ("ops", "op", "code")),
    (("sysctl",), (ENOENT, EINVAL, ERANGE), "values.sysctl", _OP),
    (("mount",), (ENODEV,), "values.filesystem", _OP),
    (("mount",), (EINVAL,), "values.option", _OP),
    (("mount",), (ENOENT, ENOTBLK), "values.sources", _OP),
    (("memory_policy",), (EINVAL,), "values.nodes", _OP),
    (("raise_rlimit",), (EPERM,), "values.limit", _OP),
    (("time_offsets",), (EINVAL, ERANGE), "values.clock", _OP),
    (("net_device",), (ENODEV,), "values.device", _OP),
    (("open_namespace",), (ENOENT, *_NO), "values.namespace", _OP),
    (("keyring",), (EDQUOT,), "values.keys", _OP),
)
