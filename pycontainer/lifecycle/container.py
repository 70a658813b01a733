"""The lifecycle of one container, for the command line and for programs.

    settings = Settings(root="/run/pycontainer")
    container = Container.create(settings, "web1", CreateOptions(bundle="bundle"))
    container.start()
    container.kill(15)
    container.delete()

Each method takes the container from one state of runtime.md#state to the next, or raises a
ContainerError that says why it cannot. What only some commands need is imported by them.
"""

from __future__ import annotations

import posix

from pycontainer.base.errors import CLIENT_TEXTS, ContainerError, NotFound, NotRunning, StateError
from pycontainer.lifecycle.options import CreateOptions as CreateOptions
from pycontainer.lifecycle.options import ExecOptions as ExecOptions
from pycontainer.linux.files import close_all
from pycontainer.linux.process import alive, reap, signal_process
from pycontainer.state.store import CONFIG, GATE, Store, status

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from pycontainer.base.settings import Settings
    from pycontainer.cgroups.cgroup import Cgroup
    from pycontainer.executor.engine import Started
    from pycontainer.lifecycle.create import Creation
    from pycontainer.lifecycle.sd_notify import Proxy
    from pycontainer.plan.builder import Plan
    from pycontainer.state.state import Facts
    from pycontainer.state.store import Entry

SIGKILL = 9


def plan_of(settings: Settings, options: CreateOptions, container_id: str = "container") -> Plan:
    """What `create` would do with this bundle; nothing is made or changed."""
    from pycontainer.lifecycle.create import Creation

    options.detach = True
    return Creation(settings, container_id, options, gated=True, dry=True).compile()


