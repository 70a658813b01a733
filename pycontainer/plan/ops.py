"""The table of operations: what a plan may contain, and which arguments each one takes.

In: nothing. Out: `Op`, one step of a plan, and `TABLE`, which `generate_header.py` turns into the
header of the C executor, so both sides read the same arguments from the same places.

An operation names a verb of the kernel with its arguments resolved; it holds no policy. `runtime`
operations are done by the process that calls us, `container` operations by the executor that
becomes the container's init. Integers travel as 64 bits, texts as bytes with a 32-bit length.
"""

from __future__ import annotations

from pycontainer.tables.mount_options import COPY_SYMLINK, DEST_NOFOLLOW, SRC_NOFOLLOW

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

RUNTIME = "runtime"
CONTAINER = "container"

MAX_INTS = 6
MAX_TEXTS = 5

# kind: (side, integer arguments, text arguments). A list of strings is one text, joined by NUL
# and ended by one. The order of the table numbers the operations for C: append, never reorder
# without rebuilding (the header carries a checksum of this table).
TABLE: dict[str, tuple[str, tuple[str, ...], tuple[str, ...]]] = {
    # -- done by the runtime
    "cgroup_create": (RUNTIME, (), ("paths",)),
    "cgroup_write": (RUNTIME, (), ("controller", "file", "value")),
    "cgroup_devices": (RUNTIME, (), ("rules",)),
    "cgroup_owner": (RUNTIME, ("uid",), ("path",)),
    "cgroup_delegate": (RUNTIME, ("uid",), ("path",)),
    "unit_start": (RUNTIME, (), ("unit", "slice", "properties")),
    "unit_settle": (RUNTIME, (), ("unit",)),
    "open_cgroup": (RUNTIME, ("slot",), ("path",)),
    "open_tree": (RUNTIME, ("slot", "recursive", "nofollow"), ("path",)),
    "open_inside": (RUNTIME, ("slot", "recursive", "nofollow"), ("path",)),
    "open_locked": (RUNTIME, ("slot", "recursive", "nofollow"), ("path", "user")),
    "idmap_tree": (RUNTIME, ("slot", "recursive"), ("uids", "gids", "namespace", "path")),
    "open_namespace": (RUNTIME, ("slot", "nstype"), ("path",)),
    "open_gate": (RUNTIME, ("slot",), ()),
    "open_output": (RUNTIME, ("slot",), ("path",)),
    "clone": (RUNTIME, ("flags", "into_cgroup", "pid_slot"), ()),
    "setgroups_deny": (RUNTIME, (), ()),
    "id_map": (RUNTIME, ("helper",), ("file", "lines")),
    "check_map": (RUNTIME, (), ("file", "lines")),
    "oom_score_adj": (RUNTIME, ("value",), ()),
    "record": (RUNTIME, (), ("phase",)),
    "raise_rlimit": (RUNTIME, ("resource", "soft", "hard"), ("type",)),
    "resctrl": (RUNTIME, (), ("group",)),
    "net_device": (RUNTIME, (), ("name", "new_name")),
    "run_hooks": (RUNTIME, ("count",), ("stage",)),
    "deliver_console": (RUNTIME, (), ()),
    # -- done by the executor
    "cgroup_join": (CONTAINER, ("slot",), ("path",)),
    "setns": (CONTAINER, ("slot", "nstype"), ("path",)),
    "unshare": (CONTAINER, ("flags",), ()),
    "respawn": (CONTAINER, ("flags", "late"), ()),
    "become_root": (CONTAINER, ("setgroups", "visible", "uid", "gid"), ()),
    "setsid": (CONTAINER, (), ()),
    "keyring": (CONTAINER, ("fresh",), ("name",)),
    "loopback_up": (CONTAINER, (), ()),
    "propagation": (CONTAINER, ("flags",), ("path",)),
    "own_oom_score": (CONTAINER, ("value",), ()),
    "open_time_offsets": (CONTAINER, ("slot",), ()),
    "time_offsets": (CONTAINER, ("slot",), ("lines",)),
    "open_source": (CONTAINER, ("slot", "recursive", "nofollow"), ("path",)),
    "open_fs": (CONTAINER, ("slot", "attr_set"), ("fstype", "source", "options")),
    "own_files": (CONTAINER, (), ("label",)),
    "own_node": (CONTAINER, ("slot", "mode", "device", "uid", "gid"), ("path",)),
    "rootfs": (CONTAINER, ("slot", "parent", "over_root"), ("path",)),
    "mount": (
        CONTAINER,
        ("ms_flags", "attr_set", "plain_target", "copy_up", "keep_mode", "or_bind"),
        ("fstype", "source", "target", "options", "sb_flags"),
    ),
    "bind": (
        CONTAINER,
        ("slot", "recursive", "attr_set", "attr_clear", "soft_clear", "in_root"),
        ("source", "target"),
    ),
    "bind_host": (
        CONTAINER,
        ("slot", "attr_set", "plain_target", "missing"),
        ("source", "target"),
    ),
    "bind_link": (
        CONTAINER,
        ("slot", "recursive", "attr_set", "attr_clear", "soft_clear", "links"),
        ("source", "target", "changes"),
    ),
    "unmount": (CONTAINER, (), ("target",)),
    "mount_attr": (CONTAINER, ("recursive", "attr_set", "attr_clear"), ("target",)),
    "mount_propagation": (CONTAINER, ("flags",), ("target",)),
    "remount": (CONTAINER, ("ms_flags", "ms_clear"), ("target", "data")),
    "mkdir": (CONTAINER, ("mode",), ("path",)),
    "mknod": (CONTAINER, ("mode", "device", "uid", "gid", "bind", "slot"), ("path", "source")),
    "symlink": (CONTAINER, ("replace",), ("target", "path")),
    "console": (CONTAINER, ("rows", "columns", "uid", "mount"), ()),
    "control_terminal": (CONTAINER, (), ()),
    "sync": (CONTAINER, (), ("what",)),
    "receive": (CONTAINER, ("first", "count"), ("what",)),
    "hook": (
        CONTAINER,
        ("index", "timeout_ms", "as_program", "with_home", "out_slot", "err_slot"),
        ("path", "args", "env", "state_head", "state_tail"),
    ),
    "sysctl": (CONTAINER, (), ("file", "value")),
    "self_write": (CONTAINER, (), ("file", "value")),
    "readonly": (CONTAINER, (), ("path",)),
    "mask": (CONTAINER, (), ("path",)),
    "label_file": (CONTAINER, (), ("path", "label")),
    "pivot_root": (CONTAINER, (), ()),
    "hide_host": (CONTAINER, (), ()),
    "move_root": (CONTAINER, (), ()),
    "chroot": (CONTAINER, (), ()),
    "reopen_null": (CONTAINER, (), ()),
    "hostname": (CONTAINER, (), ("name",)),
    "domainname": (CONTAINER, (), ("name",)),
    "umask": (CONTAINER, ("mask",), ()),
    "enter_cwd": (CONTAINER, ("make",), ("path",)),
    "no_new_privs": (CONTAINER, (), ()),
    "personality": (CONTAINER, ("domain",), ()),
    "scheduler": (CONTAINER, (), ("attr",)),
    "io_priority": (CONTAINER, ("value",), ()),
    "memory_policy": (CONTAINER, ("mode",), ("nodes",)),
    "cpu_affinity": (CONTAINER, (), ("cpus",)),
    "bounding": (CONTAINER, ("mask",), ()),
    "chown_stdio": (CONTAINER, ("uid",), ()),
    "user": (CONTAINER, ("uid", "gid", "groups_kept"), ("groups",)),
    "capabilities": (CONTAINER, ("effective", "permitted", "inheritable", "ambient"), ()),
    "chdir": (CONTAINER, (), ("path",)),
    "home": (CONTAINER, ("uid",), ()),
    "find_program": (CONTAINER, (), ("name", "search")),
    "await_start": (CONTAINER, ("slot",), ()),
    "rlimit": (CONTAINER, ("resource", "soft", "hard"), ("type",)),
    "seccomp_prepare": (CONTAINER, (), ()),
    "seccomp": (CONTAINER, ("flags",), ("filter",)),
    "exec": (CONTAINER, ("listen_pid",), ("args", "env")),
    "finish": (CONTAINER, (), ()),
}

