"""From a valid config to the plan of `create` and `run`: the order of everything.

Pure: what the answer depends on (the host, the cgroup's place, the compiled filter) comes in with
`Inputs`. The order is runc's where a program could tell the difference, and argued where it isn't.
"""

from __future__ import annotations

from pycontainer.base.settings import clean
from pycontainer.plan import devices, hooks, namespaces, process
from pycontainer.plan.bind_sources import open_sources
from pycontainer.plan.builder import Plan, Sketch
from pycontainer.plan.mounts import Mounts
from pycontainer.plan.namespaces import Spaces
from pycontainer.plan.ops import Op, op
from pycontainer.tables.mount_options import MS_BIND, MS_RDONLY, MS_REMOUNT, PROPAGATION

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from pycontainer.linux.host import Host
    from pycontainer.plan.cgroup import CgroupPlan
    from pycontainer.seccomp.cache import Filter


class Inputs:
    """What a plan is made of, beside the config.

    `state` is the state document without its pid; `gated` says that the program waits for `start`
    (`create`), `listen_fds` that $LISTEN_FDS is passed; `keyring` names its session keyring ("": it
    stays in the caller's); `resctrl` is its resource group's directory, or "".
    """

    __slots__ = (
        "bundle",
        "cgroup",
        "filter",
        "gated",
        "host",
        "keyring",
        "listen_fds",
        "no_pivot",
        "resctrl",
        "rootfs",
        "state",
    )

    def __init__(
        self,
        host: Host,
        cgroup: CgroupPlan,
        *,
        bundle: str,
        rootfs: str,
        state: dict[str, Any],
        filter: Filter | None = None,
        gated: bool = True,
        keyring: str = "_ses",
        no_pivot: bool = False,
        listen_fds: bool = False,
        resctrl: str = "",
    ) -> None:
        self.host = host
        self.cgroup = cgroup
        self.bundle = bundle
        self.rootfs = rootfs
        self.state = state
        self.filter = filter
        self.gated = gated
        self.keyring = keyring
        self.no_pivot = no_pivot
        self.listen_fds = listen_fds
        self.resctrl = resctrl


def compile_create(config: dict[str, Any], inputs: Inputs) -> Plan:
    """The plan; ConfigError and HostError name the field that cannot be."""
    sketch = Sketch(config, inputs.host)
    sketch.spaces = Spaces(sketch.linux.get("namespaces") or [])
    sketch.spaces.outside = namespaces.stays_outside(sketch)
    _deny_setgroups(sketch)
    mounts = Mounts(sketch, inputs.bundle, inputs.cgroup, inputs.rootfs)
    nodes = _outside(sketch, inputs, mounts)
    _file_tree(sketch, inputs, mounts, nodes)
    _inside(sketch)
    _hand_over(sketch, inputs)
    return Plan(sketch, bool(sketch.process.get("terminal")))


def _deny_setgroups(sketch: Sketch) -> None:
    """user_namespaces(7): without CAP_SETGID over the host, a gid map needs setgroups denied; and
    what our own user namespace denies, all below it do."""
    host, mapped = sketch.host, sketch.linux.get("gidMappings") or ()
    own = namespaces.maps_only(mapped, host.gid) and not host.permitted & namespaces.CAP_SETGID
    alone = host.rootless and sketch.spaces.user and own
    sketch.spaces.setgroups = host.setgroups and not alone


