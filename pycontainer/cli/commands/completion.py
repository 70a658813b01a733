"""`completion`: a shell's script that completes our command lines."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pycontainer.base.settings import Settings
    from pycontainer.cli.options import Arguments

SUMMARY = "print a completion script for bash, zsh or fish"
USAGE = "completion SHELL"
WORDS = (1, 1)
STATE = False
OPTIONS = ()
HELP = """\
SHELL is bash, zsh or fish. A package installs these scripts; without one:

   source <(pycontainer completion bash)
   pycontainer completion zsh > "${fpath[1]}/_pycontainer"
   pycontainer completion fish | source
"""


def run(settings: Settings, arguments: Arguments) -> int:
    from pycontainer.base.errors import UsageError
    from pycontainer.cli.manual import bash, fish, zsh
    from pycontainer.cli.output import emit

    scripts = {"bash": bash.script, "zsh": zsh.script, "fish": fish.script}
    shell = arguments.words[0]
    if shell not in scripts:
        raise UsageError(f"completion {shell}: must be bash, zsh or fish", "not-one-of")
    emit(scripts[shell]())
    return 0