# Arguments that may be left out, with the value that they have then.
DEFAULTS: dict[str, dict[str, int | bytes]] = {
    "mount": {
        **dict.fromkeys(("ms_flags", "plain_target", "copy_up", "keep_mode", "or_bind"), 0),
        "sb_flags": b"",
    },
    "bind_host": {"slot": -1, "plain_target": 0},
    "mount_attr": {"recursive": 0, "attr_set": 0, "attr_clear": 0},
    "become_root": dict.fromkeys(("setgroups", "visible", "uid", "gid"), 0),
}

# Values of arguments that both sides know by these names; texts are for paths.
MISSING_FAILS, MISSING_SKIPPED, MISSING_HIDDEN = 0, 1, 2  # bind_host: the host has no such source
COPY_UP, COPY_UP_OWNER = 1, 2  # mount: what the directory holds; its owner as well
PIDNS_OF_CHILDREN = "/proc/self/ns/pid_for_children"  # mount: pidns= of a procfs
CONSTANTS: dict[str, int | str] = {
    "MISSING_FAILS": MISSING_FAILS,
    "MISSING_SKIPPED": MISSING_SKIPPED,
    "MISSING_HIDDEN": MISSING_HIDDEN,
    "COPY_UP": COPY_UP,
    "COPY_UP_OWNER": COPY_UP_OWNER,
    "PIDNS_OF_CHILDREN": PIDNS_OF_CHILDREN,
    "SRC_NOFOLLOW": SRC_NOFOLLOW,  # bind_link: links
    "DEST_NOFOLLOW": DEST_NOFOLLOW,
    "COPY_SYMLINK": COPY_SYMLINK,
}

