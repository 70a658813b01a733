"""Carries a plan out: starts the executor, hands the plan over, does the runtime's own operations.

Input: a Plan, and the `Context` of its operations. Output: a Started, with the executor waiting at
the gate or the program running; or an error that names the operation, and no process is left. The
list is walked once, in order. Those of the runtime are done here; the executor works through its
own list at the same time, and waits at each `sync` for the runtime's operations after it.
"""

from __future__ import annotations

import posix

from pycontainer._shim import ffi, lib
from pycontainer.base.errors import HostError, OperationError
from pycontainer.executor import binary
from pycontainer.executor.binary import Started as Started
from pycontainer.executor.channel import (
    MSG_CONSOLE,
    MSG_GO,
    MSG_SYNC,
    Channel,
    ExecutorFailed,
    ExecutorGone,
    unexpected,
)
from pycontainer.linux.files import close_all
from pycontainer.linux.process import reap
from pycontainer.plan import serialize
from pycontainer.plan.ops import CONTAINER, TABLE, Op

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from pycontainer.cgroups.cgroup import Cgroup
    from pycontainer.cgroups.resources.writes import ResourcePlan
    from pycontainer.executor.timing import Timing
    from pycontainer.plan.builder import Plan

CLONE_NEWPID = 0x20000000
NEW_LISTENER = 8  # SECCOMP_FILTER_FLAG_NEW_LISTENER
_NULL = posix.O_RDWR | posix.O_CLOEXEC


class Context:
    """What a plan's operations refer to.

    `record(phase, pid)` keeps the facts; `hooks(stage, pid)` runs the hooks of the runtime
    namespace; `console(master)` hands a terminal on; `listener(fd, pid)` the descriptor of a
    seccomp filter that notifies; `resctrl(pid)` lets it into its group, `enter(pid)` the child that
    goes on into crowded cgroups; `gate_dir` is the state directory's fd; `fds` become the process's
    0, 1, 2 ..., or else our own 0 to 2 + `preserve`.
    """

    __slots__ = (
        "cgroup",
        "console",
        "enter",
        "fds",
        "gate_dir",
        "hooks",
        "listener",
        "preserve",
        "record",
        "resctrl",
        "resources",
        "rootless",
    )

    def __init__(
        self,
        record: Callable[[str, int], None],
        *,
        cgroup: Cgroup | None = None,
        resources: ResourcePlan | None = None,
        hooks: Callable[[str, int], None] | None = None,
        console: Callable[[int], None] | None = None,
        listener: Callable[[int, int], None] | None = None,
        resctrl: Callable[[int], None] | None = None,
        enter: Callable[[int], None] | None = None,
        gate_dir: int = -1,
        fds: list[int] | None = None,
        preserve: int = 0,
        rootless: bool = False,
    ) -> None:
        self.record = record
        self.cgroup = cgroup
        self.resources = resources
        self.hooks = hooks
        self.console = console
        self.listener = listener
        self.resctrl = resctrl
        self.enter = enter or (lambda pid: None)
        self.gate_dir = gate_dir
        self.fds = fds
        self.preserve = preserve
        self.rootless = rootless


def execute(plan: Plan, context: Context, timing: Timing | None = None) -> Started:
    """Carry `plan` out, timed if asked to; OperationError, HostError or ConfigError on failure."""
    run = _Run(plan, context) if timing is None else timing.run(plan, context)
    try:
        try:
            run.walk()
        except ExecutorFailed as failed:
            raise run.failure(failed.step, failed.errno, failed.detail) from None
        except ExecutorGone:
            raise run.died() from None
        started, run.pidfd = Started(run.pid, run.pidfd), -1
        return started
    except BaseException:
        run.abandon()
        raise
    finally:
        run.close()


