"""`stats`: what containers use, once or again and again."""

from __future__ import annotations

from pycontainer.cli.options import FLAG, NO_LIMIT, TEXT, TEXTS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pycontainer.base.settings import Settings
    from pycontainer.cli.options import Arguments

SUMMARY = "show what containers use"
USAGE = "stats [options] [CONTAINER...]"
WORDS = (0, NO_LIMIT)
OPTIONS = (
    ("stream", "s", FLAG, "", "go on until it is interrupted"),
    ("interval", "i", TEXT, "TIME", "between two samples (default 1s)"),
    ("format", "f", TEXT, "FORMAT", "table (default), json, or a template like '{{.id}} {{.cpu}}'"),
    ("columns", "", TEXT, "NAMES", "of the table, with commas between them"),
    ("filter", "", TEXTS, "CONDITION", "only those with cpu>10, memory>1G, status=running, ..."),
    ("sort", "", TEXT, "COLUMN", "by a column; -COLUMN reverses"),
)
NAMES = "id status cpu memory limit pids read write cpu-wait memory-wait io-wait throttled oom"
HELP = """\
Takes two samples and shows the rates between them; with --stream one line or table each interval.
CPU is in percent of one processor. The columns CPUW%, MEMW% and IOW% say how much of the time a
process had to wait for that (pressure stall information, cgroup v2). JSON has totals as well.

   pycontainer stats --sort cpu
   pycontainer stats --stream --interval 5s --format json web
"""


def run(settings: Settings, arguments: Arguments) -> int:
    import time

    from pycontainer.base.errors import StateError, UsageError
    from pycontainer.cli.errors import INTERRUPTED_STATUS
    from pycontainer.cli.output import emit
    from pycontainer.monitor import columns, printing
    from pycontainer.monitor.fleet import Fleet
    from pycontainer.monitor.units import seconds

    names = arguments["columns"].split(",") if arguments["columns"] else NAMES.split()
    columns.choose(names)
    conditions = [columns.condition(text) for text in arguments["filter"]]
    interval = seconds(arguments["interval"] or "1s")
    if not 0.05 <= interval <= 86400:
        raise UsageError(
            f"--interval {arguments['interval']}: must be between 50 ms and a day", "out-of-range"
        )
    wanted = set(arguments.words)
    fleet = Fleet(settings, wanted.__contains__ if wanted else None)
    missing = wanted - {row.id for row in fleet.sample()}
    if missing:
        raise StateError(f"container {sorted(missing)[0]} does not exist", "not-found")
    try:
        while True:
            time.sleep(interval)
            rows = [row for row in fleet.sample() if all(holds(row) for holds in conditions)]
            if arguments["sort"]:
                rows = columns.order(rows, arguments["sort"])
            emit(printing.render(rows, arguments["format"], names))
            if not arguments["stream"]:
                return 0
    except KeyboardInterrupt:
        if not arguments["stream"]:
            raise
        return INTERRUPTED_STATUS  # how a stream is meant to end