NUMBERS = {kind: number for number, kind in enumerate(TABLE)}


class Op:
    """One step of a plan: `kind` from TABLE, its arguments by name, and the field it came from.

    `ints` and `texts` stand in the order of TABLE; a text is bytes. `field` is the JSON path in
    config.json, or "" when the operation follows from no single field.
    """

    __slots__ = ("field", "ints", "kind", "texts")

    def __init__(
        self, kind: str, ints: tuple[int, ...], texts: tuple[bytes, ...], field: str
    ) -> None:
        self.kind = kind
        self.ints = ints
        self.texts = texts
        self.field = field

    @property
    def side(self) -> str:
        """Who does it: RUNTIME or CONTAINER."""
        return TABLE[self.kind][0]

    def __getitem__(self, name: str) -> Any:
        _, ints, texts = TABLE[self.kind]
        if name in ints:
            return self.ints[ints.index(name)]
        return self.texts[texts.index(name)]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Op) and self.key() == other.key()

    def __hash__(self) -> int:
        return hash(self.key())

    def __repr__(self) -> str:
        _, ints, texts = TABLE[self.kind]
        pairs = [*zip(ints, self.ints, strict=True), *zip(texts, self.texts, strict=True)]
        return f"Op({self.kind}, {', '.join(f'{k}={v!r}' for k, v in pairs)}, {self.field!r})"

    def key(self) -> tuple[object, ...]:
        """What makes two operations the same."""
        return (self.kind, self.ints, self.texts, self.field)


def op(kind: str, *values: int | str | bytes, field: str = "") -> Op:
    """Make an operation from its integers, then its texts, in the order of TABLE."""
    _, ints, texts = TABLE[kind]
    count = len(ints)
    if len(values) != count + len(texts):
        raise TypeError(f"{kind} takes {count} integers and {len(texts)} texts")
    return Op(kind, values[:count], tuple(map(_bytes, values[count:])), field)  # type: ignore[arg-type]


def named(kind: str, arguments: dict[str, Any], field: str = "") -> Op:
    """Make an operation from its arguments by their names in TABLE; TypeError for any others."""
    _, ints, texts = TABLE[kind]
    count = len(ints) + len(texts)
    if len(arguments) < count and kind in DEFAULTS:
        arguments = DEFAULTS[kind] | arguments
    if len(arguments) != count:
        raise TypeError(f"{kind} takes {', '.join(ints + texts)}; not {', '.join(arguments)}")
    try:
        value = arguments.__getitem__
        numbers, strings = tuple(map(value, ints)), tuple(map(_bytes, map(value, texts)))
    except KeyError as error:
        raise TypeError(f"{kind} needs {error}") from None
    return Op(kind, numbers, strings, field)


def joined(strings: Sequence[str]) -> bytes:
    """A list of strings as one text: each one ended by NUL (none of them may hold one)."""
    return b"".join([s.encode("utf-8", "surrogateescape") + b"\0" for s in strings])


def _bytes(value: int | str | bytes) -> bytes:
    if isinstance(value, str):
        return value.encode("utf-8", "surrogateescape")
    return value  # type: ignore[return-value]
