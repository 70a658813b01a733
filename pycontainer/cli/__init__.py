"""The command line: argv in, an exit status out; one file per command (commands/),
loaded when it is called.
"""

from __future__ import annotations

import posix
import sys

from pycontainer.base.errors import UsageError, os_reason
from pycontainer.base.settings import NAME, Log, Settings, absolute, default_root
from pycontainer.cli.commands import load, trait
from pycontainer.cli.options import (
    GLOBALS,
    HELP,
    Arguments,
    check_words,
    parse,
    parse_globals,
)
from pycontainer.lifecycle import explain_errors

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn

    from pycontainer.cli.trace import Trace
    from pycontainer.lifecycle.container import Container

# For engines that call us with options of their own.
TRUST = b"PYCONTAINER_TRUST_ANNOTATIONS"
MANAGERS = ("cgroupfs", "systemd", "disabled")
LEVELS = ("error", "warning", "debug")
_NULL_DEVICE = posix.makedev(1, 3)
_ROOTLESS = {
    **dict.fromkeys(("", "auto")),
    **dict.fromkeys(("true", "t", "1"), True),
    **dict.fromkeys(("false", "f", "0"), False),
}


explain_errors()


class Session(Log):
    """What a failure needs to know to be reported: the log, the command, its prefix and status."""

    __slots__ = (
        "command",
        "looked_for",
        "options",
        "path",
        "prefix",
        "status",
        "trace",
    )

    def __init__(self) -> None:
        self.options = Arguments(GLOBALS)
        self.path = ""  # absolute path of the log file, BACKEND:ID, or "" for stderr
        self.command = ""
        self.looked_for: tuple[str, ...] = ()  # the state directory, and a container's id
        self.trace: Trace | None = None
        self.prefix = ""
        self.status = 1

    def open(self) -> None:
        """Check --log and --log-format as runc does before it runs a command.

        The file is made now but opened again for each record: a descriptor kept open could be
        one of those that --preserve-fds names.
        """
        if self.options["log-format"] not in ("", "text", "json"):
            message = f"invalid log-format: {self.options['log-format']}"
            raise UsageError(message, "not-one-of", choices=["text", "json"])
        if "log-level" in self.options:
            if self.options["log-level"] not in LEVELS:
                raise UsageError(_none_of(self.options, "log-level", LEVELS), "not-one-of")
            if self.options["log-level"] == "debug":
                self.options.values["debug"] = True
        if self.options["log"]:
            from pycontainer.cli import log

            self.path = log.place(self.options["log"])
            log.create(self.path)

    def follow(self, settings: Settings) -> None:
        """From now on, time the operations of plans, for --trace and --debug."""
        from pycontainer.executor.timing import Timing

        settings.timing = timing = Timing(self.debug if self.options["debug"] else None)
        if self.options["trace"]:
            from pycontainer.cli.trace import Trace

            self.trace = Trace(absolute(self.options["trace"]), timing)

    def traced(self, status: int) -> int:
        """The exit status, when what --trace has seen is written; that a file cannot be written is
        only a warning."""
        try:
            if self.trace:
                self.trace.finish()
        except OSError as error:
            self.warning(f"write {self.options['trace']}: {os_reason(error.errno or 0)}")
        return status

    def debug(self, message: str) -> None:
        if self.options["debug"]:
            self.record("debug", message)

    def warning(self, message: str) -> None:
        if self.options["log-level"] != "error":
            self.record("warning", message)

    def record(self, level: str, message: str, extra: dict[str, Any] | None = None) -> None:
        """One record to the log file, or to stderr without one."""
        from pycontainer.cli import log

        log.write(self.path, self.options["log-format"] == "json", (level, message, extra or {}))


def main(argv: list[str] | None = None) -> NoReturn:
    """Run one command line and leave the process with its exit status."""
    from pycontainer._shim import lib

    lib.shim_reset_signals()
    session = Session()
    fill_standard_descriptors()
    try:
        status = execute(sys.argv[1:] if argv is None else argv, session)
    except BaseException as error:
        from pycontainer.cli import errors

        status = errors.report(error, session)
    _leave(session.traced(status))


def execute(argv: list[str], session: Session) -> int:
    """Parse, dispatch, return the exit status; every failure is an exception."""
    options = session.options
    rest = parse_globals(argv, options)
    if (
        not rest
        or rest[0] in ("help", "h")
        or options["help"]
        or options["version"]
        or "V" in options
    ):
        return _tell(rest, options)
    name = session.command = rest[0]
    command = load(name)
    arguments = Arguments((*command.OPTIONS, HELP))
    try:
        parse(rest[1:], (arguments, options), trait(command, "STOP"))
    except UsageError:
        if not arguments["help"]:
            raise
    if arguments["help"]:
        from pycontainer.cli import help

        return help.of_command(name)
    check_words(name, arguments.words, command.WORDS)
    session.open()
    settings = _settings(session, trait(command, "STATE"))
    if options["trace"] or options["debug"]:
        session.follow(settings)
    else:
        settings.invocation = [*sys.argv[:1], *argv], len(argv) - len(rest) + 1
    # Not the options: --env may carry a secret.
    session.debug(f"{NAME} {name} {' '.join(arguments.words[:1])}".rstrip())
    session.prefix, session.status = trait(command, "FAILURE")
    session.looked_for = (settings.root, *arguments.words[:1])
    status: int = command.run(settings, arguments)
    return status


