"""`process` of config.json: who the program is, what it may do, where it runs, and the program."""

from __future__ import annotations

from _struct import pack

from pycontainer.base.errors import ConfigError, HostError
from pycontainer.plan import namespaces
from pycontainer.plan.builder import Sketch
from pycontainer.plan.ops import joined
from pycontainer.tables import caps
from pycontainer.tables.rlimits import NUMBERS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pycontainer.seccomp.cache import Filter

CAP_SYS_ADMIN, CAP_SYS_NICE = 1 << 21, 1 << 23
DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
DEFAULT_UMASK = 0o022
NOT_RAISED = "not both permitted and inheritable"
_PERSONALITIES = {"LINUX": 0, "LINUX32": 8}


def terminal(sketch: Sketch, mount: bool) -> None:
    """The pseudo-terminal, config.md#process; `mount` puts it on /dev/console too."""
    if sketch.process.get("terminal"):
        size = sketch.process.get("consoleSize") or {}
        sketch.add(
            "console",
            rows=size.get("height", 0),
            columns=size.get("width", 0),
            uid=(sketch.process.get("user") or {}).get("uid", 0),
            mount=int(mount),
            field="process.terminal",
        )
        sketch.add("deliver_console", field="process.terminal")


def control_terminal(sketch: Sketch) -> None:
    """The session that has been started gets the terminal."""
    if sketch.process.get("terminal"):
        sketch.add("control_terminal", field="process.terminal")


def key_label(sketch: Sketch) -> None:
    """The label of the keyring to come, while the process is in the pid namespace of its /proc."""
    if sketch.process.get("selinuxLabel"):
        from pycontainer.plan import labels as selinux

        _require(sketch.host.selinux, "SELinux", "process.selinuxLabel")
        selinux.of_keys(sketch)


def labels(sketch: Sketch) -> None:
    """The LSMs' labels for the coming exec."""
    profile = sketch.process.get("apparmorProfile")
    if profile:
        _require(sketch.host.apparmor, "AppArmor", "process.apparmorProfile")
        value = f"exec {profile}"
        sketch.add(
            "self_write", file="attr/apparmor/exec", value=value, field="process.apparmorProfile"
        )
    label = sketch.process.get("selinuxLabel")
    if label:
        _require(sketch.host.selinux, "SELinux", "process.selinuxLabel")
        sketch.add("self_write", file="attr/exec", value=label, field="process.selinuxLabel")
    if sketch.linux.get("mountLabel"):
        _require(sketch.host.selinux, "SELinux", "linux.mountLabel")


def _require(present: bool, name: str, field: str) -> None:
    if not present:
        text = f"{name.lower()} is not enabled on this host"
        raise HostError(text, "not-enabled", field, module=name)


def all_cpus(sketch: Sketch) -> None:
    """Which CPUs the caller happens to be bound to is not the container's business: its own are
    those of its cpuset. No CPUs named is all of them."""
    sketch.add("cpu_affinity", cpus=b"")


def oom_score(sketch: Sketch) -> None:
    """process.oomScoreAdj, by the runtime, which may lower it."""
    score = sketch.process.get("oomScoreAdj")
    if score is not None and not sketch.host.rootless:
        sketch.add("oom_score_adj", value=score, field="process.oomScoreAdj")


def own_oom_score(sketch: Sketch) -> None:
    """The same without privileges: as far as the kernel lets the process do it itself."""
    score = sketch.process.get("oomScoreAdj")
    if score is not None and sketch.host.rootless:
        sketch.add("own_oom_score", value=score, field="process.oomScoreAdj")


def raise_limits(sketch: Sketch) -> None:
    """Room for the limits, while the process still is what we are: later none may raise them."""
    _each_limit(sketch, "raise_rlimit")


def limits(sketch: Sketch) -> None:
    """The limits themselves, last: a process may always lower its own, and nothing of ours (the
    descriptors of a hook, say) is limited by what is meant for the program."""
    _each_limit(sketch, "rlimit")


def _each_limit(sketch: Sketch, kind: str) -> None:
    """An operation of this kind for each limit of the config."""
    for index, limit in enumerate(sketch.process.get("rlimits") or ()):
        field = f"process.rlimits[{index}]"
        number, soft, hard = _limit(limit, f"{field}.type")
        sketch.add(kind, resource=number, soft=soft, hard=hard, type=limit["type"], field=field)


