"""`events`: what a container uses, and when it runs out of memory."""

from __future__ import annotations

from pycontainer.cli.options import FLAG, TEXT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pycontainer.base.settings import Settings
    from pycontainer.cli.options import Arguments

SUMMARY = "show statistics and out-of-memory kills of a container"
USAGE = "events [options] CONTAINER"
WORDS = (1, 1)
OPTIONS = (
    ("interval", "", TEXT, "TIME", "how often to print statistics: 500ms, 1m30s (default 5s)"),
    ("stats", "", FLAG, "", "print the statistics once, and exit"),
)
HELP = """\
Prints one line of JSON for each event, until the container ends: stats, oom (processes were killed
for lack of memory), and exit with its status and time.

   pycontainer events --stats mybox
   pycontainer events --interval 1s mybox
"""

UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}


def run(settings: Settings, arguments: Arguments) -> int:
    from pycontainer.base import jsonfast
    from pycontainer.base.errors import UsageError
    from pycontainer.cli import find
    from pycontainer.cli.output import emit
    from pycontainer.lifecycle import events

    interval = duration(arguments["interval"] or "5s")
    container = find(settings, arguments)
    if interval <= 0:
        raise UsageError("duration interval must be greater than 0", "out-of-range")
    if arguments["stats"]:
        emit(jsonfast.dumps(events.stats(container)) + "\n")
        return 0
    for event in events.watch(container, interval):
        emit(jsonfast.dumps(event) + "\n")
    return 0


def duration(text: str) -> float:
    """Seconds of a duration as Go writes them: 1h, 1m30s, 500ms; UsageError for others."""
    from pycontainer.base.errors import UsageError

    wrong = UsageError(f'invalid value "{text}" for flag -interval: parse error', "wrong-form")
    total = 0.0
    rest = text.lstrip("+-")
    if rest == "0":
        return 0.0
    if not rest:
        raise wrong
    while rest:
        number = ""
        while rest[:1].isdigit() or rest[:1] == ".":
            number, rest = number + rest[0], rest[1:]
        unit = ""
        while rest and not (rest[0].isdigit() or rest[0] == "."):
            unit, rest = unit + rest[0], rest[1:]
        if unit not in UNITS or not number.strip(".") or number.count(".") > 1:
            raise wrong
        total += float(number) * UNITS[unit]
    return -total if text.startswith("-") else total
