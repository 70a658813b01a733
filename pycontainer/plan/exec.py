"""The plan of `exec`: one more process in a container, through the same operations as its init."""

from __future__ import annotations

from pycontainer.plan import namespaces, process
from pycontainer.plan.builder import Plan, Sketch
from pycontainer.plan.namespaces import Spaces

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pycontainer.linux.host import Host
    from pycontainer.seccomp.cache import Filter


class EntryInputs:
    """What `exec` knows of its container.

    `spaces` are the namespaces to join, each with the path of init's own; `entrances` the v1
    cgroups' `tasks` files, `into_cgroup` whether the clone enters the v2 one.
    """

    __slots__ = (
        "entrances",
        "filter",
        "host",
        "into_cgroup",
        "keyring",
        "listen_fds",
        "namespaces",
        "resctrl",
        "setgroups",
    )

    def __init__(
        self,
        host: Host,
        namespaces: list[dict[str, Any]],
        *,
        entrances: tuple[str, ...] = (),
        into_cgroup: bool = False,
        filter: Filter | None = None,
        keyring: str = "_ses",
        listen_fds: bool = False,
        setgroups: bool = True,
        resctrl: str = "",
    ) -> None:
        self.host = host
        self.namespaces = namespaces
        self.entrances = entrances
        self.into_cgroup = into_cgroup
        self.filter = filter
        self.keyring = keyring
        self.listen_fds = listen_fds
        self.setgroups = setgroups
        self.resctrl = resctrl


def compile_exec(config: dict[str, Any], inputs: EntryInputs) -> Plan:
    """The plan for `config["process"]` in the container that `config` once described."""
    sketch = Sketch(config, inputs.host)
    sketch.spaces = Spaces(inputs.namespaces)
    sketch.spaces.outside = "pid" in sketch.spaces.joined
    sketch.spaces.setgroups = inputs.setgroups and inputs.host.setgroups
    slots = [(sketch.slot(), path) for path in inputs.entrances]
    affinity = any((sketch.process.get("execCPUAffinity") or {}).values())
    for slot, path in slots:
        sketch.add("open_cgroup", slot=slot, path=path)
    namespaces.clone(sketch, int(inputs.into_cgroup))
    if inputs.resctrl:
        sketch.add("resctrl", group=inputs.resctrl, field="linux.intelRdt")
    process.oom_score(sketch)
    process.raise_limits(sketch)
    joined = namespaces.open_joined(sketch)
    process.own_oom_score(sketch)
    if affinity:
        from pycontainer.plan import scheduling

        scheduling.affinity(sketch, "initial")
    for slot, path in slots:
        sketch.add("cgroup_join", slot=slot, path=path)
    if affinity:
        scheduling.affinity(sketch, "final")
    else:
        process.all_cpus(sketch)
    if inputs.keyring:
        process.key_label(sketch)
    # A process that appears late could not open a procfs any more, and inherits them.
    process.labels(sketch)
    namespaces.enter(sketch, joined)
    respawns = namespaces.respawns(sketch)
    if inputs.keyring:
        sketch.add("keyring", fresh=0, name=inputs.keyring)
    process.terminal(sketch, mount=False)
    if not sketch.process.get("terminal"):
        sketch.add("reopen_null")
    _process(sketch, inputs, respawns)
    return Plan(sketch, bool(sketch.process.get("terminal")))


def _process(sketch: Sketch, inputs: EntryInputs, respawns: bool) -> None:
    """Who it is to be; and only then, out of reach until now, it appears among the others."""
    user = sketch.process.get("user") or {}
    cwd = sketch.process.get("cwd") or "/"
    mask = user.get("umask")
    sketch.add(
        "umask", mask=process.DEFAULT_UMASK if mask is None else mask, field="process.user.umask"
    )
    sketch.add("enter_cwd", make=0, path=cwd, field="process.cwd")
    process.scheduling(sketch)
    env = process.environment(sketch)
    if process.needs_home(env):
        sketch.add("home", uid=user.get("uid", 0), field="process.user.uid")
    filter = inputs.filter
    keeps = process.kept(sketch, filter)
    if sketch.process.get("noNewPrivileges"):
        sketch.add("no_new_privs", field="process.noNewPrivileges")
    sets = process.identity(sketch, keeps)
    sketch.add("chdir", path=cwd, field="process.cwd")
    process.program(sketch, env)
    if respawns:
        filter = process.appear(sketch, filter, sets, keeps, bool(filter and filter.lets_enter))
    else:
        process.session(sketch)
    process.become_program(sketch, filter, env, inputs.listen_fds)
