"""The facts about one container that outlive the command that learned them: state.json.

A value with a version: unknown members are ignored, so that a newer pycontainer's file can be
read, and what is missing gets a default, so that an older one's can. Neither the config nor the
plan is in here; config.json stands beside it, as the bundle had it.
"""

from __future__ import annotations

from time import gmtime, strftime, time_ns

from pycontainer.base import jsonfast

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

OCI_VERSION = "1.3.0"  # of the state documents that we print
VERSION = 1  # raised only when the meaning of a member changes
PHASES = ("creating", "created")

# Member: (type, default). The order is that of the file.
_MEMBERS: dict[str, tuple[type, Any]] = {
    "id": (str, None),  # None: must be there
    "oci_version": (str, ""),
    "phase": (str, "creating"),  # created: once the init waits for start
    "pid": (int, 0),  # of the init, as the host sees it; 0 until it is known
    "start_time": (int, 0),  # of that process, in clock ticks since boot
    "created": (str, ""),  # RFC 3339 with nanoseconds, UTC
    "owner": (int, 0),  # uid of who created it
    "bundle": (str, ""),
    "rootfs": (str, ""),
    "cgroup": (dict, {}),  # what the cgroup driver needs to find it again
    "namespaces": (dict, {}),
    "annotations": (dict, {}),
    "extra": (dict, {}),
}


class Facts:
    """What state.json says. Immutable by convention: `replace` makes a changed one."""

    __slots__ = tuple(_MEMBERS)

    id: str
    oci_version: str
    phase: str
    pid: int
    start_time: int
    created: str
    owner: int
    bundle: str
    rootfs: str
    cgroup: dict[str, Any]
    namespaces: dict[str, Any]
    annotations: dict[str, str]
    extra: dict[str, Any]

    def __init__(self, **members: Any) -> None:
        for name, (kind, default) in _MEMBERS.items():
            value = members.pop(name, default)
            setattr(self, name, dict(value) if kind is dict else value)
        if members:
            raise TypeError(f"no such fact: {', '.join(members)}")

    def replace(self, **changes: Any) -> Facts:
        """The same facts but for `changes`."""
        members = {name: getattr(self, name) for name in _MEMBERS}
        return Facts(**members | changes)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Facts):
            return NotImplemented
        return all(getattr(self, name) == getattr(other, name) for name in _MEMBERS)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Facts({', '.join(f'{name}={getattr(self, name)!r}' for name in _MEMBERS)})"

    def dump(self) -> bytes:
        """The bytes of state.json."""
        members: dict[str, Any] = {"version": VERSION}
        for name in _MEMBERS:
            members[name] = getattr(self, name)
        if self.pid:
            # runc's names, for who looks into its state.json; nothing of ours reads them.
            members["init_process_pid"] = self.pid
            members["init_process_start"] = self.start_time
            members["cgroup_paths"] = self.cgroup.get("paths") or {}
            members["namespace_paths"] = {
                key: f"/proc/{self.pid}/ns/{name}" for key, name in _NAMESPACES
            }
        return (jsonfast.dumps(members) + "\n").encode()


def parse_facts(data: bytes) -> Facts:
    """The facts in a state.json; ValueError (one line) when they are not."""
    members = jsonfast.loads(data, surrogates=True)
    if not isinstance(members, dict):
        raise ValueError("not a JSON object")
    version = members.get("version")
    if type(version) is not int or version < 1:
        raise ValueError("no version")
    if version > VERSION:
        raise ValueError(f"version {version} is of a newer release")
    known: dict[str, Any] = {}
    for name, (kind, default) in _MEMBERS.items():
        value = members.get(name, default)
        if type(value) is not kind:
            raise ValueError(f"{name} is not {_NAMES[kind]}")
        known[name] = value
    if known["phase"] not in PHASES or known["pid"] < 0:
        raise ValueError("phase or pid is out of range")
    if b"\\u0000" in data:  # paths and names for the kernel; annotations are for people
        for name in set(known) - {"annotations"}:
            if _has_nul(known[name]):
                raise ValueError(f"{name} has a NUL character")
    return Facts(**known)


def _has_nul(value: Any) -> bool:
    if isinstance(value, dict):
        return any(_has_nul(name) or _has_nul(inner) for name, inner in value.items())
    if isinstance(value, list):
        return any(map(_has_nul, value))
    return isinstance(value, str) and "\0" in value


def document(facts: Facts, status: str, pid: int) -> dict[str, Any]:
    """The state of runtime.md#state with what runc adds to it, in runc's order."""
    members: dict[str, Any] = {
        "ociVersion": OCI_VERSION,
        "id": facts.id,
        "pid": pid,
        "status": status,
        "bundle": facts.bundle,
        "rootfs": facts.rootfs,
        "created": facts.created,
    }
    if facts.annotations:
        members["annotations"] = facts.annotations
    members["owner"] = ""
    unit = facts.cgroup.get("unit")
    if type(unit) is dict and "name" in unit:  # crun's word for it
        members["systemd-scope"] = unit["name"]
    return members


def state_document(
    container_id: str, status: str, pid: int, bundle: str, annotations: dict[str, str]
) -> dict[str, Any]:
    """The state of runtime.md#state, as hooks and `state` give it; no pid when there is none."""
    document: dict[str, Any] = {"ociVersion": OCI_VERSION, "id": container_id, "status": status}
    if pid:
        document["pid"] = pid
    document["bundle"] = bundle
    if annotations:
        document["annotations"] = annotations
    return document


_NAMESPACES = (
    ("NEWCGROUP", "cgroup"),
    ("NEWIPC", "ipc"),
    ("NEWNET", "net"),
    ("NEWNS", "mnt"),
    ("NEWPID", "pid"),
    ("NEWTIME", "time"),
    ("NEWUSER", "user"),
    ("NEWUTS", "uts"),
)
_NAMES = {str: "a string", int: "a number", dict: "an object"}


def rfc3339_nano(moment_ns: int | None = None) -> str:
    """A moment (nanoseconds since 1970; now when None) as Go writes it: no trailing zeros, Z."""
    seconds, fraction = divmod(time_ns() if moment_ns is None else moment_ns, 1_000_000_000)
    text = strftime("%Y-%m-%dT%H:%M:%S", gmtime(seconds))
    if fraction:
        text += f".{fraction:09d}".rstrip("0")
    return text + "Z"