class Container:
    """A container that exists: its entry in the store, and the facts as they were when read."""

    __slots__ = ("_cgroup", "entry", "facts", "id", "settings")

    def __init__(self, settings: Settings, entry: Entry, facts: Facts) -> None:
        self.settings = settings
        self.id = facts.id
        self.entry = entry
        self.facts = facts
        self._cgroup: Cgroup | None = None

    # -- getting one ----------------------------------------------------------------------------

    @classmethod
    def create(cls, settings: Settings, container_id: str, options: CreateOptions) -> Container:
        """Make everything but the program, which waits for `start` (runtime.md#create)."""
        container, started = cls.launch(settings, container_id, options, gated=True)
        close_all(started.pidfd)
        return container

    @classmethod
    def launch(
        cls, settings: Settings, container_id: str, options: CreateOptions, *, gated: bool
    ) -> tuple[Container, Started]:
        """Create, or unless `gated` start, too, and leave init to the caller, with its pidfd."""
        from pycontainer.lifecycle.create import Creation

        creation = Creation(settings, container_id, options, gated=gated)
        container, started = cls._carried_out(creation)
        if not gated:
            try:
                container._started(creation.config)
            except BaseException:
                reap(started.pid)  # it has been ended
                close_all(started.pidfd)
                creation.entry.close()
                raise
        return container, started

    @classmethod
    def run(cls, settings: Settings, container_id: str, options: CreateOptions) -> int:
        """Create and start; wait for the end, and delete, unless `options` say otherwise.

        Returns the program's exit status, 128 + n when signal n ended it; 0 when detached.
        """
        from pycontainer.lifecycle.create import Creation

        return cls.attend(Creation(settings, container_id, options, gated=False))

    @classmethod
    def attend(cls, creation: Creation) -> int:
        """The same for a creation, of whatever kind."""
        attachment, options = creation.attachment, creation.options
        if attachment.stays and not options.no_subreaper:
            from pycontainer.lifecycle.foreground import become_subreaper

            become_subreaper()
        container, started = cls._carried_out(creation)
        try:
            close_all(started.pidfd)
            if creation.starts:
                container._started(creation.config)
                if serve := creation.notify:
                    (serve.serve_in_background if attachment.stays else serve.serve)(started.pid)
            if not attachment.stays:
                return 0
            from pycontainer.lifecycle.attendant import leave

            leave(creation, started.pid)
            exit_status = attachment.wait(started.pid, reap_all=not options.no_subreaper)
            if exit_status == 128 + SIGKILL:
                container.tell_oom(0)
        except BaseException:
            if attachment.stays and not options.keep:
                container._give_up()
            raise
        finally:
            attachment.close()
        if not options.keep:
            container.delete(force=True)
        elif not options.record_exit:
            from pycontainer.lifecycle.outcome import record

            record(container.entry, exit_status)
        return exit_status

    @classmethod
    def _carried_out(cls, creation: Creation) -> tuple[Container, Started]:
        started = creation.carry_out()
        return cls(creation.settings, creation.entry, creation.facts), started

    @classmethod
    def load(cls, settings: Settings, container_id: str) -> Container:
        """The container of that id; StateError when there is none, or its facts are damaged."""
        entry = Store(settings.root).open(container_id)
        try:
            return cls(settings, entry, entry.read_facts())
        except BaseException:
            entry.close()
            raise

    # -- looking at it --------------------------------------------------------------------------

    def status(self) -> str:
        """creating, created, running, paused or stopped, as of now."""
        return status(self.entry, self.facts, self._frozen)

    def state(self) -> dict[str, Any]:
        """The state document of runtime.md#state, with what runc adds; pid 0 once stopped."""
        from pycontainer.state.state import document

        now = self.status()
        if now != "stopped":
            return document(self.facts, now, self.facts.pid)
        from pycontainer.lifecycle.outcome import known

        return document(self.facts, now, 0) | known(self)

    def tell_oom(self, before: int) -> None:
        """A warning, when the kernel has killed more than `before` for lack of memory."""
        if self.facts.cgroup and (found := self.cgroup.oom_report()).get("kills", 0) > before:
            from pycontainer.cgroups.stats.oom import words

            self.settings.log.warning(f"container {self.id}: killed, {words(found)}")

    def pids(self) -> list[int]:
        """The host's pids of all its processes, sorted."""
        found = self.cgroup.pids()
        if not found and alive(self.facts.pid, self.facts.start_time):
            from pycontainer.linux.namespace_members import namespace_pids

            return namespace_pids(self.facts.pid, self._common())
        return found

    @property
    def cgroup(self) -> Cgroup:
        """Its cgroup, which may be gone."""
        if self._cgroup is None:
            from pycontainer.cgroups import load

            self._cgroup = load(self.facts.cgroup)
        return self._cgroup

    def config(self) -> dict[str, Any]:
        """The config that it was created with."""
        from pycontainer.base.jsonfast import loads

        try:
            config = loads(self.entry.read_config())
            if not isinstance(config, dict):
                raise ValueError("not a JSON object")
            return config
        except ValueError as error:
            raise StateError(f"read {self.entry.path(CONFIG)}: {error}", "unreadable") from None

    # -- its life -------------------------------------------------------------------------------

    def start(self, connection: int = -1) -> None:
        """Run the program of a created container (runtime.md#start).

        With a `connection` the gate has been opened (csrc/launcher/front.c): read its answer.
        """
        self.entry.lock()
        try:
            self.facts = self.entry.read_facts()
            now = self.status() if connection < 0 else "created"
            if now != "created":
                text = _START_REFUSALS.get(now) or f"cannot start a container in the {now} state"
                raise StateError(text, "wrong-state", id=self.id, status=now)
            if self.facts.extra.get("no_process"):
                from pycontainer.spec import require_process

                require_process(self.config())
            from pycontainer.executor.start_gate import hear, open_gate

            config = self.entry.read_config()
            proxy = self._notify_proxy()
            try:
                if connection < 0:
                    connection = open_gate(self.entry.dir_fd, GATE)
                hear(connection, self._listener(), self.config)
            except ContainerError:
                self._give_up()
                raise
            posix.unlink(GATE, dir_fd=self.entry.dir_fd)
            if b'"poststart"' in config:
                self._started(self.config())
        finally:
            self.entry.unlock()
        if proxy is not None:
            proxy.serve(self.facts.pid)

    def _notify_proxy(self) -> Proxy | None:
        """What passes its READY=1 on, when it was created for that and a manager waits."""
        if not self.facts.extra.get("notify") or b"NOTIFY_SOCKET" not in posix.environ:
            return None
        from pycontainer.lifecycle.sd_notify import Proxy

        return Proxy(self.settings, self.entry.dir_fd)

    def _listener(self) -> Callable[[int], None] | None:
        """What hands a seccomp listener on, if the container has one."""
        if not self.facts.extra.get("notifies"):
            return None
        from pycontainer.seccomp.agent import messenger
        from pycontainer.state.state import state_document

        facts = self.facts
        tell = messenger(
            self.config(),
            lambda pid: state_document(self.id, "created", pid, facts.bundle, facts.annotations),
        )
        return lambda fd: tell(fd, facts.pid)

    def _started(self, config: dict[str, Any]) -> None:
        """poststart hooks; one that fails ends the container (runtime.md#lifecycle)."""
        hooks = (config.get("hooks") or {}).get("poststart")
        if not hooks:
            return
        from pycontainer.lifecycle.hooks import run_hooks

        try:
            state, facts = self._hook_state("running"), self.facts
            annotations = config.get("annotations")
            run_hooks("poststart", hooks, state, cwd=facts.bundle, annotations=annotations)
        except ContainerError:
            self._give_up()
            raise

    def kill(self, signal: int, all: bool = False) -> None:
        """Send a signal to init, or to `all` processes; StateError once it has stopped."""
        facts = self.facts
        if all:
            reached = self.cgroup.signal_all(signal) > 0 or self._signal_without_cgroup(signal)
        elif signal == SIGKILL and self._is_scattered():
            reached = self._signal_without_cgroup(signal)
        else:
            reached = self.signal_init(signal)
            if signal == SIGKILL and not self._own_pids():  # nothing else ends what init leaves
                reached = self.cgroup.signal_all(signal) > 0 or reached
        if not reached:
            raise NotRunning(id=self.id, status="stopped")
        if signal == SIGKILL and facts.cgroup and self._frozen():
            self.cgroup.thaw()  # on v1 a frozen process does not even die

    def signal_init(self, signal: int) -> bool:
        """Send a signal to init; False when it has ended."""
        return signal_process(self.facts.pid, self.facts.start_time, signal)

    def signal_scattered(self, signal: int) -> None:
        """Send a signal to processes that nothing else will end."""
        if self._is_scattered():
            self._signal_without_cgroup(signal)

    def _signal_without_cgroup(self, signal: int) -> bool:
        """All processes that init's namespaces tell; False when it runs no more."""
        if not alive(self.facts.pid, self.facts.start_time):
            return False
        from pycontainer.linux.namespace_members import signal_all

        return signal_all(self.facts.pid, self._common(), signal) > 0

    def _is_scattered(self) -> bool:
        """No pid namespace ends its processes with init, no cgroup lists them afterwards."""
        return not self._own_pids() and not (self.facts.cgroup and self.cgroup.exists())

    def _common(self) -> str:
        """The kind of namespace that all its processes share, and no others."""
        return "pid" if self._own_pids() else "mnt"

    def _own_pids(self) -> bool:
        """True when a pid namespace of its own ends with init, and all in it."""
        return bool(self.facts.namespaces.get("pid", True))

    def pause(self) -> None:
        """Freeze all its processes."""
        now = self.status()
        if now not in ("running", "created"):
            raise NotRunning(id=self.id, status=now)
        self.cgroup.freeze()

    def resume(self) -> None:
        """Thaw a paused container."""
        now = self.status()
        if now != "paused":
            text = CLIENT_TEXTS["not_paused"]
            raise StateError(text, "not-paused", id=self.id, status=now)
        self.cgroup.thaw()

    def delete(self, force: bool = False, meanwhile: Callable[[], None] | None = None) -> None:
        """Remove it and all that it holds (runtime.md#delete); `force` kills it first."""
        self.entry.lock()
        try:
            self.facts = self.entry.read_facts()
            now = self.status()
            if not force and now not in ("stopped", "created"):
                message = f"cannot delete container {self.id} that is not stopped: {now}"
                raise StateError(message, "not-stopped")
            from pycontainer.lifecycle.delete import destroy

            destroy(self, now != "stopped", meanwhile)
        finally:
            self.entry.close()

    def exec(self, options: ExecOptions) -> int:
        """Run one more process; its exit status, 0 when detached."""
        from pycontainer.lifecycle.exec import run_exec

        return run_exec(self, options)

    # -- the end --------------------------------------------------------------------------------

    def _give_up(self) -> None:
        """Remove it after a failure, which is the one to be reported; it may be gone already."""
        from pycontainer.base.steps import attempt
        from pycontainer.lifecycle.delete import after_failure, destroy

        def end() -> None:
            try:
                self.entry.lock()
            except NotFound:
                return
            destroy(self, force=True)

        for failure in attempt([end]):
            if not isinstance(failure, NotFound):  # it has been given up already
                self.settings.log.warning(after_failure(failure, self.id))

    # -- helpers --------------------------------------------------------------------------------

    def thaw_if_frozen(self) -> None:
        """Let its processes run, if that is what keeps them from dying."""
        if self._frozen():
            self.cgroup.thaw()

    def _frozen(self) -> bool:
        return bool(self.facts.cgroup) and self.cgroup.frozen()

    def _hook_state(self, now: str) -> bytes:
        from pycontainer.base.jsonfast import dumps
        from pycontainer.state.state import state_document

        facts = self.facts
        document = state_document(self.id, now, facts.pid, facts.bundle, facts.annotations)
        return dumps(document).encode()


_START_REFUSALS = {
    "running": CLIENT_TEXTS["already_started"],
    "stopped": CLIENT_TEXTS["start_stopped"],
}
