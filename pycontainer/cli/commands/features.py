"""`features`: the features document of features.md, in runc's layout."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pycontainer.base.settings import Settings
    from pycontainer.cli.options import Arguments

SUMMARY = "print what this build supports"
USAGE = "features"
WORDS = (0, 0)
STATE = False
OPTIONS = ()
HELP = "Prints JSON, as the runtime-spec's features.md describes it."


def run(settings: Settings, arguments: Arguments) -> int:
    from pycontainer.base import jsonfast
    from pycontainer.cli.output import emit
    from pycontainer.hostinfo import features

    emit(jsonfast.dumps(features.document(), 4) + "\n")
    return 0