def named(arguments: Arguments) -> str:
    """The id of the container on the command line; the store checks its form."""
    if not arguments.words[0]:
        raise UsageError("container id cannot be empty", "empty")
    return arguments.words[0]


def find(settings: Settings, arguments: Arguments) -> Container:
    """The container on the command line; StateError when there is none."""
    from pycontainer.lifecycle.container import Container

    return Container.load(settings, named(arguments))


def _tell(rest: list[str], options: Arguments) -> int:
    """--version, --help, help [COMMAND], or no command at all."""
    from pycontainer.cli import help

    if rest and rest[0] in ("help", "h"):
        rest = rest[1:]
    elif (options["version"] or "V" in options) and not options["help"]:
        return help.version()
    return help.of_command(rest[0]) if rest and rest[0] != "help" else help.of_program()


def _settings(session: Session, uses_state: bool) -> Settings:
    options = session.options
    when = options["rootless"].lower()
    if when not in _ROOTLESS:
        raise UsageError(
            f'invalid value "{when}" for flag -rootless: must be true, false or auto', "not-one-of"
        )
    if "root" in options:
        root = absolute(options["root"])
        if root == "/":
            raise UsageError("Option --root argument should not be set to /", "not-allowed")
    else:
        root, below_runtime_dir = default_root(posix.environ)
        if below_runtime_dir and uses_state:
            _claim(root)
    settings = Settings(
        root,
        systemd_cgroup=options["systemd-cgroup"],
        rootless=_ROOTLESS[when],
        trust_annotations=options["trust-annotations"] or _is_set(TRUST),
        debug=options["debug"],
        log=session,
    )
    settings.criu = options["criu"] or settings.criu
    if "cgroup-manager" in options:
        _choose_manager(settings, options)
    return settings


def _is_set(variable: bytes) -> bool:
    return posix.environ.get(variable, b"") not in (b"", b"0")


def _choose_manager(settings: Settings, options: Arguments) -> None:
    manager = options["cgroup-manager"]
    if manager not in MANAGERS:
        raise UsageError(_none_of(options, "cgroup-manager", MANAGERS), "not-one-of")
    settings.systemd_cgroup = manager == "systemd"
    settings.no_cgroup = manager == "disabled"


def _none_of(options: Arguments, name: str, values: tuple[str, ...]) -> str:
    return f'invalid value "{options[name]}" for flag -{name}: must be one of {", ".join(values)}'


def _claim(root: str) -> None:
    """Make the state directory below $XDG_RUNTIME_DIR, sticky so that tmpfiles does not prune it.

    XDG Base Directory Specification: files there may be removed unless their sticky bit is set.
    """
    try:
        try:
            posix.mkdir(root, 0o700)
        except FileExistsError:
            pass
        except FileNotFoundError:
            from pycontainer.state.store import make_directories

            make_directories(root.rpartition("/")[0], 0o700)
            posix.mkdir(root, 0o700)
        posix.chmod(root, 0o1700)
    except OSError as error:
        raise UsageError.of("make", root, error, code="no-runtime-directory") from None


def fill_standard_descriptors() -> None:
    """Open /dev/null where the caller closed 0, 1 or 2, or our first files would land there; where
    the host has none, a pipe whose other end is closed."""
    for fd in range(3):
        try:
            posix.fstat(fd)
        except OSError:
            opened = _open_null()
            if opened < 0:
                reading, writing = posix.pipe()  # `reading` gets the number that is free: fd
                opened = reading if fd == 0 else posix.dup2(writing, fd)
                posix.close(writing)
            posix.set_inheritable(opened, True)
            if fd == 1:
                from pycontainer.cli import output

                output.note_closed()


def _open_null() -> int:
    """The null device, -1 when it is absent, or something else has its name."""
    try:
        fd = posix.open("/dev/null", posix.O_RDWR)
    except OSError:
        return -1
    if posix.fstat(fd).st_rdev == _NULL_DEVICE:
        return fd
    posix.close(fd)
    return -1


def _leave(status: int) -> NoReturn:
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name, None)  # the fast command has none until it is used
        try:
            if stream is not None:
                stream.flush()
        except (OSError, ValueError):
            pass  # the reader is gone; the status still tells
    posix._exit(status & 0xFF)
