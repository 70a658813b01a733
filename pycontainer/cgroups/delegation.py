"""A cgroup below the container's for the program to manage, crun's run.oci.delegate-cgroup; v2.

The limits stay on the container's own cgroup, which holds no process then, so that controllers can
be given to what is below it.
"""

from __future__ import annotations

from pycontainer.base.errors import OperationError
from pycontainer.cgroups.create import _enable, _make, _mark
from pycontainer.linux.files import read_text, write_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pycontainer.cgroups.cgroup import Cgroup


def hand_down(cgroup: Cgroup, directory: str, uid: int, pid: int) -> None:
    """Make `directory` below the cgroup, move `pid` there, and give it to a host's `uid`.

    OperationError when any of it fails; what was made is the cgroup's to undo.
    """
    top = cgroup.paths.unified
    try:
        _make(directory, (top,), cgroup.made)
        _mark(cgroup, cgroup.made)
        write_text(f"{directory}/cgroup.procs", str(pid))
        level = top
        for name in directory[len(top) + 1 :].split("/"):
            _enable(level, read_text(f"{level}/cgroup.controllers").split())
            level = f"{level}/{name}"
    except OSError as error:
        number = error.errno or 0
        raise OperationError.of(
            "delegate cgroup", directory, number, operation="cgroup_delegate"
        ) from None
    if uid:
        cgroup.delegate(uid, directory)