class _Run:
    """One walk over one plan."""

    handlers: dict[str, Any]  # of the runtime's operations
    meetings: dict[str, Any]  # of the container's operations: what the runtime waits for there
    __slots__ = (
        "context",
        "channel",
        "limited",
        "master",
        "op",
        "pid",
        "pidfd",
        "plan",
        "sent",
        "slots",
        "step",
        "waits",
    )

    def __init__(self, plan: Plan, context: Context) -> None:
        self.plan = plan
        self.context = context
        self.pid = 0
        self.pidfd = self.master = -1
        self.channel: Channel | None = None
        self.slots: dict[int, int] = {}  # that have not been sent
        self.sent = False  # the plan
        self.waits = False  # the executor, for GO
        self.limited = False  # the cgroup's limits are written
        self.step = 0
        self.op: Op = plan.ops[0]

    def walk(self) -> None:
        for step, op in enumerate(self.plan.ops, 1):
            self.step, self.op, kind = step, op, op.kind
            if kind in self.handlers:
                self._do(op)
                continue
            if not self.sent:
                self._hand_over()
            if self.waits:
                self._release()
            if kind in self.meetings:
                self.meetings[kind](self)
            elif kind == "await_start":
                return
        self._release()
        self._wait_for_exec()

    def _do(self, op: Op) -> None:
        try:
            self.handlers[op.kind](self, op)
        except OperationError as error:
            from pycontainer.executor import handlers

            handlers.locate(self, error)
            raise

    def _clone(self, op: Op) -> None:
        flags, into_cgroup, pid_slot = op.ints
        cgroup, before = -1, -1
        pidfd = ffi.new("int *", -1)
        exe = binary.sealed()
        try:
            self.channel = Channel()
            if into_cgroup and self.context.cgroup is not None:
                cgroup = self.context.cgroup.fd_for_clone()
            if pid_slot >= 0:
                before = posix.open("/proc/self/ns/pid", posix.O_RDONLY | posix.O_CLOEXEC)
                self._check(lib.shim_setns(self.slots[pid_slot], CLONE_NEWPID))
            pid = self._spawn(exe, flags, cgroup, pidfd)
            if pid < 0:
                from pycontainer.executor.cgroup_handlers import clone_otherwise

                pid = clone_otherwise(self, exe, flags, pidfd, pid)
            self.pid, self.pidfd = pid, pidfd[0]
        finally:
            if not self.pid and pidfd[0] >= 0:  # Ctrl-C came with the clone
                self.pidfd, self.pid = pidfd[0], binary.pid_of(pidfd[0])
            if before >= 0:
                lib.shim_setns(before, CLONE_NEWPID)
            close_all(exe, cgroup, before)
            if self.channel is not None:
                self.channel.drop_theirs()

    def _spawn(self, exe: int, flags: int, cgroup: int, pidfd: Any) -> int:
        """The executor's pid, or a negative errno."""
        context, channel, fds = self.context, self._talk().theirs, self.context.fds
        if fds is None:
            return lib.shim_spawn(exe, channel, flags, cgroup, context.preserve, pidfd)
        return lib.shim_spawn_with(exe, channel, flags, cgroup, fds, len(fds), pidfd)

    def _hand_over(self) -> None:
        self._talk().hand_over(serialize.pack(self.plan.ops), self._in_order())
        self.sent = True
        self._close_slots()

    def _in_order(self) -> list[int]:
        return [fd for _, fd in sorted(self.slots.items())]

    def _close_slots(self) -> None:
        while self.slots:
            close_all(self.slots.popitem()[1])

    def _talk(self) -> Channel:
        if self.channel is None:
            raise HostError("the plan has no clone before its container operations")
        return self.channel

    def _release(self) -> None:
        if self.waits:
            self.waits = False
            self._talk().send(MSG_GO, self._in_order())
            self._close_slots()

    def _meet(self) -> None:
        self._talk().expect(MSG_SYNC)
        self.waits = True

    def _follow_child(self) -> None:
        """A child goes on with the plan; the process that we cloned has ended."""
        channel = self._talk()
        channel.caught = pidfd = channel.child_of(self.pidfd)
        before, self.pid = self.pid, binary.pid_of(pidfd)
        before_fd, self.pidfd = self.pidfd, pidfd
        channel.caught = -1
        close_all(before_fd)
        reap(before)
        self.context.record("creating", self.pid)
        self.context.enter(self.pid)
        self._talk().send(MSG_GO)

    def _take_console(self) -> None:
        self.master = self._talk().expect(MSG_CONSOLE)

    def _hand_listener_on(self) -> None:
        """A filter that notifies, the program's or a startContainer hook's: an agent gets it."""
        filter = self.plan.ops[-2]
        if filter.kind == "seccomp" and filter.ints[0] & NEW_LISTENER:
            from pycontainer.executor import handlers

            handlers.hand_listener_on(self)

    def _wait_for_exec(self) -> None:
        """The channel is closed by a successful exec, or by the executor's death."""
        kind, _ = self._talk().receive()
        if kind:
            raise unexpected(kind, 0)
        cgroup = self.context.cgroup
        if cgroup is not None and cgroup.oom_kills():
            from pycontainer.executor import handlers

            if not handlers.executed(self.pid):
                raise self.died()

    def failure(self, index: int, errno: int, detail: Any = None) -> OperationError:
        """The error for an operation, by its number from 0."""
        from pycontainer.executor import handlers

        return handlers.failure(self, index, errno, detail)

    def died(self) -> OperationError:
        """The executor is gone without a message."""
        from pycontainer.executor import handlers

        return handlers.init_died(self)

    def _check(self, result: int) -> int:
        """A result of our own operation, raised like one of the executor's."""
        if result < 0:
            raise self.failure(self.step - 1, -result)
        return result

    def abandon(self) -> None:
        """After a failure: no process may stay."""
        from pycontainer.executor import handlers

        handlers.abandon(self)

    def close(self) -> None:
        if self.channel is not None:
            self.channel.close()
        self._close_slots()
        close_all(self.pidfd, self.master)

    # -- the runtime's operations ------------------------------------------------------------

    def _cgroup(self) -> Cgroup:
        if self.context.cgroup is None:
            raise HostError("the plan has a cgroup, but the engine was given none")
        return self.context.cgroup

    def _cgroup_create(self, op: Op) -> None:
        self.plan.warnings += self._cgroup().create(self.context.resources, self.context.rootless)

    def _cgroup_write(self, op: Op) -> None:
        """All limits at once: a value may be refused until its neighbour has been written."""
        if not self.limited and self.context.resources is not None:
            self.limited = True
            self.plan.warnings += self._cgroup().apply(self.context.resources.writes)

    def _cgroup_devices(self, op: Op) -> None:
        resources, rootless = self.context.resources, self.context.rootless
        if resources is not None:
            self.plan.warnings += self._cgroup().apply_devices(resources, rootless)

    def _open_cgroup(self, op: Op) -> None:
        (slot,), path = op.ints, op.texts[0]
        context = self.context
        if context.cgroup is not None and context.resources is not None:
            directory = path.decode().rpartition("/")[0]
            if directory not in context.cgroup.paths.all_directories():
                # Left out for lack of privilege: there is nothing to enter.
                self.slots[slot] = posix.open("/dev/null", _NULL)
                return
        self.slots[slot] = self._open(path, posix.O_WRONLY)

    def _open(self, path: bytes, flags: int) -> int:
        try:
            return posix.open(path, flags | posix.O_CLOEXEC)
        except OSError as error:
            raise self.failure(self.step - 1, error.errno or 0) from None

    def _open_namespace(self, op: Op) -> None:
        slot, nstype = op.ints
        self.slots[slot] = fd = self._open(op.texts[0], posix.O_RDONLY)
        if lib.shim_namespace_type(fd) != nstype:
            from pycontainer.executor import handlers

            raise handlers.wrong_namespace(self, op)

    def _rare(self, op: Op) -> None:
        from pycontainer.executor import handlers

        handlers.HANDLERS[op.kind](self, op)

    def _open_gate(self, op: Op) -> None:
        gate = lib.shim_listen_at(self.context.gate_dir, b"start.sock")
        self.slots[op.ints[0]] = self._check(gate)

    def _oom_score_adj(self, op: Op) -> None:
        self._write(f"/proc/{self.pid}/oom_score_adj", str(op.ints[0]).encode())

    def _write(self, path: str, data: bytes) -> None:
        fd = self._open(path.encode(), posix.O_WRONLY)
        try:
            posix.write(fd, data)
        except OSError as error:
            raise self.failure(self.step - 1, error.errno or 0) from None
        finally:
            posix.close(fd)

    def _record(self, op: Op) -> None:
        self.context.record(op.texts[0].decode(), self.pid)

    def _raise_rlimit(self, op: Op) -> None:
        self._check(lib.shim_raise_limit(self.pid, *op.ints))

    def _run_hooks(self, op: Op) -> None:
        if self.context.hooks is not None:
            self.context.hooks(op.texts[0].decode(), self.pid)

    def _deliver_console(self, op: Op) -> None:
        if self.context.console is not None:
            self.context.console(self.master)


_Run.handlers = {
    kind: getattr(_Run, f"_{kind}", _Run._rare)
    for kind, row in TABLE.items()
    if row[0] != CONTAINER
}
_Run.meetings = {
    "sync": _Run._meet,
    "receive": _Run._meet,  # what is opened now goes with GO
    "respawn": _Run._follow_child,
    "console": _Run._take_console,
    "hook": _Run._hand_listener_on,
    "seccomp": _Run._hand_listener_on,
}
