"""`list`: the containers below --root, as a table or as JSON; one broken state harms no other."""

from __future__ import annotations

from pycontainer.cli.options import FLAG, TEXT, TEXTS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pycontainer.base.settings import Settings
    from pycontainer.cli.options import Arguments

SUMMARY = "list containers"
USAGE = "list [options]"
WORDS = (0, 0)
OPTIONS = (
    ("format", "f", TEXT, "FORMAT", "table (default), json, or a template like '{{.id}} {{.age}}'"),
    ("quiet", "q", FLAG, "", "print only the ids"),
    ("long", "l", FLAG, "", "with age, idle time, memory, CPU time, processes, engine and image"),
    ("filter", "", TEXTS, "CONDITION", "only those with status=running, memory>100M, idle>2d, ..."),
    ("sort", "", TEXT, "COLUMN", "by a column; -COLUMN reverses"),
)
HELP = """\
Columns: id status engine image owner age idle cputime memory limit peak pids oom exec cgroup
bundle.
A container is idle while it uses next to no CPU time, does no I/O and gets no exec. That is known
from looks at it: by list --long, gc --idle, top and metrics.

   pycontainer list --long --filter 'idle>2d' --filter engine=podman
   pycontainer list --sort memory --format '{{.id}} {{.memory}}'
   pycontainer list --filter annotation=com.example.team=blue
"""

LONG = "id status age idle memory limit cputime pids engine image owner"
COLUMNS = ("id", "pid", "status", "bundle", "created", "owner")
_WIDTH, _PADDING = 12, 3  # Go's tabwriter as runc sets it up


def run(settings: Settings, arguments: Arguments) -> int:
    from pycontainer.cli.output import emit

    if arguments.values.keys() - {"format", "quiet"} or "{{" in arguments["format"]:
        return _monitored(settings, arguments)
    rows = _rows(settings)
    if arguments["quiet"]:
        emit("".join(f"{row['id']}\n" for row in rows))
    elif arguments["format"] in ("", "table"):
        header = [name.upper() for name in COLUMNS]
        emit(table([header, *([row.get(name, "") for name in COLUMNS] for row in rows)]))
    elif arguments["format"] == "json":
        from pycontainer.base import jsonfast

        emit(jsonfast.dumps(rows or None) + "\n")  # "null" for none: Go's empty slice
    else:
        from pycontainer.base.errors import UsageError

        raise UsageError(
            "invalid format option", "not-one-of", kind="formats", choices=["table", "json"]
        )
    return 0


def _monitored(settings: Settings, arguments: Arguments) -> int:
    """With what only their cgroups tell."""
    from pycontainer.cli.output import emit
    from pycontainer.monitor import activity, columns, printing
    from pycontainer.monitor.fleet import Fleet

    conditions = [columns.condition(text) for text in arguments["filter"]]
    rows = Fleet(settings).sample()
    activity.look(settings, rows)
    rows = [row for row in rows if all(holds(row) for holds in conditions)]
    if arguments["sort"]:
        rows = columns.order(rows, arguments["sort"])
    form = "{{.id}}" if arguments["quiet"] else arguments["format"]
    emit(printing.render(rows, form, LONG.split()))
    return 0


def _rows(settings: Settings) -> list[dict[str, Any]]:
    import posix

    from pycontainer.base.errors import HostError
    from pycontainer.base.settings import default_root
    from pycontainer.lifecycle.list import rows

    try:
        posix.stat(settings.root)
    except OSError as error:
        # The default directory may not be there yet; one that was asked for must.
        if settings.root != default_root(posix.environ)[0]:
            raise HostError.of("open", settings.root, error) from None
    return rows(settings)


def table(rows: list[Any]) -> str:
    """Columns padded as Go's tabwriter pads them; the last one is not."""
    cells = [[str(cell) for cell in row] for row in rows]
    widths = [
        max(_WIDTH, *(len(row[column]) + _PADDING for row in cells))
        for column in range(len(COLUMNS) - 1)
    ]
    lines = []
    for row in cells:
        padded = "".join(cell.ljust(width) for cell, width in zip(row, widths, strict=False))
        lines.append(padded + row[-1] + "\n")
    return "".join(lines)
