"""`top`: all containers, live."""

from __future__ import annotations

from pycontainer.cli.options import FLAG, TEXT, TEXTS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pycontainer.base.settings import Settings
    from pycontainer.cli.options import Arguments

SUMMARY = "show what containers use, live"
USAGE = "top [options]"
WORDS = (0, 0)
OPTIONS = (
    ("interval", "i", TEXT, "TIME", "between two samples (default 2s)"),
    ("filter", "", TEXTS, "CONDITION", "only those with memory>100M, engine=podman, ..."),
    ("sort", "", TEXT, "COLUMN", "by a column (default cpu); -COLUMN reverses"),
    ("tree", "", FLAG, "", "by parent cgroup"),
)
HELP = """\
Keys: arrows, PgUp, PgDn to move; < > another column to sort by, r to reverse; / a filter like
"memory>100M" or a part of an id; t by parent cgroup; + - the interval; space to hold; q to leave.
On a wide terminal there are more columns.
"""


def run(settings: Settings, arguments: Arguments) -> int:
    import os

    from pycontainer.base.errors import UsageError
    from pycontainer.monitor.units import seconds

    if not (os.isatty(0) and os.isatty(1)):
        raise UsageError("top needs a terminal", "needs-terminal")
    interval = seconds(arguments["interval"] or "2s")
    if not 0.1 <= interval <= 3600:
        raise UsageError(
            f"--interval {arguments['interval']}: must be between 100 ms and an hour",
            "out-of-range",
        )
    from pycontainer.monitor.screen import Screen

    screen = Screen(settings, interval, arguments["filter"], arguments["sort"] or "cpu")
    screen.tree = arguments["tree"]
    screen.run()
    return 0
