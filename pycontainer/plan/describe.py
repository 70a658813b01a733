"""Operations in words: for `pycontainer plan`, and for the error that names one.

`line(op)` is what the operation does, in the field's terms; flags are spelled out, nothing is
abbreviated that a reader could need. Off the hot path.
"""

from __future__ import annotations

from pycontainer.base.errors import CLIENT_TEXTS, os_reason
from pycontainer.plan import rare_words
from pycontainer.plan.ops import CONTAINER, TABLE, Op
from pycontainer.tables import caps, mount_options
from pycontainer.tables.namespaces import NAMES_OF_FLAGS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from pycontainer.plan.builder import Plan

_ATTRIBUTES = (
    (mount_options.ATTR_RDONLY, "ro"),
    (mount_options.ATTR_NOSUID, "nosuid"),
    (mount_options.ATTR_NODEV, "nodev"),
    (mount_options.ATTR_NOEXEC, "noexec"),
    (mount_options.ATTR_NOATIME, "noatime"),
    (mount_options.ATTR_STRICTATIME, "strictatime"),
    (mount_options.ATTR_NODIRATIME, "nodiratime"),
    (mount_options.ATTR_NOSYMFOLLOW, "nosymfollow"),
)
_PROPAGATION = {bits: name for name, bits in mount_options.PROPAGATION.items()}
_ECANCELED = 125  # the executor's word for "the detail says it all"


def text(plan: Plan) -> str:
    """The whole plan, a line for each operation: number, side, what, and the field."""
    lines = []
    for number, op in enumerate(plan.ops, 1):
        side = "container" if TABLE[op.kind][0] == CONTAINER else "runtime"
        field = f"   # {op.field}" if op.field else ""
        lines.append(f"{number:4} {side:9} {line(op)}{field}\n")
    return "".join(lines)


def as_json(plan: Plan) -> list[dict[str, Any]]:
    """The same as JSON values; arguments by name, lists as lists, binary ones by their length."""
    result = []
    for number, op in enumerate(plan.ops, 1):
        _, ints, texts = TABLE[op.kind]
        arguments: dict[str, Any] = dict(zip(ints, op.ints, strict=True))
        for name, value in zip(texts, op.texts, strict=True):
            arguments[name] = _value(op.kind, name, value)
        entry: dict[str, Any] = {"step": number, "side": op.side, "operation": op.kind}
        entry["arguments"] = arguments
        if op.field:
            entry["field"] = op.field
        entry["text"] = line(op)
        result.append(entry)
    return result


def failure(op: Op, errno: int, detail: str) -> str:
    """What to say of an operation that failed."""
    if op.kind == "find_program":
        return _program_failure(op, errno)
    if op.kind == "hook":
        reason = "" if errno == _ECANCELED else os_reason(errno)
        words = ": ".join(part for part in (detail, reason) if part)
        return f"error running {_stage(op)} hook {words}"
    if op.kind == "exec":
        return f"{detail or 'exec'}: {os_reason(errno)}"
    message = f"{line(op)}: {os_reason(errno)}"
    if detail and errno == _ECANCELED:
        message = f"{line(op)}: {detail}"
    elif detail:
        message += f": {detail}"
    return message


def line(op: Op) -> str:
    """One operation in words."""
    words = _LINES[op.kind](op) if op.kind in _LINES else _plain(op)
    if words.isprintable():
        return words
    # A name with a line break must not look like one more operation, nor move the cursor.
    return "".join([c if c.isprintable() else ascii(c)[1:-1] for c in words])


# -- the words of each operation ---------------------------------------------------------------


def _program_failure(op: Op, errno: int) -> str:
    """The words of Go's exec.LookPath, which engines turn into 126 and 127."""
    name = _text(op, "name")
    if "/" not in name and errno == 2:
        return f'exec: "{name}": {CLIENT_TEXTS["not_in_path"]}'
    if errno == 2:
        return f'exec: "{name}": stat {name}: {os_reason(errno)}'
    return f'exec: "{name}": {os_reason(errno)}'


def _stage(op: Op) -> str:
    return op.field.partition("[")[0].rpartition(".")[2]


def _text(op: Op, name: str) -> str:
    value = op[name]
    return value.decode("utf-8", "replace")


def _list(op: Op, name: str) -> list[str]:
    value = op[name]
    return [part.decode("utf-8", "replace") for part in value.split(b"\0")[:-1]]


_BINARY = {
    ("seccomp", "filter"),
    ("user", "groups"),
    ("scheduler", "attr"),
    ("memory_policy", "nodes"),
    ("cpu_affinity", "cpus"),
    ("bind_link", "changes"),
}
_LISTS = {
    ("mount", "options"),
    ("mount", "sb_flags"),
    ("hook", "args"),
    ("hook", "env"),
    ("exec", "args"),
    ("exec", "env"),
}