def _limit(limit: dict[str, Any], field: str) -> tuple[int, int, int]:
    """(number, soft, hard), the values as the signed 64 bits of the wire; -1 is unlimited."""
    if limit["type"] not in NUMBERS:
        raise ConfigError(
            f"unknown limit {limit['type']}", "not-one-of", field, value=limit["type"]
        )
    soft, hard = limit["soft"], limit["hard"]
    return (
        NUMBERS[limit["type"]],
        soft if soft < 1 << 63 else soft - (1 << 64),
        hard if hard < 1 << 63 else hard - (1 << 64),
    )


def scheduling(sketch: Sketch) -> None:
    """How the kernel is to run the program: rare, so most of it is loaded only when asked for."""
    domain = (sketch.linux.get("personality") or {}).get("domain")
    if domain:
        sketch.add("personality", domain=_PERSONALITIES[domain], field="linux.personality.domain")
    process, linux = sketch.process, sketch.linux
    if process.get("scheduler") or process.get("ioPriority") or linux.get("memoryPolicy"):
        from pycontainer.plan import scheduling

        scheduling.compile_fields(sketch, _schedules_late(sketch))


def become_program(sketch: Sketch, filter: Filter | None, env: list[str], listen_pid: bool) -> None:
    """The last operations: what restricts the program, and nothing of ours, and its execve."""
    if filter:
        sketch.add("seccomp_prepare", field="linux.seccomp")
    if _schedules_late(sketch):  # a policy that no child inherits, and that may forbid to have any
        from pycontainer.plan import scheduling

        scheduling.scheduler(sketch)
    limits(sketch)
    if filter:
        seccomp(sketch, filter)
    execute(sketch, env, listen_pid)


def _schedules_late(sketch: Sketch) -> bool:
    entry = sketch.process.get("scheduler") or {}
    flags = entry.get("flags") or ()
    return entry.get("policy") == "SCHED_DEADLINE" or "SCHED_FLAG_RESET_ON_FORK" in flags


def kept(sketch: Sketch, filter: Filter | None) -> int:
    """The capabilities that some of the last operations need, for `identity`."""
    admin = filter is not None and not sketch.process.get("noNewPrivileges")
    return CAP_SYS_ADMIN * admin | CAP_SYS_NICE * _schedules_late(sketch)


def seccomp(sketch: Sketch, filter: Filter) -> None:
    """linux.seccomp, seccomp(2)."""
    sketch.add("seccomp", flags=filter.flags, filter=filter.bpf, field="linux.seccomp")


def appear(
    sketch: Sketch, filter: Filter | None, sets: dict[str, int], keeps: int, lets: bool
) -> Filter | None:
    """The program's process appears in the pid namespace that it joins, with no more than the
    program itself may have. Returns the filter that is still to be loaded.

    Who may trace it would get what is kept: so the filter comes first, if it `lets` the rest be
    done.
    """
    if filter and lets and keeps == CAP_SYS_ADMIN:
        sketch.add("seccomp_prepare", field="linux.seccomp")
        seccomp(sketch, filter)
        capabilities(sketch, sets, 0)
        filter = None
    namespaces.respawn(sketch, late=True)
    session(sketch)
    return filter


def session(sketch: Sketch) -> None:
    """What only the program's own process can do for itself."""
    sketch.add("setsid")
    control_terminal(sketch)


def identity(sketch: Sketch, keeps: int) -> dict[str, int]:
    """Bounding set, user and groups, capabilities, in the only order that works.

    `keeps` are capabilities that last until the exec, like CAP_SYS_ADMIN for a filter that is
    loaded without no_new_privs: execve computes the program's capabilities from the bounding,
    inheritable and ambient sets alone, so the program never has it. Returns the program's sets.
    """
    sets = _capabilities(sketch)
    user = sketch.process.get("user") or {}
    sketch.add("bounding", mask=sets["bounding"], field="process.capabilities.bounding")
    groups = [*dict.fromkeys(user.get("additionalGids") or ())]
    kept = int(not sketch.spaces.setgroups)
    if namespaces.keeps_groups(sketch.config):
        groups, kept = [], 1
    if groups and kept and not (sketch.host.setgroups or sketch.host.uid):
        # Root of such a namespace gets what there is, as with runc: engines name root's groups.
        sketch.warnings.append("process.user.additionalGids: setgroups is denied around us")
        groups = []
    if groups and kept:
        raise ConfigError(
            "additional groups are not possible where setgroups is denied",
            "not-allowed",
            "process.user.additionalGids",
        )
    uid, gid = user.get("uid", 0), user.get("gid", 0)
    sketch.add("chown_stdio", uid=uid, field="process.user.uid")
    packed = pack(f"<{len(groups)}I", *groups)
    sketch.add("user", uid=uid, gid=gid, groups_kept=kept, groups=packed, field="process.user")
    capabilities(sketch, sets, keeps)
    return sets


