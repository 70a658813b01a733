"""The engine's operations about a systemd unit, and the ways of a process into a cgroup that it
may not be cloned into. Each handler gets the run and the operation, and fails as the engine's do.
"""

from __future__ import annotations

import posix
from errno import E2BIG, EACCES, EAGAIN, EBADF, EINVAL, EPERM

from pycontainer._shim import ffi, lib
from pycontainer.base.errors import ContainerError, OperationError, check
from pycontainer.executor import binary
from pycontainer.executor.channel import Channel
from pycontainer.linux.files import write_text
from pycontainer.linux.process import reap

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from pycontainer.executor.engine import _Run as Run
    from pycontainer.plan.ops import Op

FORBIDDEN = (EACCES, EPERM)
TOO_OLD = (EINVAL, E2BIG, EBADF)  # clone3 before kernel 5.7


def clone_otherwise(run: Run, exe: int, flags: int, pidfd: Any, failed: int) -> int:
    """The clone into the cgroup failed (`failed`: -errno): clone outside of it, and move in.

    Where the way from our own cgroup to the container's leads over one that we may not write, a
    service manager may still move us.
    """
    cgroup = run.context.cgroup
    if cgroup is None or -failed not in (*FORBIDDEN, *TOO_OLD, EAGAIN):  # no room to be born there
        return run._check(failed)
    pid = run._check(run._spawn(exe, flags, -1, pidfd))
    try:
        cgroup.attach(pid)
    except ContainerError:
        posix.kill(pid, 9)
        reap(pid)
        posix.close(pidfd[0])
        pidfd[0] = -1
        if -failed in FORBIDDEN:
            run._check(failed)
        raise
    return pid


class Placeholder:
    """An executor without a plan, to start a scope with: it waits at its channel, and exits when
    that closes."""

    __slots__ = ("_channel", "pid")

    def __init__(self) -> None:
        self._channel = Channel()
        exe = binary.sealed()
        pidfd = ffi.new("int *")
        try:
            self.pid = check(
                lib.shim_spawn(exe, self._channel.theirs, 0, -1, 0, pidfd),
                "start a process for the scope",
            )
            posix.close(pidfd[0])
            self._survive()
        except BaseException:
            self._channel.close()
            raise
        finally:
            self._channel.drop_theirs()
            posix.close(exe)

    def _survive(self) -> None:
        """Protect it from the OOM killer, when the limit is too small for init."""
        try:
            write_text(f"/proc/{self.pid}/oom_score_adj", "-1000")
        except OSError:
            pass  # without privilege it stays unprotected

    def end(self) -> None:
        """Gone when this returns."""
        try:
            posix.kill(self.pid, 9)
            posix.waitpid(self.pid, 0)
        except (ProcessLookupError, ChildProcessError):
            pass  # another thread or process was first
        self._channel.close()


def _unit_start(run: Run, op: Op) -> None:
    if run.context.resources is not None:
        run._cgroup().start(run.context.resources, Placeholder)


def _unit_settle(run: Run, op: Op) -> None:
    if run.context.resources is not None:
        run._cgroup().settle(run.context.resources)


def _cgroup_owner(run: Run, op: Op) -> None:
    try:
        run._cgroup().delegate(op.ints[0])
    except OperationError:
        if not run.context.rootless:
            raise


def _cgroup_delegate(run: Run, op: Op) -> None:
    from pycontainer.cgroups.delegation import hand_down

    hand_down(run._cgroup(), op.texts[0].decode("utf-8", "surrogateescape"), op.ints[0], run.pid)


HANDLERS: dict[str, Callable[[Run, Op], None]] = {
    "unit_start": _unit_start,
    "unit_settle": _unit_settle,
    "cgroup_owner": _cgroup_owner,
    "cgroup_delegate": _cgroup_delegate,
}
