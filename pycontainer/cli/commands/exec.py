"""`exec`: one more process in a container; its failures exit with 255, as runc's do."""

from __future__ import annotations

from pycontainer.cli.options import ENDED, FLAG, NO_LIMIT, NUMBER, NUMBERS, SECCOMP, TEXT, TEXTS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pycontainer.base.settings import Settings
    from pycontainer.cli.options import Arguments
    from pycontainer.lifecycle.options import ExecOptions

SUMMARY = "run another process in a container"
USAGE = "exec [options] CONTAINER COMMAND [ARGUMENT...]  |  exec -p FILE CONTAINER"
WORDS = (1, NO_LIMIT)
STOP = 1  # what follows the container is the command's
FAILURE = ("exec failed: ", 255)
_LAST_ID = 0xFFFFFFFE  # the kernel keeps the next one for "none"
OPTIONS = (
    ("tty", "t", FLAG, "", "allocate a terminal"),
    ("user", "u", TEXT, "UID[:GID]", "run as this user"),
    ("cwd", "", TEXT, "DIR", "working directory in the container"),
    ("env", "e", TEXTS, "NAME=VALUE", "set an environment variable"),
    ("detach", "d", FLAG, "", "do not wait for the process"),
    ("process", "p", TEXT, "FILE", "take all of it from FILE, the JSON of config.json's process"),
    ("additional-gids", "g", NUMBERS, "GID", "add a group"),
    ("cap", "c", TEXTS, "CAP_NAME", "add a capability"),
    ("no-new-privs", "", FLAG, "", "set or clear (=false) no_new_privs"),
    ("apparmor", "", TEXT, "PROFILE", "AppArmor profile"),
    ("process-label", "", TEXT, "LABEL", "SELinux label"),
    ("cgroup", "", TEXTS, "[CTRL:]PATH", "an existing cgroup below the container's"),
    ("ignore-paused", "", FLAG, "", "go on even if the container is paused"),
    ("pid-file", "", TEXT, "FILE", "write the process id to FILE"),
    ("console-socket", "", TEXT, "PATH", "unix socket that receives the terminal's master end"),
    ("pidfd-socket", "", TEXT, "PATH", "unix socket that receives a pidfd of the process"),
    ("preserve-fds", "", NUMBER, "N", "pass N more descriptors, from 3 (after $LISTEN_FDS) on"),
    *SECCOMP,
    ENDED,
)
_FIELDS = (
    ("process.cwd", "cwd"),
    ("process.env", "env"),
    ("process.user.additionalGids", "additional-gids"),
    ("process.user", "user"),
    ("process.capabilities", "cap"),
    ("process.apparmorProfile", "apparmor"),
    ("process.selinuxLabel", "process-label"),
)
HELP = """\
The process gets the container's own settings (user, environment, capabilities ...) unless an
option says otherwise.

   pycontainer exec -t mybox sh
   pycontainer exec --seccomp-report - mybox /bin/app
"""


def run(settings: Settings, arguments: Arguments) -> int:
    from pycontainer.base.errors import ContainerError, UsageError
    from pycontainer.cli import find

    if arguments["ended"]:
        from pycontainer.cli import named
        from pycontainer.lifecycle.ended import finish_exec

        return finish_exec(settings, named(arguments), arguments["ended"])
    target = find(settings, arguments)
    process = _process(arguments["process"]) if arguments["process"] else None
    options = _options(arguments, process)
    if process is None and not options.args:
        raise UsageError("exec args cannot be empty", "no-command")
    try:
        if not (arguments["seccomp-report"] or arguments["seccomp-patch"]):
            return target.exec(options)
        from pycontainer.cli.create_options import seccomp_watch

        with seccomp_watch(arguments) as options.watch:
            return target.exec(options)
    except ContainerError as error:
        error.source = _option(error.field, arguments)
        raise


def _options(arguments: Arguments, process: dict[str, Any] | None) -> ExecOptions:
    from pycontainer.base.settings import absolute
    from pycontainer.lifecycle.container import ExecOptions

    for gid in arguments["additional-gids"]:
        if gid < 0:
            from pycontainer.base.errors import UsageError

            raise UsageError(f"additional-gids must be a positive number {gid}", "out-of-range")
    return ExecOptions(
        process=process,
        args=arguments.words[1:],
        cwd=arguments["cwd"],
        env=arguments["env"],
        tty=arguments["tty"],
        user=_user(arguments["user"]),
        additional_gids=arguments["additional-gids"],
        detach=arguments["detach"],
        pid_file=absolute(arguments["pid-file"]) if arguments["pid-file"] else "",
        console_socket=arguments["console-socket"],
        pidfd_socket=arguments["pidfd-socket"],
        process_label=arguments["process-label"],
        apparmor=arguments["apparmor"],
        no_new_privs=arguments["no-new-privs"] if "no-new-privs" in arguments else None,
        caps=arguments["cap"],
        preserve_fds=arguments["preserve-fds"],
        ignore_paused=arguments["ignore-paused"],
        cgroup=arguments["cgroup"],
    )


def _option(field: str, arguments: Arguments) -> str:
    """The option that has set a field, so that the user does not look for it in config.json."""
    if arguments["process"]:
        return f"{field} of {arguments['process']}" if field.startswith("process") else ""
    for start, name in _FIELDS:
        if field.startswith(start) and arguments[name]:
            return f"--{name}"
    return "the command line" if field.startswith("process.args") else ""


def _process(path: str) -> dict[str, Any]:
    """The process document in a file."""
    from _io import FileIO  # open() would load io, and with it encodings

    from pycontainer.base import jsonfast
    from pycontainer.base.errors import HostError

    try:
        with FileIO(path) as file:
            process = jsonfast.loads(file.readall())
    except OSError as error:
        raise HostError.of("open", path, error, field="--process") from None
    except ValueError as error:
        raise HostError(f"parse {path}: {error}", "unreadable", field="--process") from None
    if not isinstance(process, dict):
        raise HostError(f"parse {path}: must be an object", "unreadable", field="--process")
    return process


def _user(text: str) -> str:
    """The text of -u, once it is certain that it holds numbers (CVE-2026-30892)."""
    if not text:
        return ""
    uid, colon, gid = text.partition(":")
    _check_number("uid", uid)
    if colon:
        _check_number("gid", gid)
    return text


def _check_number(name: str, value: str) -> None:
    if value.isascii() and value.isdigit() and len(value) <= 10 and int(value) <= _LAST_ID:
        return
    from pycontainer.base.errors import UsageError

    message = f'bad {name} "{value}": must be a number from 0 to {_LAST_ID}'
    raise UsageError(message, "not-an-id", name=name, value=value)
