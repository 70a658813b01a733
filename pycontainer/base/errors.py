"""The one vocabulary of failures; every text that a client searches for is in CLIENT_TEXTS.

An error is a value: a class (what kind of thing went wrong), a code (what exactly), and facts. Its
message is made of them: lower case, `verb object: reason`. The command line prints one line and
logs it once; a traceback never reaches a user. docs/errors.md lists the codes. Imports nothing but
`posix`, because every command loads this file.
"""

from __future__ import annotations

from posix import strerror

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Self

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

    `code` is a stable word for programs (the class's category, where nothing more precise is
    known) and `params` are the facts that belong to it, e.g. the `value` that was refused. `field`
    is the JSON path in config.json, `source` the option that has set the field in its place.
    `operation` is what failed, `path` the file that it was about, `errno` the kernel's number;
    `hint` what to do. Each is "" or 0 when it does not apply.

    What to do follows from the facts: `find_hint` is asked for it when it is wanted.
    lifecycle/ sets that, because diagnose/, which knows, is to the right of what raises an error.
    """

    category = "error"
    source = ""
    find_hint: Callable[[ContainerError], str] | None = None

    def __init__(
        self,
        text: str,
        code: str = "",
        field: str = "",
        *,
        operation: str = "",
        errno: int | None = 0,
        path: str = "",
        hint: str | None = None,
        **params: Any,
    ) -> None:
        self.message = cut(text)
        super().__init__(self.message)
        self.code = code or self.category
        self.field = field
        self.operation = operation
        self.errno = errno or 0
        self.path = path
        self._hint = hint
        self.params = params

    @classmethod
    def of(
        cls, verb: str, path: str, error: OSError | int, /, code: str = "os-error", **details: Any
    ) -> Self:
        """`VERB PATH: REASON`, for an OSError or its number."""
        errno = error if isinstance(error, int) else error.errno or 0
        facts = {"operation": verb, "errno": errno, "path": path, **details}
        return cls(f"{verb} {path}: {os_reason(errno)}", code, **facts)

    @property
    def hint(self) -> str:
        """What to do, in one sentence."""
        if self._hint is None:
            find = type(self).find_hint
            self._hint = find(self) if find else ""
        return self._hint

    @hint.setter
    def hint(self, text: str) -> None:
        self._hint = text

    def place(self) -> str:
        """Where it comes from, in words; "" when that is not known."""
        return f"from {self.source or self.field}" if self.field else ""

    def __str__(self) -> str:
        place = self.place()
        text = f"{self.message} ({place})" if place else self.message
        return f"{text}; {self.hint}" if self.hint else text


class ConfigError(ContainerError):
    """config.json (or process.json) asks for what the spec or this build does not allow.

    `clause` names the part of runtime-spec 1.3 that says so, e.g. "config.md#mounts". It follows
    from the field, as the schemas have it (`find_clause`, see find_hint), unless it is given.
    """

    category = "config"
    find_clause: Callable[[str], str] | None = None

    def __init__(
        self, text: str, code: str = "", field: str = "", clause: str | None = None, **details: Any
    ) -> None:
        super().__init__(text, code, field, **details)
        self._clause = clause

    @property
    def clause(self) -> str:
        """The part of the specification."""
        if self._clause is None:
            find = type(self).find_clause
            self._clause = find(self.field) if find and self.field else ""
        return self._clause

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

    category = "usage"


class StateError(ContainerError):
    """The container's status does not allow the operation, or there is no such container."""

    category = "state"


class InvalidId(StateError):
    """The words that should name a container cannot be a name."""

    def __init__(self) -> None:
        super().__init__(CLIENT_TEXTS["invalid_id"], "invalid-id")


class NotFound(StateError):
    """There is no such container, or it has been removed meanwhile."""

    def __init__(self) -> None:
        super().__init__(CLIENT_TEXTS["does_not_exist"], "not-found")


class AlreadyExists(StateError):
    """The name is that of another container."""

    def __init__(self) -> None:
        super().__init__(CLIENT_TEXTS["exists"], "exists")


class NotRunning(StateError):
    """None of the container's processes is alive, or it waits for `start`."""

    def __init__(self, *, doing: str = "", **params: Any) -> None:
        words = f"{doing}: " if doing else ""
        super().__init__(words + CLIENT_TEXTS["not_running"], "not-running", **params)


class DamagedState(StateError):
    """The container's state file makes no sense: only `delete --force` helps."""

    def __init__(self, text: str) -> None:
        super().__init__(text, "damaged-state")


class HostError(ContainerError):
    """The host cannot do it: kernel too old, no cgroup mounted, missing privilege."""

    category = "host"


class OperationError(ContainerError):
    """An operation failed: which one, with what errno, for which field.

    `step`/`total` locate it in the plan (-1 and 0 when it is not an operation of a plan).
    """

    category = "operation"

    def __init__(
        self, text: str, code: str = "", *, step: int = -1, total: int = 0, **details: Any
    ) -> None:
        super().__init__(text, code, **details)
        self.step = step
        self.total = total

    def place(self) -> str:
        """The operation's number, and the field."""
        where = [f"operation {self.step} of {self.total}"] if self.total else []
        where += [super().place()] if self.field else []
        return "; ".join(where)


class StartError(OperationError):
    """The container's process, or one of `exec`, could not be started."""

    def __init__(self, text: str, code: str = "", **details: Any) -> None:
        super().__init__(f"{CLIENT_TEXTS['start_failed']}: {text}", code, **details)


def os_reason(errno: int) -> str:
    """The kernel's reason in the field's lower case: EPERM is "operation not permitted"."""
    text = strerror(errno)
    return text[:1].lower() + text[1:]


def check(result: int, operation: str, *, field: str = "") -> int:
    """Return a shim function's result, or raise OperationError when it is a negative errno."""
    if result < 0:
        text = f"{operation}: {os_reason(-result)}"
        raise OperationError(text, "os-error", field=field, operation=operation, errno=-result)
    return result
