"""The one vocabulary of failures; every text that a client searches for is in CLIENT_TEXTS.

An error is one line: lower case, `verb object: reason (where it comes from)`. The command line
prints it and logs it once; a traceback never reaches a user. Imports nothing but `posix`, because
every command loads this file.
"""

from __future__ import annotations

from posix import strerror

# Texts that engines search in our output. Left: our name for it; right: the words, which must not
# change. The client that looks for it stands beside it.
CLIENT_TEXTS = {
    "not_running": "container not running",  # containerd's runc shim, after kill
    "no_such_process": "no such process",  # containerd's runc shim, after kill
    "does_not_exist": "container does not exist",  # containerd's runc shim (state, delete); podman
    "exists": "container with given ID already exists",  # libcontainer's sentinel
    "invalid_id": "invalid container ID format",  # libcontainer's sentinel
    "paused": "container paused",  # libcontainer's sentinel
    "not_paused": "container not paused",  # libcontainer's sentinel
    "still_running": "container still running",  # libcontainer's sentinel
    "not_in_path": "executable file not found in $PATH",  # podman, dockerd: exit status 127
    "start_failed": "unable to start container process",  # dockerd, podman
    "already_started": "cannot start an already running container",  # runc's start
    "start_stopped": "cannot start a container that has stopped",  # runc's start
}


MESSAGE_MAX = 16384  # characters; names in a config can be as long as the config


def cut(text: str, room: int = MESSAGE_MAX) -> str:
    """The text, without its middle if it is longer than `room`."""
    if len(text) <= room:
        return text
    return f"{text[: room // 2]} [...] {text[-room // 2 :]}"


class ContainerError(Exception):
    """Anything that pycontainer refuses or fails to do; `str()` is the line for the user.

    `code` is a stable word for programs, `field` the JSON path in config.json (or ""); `source` is
    the option that has set the field in its place.
    """

    code = "error"
    source = ""

    def __init__(self, message: str, *, field: str = "", hint: str = "") -> None:
        self.message = cut(message)
        super().__init__(self.message)
        self.field = field
        self.hint = hint

    def __str__(self) -> str:
        text = self.message
        if self.field:
            text += f" (from {self.source or self.field})"
        if self.hint:
            text += f"; {self.hint}"
        return text


class ConfigError(ContainerError):
    """config.json (or process.json) asks for what the spec or this build does not allow.

    `clause` names the part of runtime-spec 1.3 that says so, e.g. "config.md#mounts".
    """

    code = "config"

    def __init__(self, message: str, *, field: str = "", clause: str = "", hint: str = "") -> None:
        super().__init__(message, field=field, hint=hint)
        self.clause = clause

    def __str__(self) -> str:
        place = self.source or self.field
        text = f"{place}: {self.message}" if place else self.message
        if self.clause:
            text += f" [{self.clause}]"
        if self.hint:
            text += f"; {self.hint}"
        what = "config" if not self.source else "option" if self.source[:1] == "-" else "process"
        return f"invalid {what}: {text}"


class UsageError(ContainerError):
    """The command line is wrong: unknown flag, missing argument."""

    code = "usage"


class StateError(ContainerError):
    """The container's status does not allow the operation, or there is no such container."""

    code = "state"


class InvalidId(StateError):
    """The words that should name a container cannot be a name."""

    def __init__(self) -> None:
        super().__init__(CLIENT_TEXTS["invalid_id"])


class NotFound(StateError):
    """There is no such container, or it has been removed meanwhile."""

    def __init__(self) -> None:
        super().__init__(CLIENT_TEXTS["does_not_exist"])


class AlreadyExists(StateError):
    """The name is that of another container."""

    def __init__(self) -> None:
        super().__init__(CLIENT_TEXTS["exists"])


class NotRunning(StateError):
    """None of the container's processes is alive, or it waits for `start`."""

    def __init__(self, *, doing: str = "", hint: str = "") -> None:
        words = f"{doing}: " if doing else ""
        super().__init__(words + CLIENT_TEXTS["not_running"], hint=hint)


class DamagedState(StateError):
    """The container's state file makes no sense: only `delete --force` helps."""


class HostError(ContainerError):
    """The host cannot do it: kernel too old, no cgroup mounted, missing privilege."""

    code = "host"


class OperationError(ContainerError):
    """An operation of the plan failed: which one, with what errno, for which field.

    `step`/`total` locate it in the plan (0 when it is not an operation of a plan), `errno` is the
    kernel's number (0 when the failure has none).
    """

    code = "operation"

    def __init__(
        self,
        message: str,
        *,
        errno: int = 0,
        step: int = -1,
        total: int = 0,
        kind: str = "",
        field: str = "",
        hint: str = "",
    ) -> None:
        super().__init__(message, field=field, hint=hint)
        self.errno = errno
        self.step = step
        self.total = total
        self.kind = kind

    def __str__(self) -> str:
        text = self.message
        where = []
        if self.total:
            where.append(f"operation {self.step} of {self.total}")
        if self.field:
            where.append(f"from {self.source or self.field}")
        if where:
            text += " (" + "; ".join(where) + ")"
        if self.hint:
            text += f"; {self.hint}"
        return text


def os_reason(errno: int) -> str:
    """The kernel's reason in the field's lower case: EPERM is "operation not permitted"."""
    text = strerror(errno)
    return text[:1].lower() + text[1:]


def check(result: int, message: str, *, field: str = "", kind: str = "") -> int:
    """Return a shim function's result, or raise OperationError when it is a negative errno."""
    if result < 0:
        raise OperationError(
            f"{message}: {os_reason(-result)}", errno=-result, field=field, kind=kind
        )
    return result
