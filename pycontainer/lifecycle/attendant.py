"""A command that stays, as a tiny program: what waits in the foreground needs no interpreter.

When the process of a `run` or an `exec` runs, the command executes the attendant
(csrc/launcher/attendant.c) in place of itself: 0.1 MB instead of 3.6, and the kernel takes the
interpreter's memory apart while the program works, not after its end. It deletes a simple
container itself. For what is not simple it executes the command again, with `--ended`; `ended`
is the rest.

Only from a snapshot: an ordinary start of Python for the end would cost more than it saves.
"""

from __future__ import annotations

import posix

from pycontainer._shim import lib

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pycontainer.base.settings import Settings
    from pycontainer.lifecycle.create import Creation
    from pycontainer.lifecycle.stdio import Attachment

_VARIABLE = b"PYCONTAINER_ATTEND"
_program = b""


def load() -> None:
    """Read the program now, for a snapshot."""
    from pycontainer.executor.binary import read

    global _program
    _program = read(__file__.rpartition("/")[0] + "/attendant.bin")


def leave(creation: Creation, pid: int) -> None:
    """Wait for init as the attendant, when nothing is to be done then but to delete it."""
    options = creation.options
    if creation.starts and not options.keep and options.watch is None and creation.notify is None:
        everyone = not options.no_subreaper
        become(creation.settings, creation.attachment, pid, creation.id, everyone)


def become(
    settings: Settings,
    attachment: Attachment,
    pid: int,
    container_id: str = "",
    everyone: bool = False,
    kills: int = 0,
) -> None:
    """Wait for our child `pid` as the attendant, and do not return; or return, to wait here.

    It deletes `container_id`, reaps `everyone`, and knows how many `kills` for lack of memory there
    have been before.
    """
    if not _program or settings.invocation is None or attachment.terminal is not None:
        return
    assert attachment.signals is not None
    words, command_at = settings.invocation
    directory = f"{settings.root}/{container_id}" if container_id else ""
    try:
        python = posix.open("/proc/self/exe", posix.O_PATH)
        posix.set_inheritable(python, True)
        numbers = pid, attachment.signals.before, python, command_at, int(everyone), kills
        task = f"{' '.join(map(str, numbers))} {len(container_id)} {directory}"
        environment = {**posix.environ, _VARIABLE: task.encode("utf-8", "surrogateescape")}
        program = lib.shim_memfd(b"pycontainer", _program, len(_program), 1)
        posix.execve(program, words, environment)
    except (OSError, ValueError):
        return  # nothing is lost: we are as good, only larger
