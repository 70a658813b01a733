"""A plan while it is compiled: operations in order, and numbers for the fds they will need.

Each file of this package adds the operations of one concern to a Sketch; `create.py` and
`exec.py` call them in the order that the kernel demands. Nothing here touches the host.
"""

from __future__ import annotations

from pycontainer.plan.ops import Op, named
from pycontainer.tables.mount_options import ATTR_RDONLY

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pycontainer.linux.host import Host


class Sketch:
    """What the compilers share: the config, the host, and the operations so far.

    `slots` counts the fds that go to the executor with the plan, `own_slots` those that it opens
    itself; `hook_files` are the slots of what the container's hooks write to (-1: to us);
    `warnings` are for the user.
    """

    __slots__ = (
        "config",
        "hook_files",
        "host",
        "linux",
        "ops",
        "own_slots",
        "process",
        "slots",
        "spaces",
        "warnings",
    )

    def __init__(self, config: dict[str, Any], host: Host) -> None:
        self.config = config
        self.host = host
        self.linux: dict[str, Any] = config.get("linux") or {}
        self.process: dict[str, Any] = config.get("process") or {}
        self.ops: list[Op] = []
        self.slots = 0
        self.own_slots = 0
        self.hook_files = (-1, -1)
        self.warnings: list[str] = []
        self.spaces: Any = None  # the Spaces of namespaces.py

    def add(self, kind: str, *, field: str = "", **arguments: int | str | bytes) -> None:
        """Append an operation; its arguments have the names of `ops.TABLE`."""
        self.ops.append(named(kind, arguments, field))

    def make_read_only(self, target: str, field: str) -> None:
        """Append the operation that makes one mount read-only."""
        self.add("mount_attr", attr_set=ATTR_RDONLY, target=target, field=field)

    def slot(self) -> int:
        """The number of one more fd that the executor will receive."""
        self.slots += 1
        return self.slots - 1

    def own_slot(self) -> int:
        """The number of one more fd that the executor opens; comes after all of `slot`."""
        self.own_slots += 1
        return self.slots + self.own_slots - 1


class Plan:
    """A compiled plan: the operations, and what the engine needs to know beside them. A value.

    `config` is what it was compiled from, for the words of a failure.
    """

    __slots__ = ("config", "ops", "terminal", "warnings")

    def __init__(self, sketch: Sketch, terminal: bool) -> None:
        self.config = sketch.config
        self.ops = sketch.ops
        self.terminal = terminal
        self.warnings = sketch.warnings
