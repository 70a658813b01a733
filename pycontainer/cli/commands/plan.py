"""`plan`: what create would do, operation by operation; nothing is touched."""

from __future__ import annotations

from pycontainer.cli.options import FLAG

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pycontainer.base.settings import Settings
    from pycontainer.cli.options import Arguments

SUMMARY = "show every step that a bundle means, and run none"
USAGE = "plan [options] [BUNDLE]"
WORDS = (0, 1)
STATE = False
OPTIONS = (
    ("json", "", FLAG, "", "print JSON: one object for each operation"),
    ("no-pivot", "", FLAG, "", "the plan of create --no-pivot"),
    ("no-new-keyring", "", FLAG, "", "the plan of create --no-new-keyring"),
)
HELP = """\
Each line is one operation of the kernel, in order, with the field of config.json it comes from.
An error of "create" or "run" names the operation by the same number.

   pycontainer plan mybundle
   pycontainer plan --json mybundle
"""


def run(settings: Settings, arguments: Arguments) -> int:
    import pycontainer.plan.describe as describe
    from pycontainer.base import jsonfast
    from pycontainer.cli.output import emit
    from pycontainer.lifecycle import container

    options = container.CreateOptions(
        bundle=arguments.words[0] if arguments.words else ".",
        no_pivot=arguments["no-pivot"],
        no_new_keyring=arguments["no-new-keyring"],
    )
    plan = container.plan_of(settings, options)
    if arguments["json"]:
        emit(jsonfast.dumps(describe.as_json(plan), 2) + "\n")
    else:
        emit(describe.text(plan).rstrip("\n") + "\n")
    return 0
