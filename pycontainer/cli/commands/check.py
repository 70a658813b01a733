"""`check`: everything that is wrong, doubtful or risky in a bundle, before anything is started."""

from __future__ import annotations

from pycontainer.cli.options import FLAG, TEXT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pycontainer.base.settings import Settings
    from pycontainer.cli.options import Arguments

SUMMARY = "find mistakes and risks in a bundle, all at once"
USAGE = "check [options] [BUNDLE]"
WORDS = (0, 1)
STATE = False
OPTIONS = (
    ("config", "f", TEXT, "FILE", "another file than config.json of the bundle"),
    ("json", "", FLAG, "", "print JSON: an object with all findings"),
    ("strict", "", FLAG, "", "exit with 1 for a warning, too"),
)
HELP = """\
Prints errors (create refuses them, or the start fails), warnings (unknown members, settings that
contradict each other or have no effect), and risks (what gives the container power over its host),
each with its line and column in config.json. Nothing is made or started.

   pycontainer check mybundle
   pycontainer check --json mybundle | jq -r '.findings[].message'
"""


def run(settings: Settings, arguments: Arguments) -> int:
    from pycontainer.base import jsonfast
    from pycontainer.base.errors import ConfigError
    from pycontainer.check import examine
    from pycontainer.check.findings import Finding, Report
    from pycontainer.cli.output import emit, looks
    from pycontainer.lifecycle import container

    options = container.CreateOptions(
        bundle=arguments.words[0] if arguments.words else ".", config=arguments["config"] or None
    )
    try:
        report = examine(settings, options)
    except ConfigError as error:  # there is no document to look into
        if not arguments["json"]:
            raise
        fault = Finding("error", error.field, error.message, error.hint.removeprefix("fix: "))
        report = Report(options.config or f"{options.bundle}/config.json", [fault])
    if arguments["json"]:
        emit(jsonfast.dumps(report.as_json(), 2) + "\n")
    else:
        emit(report.text(*looks()))
    bad = ("error", "warning") if arguments["strict"] else ("error",)
    return 1 if report.count(*bad) else 0
