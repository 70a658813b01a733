"""Commands in forked children of one warm process: what `pycontainer` does, without its start.

The child runs `pycontainer.cli.main`, which leaves with the exit status; its output goes to
files in memory.
"""

from __future__ import annotations

import gc
import os
import sys
from pathlib import Path

from tests.support.runtimes import Done

_PATIENCE = 60


def command(argv: list[str]) -> Done:
    """Run one command line, its stdin /dev/null; 128 + n as status when signal n ended it."""
    out, err = os.memfd_create("out"), os.memfd_create("err")
    pid = os.fork()
    if pid == 0:
        _become(argv, out, err)
    try:
        _, ended = os.waitpid(pid, 0)
        code = os.waitstatus_to_exitcode(ended)
        return Done(["pycontainer", *argv], code if code >= 0 else 128 - code, _all(out), _all(err))
    finally:
        os.close(out)
        os.close(err)


def warm() -> None:
    """Load what the children need, once."""
    from pycontainer.base.errors import ConfigError
    from pycontainer.cli import errors, log  # noqa: F401
    from pycontainer.cli.commands import create  # noqa: F401
    from pycontainer.lifecycle import create as creation  # noqa: F401
    from pycontainer.spec import validate

    try:
        validate({"ociVersion": 1})
    except ConfigError:
        gc.freeze()  # a collection in a child would copy all pages


def _become(argv: list[str], out: int, err: int) -> None:
    try:
        signal_after(_PATIENCE)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(out, 1)
        os.dup2(err, 2)
        sys.stdin = open(0, closefd=False)
        sys.stdout = open(1, "w", closefd=False)
        sys.stderr = open(2, "w", closefd=False)
        sys.unraisablehook = sys.__unraisablehook__
        from pycontainer.cli import main

        main(argv)
    except BaseException as error:
        os.write(2, f"Traceback: {error!r} left main".encode())
    finally:
        os._exit(250)


def signal_after(seconds: int) -> None:
    """SIGALRM ends a command that hangs."""
    import signal

    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(seconds)


def _all(fd: int) -> str:
    return Path(f"/proc/self/fd/{fd}").read_bytes().decode("utf-8", "replace")
