"""What the rules look at: one configuration, taken apart once; and how they say no.

A rule is a function of a Subject. It raises through `refuse`, or adds to `subject.warnings`. The
schemas have passed before, so types are right; whether a member is there is not known.
"""

from __future__ import annotations

from pycontainer.base.errors import ConfigError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn

_NO_OBJECT: dict[str, Any] = {}
_MOST_SHOWN = 60  # characters of a value in a message
_MOST_WARNINGS = 100


class Subject:
    """A configuration and what several rules ask of it."""

    __slots__ = ("config", "linux", "namespaces", "process", "warnings")

    def __init__(self, config: dict[str, Any]) -> None:
        self.config = config
        self.process: dict[str, Any] = config.get("process", _NO_OBJECT)
        self.linux: dict[str, Any] = config.get("linux", _NO_OBJECT)
        # Type to the path to join; "" for a new one. Of duplicates, which a rule refuses, the last.
        self.namespaces: dict[str, str] = {
            entry["type"]: entry.get("path", "") for entry in self.linux.get("namespaces", ())
        }
        self.warnings: list[str] = []

    def new(self, kind: str) -> bool:
        """Whether the container gets a new namespace of this type (and joins none)."""
        return self.namespaces.get(kind) == ""

    def warn(self, field: str, message: str) -> None:
        """Note what is allowed and probably not meant; not without end."""
        if len(self.warnings) < _MOST_WARNINGS:
            self.warnings.append(f"{field}: {message}")


def refuse(field: str, code: str, text: str, **params: Any) -> NoReturn:
    """Raise the ConfigError for a field, e.g. process.cwd."""
    raise ConfigError(text, code, field, **params)


def refuse_value(
    field: str, code: str, value: Any, why: str, clause: str | None = None
) -> NoReturn:
    """Raise the ConfigError `is VALUE, WHY`."""
    shown = quote(value) if type(value) is str else value
    refuse(field, code, f"is {shown}, {why}", clause=clause, value=value)


def required(field: str) -> NoReturn:
    """Raise the ConfigError for a member that is not there."""
    refuse(field, "required", "is required but missing")


def absolute(field: str, path: str) -> None:
    """ConfigError unless the path is absolute."""
    if path[:1] != "/":
        code = "not-absolute" if path else "empty"
        refuse_value(field, code, path, "must be an absolute path")


def needs(field: str, namespace: str, subject: Subject) -> None:
    """ConfigError unless the container has (or joins) such a namespace."""
    if namespace not in subject.namespaces:
        a = "an" if namespace == "ipc" else "a"
        text = f"needs {a} {namespace} namespace in linux.namespaces"
        refuse(field, "needs-namespace", text, namespace=namespace)


def quote(value: str) -> str:
    """A string of the configuration for a message, on one line and not too long."""
    text = value if len(value) <= _MOST_SHOWN else value[:_MOST_SHOWN] + "..."
    return '"' + repr(text)[1:-1].replace('"', '\\"') + '"'


def ranges(text: str) -> list[tuple[int, int]] | None:
    """The ranges of a list like 0-3,7 as pairs (first, last); None when it is not one."""
    pairs = []
    for part in text.split(","):
        part = part.strip(" \t")
        if not part:
            continue  # the kernel, too, overlooks empty places between commas
        first, dash, last = part.partition("-")
        if not _digits(first) or (dash and not _digits(last)):
            return None
        low = int(first)
        high = int(last) if dash else low
        if high < low:
            return None
        pairs.append((low, high))
    return pairs


def _digits(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 10