def _value(kind: str, name: str, value: bytes) -> Any:
    if (kind, name) == ("user", "groups"):
        return _groups(value)
    if (kind, name) in _BINARY:
        return {"bytes": len(value)}
    if (kind, name) in _LISTS:
        return [part.decode("utf-8", "replace") for part in value.split(b"\0")[:-1]]
    return value.decode("utf-8", "replace")


def _groups(value: bytes) -> list[int]:
    return [int.from_bytes(value[i : i + 4], "little") for i in range(0, len(value), 4)]


def _attributes(bits: Any) -> str:
    return ",".join(name for bit, name in _ATTRIBUTES if bits & bit)


def _spaces(bits: Any) -> str:
    return " ".join(name for bit, name in NAMES_OF_FLAGS.items() if bits & bit) or "none"


def _plain(op: Op) -> str:
    """The kind and its arguments, for operations that need no more words."""
    parts = [str(value) for value in op.ints]
    parts += [value.decode("utf-8", "replace") for value in op.texts]
    return " ".join([op.kind.replace("_", " "), *(part for part in parts if part)])


def _mount(op: Op) -> str:
    source, fstype = _text(op, "source"), _text(op, "fstype")
    options = [_attributes(op["attr_set"]), *_list(op, "sb_flags"), *_list(op, "options")]
    words = ",".join(dict.fromkeys(part for part in options if part))
    name = fstype if source in ("", fstype) else f"{fstype} {source}"
    suffix = f" ({words})" if words else ""
    filled = ", with a copy of what it covers" if op["copy_up"] else ""
    return f"mount {name} on {_text(op, 'target')}{suffix}{filled}"


def _bind(op: Op) -> str:
    words = _attributes(op["attr_set"])
    kind = "rbind" if op["recursive"] else "bind"
    suffix = f" ({words})" if words else ""
    return f"{kind} {_text(op, 'source')} on {_text(op, 'target')}{suffix}"


def _bind_host(op: Op) -> str:
    words = _attributes(op["attr_set"])
    kind = "rbind" if op["slot"] < 0 else "mount"
    suffix = f" ({words})" if words else ""
    return f"{kind} {_text(op, 'source')} on {_text(op, 'target')}{suffix}"


def _bind_link(op: Op) -> str:
    words = [name for name, bit in mount_options.LINKS.items() if op["links"] & bit]
    return f"{_bind(op)} [{', '.join(words)}]" if words else _bind(op)


def _mount_attr(op: Op) -> str:
    words = _attributes(op["attr_set"])
    cleared = _attributes(op["attr_clear"])
    parts = [f"set {words}"] if words else []
    parts += [f"clear {cleared}"] if cleared else []
    depth = " and below" if op["recursive"] else ""
    return f"{' and '.join(parts) or 'set nothing'} on {_text(op, 'target')}{depth}"


def _remount_flags(flags: int) -> str:
    names = [n for n, bit in mount_options.SETS.items() if bit & (bit - 1) == 0 and flags & bit]
    return " ".join(name for name in names if name not in ("bind", "remount")) or "it is"


def _mknod(op: Op) -> str:
    mode, device = op["mode"], op["device"]
    kind = {0o020000: "c", 0o060000: "b", 0o010000: "p"}[mode & 0o170000]
    verb = "mknod"
    if op.kind == "mknod" and op["bind"]:
        verb = "bind its node on" if op["slot"] >= 0 else f"bind {_text(op, 'source')} on"
    owner = f" {op['uid']}:{op['gid']}" if op["uid"] or op["gid"] else ""
    number = "" if kind == "p" else f" {device >> 32}:{device & 0xFFFFFFFF}"
    return f"{verb} {_text(op, 'path')} {kind}{number} {mode & 0o7777:04o}{owner}"


def _capabilities(op: Op) -> str:
    parts = []
    for name in ("effective", "permitted", "inheritable", "ambient"):
        value = op[name]
        parts.append(f"{name} {_names(value)}")
    return "capabilities: " + "; ".join(parts)


def _names(bits: int) -> str:
    return ",".join(caps.names(bits)) or "none"


def _user(op: Op) -> str:
    groups = op["groups"]
    extra = "groups kept" if op["groups_kept"] else f"groups {_groups(groups)}"
    return f"become uid {op['uid']} gid {op['gid']}, {extra}"


def _limit(value: Any) -> str:
    return "unlimited" if value == -1 else str(value & (1 << 64) - 1)


