"""What the engine does for few containers: loaded when a plan has one of these operations.

Each handler gets the run and the operation, like the engine's own methods, and fails as they do.
"""

from __future__ import annotations

import posix

from pycontainer._shim import lib
from pycontainer.channel import MSG_LISTENER
from pycontainer.errors import CLIENT_TEXTS, OperationError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from pycontainer.engine import _Run as Run
    from pycontainer.plan.op import Op


def hand_listener_on(run: Run) -> None:
    """A filter that notifies: its agent gets the descriptor before the program runs."""
    fd = run._talk().expect(MSG_LISTENER)
    try:
        if run.around.listener is not None:
            run.around.listener(fd, run.pid)
    finally:
        posix.close(fd)
    run.waits = True


def obituary(run: Run) -> OperationError:
    """The executor is gone without a word: killed, most likely for its memory."""
    posix.kill(run.pid, 9)
    _, status = posix.waitpid(run.pid, 0)
    reason = f"killed by signal {status & 0x7F}" if status & 0x7F else f"exit {status >> 8}"
    hint = ""
    cgroup = run.around.cgroup
    if cgroup is not None and cgroup.oom_kills():
        reason += ", out of memory"
        hint = "raise linux.resources.memory.limit"
    run.pid = 0
    return OperationError(
        f"{CLIENT_TEXTS['start_failed']}: the container's init died ({reason})", hint=hint
    )


def _idmap_tree(run: Run, op: Op) -> None:
    """A source that is attached nowhere yet gets its ids mapped, by a namespace made for it."""
    slot, recursive = op.ints
    uids, gids, namespace, _ = op.texts
    if namespace:
        space = run._open(namespace, posix.O_RDONLY)
    else:
        space = run._check(lib.shim_user_namespace(uids, gids))
    try:
        run._check(lib.shim_idmap(run.slots[slot], space, recursive))
    finally:
        posix.close(space)


HANDLERS: dict[str, Callable[[Run, Op], None]] = {
    "idmap_tree": _idmap_tree,
}
