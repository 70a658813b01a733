"""Why the host did not let an operation be done, and what mends it; loaded after a failure."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pycontainer.plan.op import Op


def cause(op: Op, errno: int, detail: str) -> str:
    """One sentence with the command that mends it, or "" when the host is not to blame."""
    return ""
