"""What to say beyond "that is wrong" when a command line does not parse."""

from __future__ import annotations

from pycontainer.base.nearest import nearest
from pycontainer.base.settings import NAME
from pycontainer.cli.commands import COMMANDS, UnknownCommand, load
from pycontainer.cli.options import GLOBALS, UnknownFlag, WrongCount, WrongUsage
from pycontainer.cli.runc_errors import program

# What people call our commands who come from other tools.
_ELSEWHERE = {
    "rm": "delete",
    "remove": "delete",
    "stop": "kill",
    "signal": "kill",
    "inspect": "state",
    "status": "state",
    "ls": "list",
    "unpause": "resume",
    "freeze": "pause",
    "thaw": "resume",
    "validate": "check",
    "lint": "check",
    "init": "spec",
    "attach": "exec",
    "enter": "exec",
}


def advice(error: WrongUsage | UnknownCommand, command: str) -> str:
    """The end of the line: what was perhaps meant, and where it is written."""
    if isinstance(error, UnknownCommand):
        return _command(error.name)
    if not command:
        return _flag(error, f"{program()} --help", GLOBALS)
    module = load(command)
    if isinstance(error, WrongCount):
        return f"usage: {program()} {module.USAGE}"
    return _flag(error, f"{program()} {command} --help", (*module.OPTIONS, *GLOBALS))


def _command(name: str) -> str:
    near = [_ELSEWHERE[name]] if name in _ELSEWHERE else []
    near = near or nearest(name, COMMANDS, 2)
    return f'{_perhaps(near)}"{NAME} help" lists the commands'


def _flag(error: WrongUsage, help: str, table: tuple[tuple[str, ...], ...]) -> str:
    near: list[str] = []
    if isinstance(error, UnknownFlag):
        shown = [option[0] for option in table if option[4]]
        near = [f"--{name}" for name in nearest(error.flag, shown, 2)]
    return f'{_perhaps(near)}"{help}" lists the options'


def _perhaps(near: list[str]) -> str:
    return f"did you mean {' or '.join(near)}? " if near else ""