def _bounding(op: Op) -> str:
    mask = op["mask"]
    return f"bounding capabilities {_names(mask)}"


def _personality(op: Op) -> str:
    return "personality " + {0: "LINUX", 8: "LINUX32"}.get(op.ints[0], str(op.ints[0]))


def _seccomp(op: Op) -> str:
    program = op["filter"]
    return f"load seccomp filter of {len(program) // 8} instructions (flags {op['flags']:#x})"


def _hook(op: Op) -> str:
    timeout = f", at most {op['timeout_ms']} ms" if op["timeout_ms"] else ""
    return f"run {_stage(op)} hook #{op['index']}: {' '.join(_list(op, 'args'))}{timeout}"


def _console(op: Op) -> str:
    size = f" of {op['rows']} rows and {op['columns']} columns" if op["rows"] else ""
    place = " and bind it on /dev/console" if op["mount"] else ""
    return f"open a terminal{size} on /dev/pts/ptmx{place}"


_LINES: dict[str, Callable[[Op], str]] = {
    "cgroup_create": lambda op: f"make cgroup {_text(op, 'paths')}",
    "cgroup_write": lambda op: f"write {_text(op, 'value')} to cgroup's {_text(op, 'file')}",
    "cgroup_devices": lambda op: f"restrict devices: {_text(op, 'rules')}",
    "open_cgroup": lambda op: f"open {_text(op, 'path')}",
    "open_inside": lambda op: f"open the mount source {_text(op, 'path')}, as it is seen inside",
    "open_locked": lambda op: (
        f"open the mount source {_text(op, 'path')}, as user namespace {_text(op, 'user')} sees it"
    ),
    "open_tree": lambda op: f"open the mount source {_text(op, 'path')}",
    "idmap_tree": lambda op: (
        f"map the ids of {_text(op, 'path')}"
        + (" and below" if op["recursive"] else "")
        + (
            f" as namespace {_text(op, 'namespace')} does"
            if op["namespace"]
            else f": uids {', '.join(_text(op, 'uids').splitlines())};"
            f" gids {', '.join(_text(op, 'gids').splitlines())}"
        )
    ),
    "open_namespace": lambda op: f"open {_spaces(op['nstype'])} namespace {_text(op, 'path')}",
    "open_output": lambda op: f"open {_text(op, 'path')} for what hooks write",
    "cgroup_delegate": lambda op: (
        f"make cgroup {_text(op, 'path')}, move init there"
        + (f", give it to uid {op['uid']}" if op["uid"] else "")
    ),
    "open_gate": lambda op: "listen on start.sock for the start",
    "clone": lambda op: (
        f"clone init with new namespaces: {_spaces(op['flags'])}"
        + (", into its cgroup" if op["into_cgroup"] else "")
    ),
    "setgroups_deny": lambda op: "deny setgroups",
    "check_map": lambda op: (
        f"compare {_text(op, 'file')} with: {', '.join(_text(op, 'lines').splitlines())}"
    ),
    "id_map": lambda op: (
        f"write {_text(op, 'file')}"
        + (f" (by new{_text(op, 'file').replace('_', '')})" * op["helper"])
        + f": {', '.join(_text(op, 'lines').splitlines())}"
    ),
    "oom_score_adj": lambda op: f"set oom_score_adj to {op['value']}",
    "record": lambda op: f"record the state: {_text(op, 'phase')}",
    "raise_rlimit": lambda op: f"allow {_text(op, 'type')} up to {_limit(op['hard'])}",
    "rlimit": lambda op: (
        f"set {_text(op, 'type')} to {_limit(op['soft'])}, at most {_limit(op['hard'])}"
    ),
    "resctrl": lambda op: f"enter resource group {_text(op, 'group')}",
    "net_device": lambda op: (
        f"move network device {_text(op, 'name')} inside"
        + (f" as {_text(op, 'new_name')}" if op["new_name"] else "")
    ),
    "run_hooks": lambda op: f"run {op['count']} {_text(op, 'stage')} hooks",
    "deliver_console": lambda op: "hand the terminal over",
    "cgroup_join": lambda op: f"enter cgroup {_text(op, 'path')}",
    "setns": lambda op: f"join {_spaces(op['nstype'])} namespace {_text(op, 'path')}",
    "unshare": lambda op: f"make new namespaces: {_spaces(op['flags'])}",
    "respawn": lambda op: f"go on in a child (new namespaces: {_spaces(op['flags'])})",
    "become_root": lambda op: (
        f"become {op['uid']}:{op['gid']} of the user namespace"
        if op["uid"] or op["gid"]
        else "become root of the user namespace"
    ),
    "setsid": lambda op: "start a session",
    "keyring": lambda op: (
        f"{'make' if op['fresh'] else 'join'} session keyring {_text(op, 'name')}"
    ),
    "unit_start": lambda op: (
        f"start systemd unit {_text(op, 'unit')} in {_text(op, 'slice')}: "
        f"{_text(op, 'properties') or 'no limits'}"
    ),
    "unit_settle": lambda op: f"leave {_text(op, 'unit')} to the container's process",
    "cgroup_owner": lambda op: f"give {_text(op, 'path')} to uid {op['uid']}",
    "loopback_up": lambda op: "bring up lo",
    "propagation": lambda op: f"make {_text(op, 'path')} {_PROPAGATION[op.ints[0]]}",
    "mount_propagation": lambda op: f"make {_text(op, 'target')} {_PROPAGATION[op.ints[0]]}",
    "own_oom_score": lambda op: f"set oom_score_adj to {op['value']}, if we may",
    "open_time_offsets": lambda op: "open timens_offsets",
    "time_offsets": lambda op: (
        f"write timens_offsets: {', '.join(_text(op, 'lines').splitlines())}"
    ),
    "open_source": lambda op: f"open the mount source {_text(op, 'path')}",
    "open_fs": lambda op: f"make a {_text(op, 'fstype')} of what was joined",
    "own_files": lambda op: "make a file system for the container's own masks and devices",
    "own_node": lambda op: f"in the container's own file system, {_mknod(op)}",
    "rootfs": lambda op: f"use {_text(op, 'path')} as root",
    "mount": _mount,
    "bind": _bind,
    "bind_link": _bind_link,
    "bind_host": _bind_host,
    "unmount": lambda op: f"unmount {_text(op, 'target')}",
    "finish": lambda op: "end",
    "mount_attr": _mount_attr,
    "remount": lambda op: f"remount {_text(op, 'target')} as {_remount_flags(op['ms_flags'])}",
    "mkdir": lambda op: f"make directory {_text(op, 'path')}",
    "mknod": _mknod,
    "symlink": lambda op: f"symlink {_text(op, 'path')} -> {_text(op, 'target')}",
    "console": _console,
    "control_terminal": lambda op: "make it the session's controlling terminal",
    "sync": lambda op: f"wait for the runtime ({_text(op, 'what')})",
    "receive": lambda op: f"wait for {op['count']} descriptors ({_text(op, 'what')})",
    "hook": _hook,
    "sysctl": lambda op: f"write {_text(op, 'value')} to /proc/{_text(op, 'file')}",
    "self_write": lambda op: (
        f"write {_text(op, 'value').strip()} to /proc/self/{_text(op, 'file')}"
    ),
    "readonly": lambda op: f"make {_text(op, 'path')} read-only",
    "mask": lambda op: f"hide {_text(op, 'path')}",
    "label_file": lambda op: f"label {_text(op, 'path')} {_text(op, 'label')}",
    "pivot_root": lambda op: "make it the root, detach the old one",
    "hide_host": lambda op: "take away the host's own proc and sysfs",
    "move_root": lambda op: "move it over the old root",
    "chroot": lambda op: "change root to it",
    "reopen_null": lambda op: "reopen stdio that is /dev/null inside",
    "hostname": lambda op: f"set hostname {_text(op, 'name')}",
    "domainname": lambda op: f"set domainname {_text(op, 'name')}",
    "umask": lambda op: f"umask {op['mask']:04o}",
    "enter_cwd": lambda op: f"enter {_text(op, 'path')}" + (", made if missing" * op.ints[0]),
    "no_new_privs": lambda op: "forbid new privileges",
    "personality": _personality,
    "scheduler": lambda op: rare_words.scheduler(op["attr"]),
    "io_priority": lambda op: rare_words.io_priority(op["value"]),
    "memory_policy": lambda op: rare_words.memory_policy(op["mode"], op["nodes"]),
    "cpu_affinity": lambda op: f"run on CPUs {rare_words.ranges(op['cpus']) or 'of any number'}",
    "bounding": _bounding,
    "chown_stdio": lambda op: f"give stdio to uid {op['uid']}",
    "user": _user,
    "capabilities": _capabilities,
    "chdir": lambda op: f"check working directory {_text(op, 'path')}",
    "home": lambda op: f"find HOME of uid {op['uid']} in /etc/passwd",
    "find_program": lambda op: f"find program {_text(op, 'name')}",
    "await_start": lambda op: "wait for start",
    "seccomp_prepare": lambda op: "prepare all that comes after the seccomp filter",
    "seccomp": _seccomp,
    "exec": lambda op: f"exec {' '.join(_list(op, 'args'))}",
}
