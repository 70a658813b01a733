"""What few containers leave outside of their namespaces and cgroup, and how it is removed.

`Facts.extra` says what there is: `resctrl`, a resource group; `mounted`, that its mounts are in the
host's mount namespace; `layer`, its directory in the layer store. Loaded for such containers only.
"""

from __future__ import annotations

from errno import EINVAL, ENOENT

from pycontainer._shim import lib
from pycontainer.base.errors import ContainerError, check

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def remove(extra: dict[str, Any], rootfs: str) -> None:
    """Remove all of it; the first ContainerError is raised once everything has been tried."""
    failure: ContainerError | None = None
    for name, remover in _REMOVERS:
        if extra.get(name):
            try:
                remover(extra[name], rootfs)
            except ContainerError as error:
                failure = failure or error
    if failure is not None:
        raise failure


def _leave_group(group: dict[str, Any], rootfs: str) -> None:
    from pycontainer.resctrl import group as resctrl_group

    resctrl_group.remove(group)


def _unmount(_: bool, rootfs: str) -> None:
    """The root was bound on itself: with that mount goes everything below it."""
    result = lib.shim_detach(rootfs.encode())
    if result not in (-EINVAL, -ENOENT):  # no mount point: it never came to it
        check(result, f"unmount {rootfs}")


def _remove_layer(path: str, rootfs: str) -> None:
    """Its writable layer, with the config that was made for it."""
    from pycontainer.linux import namespace_child, trees

    trees.remove(path, namespace_child.ids_of_caller())


_REMOVERS = (("resctrl", _leave_group), ("mounted", _unmount), ("layer", _remove_layer))
