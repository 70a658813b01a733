"""Namespaces: which are new, which are joined by path, and in what order all of that happens.

Two ways lead in. Usually the clone makes all new namespaces at once, and the executor joins the
others. With a user namespace the order matters: a new namespace belongs to the user namespace that
its maker is in, a namespace of the host can be joined only before we give up the host's
privileges, and an exec in a user namespace without maps loses all capabilities, so the executor
must be there first. Then the plan is staged: join, make the user namespace, make the rest, and let
a child go on where pid or time namespaces move only children.
"""

from __future__ import annotations

from pycontainer.base.errors import ConfigError
from pycontainer.plan.builder import Sketch
from pycontainer.tables.namespaces import (
    CLONE_NEWCGROUP,
    CLONE_NEWNET,
    CLONE_NEWNS,
    CLONE_NEWPID,
    CLONE_NEWTIME,
    CLONE_NEWUSER,
    FLAGS,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from pycontainer.linux.host import Host

# Joined in this order: mount last, because paths mean something else after it.
CAP_CHOWN, CAP_SETGID, CAP_SETUID, CAP_SYS_ADMIN = 1 << 0, 1 << 6, 1 << 7, 1 << 21
_OWN_PID = "/proc/self/ns/pid"
JOIN_ORDER = ("cgroup", "ipc", "uts", "network", "time", "pid", "mount")


class Spaces:
    """The namespaces of a container: `new` flags, `joined` type -> (path, field); the executor
    stays `outside` of the pid namespace that is joined as long as it can."""

    __slots__ = ("joined", "new", "outside", "pid_slots", "setgroups")

    def __init__(self, namespaces: list[dict[str, Any]]) -> None:
        self.new = 0
        self.joined: dict[str, tuple[str, str]] = {}
        self.outside = False
        self.pid_slots: tuple[int, int] | None = None
        self.setgroups = True
        for index, entry in enumerate(namespaces):
            kind, path = entry["type"], entry.get("path") or ""
            if path:
                self.joined[kind] = (path, f"linux.namespaces[{index}].path")
            else:
                self.new |= FLAGS[kind]

    def has(self, kind: str) -> bool:
        """True when the container has its own, or a joined, namespace of this type."""
        return bool(self.new & FLAGS[kind]) or kind in self.joined

    @property
    def user(self) -> bool:
        """True when a user namespace stands between the container and the host."""
        return self.has("user")

    @property
    def staged(self) -> bool:
        """True when the clone alone cannot make it: see the head of this file."""
        joins_user = "user" in self.joined and self.new & ~CLONE_NEWCGROUP
        return bool(self.new & (CLONE_NEWTIME | CLONE_NEWUSER) or joins_user)


def clone(sketch: Sketch, into_cgroup: int, record: bool = True) -> None:
    """The clone, and with it every new namespace that it can make."""
    spaces: Spaces = sketch.spaces
    pid_slot = -1
    if "pid" in spaces.joined and not _respawned_pid(sketch):
        # The caller's children go there, out of reach by the user namespace that they are not in.
        pid_slot = _open(sketch, "pid")
    flags = 0 if spaces.staged else spaces.new & ~(CLONE_NEWCGROUP | CLONE_NEWTIME)
    field = "linux.namespaces" if flags else ""
    sketch.add("clone", flags=flags, into_cgroup=into_cgroup, pid_slot=pid_slot, field=field)
    if record:
        sketch.add("record", phase="creating")


def open_joined(sketch: Sketch) -> dict[str, int]:
    """The namespaces that are joined by path, opened before the plan is handed over."""
    spaces: Spaces = sketch.spaces
    order = [*JOIN_ORDER, "user"]
    kinds = [kind for kind in order if kind in spaces.joined]
    if "pid" in kinds and not _respawned_pid(sketch):
        kinds.remove("pid")
    return {kind: _open(sketch, kind) for kind in kinds}


def open_for_children(sketch: Sketch) -> None:
    """createContainer hooks are the host's programs, with all its privileges. Who stays outside of
    a pid namespace keeps them there, too: these are the slots to move them. From a user namespace
    there is no way back."""
    spaces: Spaces = sketch.spaces
    if not spaces.outside or not (sketch.config.get("hooks") or {}).get("createContainer"):
        return
    if spaces.user:
        sketch.warnings.append(
            "hooks.createContainer: they run in the joined pid namespace; a process there that has"
            " CAP_SYS_PTRACE can reach files of the host through them"
        )
    else:
        own = sketch.slot()
        sketch.add(
            "open_namespace",
            slot=own,
            nstype=CLONE_NEWPID,
            path=_OWN_PID,
            field="hooks.createContainer",
        )
        spaces.pid_slots = (own, _open(sketch, "pid"))


def move_children(sketch: Sketch, outside: bool) -> None:
    """Into the pid namespace that they are born into, or outside of it."""
    slots = sketch.spaces.pid_slots
    if slots:
        path, field = sketch.spaces.joined["pid"]
        slot, path = (slots[0], _OWN_PID) if outside else (slots[1], path)
        sketch.add("setns", slot=slot, nstype=CLONE_NEWPID, path=path, field=field)


def enter(
    sketch: Sketch,
    slots: dict[str, int],
    open_inside: Callable[[], None] | None = None,
    open_joined: Callable[[], None] | None = None,
) -> None:
    """The executor's first operations: into every namespace, as root of the user namespace.

    `open_inside` adds what has to be opened with privileges over the new mount namespace, but
    before another user's identity closes the way; `open_joined` what of the joined namespaces
    takes the host's privileges.
    """
    spaces: Spaces = sketch.spaces
    time_slot = _open_time_offsets(sketch)
    _give_stdio(sketch)
    order = [kind for kind in JOIN_ORDER if kind in slots]
    if "user" in slots:
        # Who has no privileges has them only inside. Root, be it of another user namespace, loses
        # those over what is no deeper than itself: a network of the outer namespace, say.
        root = _is_root(sketch.host)
        order = [*order, "user"] if root else ["user", *order]
        open_joined = open_joined if root else None
    for kind in order:
        if kind == "user" and open_joined:
            open_joined()
        path, field = spaces.joined[kind]
        sketch.add("setns", slot=slots[kind], nstype=FLAGS[kind], path=path, field=field)
        if kind == "user" and not (open_inside and spaces.staged):
            _become_root(sketch, field)
    if spaces.new & CLONE_NEWUSER and open_joined:
        open_joined()
    if spaces.staged:
        _enter_staged(sketch, open_inside, time_slot)


def _give_stdio(sketch: Sketch) -> None:
    """The owner of the caller's pipes is not mapped in the container, so its root may not."""
    if not sketch.spaces.user or not sketch.host.permitted & CAP_CHOWN:
        return
    uid = (sketch.process.get("user") or {}).get("uid", 0)
    for row in sketch.linux.get("uidMappings") or ():
        inside = uid - row["containerID"]
        if 0 <= inside < row["size"] and not sketch.process.get("terminal"):
            sketch.add("chown_stdio", uid=row["hostID"] + inside, field="process.user.uid")


def respawns(sketch: Sketch) -> bool:
    """True when a child has to go on somewhere after `enter`, in the pid namespace that it joined:
    where the others in there can see it, and trace it if they have CAP_SYS_PTRACE. The later, the
    less there is to gain."""
    spaces: Spaces = sketch.spaces
    late = spaces.outside or not spaces.staged
    return "pid" in spaces.joined and _respawned_pid(sketch) and late


def _child_goes_on(sketch: Sketch) -> bool:
    """True when that is a part of the staged way."""
    spaces: Spaces = sketch.spaces
    moves = spaces.new & (CLONE_NEWPID | CLONE_NEWTIME) or (
        "pid" in spaces.joined and _respawned_pid(sketch)
    )
    return spaces.staged and bool(moves) and not spaces.outside


def takes_two(sketch: Sketch) -> bool:
    """True for a `create` that has two processes for a moment, before it is in its cgroup
    namespace: the executor, and the child that goes on."""
    return _child_goes_on(sketch) or (respawns(sketch) and not sketch.spaces.outside)


def stays_outside(sketch: Sketch) -> bool:
    """True for a `create` that can wait with that until it has given up everything: where the
    procfs that it mounts can be of another pid namespace than its own.

    A user namespace makes no difference: who is in the pid namespace need not be in that one. But
    an ordinary user has nothing that is not the container's, too.
    """
    spaces, host = sketch.spaces, sketch.host
    if "pid" not in spaces.joined or (spaces.user and not _is_root(host)):
        return False
    if not host.procfs_pidns and "user" not in spaces.joined:
        sketch.warnings.append(
            "linux.namespaces: a process of the joined pid namespace that has CAP_SYS_PTRACE can"
            " take over the container while it is made; Linux 6.18 or newer prevents that"
        )
    return host.procfs_pidns


def _is_root(host: Host) -> bool:
    """Of the host, or of a user namespace that we are in."""
    return not host.rootless or bool(host.permitted & CAP_SYS_ADMIN)


def respawn(sketch: Sketch, late: bool) -> None:
    """Let the child go on; `late`, it has nothing that the program will not have."""
    sketch.add("respawn", flags=0, late=int(late), field=sketch.spaces.joined["pid"][1])


def _become_root(sketch: Sketch, field: str) -> None:
    """Without the caller's groups; (2) unless that is denied in the namespace that we joined, or
    in an outer one."""
    spaces: Spaces = sketch.spaces
    unsure = "user" in spaces.joined or sketch.host.rootless
    mode = 2 if spaces.setgroups and unsure else int(spaces.setgroups)
    if keeps_groups(sketch.config):
        mode = 0
    # A user without privileges opens /proc/PID/ns of dumpable processes only: for exec, and for
    # hooks that set the network up. In new namespaces there is nobody to hide from; but who is in
    # a pid namespace that we join may own the new user namespace, and could trace us on our way.
    visible = int(sketch.host.rootless and not {"user", "pid"} & {*spaces.joined})
    user, linux = sketch.process.get("user") or {}, sketch.linux
    uid = _acting(linux.get("uidMappings"), user.get("uid", 0))
    gid = _acting(linux.get("gidMappings"), user.get("gid", 0))
    sketch.add("become_root", setgroups=mode, visible=visible, uid=uid, gid=gid, field=field)


def _acting(mappings: Sequence[dict[str, int]] | None, own: int) -> int:
    """Root, where it has an id. Its capabilities are given by the namespace, not by the id."""
    return 0 if not mappings or any(row["containerID"] == 0 for row in mappings) else own


def _enter_staged(sketch: Sketch, open_inside: Callable[[], None] | None, time_slot: int) -> None:
    spaces: Spaces = sketch.spaces
    rest = spaces.new & ~(CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWCGROUP)
    if spaces.new & CLONE_NEWUSER:
        sketch.add("unshare", flags=CLONE_NEWUSER, field="linux.namespaces")
        sketch.add("sync", what="user namespace")
        _write_maps(sketch)
    if open_inside and spaces.user and rest & CLONE_NEWNS:
        sketch.add("unshare", flags=CLONE_NEWNS, field="linux.namespaces")
        open_inside()
        rest &= ~CLONE_NEWNS
    if spaces.new & CLONE_NEWUSER:
        _become_root(sketch, "linux.uidMappings")
    elif open_inside and spaces.user:
        _become_root(sketch, spaces.joined["user"][1])
    if rest:
        sketch.add("unshare", flags=rest, field="linux.namespaces")
    if time_slot >= 0:
        _time_offsets(sketch, time_slot)
    if _child_goes_on(sketch):
        sketch.add("respawn", flags=spaces.new & CLONE_NEWPID, late=0, field="linux.namespaces")


def late(sketch: Sketch) -> None:
    """What has to wait until the process is in its cgroup."""
    if sketch.spaces.new & CLONE_NEWCGROUP:
        sketch.add("unshare", flags=CLONE_NEWCGROUP, field="linux.namespaces")


def identity(sketch: Sketch) -> None:
    """What belongs to the new namespaces themselves: loopback."""
    if sketch.spaces.new & CLONE_NEWNET:
        sketch.add("loopback_up", field="linux.namespaces")


def net_devices(sketch: Sketch) -> None:
    """Network devices that the runtime moves into the container's namespace."""
    devices = sketch.linux.get("netDevices")
    if not devices:
        return
    if not sketch.spaces.has("network"):
        raise ConfigError(
            "needs a network namespace",
            "needs-namespace",
            "linux.netDevices",
            namespace="network",
        )
    sketch.add("sync", what="network devices", field="linux.netDevices")
    for name, device in devices.items():
        new_name = device.get("name") or ""
        sketch.add("net_device", name=name, new_name=new_name, field=f'linux.netDevices["{name}"]')


def names(sketch: Sketch) -> None:
    """hostname and domainname, config.md#hostname; validation has refused them without uts."""
    for kind in ("hostname", "domainname"):
        if sketch.config.get(kind):
            sketch.add(kind, name=sketch.config[kind], field=kind)


def _respawned_pid(sketch: Sketch) -> bool:
    """True when a child is the one that enters a joined pid namespace.

    Up to its exec, a clone has our memory and descriptors: nobody who may trace it, which is who
    has CAP_SYS_PTRACE without a user namespace in between, must see it (CVE-2016-9962). And
    without privileges over the host, the pid namespace opens only from its user namespace.
    Else the clone is a member: a procfs has to be made before the user namespace is entered.
    """
    spaces: Spaces = sketch.spaces
    rootless = sketch.host.rootless and "user" in spaces.joined
    return spaces.outside or not spaces.user or rootless


def _open(sketch: Sketch, kind: str) -> int:
    path, field = sketch.spaces.joined[kind]
    slot = sketch.slot()
    sketch.add("open_namespace", slot=slot, nstype=FLAGS[kind], path=path, field=field)
    return slot


def _write_maps(sketch: Sketch) -> None:
    linux = sketch.linux
    if not sketch.spaces.setgroups:
        sketch.add("setgroups_deny", field="linux.gidMappings")
    for file, field in (("uid_map", "uidMappings"), ("gid_map", "gidMappings")):
        mappings = linux.get(field)
        if not mappings:
            raise ConfigError(
                "a new user namespace needs mappings",
                "required",
                f"linux.{field}",
                clause="config-linux.md#user-namespace-mappings",
            )
        helper = _needs_helper(sketch, file, mappings)
        lines = "".join(f"{m['containerID']} {m['hostID']} {m['size']}\n" for m in mappings)
        sketch.add("id_map", helper=int(helper), file=file, lines=lines, field=f"linux.{field}")


def check_maps(sketch: Sketch) -> None:
    """Engines name the mappings of a user namespace that they let us join, too: what we do for
    them (who owns stdio, say) is right only if it has these."""
    linux = sketch.linux
    named = [field for field in ("uidMappings", "gidMappings") if linux.get(field)]
    if "user" not in sketch.spaces.joined or not named:
        return
    sketch.add("sync", what="joined user namespace")
    for field in named:
        lines = "".join(f"{m['containerID']} {m['hostID']} {m['size']}\n" for m in linux[field])
        sketch.add("check_map", file=f"{field[:3]}_map", lines=lines, field=f"linux.{field}")


def maps_only(mappings: Sequence[dict[str, int]], own: int) -> bool:
    """True for the one mapping that takes no privilege: of a single id, the caller's own."""
    return len(mappings) == 1 and mappings[0]["size"] == 1 and mappings[0]["hostID"] == own


def _needs_helper(sketch: Sketch, file: str, mappings: list[dict[str, int]]) -> bool:
    """Without the capability, all but the own id goes through newuidmap(1) and newgidmap(1)."""
    host = sketch.host
    own, capability = (host.uid, CAP_SETUID) if file == "uid_map" else (host.gid, CAP_SETGID)
    return not host.permitted & capability and not maps_only(mappings, own)


def _open_time_offsets(sketch: Sketch) -> int:
    """The slot of a new time namespace's offsets, -1 without. The file is opened with the caller's
    ids: root of a user namespace may not open it."""
    if not sketch.spaces.new & CLONE_NEWTIME or not sketch.linux.get("timeOffsets"):
        return -1
    slot = sketch.own_slot()
    sketch.add("open_time_offsets", slot=slot, field="linux.timeOffsets")
    return slot


def _time_offsets(sketch: Sketch, slot: int) -> None:
    lines = "".join(
        f"{clock} {value.get('secs', 0)} {value.get('nanosecs', 0)}\n"
        for clock, value in sketch.linux["timeOffsets"].items()
    )
    sketch.add("time_offsets", slot=slot, lines=lines, field="linux.timeOffsets")


def keeps_groups(config: dict[str, Any]) -> bool:
    """crun's annotation, which Podman sets for --group-add keep-groups: no setgroups(2) at all."""
    return "run.oci.keep_original_groups" in (config.get("annotations") or ())