def _outside(sketch: Sketch, inputs: Inputs, mounts: Mounts) -> devices.Slots:
    """Up to the point where the process is in its cgroup and namespaces; the slots of devices."""
    entrances = inputs.cgroup.prepare(sketch)
    gate = sketch.slot() if inputs.gated else -1
    if inputs.gated:
        sketch.add("open_gate", slot=gate)
    hooks.open_files(sketch)
    into = int(bool(inputs.cgroup.paths.unified) and not inputs.cgroup.crowded)
    namespaces.clone(sketch, into, record=_is_looked_for(sketch, inputs))
    inputs.cgroup.cloned(sketch)
    if inputs.resctrl:
        sketch.add("resctrl", group=inputs.resctrl, field="linux.intelRdt")
    process.oom_score(sketch)
    process.raise_limits(sketch)
    root = Root(sketch, inputs.rootfs)
    if sketch.host.mounts and not sketch.spaces.user:
        open_sources(mounts, "open_tree", sketch.slot)
        root.open("open_tree", sketch.slot)
    namespaces.open_for_children(sketch)
    joined = namespaces.open_joined(sketch)
    process.own_oom_score(sketch)
    inputs.cgroup.join(sketch, entrances)
    process.all_cpus(sketch)
    if inputs.keyring:
        process.key_label(sketch)
    nodes = _own_nodes(sketch)
    _enter(sketch, mounts, root, joined)
    namespaces.check_maps(sketch)
    if namespaces.respawns(sketch) and not sketch.spaces.outside:
        # Early: a procfs that is mounted shows the pid namespace that its mounter is in.
        namespaces.respawn(sketch, late=False)
    namespaces.late(sketch)
    if not sketch.spaces.outside:
        sketch.add("setsid")
    if inputs.keyring:
        sketch.add("keyring", fresh=1, name=inputs.keyring)
    namespaces.identity(sketch)
    _own_files(sketch, inputs)
    _rootfs(sketch, mounts, root)
    return nodes


def _is_looked_for(sketch: Sketch, inputs: Inputs) -> bool:
    """Whether something may need the process's pid before it is created: a hook that asks for the
    state, or who cleans up after a runtime that was killed. For the latter a cgroup is enough: what
    is in it is killed. And the process ends by itself where it would wait for the runtime."""
    hidden = sketch.spaces.has("mount") and not sketch.spaces.staged
    cgroup = inputs.cgroup
    found = hidden and cgroup.paths.all_directories() and not cgroup.crowded
    return not found or bool(sketch.config.get("hooks"))


def _own_nodes(sketch: Sketch) -> devices.Slots:
    """Devices are made before a user namespace forbids it."""
    if not sketch.spaces.user:
        return {}
    from pycontainer.plan import outer_userns

    return outer_userns.make_nodes(sketch)


def _own_files(sketch: Sketch, inputs: Inputs) -> None:
    """What may be needed to hide a file of the host."""
    hides = sketch.linux.get("maskedPaths") or inputs.no_pivot
    alone = sketch.spaces.user or sketch.host.rootless
    if (hides or alone) and all(item.kind != "own_files" for item in sketch.ops):
        sketch.add("own_files", label=sketch.linux.get("mountLabel") or "")


def _enter(sketch: Sketch, mounts: Mounts, root: Root, joined: dict[str, int]) -> None:
    """The namespaces, opening what only the executor can open at the point where it can."""

    def open_inside() -> None:
        open_sources(mounts, "open_source", sketch.own_slot)
        root.open("open_source", sketch.own_slot)

    def open_joined() -> None:
        from pycontainer.plan import outer_userns

        outer_userns.open_joined(mounts)

    if sketch.host.mounts:
        others = sketch.spaces.joined.keys() - {"user"}
        namespaces.enter(sketch, joined, open_joined=open_joined if others else None)
    else:
        namespaces.enter(sketch, joined, open_inside)


class Root:
    """The root file system's directory, opened early when the container's root cannot reach it."""

    __slots__ = ("path", "sketch", "slot")

    def __init__(self, sketch: Sketch, path: str) -> None:
        self.sketch = sketch
        self.path = path
        self.slot = -1

    def open(self, kind: str, slot: Callable[[], int]) -> None:
        """By an operation of this kind."""
        if self.sketch.spaces.user or mounts_on_host(self.sketch.config):
            self.slot = slot()
            self.sketch.add(
                kind, slot=self.slot, recursive=1, nofollow=0, path=self.path, field="root.path"
            )


def mounts_on_host(config: dict[str, Any]) -> bool:
    """True when there is no mount namespace, and something to mount: then the root is bound on
    itself, and `delete` takes that mount away with all that is below."""
    linux = config.get("linux") or {}
    if any(space["type"] == "mount" for space in linux.get("namespaces") or ()):
        return False
    below = (config.get("mounts"), linux.get("maskedPaths"), linux.get("readonlyPaths"))
    return any(below) or bool((config.get("root") or {}).get("readonly"))


