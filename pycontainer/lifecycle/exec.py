"""`exec`: one more process in a container, by the same plan, engine and executor as its init."""

from __future__ import annotations

import posix

from pycontainer import spec
from pycontainer.base.errors import ConfigError, NotRunning, OperationError, StateError
from pycontainer.executor import engine
from pycontainer.lifecycle import attendant
from pycontainer.lifecycle.stdio import Attachment
from pycontainer.linux.files import close_all
from pycontainer.linux.host import probe
from pycontainer.linux.process import alive, end_child, wait_gone
from pycontainer.plan.exec import EntryInputs, compile_exec
from pycontainer.seccomp import seccomp_filter
from pycontainer.tables.namespaces import FILES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from pycontainer.cgroups.placement import Placement
    from pycontainer.executor.engine import Started
    from pycontainer.lifecycle.container import Container
    from pycontainer.lifecycle.options import ExecOptions
    from pycontainer.seccomp.cache import Filter
    from pycontainer.state.state import Facts


# What a process document that does not say it has from the container, as with runc.
_INHERITED = (
    "capabilities", "selinuxLabel", "ioPriority", "scheduler", "execCPUAffinity", "oomScoreAdj",
)  # fmt: skip
_ENDING_MS = 1000
_NOT_SAID = (None, "")  # {} does say something: no capability at all


def run_exec(container: Container, options: ExecOptions) -> int:
    """Start the process; wait for it unless detached. Its exit status, 0 when detached."""
    config, attachment = _prepared(container, options)
    try:
        kills = container.cgroup.oom_kills()
        started = _begin(container, config, options, attachment)
        close_all(started.pidfd)
        if not attachment.stays:
            return 0

        def leave() -> None:
            if options.watch is None:
                attendant.become(container.settings, attachment, started.pid, kills=kills)

        exit_status = attachment.wait(started.pid, reap_all=False, leave=leave)
        if exit_status == 128 + 9:
            container.tell_oom(kills)
        return exit_status
    finally:
        attachment.close()


def start_exec(container: Container, options: ExecOptions) -> Started:
    """Start the process and leave it to the caller, with its pidfd: it is our child."""
    config, attachment = _prepared(container, options)
    return _begin(container, config, options, attachment)


def _prepared(container: Container, options: ExecOptions) -> tuple[dict[str, Any], Attachment]:
    """The config with this process, and what connects that with its caller."""
    _check_status(container, options)
    config = container.config()
    process, warnings = _process(config, options)
    for warning in warnings:
        container.settings.log.warning(warning)
    attachment = Attachment(options, bool(process.get("terminal")), stays=not options.detach)
    added = attachment.environment()
    if added:
        process = {**process, "env": [*(process.get("env") or ()), *added]}
    return {**config, "process": process}, attachment


def _begin(
    container: Container, config: dict[str, Any], options: ExecOptions, attachment: Attachment
) -> Started:
    try:
        started = _start(container, config, options, attachment)
    except BaseException as error:
        container.cgroup.hang_up()
        if isinstance(error, (OperationError, OSError)) and _is_gone(container.facts, error):
            raise NotRunning(hint="it ended meanwhile") from None
        raise
    try:
        attachment.announce(started, b"setns")
    except BaseException:
        end_child(started.pid)
        close_all(started.pidfd)
        raise
    return started


def _is_gone(facts: Facts, error: OperationError | OSError) -> bool:
    """Whether the reason is that init has ended: one that is ending loses its namespaces first."""
    if getattr(error, "operation", "") == "open_namespace":
        return wait_gone(facts.pid, facts.start_time, _ENDING_MS)
    return not alive(facts.pid, facts.start_time)


def _check_status(container: Container, options: ExecOptions) -> None:
    now = container.status()
    if now == "paused" and not options.ignore_paused:
        raise StateError(
            "cannot exec in a paused container (use --ignore-paused to override)", "paused"
        )
    if now in ("stopped", "creating"):
        raise NotRunning(doing=f"cannot exec in a {now} container")


def _process(config: dict[str, Any], options: ExecOptions) -> tuple[dict[str, Any], list[str]]:
    """The process document: the caller's own, or the container's with the caller's changes; and
    the warnings about it."""
    if options.process is not None:
        process, own = options.process, config.get("process") or {}
        for name in _INHERITED:
            if own.get(name) and process.get(name) in _NOT_SAID:
                process = {**process, name: own[name]}
        mask = (own.get("user") or {}).get("umask")
        if mask is not None:
            process = {**process, "user": {"umask": mask, **(process.get("user") or {})}}
    else:
        from pycontainer.lifecycle.exec_process import merged

        process = merged(config.get("process") or {}, options)
    warnings = spec.validate_process(process)
    if not process.get("args"):
        raise ConfigError("must not be empty", "empty", "process.args")
    return process, warnings