def capabilities(sketch: Sketch, sets: dict[str, int], keeps: int) -> None:
    """The sets that a process can set at any time, with `keeps` in those that count."""
    sketch.add(
        "capabilities",
        effective=sets["effective"] | keeps,
        permitted=sets["permitted"] | keeps,
        inheritable=sets["inheritable"],
        ambient=sets["ambient"],
        field="process.capabilities",
    )


def _capabilities(sketch: Sketch) -> dict[str, int]:
    """The five sets as masks; what cannot be granted is left out with a warning."""
    given = sketch.process.get("capabilities") or {}
    # In a user namespace of its own the process has them all, whatever we have.
    available = -1 if sketch.spaces.user else sketch.host.permitted
    sets: dict[str, int] = {}
    unknown_names: list[str] = []
    for name in ("bounding", "effective", "permitted", "inheritable", "ambient"):
        bits, unknown = caps.mask(given.get(name) or ())
        unknown_names += unknown
        if bits & ~available:
            missing = " ".join(caps.names(bits & ~available))
            sketch.warnings.append(
                f"process.capabilities.{name}: cannot grant {missing}: the runtime lacks it"
            )
        sets[name] = bits & available
    if unknown_names:  # runc's words
        names = " ".join(sorted(set(unknown_names)))
        sketch.warnings.append(f"ignoring unknown or unavailable capabilities: [{names}]")
    if sets["effective"] & ~sets["permitted"]:
        names = " ".join(caps.names(sets["effective"] & ~sets["permitted"]))
        raise ConfigError(
            f"unable to apply caps: has {names}, which is not in permitted",
            "not-allowed",
            "process.capabilities.effective",
        )
    _drop_ambient(sketch, sets)
    return sets


def _drop_ambient(sketch: Sketch, sets: dict[str, int]) -> None:
    """What the kernel would not raise, capabilities(7): a warning, config.md#linux-process."""
    possible, why = sets["permitted"] & sets["inheritable"], NOT_RAISED
    if sets["ambient"] and not sketch.spaces.user and not sketch.host.ambient:
        possible, why = 0, "the runtime was started with SECBIT_NO_CAP_AMBIENT_RAISE"
    dropped = sets["ambient"] & ~possible
    if dropped:
        names = " ".join(caps.names(dropped))
        sketch.warnings.append(f"process.capabilities.ambient: cannot raise {names}: {why}")
    sets["ambient"] &= possible


def environment(sketch: Sketch) -> list[str]:
    """process.env with the last of two equal names, config.md#process."""
    latest: dict[str, str] = {}
    for entry in sketch.process.get("env") or ():
        name = entry.partition("=")[0]
        latest.pop(name, None)
        latest[name] = entry
    return list(latest.values())


def program(sketch: Sketch, env: list[str]) -> None:
    """HOME, then the program's file, found before anybody is told that the container is ready."""
    args = sketch.process.get("args")
    if not args:
        return  # no process: `start` will say so
    found = {entry.partition("=")[0]: entry.partition("=")[2] for entry in env}
    search = found.get("PATH", DEFAULT_PATH)
    sketch.add("find_program", name=args[0], search=search, field="process.args[0]")


def needs_home(env: list[str]) -> bool:
    """True when no HOME is given, or an empty one."""
    return not any(entry.startswith("HOME=") and entry != "HOME=" for entry in env)


def execute(sketch: Sketch, env: list[str], listen_pid: bool) -> None:
    """The last operation: the user's program."""
    if listen_pid:
        env = [entry for entry in env if not entry.startswith("LISTEN_PID=")]
    if needs_home(env):
        env = [entry for entry in env if not entry.startswith("HOME=")]
    args: list[Any] = sketch.process.get("args") or [""]
    sketch.add(
        "exec", listen_pid=int(listen_pid), args=joined(args), env=joined(env), field="process.args"
    )
