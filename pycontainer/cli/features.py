"""`features`: the features document of features.md, in runc's layout."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pycontainer.cli.options import Arguments
    from pycontainer.settings import Settings

SUMMARY = "print what this build supports"
USAGE = "features"
WORDS = (0, 0)
STATE = False
OPTIONS = ()
HELP = "Prints JSON, as the runtime-spec's features.md describes it."


def run(settings: Settings, arguments: Arguments) -> int:
    from pycontainer import features, jsonfast
    from pycontainer.cli.output import emit

    emit(jsonfast.dumps(features.document(), 4) + "\n")
    return 0
