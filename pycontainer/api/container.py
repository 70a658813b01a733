"""One container, as an object that can be used from any thread.

Each method opens the container's state directory, does what the command of that name does (it is
the same code), and closes it again. So an object holds one descriptor at most, the pidfd of an init
that we have started, and several objects, threads and processes may have the same container.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, BinaryIO, TypedDict, Unpack

import attrs

from pycontainer.api.child import Child, await_end
from pycontainer.api.models import Event, OutOfMemory, State, Stats, Status
from pycontainer.api.process import Completed, Process
from pycontainer.api.reaper import Lingering
from pycontainer.api.streams import PIPE, Ends, StreamArguments
from pycontainer.base.errors import NotFound, StateError, UsageError
from pycontainer.lifecycle import container as core
from pycontainer.lifecycle import events as core_events
from pycontainer.lifecycle.options import ExecOptions
from pycontainer.linux.process import end_child, open_pidfd
from pycontainer.tables.signals import parse_signal

if TYPE_CHECKING:
    from pycontainer.api.runtime import Runtime

_KILLED = 128 + 9


class ExecArguments(StreamArguments, total=False):
    """How one more process differs from the container's own.

    `env` is added to its environment; `user` is a uid, or a pair of uid and gid; `cap` is added
    to its capabilities; `process` is a whole process document instead of all that; `tty` gives it
    a terminal, see Process.terminal; `cgroup`: one below the container's, "PATH" or "CTRL:PATH".
    """

    cwd: str
    env: Mapping[str, str]
    user: int | tuple[int, int]
    additional_gids: Sequence[int]
    cap: Sequence[str]
    no_new_privs: bool
    apparmor: str
    process_label: str
    process: dict[str, Any]
    tty: bool
    cgroup: Sequence[str]
    ignore_paused: bool


class CaptureArguments(TypedDict, total=False):
    """What Container.exec and Runtime.run take beyond that, as subprocess.run does.

    `input`: bytes for stdin; `capture_output`: keep what stdout and stderr say; `timeout`: seconds,
    after which the process is killed and TimeoutError raised; `check`: ExitError if it fails.
    """

    input: bytes
    capture_output: bool
    timeout: float
    check: bool


class RunExecArguments(ExecArguments, CaptureArguments, total=False):
    """Both."""


@attrs.define(eq=False)
class Container:
    """A container: made by Runtime.create, or found by Runtime.load.

    As a context manager it is deleted at the end, by force if it still runs.
    """

    id: str
    runtime: Runtime = attrs.field(repr=False)
    created: str
    init: Process | None = attrs.field(default=None, repr=False)

    # -- looking at it --------------------------------------------------------------------------

    def state(self) -> State:
        """Its state as of now (runtime.md#state)."""
        with self._opened() as container:
            return State.of(container.state())

    def status(self) -> Status:
        """creating, created, running, paused or stopped, as of now."""
        with self._opened() as container:
            return container.status()  # type: ignore[return-value]

    def config(self) -> dict[str, Any]:
        """The config that it was created with."""
        with self._opened() as container:
            return container.config()

    def ps(self) -> list[int]:
        """The host's pids of all its processes, sorted."""
        with self._opened() as container:
            return container.pids()

    def stats(self) -> Stats:
        """What it uses now; StateError once it has stopped."""
        with self._opened() as container:
            return Stats.of(core_events.stats(container)["data"])

    def events(self, interval: float = 5.0) -> Iterator[Event]:
        """Statistics every `interval` seconds, and out-of-memory kills when they happen, until it
        ends; the last event is that end."""
        with self._opened() as container:
            for event in core_events.watch(container, interval):
                yield Event.of(event)

    # -- its init -------------------------------------------------------------------------------

    @property
    def stdin(self) -> BinaryIO | None:
        """Our end of init's stdin, if it was created with stdin=PIPE."""
        return self.init.stdin if self.init else None

    @property
    def stdout(self) -> BinaryIO | None:
        """Our end of init's stdout, if it was created with stdout=PIPE."""
        return self.init.stdout if self.init else None

    @property
    def stderr(self) -> BinaryIO | None:
        """Our end of init's stderr, if it was created with stderr=PIPE."""
        return self.init.stderr if self.init else None

    @property
    def terminal(self) -> int | None:
        """The descriptor of the other end of init's terminal, if its config has one."""
        return self.init.terminal if self.init else None

    @property
    def exit_status(self) -> int | None:
        """init's, as of `wait`; None while it runs, or when it is not our child."""
        return self.init.exit_status if self.init else None

    def fileno(self) -> int:
        """A pidfd of init (Linux 5.3), for poll(2) and event loops: readable when it has ended.

        StateError for a container that another process has created: `wait` waits for those, too.
        """
        if self.init is None:
            raise StateError("this container was created by another process", "not-a-child")
        return self.init.fileno()

    def wait(self, timeout: float | None = None) -> int | None:
        """Wait for init's end; its exit status, 128 + n when signal n ended it.

        None for a container that another process has created: the status is that one's to know.
        TimeoutError when it still runs after `timeout` seconds.
        """
        if self.init is not None:
            return self.init.wait(timeout)
        with self._opened() as container:
            pid = container.facts.pid
            pidfd = open_pidfd(pid, container.facts.start_time)
        if pidfd >= 0:
            try:
                await_end(pid, pidfd, timeout, leads=True)
            finally:
                os.close(pidfd)
        return None

    # -- its life -------------------------------------------------------------------------------

    def start(self) -> None:
        """Run the program of a created container (runtime.md#start).

        When that fails the container is deleted, as the specification wants it.
        """
        try:
            with self._opened() as container:
                container.start()
        except BaseException:
            if self.init is not None and self.init.child.reap():
                self.init.child.close()
            raise

    def kill(self, signal: int | str = "TERM", *, all: bool = False) -> None:
        """Send a signal, by number or name, to init or to `all` processes; StateError once it has
        stopped."""
        number = parse_signal(signal) if isinstance(signal, str) else int(signal)
        with self._opened() as container:
            container.kill(number, all=all)

    def pause(self) -> None:
        """Freeze all its processes."""
        with self._opened() as container:
            container.pause()

    def resume(self) -> None:
        """Thaw a paused container."""
        with self._opened() as container:
            container.resume()

    def update(self, resources: Mapping[str, Any]) -> None:
        """Change the limits that `resources` (of linux.resources) names; the others stay."""
        from pycontainer.lifecycle import update as updating

        with self._opened() as container:
            updating.update(container, dict(resources))

    def delete(self, *, force: bool = False) -> None:
        """Remove it and all that it holds (runtime.md#delete); `force` kills it first.

        Our ends of its streams stay open: what it has written can still be read.
        """
        with self._opened() as container:
            container.delete(force, Lingering(container.facts.pid))
        self._forget()

    def _forget(self) -> None:
        if self.init is not None:
            self.init.child.reap()
            self.init.child.close()

    def __enter__(self) -> Container:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self.delete(force=True)
        except NotFound:
            pass
        finally:
            self._forget()
            if self.init is not None:
                self.init.close()

    # -- more processes -------------------------------------------------------------------------

    def exec(self, args: Sequence[str], **options: Unpack[RunExecArguments]) -> Completed:
        """Run one more process and wait for it; see ExecArguments and CaptureArguments.

        `result = container.exec(["ls"], capture_output=True)`
        """
        capture = split_capture(options)
        with self._opened() as container:
            kills = container.cgroup.oom_kills()
        process = self.spawn(args, **options)  # type: ignore[misc]
        result = attended(process, capture)
        if result.exit_status == _KILLED and (oom := self._oom(kills)):
            result = attrs.evolve(result, oom=oom)
        return result.check() if capture.get("check") else result

    def spawn(self, args: Sequence[str], **options: Unpack[ExecArguments]) -> Process:
        """Start one more process; see ExecArguments."""
        from pycontainer.lifecycle.exec import start_exec

        wanted, given = _exec_options(args, options)
        ends = Ends(given)
        wanted.streams = ends.streams
        started = None
        try:
            with self._opened() as container:
                started = start_exec(container, wanted)
        except BaseException:
            ends.close()
            if started:  # Ctrl-C came right after
                end_child(started.pid)
                os.close(started.pidfd)
            raise
        names = wanted.args if wanted.process is None else wanted.process["args"]
        return Process.of(tuple(names), Child(started.pid, started.pidfd), ends)

    # -- helpers --------------------------------------------------------------------------------

    def _oom(self, before: int) -> OutOfMemory | None:
        with self._opened() as container:
            found = OutOfMemory.of(container.cgroup.oom_report())
        return found if found and found.kills > before else None

    @contextmanager
    def _opened(self) -> Iterator[core.Container]:
        """The container as the store has it now: this one, and no later one of the same id."""
        container = core.Container.load(self.runtime.settings, self.id)
        with container.entry:
            if container.facts.created != self.created:
                raise NotFound
            yield container


def split_capture(options: Any) -> CaptureArguments:
    """Take what is about capturing out of the options, and turn it into streams."""
    found: Any = {name: options.pop(name) for name in _CAPTURE if name in options}
    if "input" in found:
        if "stdin" in options:
            raise UsageError("input and stdin exclude each other", "exclusive")
        options["stdin"] = PIPE
    if found.get("capture_output"):
        if "stdout" in options or "stderr" in options:
            raise UsageError("capture_output and stdout or stderr exclude each other", "exclusive")
        options["stdout"] = options["stderr"] = PIPE
    return found


_CAPTURE = ("input", "capture_output", "timeout", "check")


def attended(process: Process, capture: CaptureArguments) -> Completed:
    """Until it ends: fed, heard, and killed after the timeout."""
    try:
        with_data = process.communicate(capture.get("input", b""), capture.get("timeout"))
    except BaseException:
        with suppress(StateError):  # it has ended by itself meanwhile
            process.kill("KILL")
            process.child.wait(10)
        raise
    finally:
        process.close()
    return Completed(process.args, process.child.status, *with_data)


def _exec_options(args: Sequence[str], options: Any) -> tuple[ExecOptions, StreamArguments]:
    """The core's options, and the streams."""
    if isinstance(args, str):
        raise UsageError("args must be a list, not a string", "not-a-list")
    given: Any = {name: options.pop(name) for name in _STREAMS if name in options}
    user = options.pop("user", None)
    if user is not None:
        options["user"] = ":".join(map(str, user)) if isinstance(user, tuple) else str(user)
    options["env"] = [f"{name}={value}" for name, value in (options.pop("env", None) or {}).items()]
    options["caps"] = list(options.pop("cap", ()))
    for name in ("additional_gids", "cgroup"):
        options[name] = list(options.pop(name, ()))
    if options.get("process") is None and not args:
        raise UsageError("exec args cannot be empty", "no-command")
    wanted = ExecOptions(args=list(args), detach=True, **options)
    return wanted, given


_STREAMS = ("stdin", "stdout", "stderr", "pass_fds")
