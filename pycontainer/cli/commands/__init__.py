"""The commands, one file each.

A command file has SUMMARY, USAGE, HELP (texts), OPTIONS (its table), WORDS (how many it takes,
least and most), STOP (words after which nothing is an option), FAILURE (prefix of its error
messages, exit status of its failures), STATE (whether it uses the state directory), SHOWN_BY (the
command whose help shows the options that have no text here) and `run(settings, arguments) -> int`.
What differs from DEFAULTS is all that a file states.
"""

from __future__ import annotations

import sys

from pycontainer.base.errors import UsageError
from pycontainer.cli.options import NO_LIMIT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

COMMANDS = (
    "bundle",
    "check",
    "checkpoint",
    "completion",
    "create",
    "delete",
    "events",
    "exec",
    "features",
    "gc",
    "info",
    "kill",
    "list",
    "metrics",
    "mounts",
    "pause",
    "plan",
    "ps",
    "restore",
    "resume",
    "run",
    "spec",
    "start",
    "state",
    "stats",
    "top",
    "update",
    "wait",
)

DEFAULTS = {"STOP": NO_LIMIT, "FAILURE": ("", 1), "STATE": True, "SHOWN_BY": ""}


class UnknownCommand(UsageError):
    """No command of that name."""

    def __init__(self, name: str) -> None:
        super().__init__(f"No help topic for '{name}'", "unknown-command")
        self.name = name


def load(name: str) -> Any:
    """The module of a command."""
    if name not in COMMANDS:
        raise UnknownCommand(name)
    module = f"{__name__}.{name}"
    __import__(module)
    return sys.modules[module]


def trait(command: Any, name: str) -> Any:
    """What a command file states, or the default."""
    return getattr(command, name, DEFAULTS[name])