_HOSTS, _PRIVATE, _SLAVE = range(3)  # what becomes of the mount that the root lies on


def _open_inside(sketch: Sketch, mounts: Mounts, root: Root) -> None:
    """The runtime opens what the container's root may not reach, but in the mount namespace of the
    user namespace: there the kernel locks the flags that the host's mounts have."""
    at, first = len(sketch.ops), sketch.slots + sketch.own_slots
    open_sources(mounts, "open_inside", sketch.own_slot)
    root.open("open_inside", sketch.own_slot)
    count = sketch.slots + sketch.own_slots - first
    sketch.ops.insert(at, op("receive", first, count, "mount sources", field="linux.namespaces"))


def _rootfs(sketch: Sketch, mounts: Mounts, root: Root) -> None:
    own = sketch.spaces.has("mount")
    asked = sketch.linux.get("rootfsPropagation") or ""
    if own:
        # Nothing that we mount may travel to the host; rslave lets the host's mounts come in.
        name = asked or "rslave"
        if name.endswith("unbindable"):  # for the new root alone: we bind from the old one
            name = "rprivate"
        flags = PROPAGATION["r" + name.removeprefix("r")]
        sketch.add("propagation", flags=flags, path="/", field="linux.rootfsPropagation")
    if sketch.host.mounts and sketch.spaces.user:
        _open_inside(sketch, mounts, root)
    # What was opened so may lie where the way is closed now: it is put over the old root.
    over = own and root.slot >= 0
    # Bound from a mount that is private, the root would not get what the host mounts below it.
    parent = (_SLAVE if asked.endswith("slave") else _PRIVATE) if own else _HOSTS
    sketch.add(
        "rootfs",
        slot=root.slot,
        parent=parent,
        over_root=int(over),
        path=root.path,
        field="root.path",
    )


def _file_tree(sketch: Sketch, inputs: Inputs, mounts: Mounts, nodes: devices.Slots) -> None:
    """Everything that is mounted and made below the root, hooks in between, and the pivot."""
    mounts.compile()
    devices.compile_devices(sketch, mounts.on_dev, nodes)
    process.terminal(sketch, mount=sketch.spaces.has("mount"))
    if not sketch.spaces.outside:
        process.control_terminal(sketch)
    namespaces.net_devices(sketch)
    if any(hooks.of_stage(sketch.config, s) for s in ("prestart", "createRuntime")):
        sketch.add("sync", what="hooks", field="hooks")
        hooks.runtime(sketch, "prestart", "createRuntime")
    namespaces.move_children(sketch, outside=True)
    hooks.container(sketch, "createContainer", dict(inputs.state, status="creating"))
    namespaces.move_children(sketch, outside=False)
    mounts.finish()
    namespaces.names(sketch)
    _sysctls(sketch)
    read_only = _cover(sketch, "readonly", "readonlyPaths")
    _cover(sketch, "mask", "maskedPaths")
    _pivot(sketch, inputs, read_only)


def _cover(sketch: Sketch, kind: str, name: str) -> str:
    """One operation for each path, of which there may be a hundred thousand. One that is not
    absolute begins at the root, and an empty one is nothing, as with runc and crun. Nothing covers
    the root, where a process is already: returns the field that names it."""
    covered = {""}
    add = sketch.ops.append
    root = ""
    for index, path in enumerate(sketch.linux.get(name) or ()):
        path = path and clean(path)
        if path == "/":
            root = f"linux.{name}[{index}]"
        elif path not in covered:
            covered.add(path)
            add(Op(kind, (), (path.encode("utf-8", "surrogateescape"),), f"linux.{name}[{index}]"))
    return root


