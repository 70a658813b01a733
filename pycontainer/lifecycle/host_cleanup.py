"""What few containers leave outside of their namespaces and cgroup, and how it is removed.

`Facts.extra` says what there is: `resctrl`, a resource group; `mounted`, that its mounts are in the
host's mount namespace; `bound`, where a restore binds the root meanwhile; `layer`, its directory in
the layer store. Loaded for such containers only.
"""

from __future__ import annotations

from errno import EINVAL, ENOENT

from pycontainer._shim import lib
from pycontainer.base.errors import ContainerError, check
from pycontainer.base.steps import attempt_each

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def remove(extra: dict[str, Any], rootfs: str) -> list[ContainerError]:
    """Remove all of it; returns what failed."""
    present = [(remover, extra[name]) for name, remover in _REMOVERS if extra.get(name)]
    return attempt_each(lambda pair: pair[0](pair[1], rootfs), present)


def _leave_group(group: dict[str, Any], rootfs: str) -> None:
    from pycontainer.resctrl import group as resctrl_group

    resctrl_group.remove(group)


def _unmount(_: bool, rootfs: str) -> None:
    """The root was bound on itself: with that mount goes everything below it."""
    _detach(rootfs, rootfs)


def _detach(path: str, rootfs: str) -> None:
    result = lib.shim_detach(path.encode())
    if result not in (-EINVAL, -ENOENT):  # no mount point: it never came to it
        check(result, f"unmount {path}")


def _remove_layer(path: str, rootfs: str) -> None:
    """Its writable layer, with the config that was made for it."""
    from pycontainer.linux import namespace_child, trees

    trees.remove(path, namespace_child.ids_of_caller())


_REMOVERS = (
    ("resctrl", _leave_group),
    ("mounted", _unmount),
    ("bound", _detach),
    ("layer", _remove_layer),
)
