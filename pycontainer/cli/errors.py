"""How a command fails: an exception in, one line on stderr and one log record, a status out.

containerd and podman show the last error record of the log, so there is exactly one, complete in
itself. A traceback is never printed; with --debug its locations go to the log.
"""

from __future__ import annotations

from errno import EMFILE

from pycontainer.base.errors import ContainerError, OperationError, StateError, cut, os_reason
from pycontainer.base.settings import NAME
from pycontainer.cli import log, runc_errors
from pycontainer.cli.commands import UnknownCommand
from pycontainer.cli.options import WrongUsage

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pycontainer.cli import Session

INTERRUPTED_STATUS = 128 + 2
UNKNOWN_COMMAND_STATUS = 3
_FACTS = ("field", "operation", "path", "errno", "hint")
_VALUE_MAX = 1024  # characters of a param in the log


def report(error: BaseException, session: Session) -> int:
    """Say what went wrong; returns the exit status."""
    if isinstance(error, SystemExit):
        return error.code if isinstance(error.code, int) else int(error.code is not None)
    _add_advice(error, session)
    message, extra = describe(error)
    prefix = session.prefix
    if prefix.startswith(NAME):
        prefix = runc_errors.program() + prefix.removeprefix(NAME)
    record = ("error", prefix + message, extra)
    if not isinstance(error, (ContainerError, OSError)):
        _log_locations(error, session)
    path = session.path
    if not path and session.options["log"]:  # failed before that was looked at
        path = log.place(session.options["log"])
    as_json = session.options["log-format"] == "json"
    if path:
        log.to_stderr(log.plain_line, record)
        log.append(path, as_json, record)
    else:
        log.write("", as_json, record)
    if isinstance(error, UnknownCommand):
        return UNKNOWN_COMMAND_STATUS
    return INTERRUPTED_STATUS if isinstance(error, KeyboardInterrupt) else session.status


def describe(error: BaseException) -> tuple[str, dict[str, Any]]:
    """The message for people and the keys for programs."""
    if isinstance(error, ContainerError):
        extra: dict[str, Any] = {"category": error.category, "code": error.code}
        extra |= {name: getattr(error, name) for name in _FACTS if getattr(error, name)}
        if isinstance(error, OperationError) and error.step >= 0:
            extra["step"] = error.step
        if error.params:
            extra["params"] = {key: _shown(value) for key, value in error.params.items()}
        return runc_errors.line(error), extra
    if isinstance(error, OSError) and error.errno:
        names = [str(name) for name in (error.filename, error.filename2) if name is not None]
        reason = os_reason(error.errno)
        message = f"{' -> '.join(names)}: {reason}" if names else reason
        if error.errno == EMFILE:
            from pycontainer.diagnose.remedies import MORE_FILES

            message += f"; {MORE_FILES}"
        return message, {"category": "host", "code": "os-error", "errno": error.errno}
    if isinstance(error, KeyboardInterrupt):
        return "interrupted", {"category": "interrupted", "code": "interrupted"}
    if isinstance(error, ImportError):  # files of ours that are missing, or cannot be read now
        return f"load {NAME}: {error}", {"category": "host", "code": "not-installed"}
    if isinstance(error, MemoryError):
        return "out of memory", {"category": "host", "code": "no-memory"}
    text = f"internal error: {type(error).__name__}: {error}".removesuffix(": ")
    return f"{text} (at {_innermost(error)})", {"category": "internal", "code": "internal"}


def _shown(value: Any) -> Any:
    return cut(value, _VALUE_MAX) if type(value) is str else value


def _locations(error: BaseException) -> list[str]:
    """`file:line in function` of each frame, outermost first."""
    places = []
    trace = error.__traceback__
    while trace is not None:
        code = trace.tb_frame.f_code
        name = code.co_filename.rpartition(f"/{NAME}/")[2]
        places.append(f"{name}:{trace.tb_lineno} in {code.co_name}")
        trace = trace.tb_next
    return places


def _innermost(error: BaseException) -> str:
    return (_locations(error) or ["unknown place"])[-1]


def _log_locations(error: BaseException, session: Session) -> None:
    for place in _locations(error):
        session.debug(f"{type(error).__name__} at {place}")


def _add_advice(error: BaseException, session: Session) -> None:
    """What only the command line knows of: its own tables, and where it looked for a container."""
    if isinstance(error, (WrongUsage, UnknownCommand)):
        from pycontainer.cli import usage

        error.hint = usage.advice(error, session.command)
    elif isinstance(error, StateError) and len(session.looked_for) == 2:
        from pycontainer.diagnose import containers

        error.hint = error.hint or containers.advice(error, *session.looked_for)