def _pivot(sketch: Sketch, inputs: Inputs, read_only: str) -> None:
    if not sketch.spaces.has("mount"):
        sketch.add("chroot", field="root.path")
    else:
        if inputs.no_pivot:
            sketch.add("hide_host", field="root.path")
        sketch.add(_change_of_root(sketch, inputs), field="root.path")
        propagation = sketch.linux.get("rootfsPropagation") or ""
        if propagation.endswith(("shared", "unbindable")):  # the others it is already
            flags = PROPAGATION[propagation]
            sketch.add("propagation", flags=flags, path="/", field="linux.rootfsPropagation")
    sketch.add("reopen_null")
    if (sketch.config.get("root") or {}).get("readonly"):
        read_only = "root.readonly"
    if read_only:
        cwd = clean(sketch.process.get("cwd") or "/")
        if cwd != "/":  # while it can be made
            sketch.add("mkdir", mode=0o755, path=cwd, field="process.cwd")
        # Exactly read-only, as runc has it: noexec, nosuid and nodev of the bundle's mount go where
        # they are not locked.
        flags = MS_REMOUNT | MS_BIND | MS_RDONLY
        sketch.add("remount", ms_flags=flags, ms_clear=0, target="/", data="", field=read_only)


def _change_of_root(sketch: Sketch, inputs: Inputs) -> str:
    """Without pivot_root, a root that has been put over the old one needs not be moved there."""
    if not inputs.no_pivot:
        return "pivot_root"
    over = any(item.kind == "rootfs" and item["over_root"] for item in sketch.ops)
    return "chroot" if over else "move_root"


def _sysctls(sketch: Sketch) -> None:
    for name, value in (sketch.linux.get("sysctl") or {}).items():
        sketch.add("sysctl", file=sysctl_file(name), value=value, field=f"linux.sysctl.{name}")


def sysctl_file(name: str) -> str:
    """The file below /proc of a sysctl, written with dots or slashes, sysctl(8): the first
    separator says which one separates, and the other one is then an ordinary character."""
    dot, slash = name.find("."), name.find("/")
    if slash >= 0 and (dot < 0 or slash < dot):
        return f"sys/{name}"
    return "sys/" + name.translate({ord("."): "/", ord("/"): "."})


def _inside(sketch: Sketch) -> None:
    """The process itself, in its own root."""
    user = sketch.process.get("user") or {}
    mask = user.get("umask")
    sketch.add(
        "umask", mask=process.DEFAULT_UMASK if mask is None else mask, field="process.user.umask"
    )
    cwd = sketch.process.get("cwd") or "/"
    sketch.add("enter_cwd", make=1, path=cwd, field="process.cwd")
    process.scheduling(sketch)
    process.labels(sketch)
    env = process.environment(sketch)
    if process.needs_home(env):
        sketch.add("home", uid=user.get("uid", 0), field="process.user.uid")


def _hand_over(sketch: Sketch, inputs: Inputs) -> None:
    """Give up privileges, say that we are ready, wait for the start, and become the program."""
    if sketch.process.get("noNewPrivileges"):
        sketch.add("no_new_privs", field="process.noNewPrivileges")
    filter = inputs.filter
    keeps = process.kept(sketch, filter)
    sets = process.identity(sketch, keeps)
    sketch.add("chdir", path=sketch.process.get("cwd") or "/", field="process.cwd")
    env = process.environment(sketch)
    process.program(sketch, env)
    if sketch.spaces.outside:
        filter = process.appear(sketch, filter, sets, keeps, bool(filter and filter.lets_wait))
        if filter and keeps & process.CAP_SYS_ADMIN and not sketch.spaces.user:
            sketch.warnings.append(
                "linux.seccomp: this profile can only be loaded at the start; the container keeps"
                " CAP_SYS_ADMIN until then, and a process of the joined pid namespace that has"
                " CAP_SYS_PTRACE can take it; fix: set noNewPrivileges"
            )
    sketch.add("sync", what="ready")
    inputs.cgroup.devices(sketch)
    sketch.add("record", phase="created")
    if inputs.gated:
        gate = next(item.ints[0] for item in sketch.ops if item.kind == "open_gate")
        sketch.add("await_start", slot=gate)
    # As with runc, these are the program's company: its environment is theirs, too.
    bare = [entry for entry in env if entry != "HOME="]
    hooks.container(sketch, "startContainer", dict(inputs.state, status="created"), bare)
    process.become_program(sketch, filter, env, inputs.listen_fds)