def _start(
    container: Container, config: dict[str, Any], options: ExecOptions, attachment: Attachment
) -> Started:
    facts = container.facts
    # The directory stays the process's own: with init gone, nothing in it opens any more.
    init = posix.open(f"/proc/{facts.pid}", posix.O_RDONLY | posix.O_DIRECTORY | posix.O_CLOEXEC)
    try:
        placement = _placement(container, options)  # of a process that is alive
        later = _enters_later(facts.cgroup, config["process"])
        spaces = _spaces(config, init, facts.namespaces)
        crowded = _is_crowded(placement, spaces)
        filter = _filter(container, config, options)
        inputs = EntryInputs(
            probe(container.settings.rootless),
            spaces,
            entrances=() if crowded else _entrances(placement, later),
            into_cgroup=bool(placement.unified) and not (later or crowded),
            filter=filter,
            keyring=facts.extra.get("keyring", f"_ses.{container.id}"),
            listen_fds=bool(attachment.listen_fds),
            resctrl=(facts.extra.get("resctrl") or {}).get("groups", [""])[0],
            setgroups=_setgroups(spaces, facts.pid),
        )
        plan = compile_exec(config, inputs)
        for warning in plan.warnings:
            container.settings.log.warning(warning)
        context = engine.Context(
            _nothing,
            cgroup=ExecCgroup(container, placement),  # type: ignore[arg-type]
            console=attachment.take_console,
            resctrl=_resctrl(facts.extra.get("resctrl")),
            enter=placement.attach if crowded else None,
            listener=_listener(container, config, options) if filter and filter.notify else None,
            fds=attachment.fds,
            preserve=attachment.preserve,
        )
        attachment.prepare()  # signals are blocked from here on: nothing is computed any more
        return engine.execute(plan, context, container.settings.timing)
    finally:
        close_all(init)


def _enters_later(cgroup: dict[str, Any], process: dict[str, Any]) -> bool:
    """Nobody can be on other CPUs first who is born in the cgroup; but into a unit of the user's
    only systemd may move a process, and does so at once (executor/cgroup_handlers.py)."""
    initial = (process.get("execCPUAffinity") or {}).get("initial")
    return bool(initial) and not (cgroup.get("unit") or {}).get("user")


def _is_crowded(placement: Placement, spaces: list[dict[str, Any]]) -> bool:
    """No room for both the executor and the child that appears in the pid namespace."""
    return any(space["type"] == "pid" for space in spaces) and not placement.has_room(2)


def _entrances(placement: Placement, unified: bool) -> tuple[str, ...]:
    """The files that the process enters its cgroups by; the v2 one only if it isn't born there."""
    files = [f"{path}/tasks" for path in placement.v1]
    if unified and placement.unified:
        files.append(f"{placement.unified}/cgroup.procs")
    return tuple(files)


def _resctrl(group: dict[str, Any] | None) -> Callable[[int], None] | None:
    """What lets the process into the container's resource group."""
    if not group:
        return None
    from pycontainer.resctrl import group as resctrl_group

    return lambda pid: resctrl_group.join(group, pid)


def _filter(container: Container, config: dict[str, Any], options: ExecOptions) -> Filter | None:
    filter = seccomp_filter(config, container.settings)
    return filter if options.watch is None else options.watch.filter(filter, config)


def _listener(
    container: Container, config: dict[str, Any], options: ExecOptions
) -> Callable[[int, int], None]:
    """What hands a seccomp listener on: with the new process's pid, and the container's state."""
    if options.watch is not None:
        return options.watch.take
    from pycontainer.seccomp.agent import messenger
    from pycontainer.state.state import state_document

    facts = container.facts
    state = state_document(
        container.id, container.status(), facts.pid, facts.bundle, facts.annotations
    )
    return messenger(config, lambda pid: state)


def _nothing(phase: str, pid: int) -> None:
    """The store keeps facts about init only."""


class ExecCgroup:
    """The part of a cgroup that the engine needs to let a process in."""

    __slots__ = ("_container", "_placement")

    def __init__(self, container: Container, placement: Placement) -> None:
        self._container = container
        self._placement = placement

    def fd_for_clone(self) -> int:
        """The v2 directory for clone3, or -1."""
        return self._placement.clone_fd()

    def exists(self) -> bool:
        """Whether it is still there, for an error that says so."""
        return self._container.cgroup.exists()

    def attach(self, pid: int) -> None:
        """Move in a process that could not be born there."""
        self._container.cgroup.attach(pid)

    def oom_kills(self) -> int:
        """For an error that says so."""
        return self._container.cgroup.oom_kills()

    def oom_report(self, refused: bool = False) -> dict[str, Any]:
        """For that error's words."""
        return self._container.cgroup.oom_report(refused)


def _placement(container: Container, options: ExecOptions) -> Placement:
    facts, cgroup = container.facts, container.cgroup
    if not alive(facts.pid, facts.start_time):
        raise NotRunning
    if not options.cgroup:
        moved = cgroup.init_placement(container.facts.pid)
        if moved is not None:
            return moved
    return cgroup.placement(options.cgroup)


def _spaces(config: dict[str, Any], init: int, beyond: dict[str, Any]) -> list[dict[str, Any]]:
    """The container's namespaces as init has them, through its open /proc directory: those that
    config.json names, and the time namespace that a restore has made (`beyond`)."""
    kinds = [entry["type"] for entry in (config.get("linux") or {}).get("namespaces") or ()]
    if beyond.get("time") and "time" not in kinds:
        kinds.append("time")
    return [{"type": kind, "path": f"/proc/self/fd/{init}/ns/{FILES[kind]}"} for kind in kinds]


def _setgroups(spaces: list[dict[str, Any]], pid: int) -> bool:
    if not any(entry["type"] == "user" for entry in spaces):
        return True
    fd = posix.open(f"/proc/{pid}/setgroups", posix.O_RDONLY | posix.O_CLOEXEC)
    try:
        return posix.read(fd, 16).strip() != b"deny"
    finally:
        posix.close(fd)
