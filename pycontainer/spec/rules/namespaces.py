"""Rules about namespaces, and about settings that need a namespace to be the container's own."""

from __future__ import annotations

from pycontainer.spec.rules.context import Subject, quote, refuse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_NAMESPACES = "config-linux.md#namespaces"
_MAPPINGS = "config-linux.md#user-namespace-mappings"
_OFFSETS = "config-linux.md#offset-for-time-namespace"
_SYSCTL = "config-linux.md#sysctl"
_NET_DEVICES = "config-linux.md#network-devices"
_MOST_MAPPINGS = 340  # UID_GID_MAP_MAX_EXTENTS, Linux 4.15
_MOST_NAME = 64  # __NEW_UTS_LEN
_MOST_DEVICE = 15  # IFNAMSIZ without the end
_IDS = 1 << 32
_IPC_SYSCTLS = frozenset(
    (
        "kernel.msgmax",
        "kernel.msgmnb",
        "kernel.msgmni",
        "kernel.sem",
        "kernel.shmall",
        "kernel.shmmax",
        "kernel.shmmni",
        "kernel.shm_rmid_forced",
    )
)


def namespaces(subject: Subject) -> None:
    """Each type once, paths absolute."""
    entries = subject.linux.get("namespaces", ())
    seen = set()
    for place, entry in enumerate(entries):
        if entry["type"] in seen:
            field = f"linux.namespaces[{place}].type"
            refuse(field, f"is {entry['type']} a second time", _NAMESPACES)
        seen.add(entry["type"])
        path = entry.get("path", "")
        if path and not path.startswith("/"):
            field = f"linux.namespaces[{place}].path"
            refuse(field, f"is {quote(path)}, must be an absolute path", _NAMESPACES)


def names(subject: Subject) -> None:
    """Host and domain name need a UTS namespace and fit into struct utsname."""
    for field in ("hostname", "domainname"):
        value = subject.config.get(field)
        if not value:
            continue
        clause = f"config.md#{field}"
        if "uts" not in subject.namespaces:
            refuse(field, "needs a uts namespace in linux.namespaces", clause)
        if len(value.encode("utf-8", "surrogatepass")) > _MOST_NAME:
            refuse(field, f"is {quote(value)}, must have at most {_MOST_NAME} bytes", clause)


def mappings(subject: Subject) -> None:
    """Mappings come with a user namespace, and a new user namespace with both mappings."""
    both = {name: subject.linux.get(name) for name in ("uidMappings", "gidMappings")}
    path = subject.namespaces.get("user")
    for name, entries in both.items():
        if entries and path is None:
            refuse(f"linux.{name}", "needs a user namespace in linux.namespaces", _MAPPINGS)
        if not entries and path == "":
            refuse(f"linux.{name}", "is required for a new user namespace but missing", _MAPPINGS)
        if entries:
            _map(entries, f"linux.{name}")
    if path and any(both.values()):
        # containerd and CRI-O do so; whether the two agree only the joined namespace can tell.
        subject.warn("linux.uidMappings", "the user namespace that is joined has its own mappings")
    for place, mount in enumerate(subject.config.get("mounts", ())):
        for name in both:
            if mount.get(name):
                _map(mount[name], f"mounts[{place}].{name}")


def _map(entries: list[dict[str, Any]], field: str) -> None:
    """What the kernel takes into a uid_map: user_namespaces(7)."""
    if len(entries) > _MOST_MAPPINGS:
        refuse(field, f"has {len(entries)} entries, the kernel takes {_MOST_MAPPINGS}", _MAPPINGS)
    for place, entry in enumerate(entries):
        if not entry["size"]:
            refuse(f"{field}[{place}].size", "is 0, must be positive", _MAPPINGS)
        for side in ("containerID", "hostID"):
            if entry[side] + entry["size"] > _IDS:
                refuse(f"{field}[{place}]", f"goes past the last id after {side}", _MAPPINGS)
    if len(entries) == 1:
        return
    for side in ("containerID", "hostID"):
        spans = sorted([(e[side], e[side] + e["size"], i) for i, e in enumerate(entries)])
        for (_, end, _), (begin, _, place) in zip(spans, spans[1:], strict=False):
            if begin < end:
                refuse(f"{field}[{place}].{side}", "overlaps another entry", _MAPPINGS)


def mapped_ids(subject: Subject) -> None:
    """Whoever the process runs as must exist in a new user namespace."""
    user = subject.process.get("user")
    if not user or not subject.new("user"):
        return
    ids = [("uidMappings", "uid", user.get("uid", 0)), ("gidMappings", "gid", user.get("gid", 0))]
    ids += [
        ("gidMappings", f"additionalGids[{place}]", gid)
        for place, gid in enumerate(user.get("additionalGids", ()))
    ]
    for mapping, name, number in ids:
        for entry in subject.linux[mapping]:
            if entry["containerID"] <= number < entry["containerID"] + entry["size"]:
                break
        else:
            field = f"process.user.{name}"
            refuse(field, f"is {number}, which linux.{mapping} does not map", _MAPPINGS)


def time_offsets(subject: Subject) -> None:
    """Offsets are for a new time namespace."""
    offsets = subject.linux.get("timeOffsets")
    if not offsets:
        return
    if not subject.new("time"):
        what = "a joined" if "time" in subject.namespaces else "no"
        message = f"needs a new time namespace, the container has {what} one"
        refuse("linux.timeOffsets", message, _OFFSETS)
    for clock, offset in offsets.items():
        if clock not in ("boottime", "monotonic"):
            subject.warn("linux.timeOffsets", f"has no clock {quote(clock)}")
        elif offset.get("nanosecs", 0) > 999_999_999:
            field = f"linux.timeOffsets.{clock}.nanosecs"
            refuse(field, f"is {offset['nanosecs']}, must be less than a second", _OFFSETS)


def sysctls(subject: Subject) -> None:
    """Only what a namespace of the container keeps apart: anything else would change the host."""
    for key in subject.linux.get("sysctl", ()):
        parts = sysctl_parts(key)
        field = f'linux.sysctl["{key}"]'
        if any(not part.strip(".") or "/" in part for part in parts):
            refuse(field, "is no kernel parameter", _SYSCTL)
        if parts == ["kernel", "hostname"]:
            refuse(field, "is set by hostname, use that", _SYSCTL)
        kind = sysctl_space(key)
        if not kind:
            refuse(field, "belongs to no namespace, setting it would change the host", _SYSCTL)
        if kind not in subject.namespaces:
            refuse(field, f"needs a {kind} namespace in linux.namespaces", _SYSCTL)


def sysctl_space(key: str) -> str:
    """The type of namespace that keeps a kernel parameter apart, or ""."""
    name = ".".join(sysctl_parts(key))
    if name in _IPC_SYSCTLS or name.startswith("fs.mqueue."):
        return "ipc"
    if name == "kernel.domainname":
        return "uts"
    if name.startswith("net."):
        return "network"
    return "user" if name.startswith("user.") else ""


def sysctl_parts(key: str) -> list[str]:
    """The directories and file below /proc/sys of a name in dots or slashes, sysctl.d(5).

    Whichever of . and / comes first separates, the other stands for the first inside of a name:
    net.ipv4.conf.eth0/1.rp_filter and net/ipv4/conf/eth0.1/rp_filter are the same.
    """
    dot, slash = key.find("."), key.find("/")
    if slash >= 0 and (dot < 0 or slash < dot):
        return key.split("/")
    return [part.replace("/", ".") for part in key.split(".")]


def paths(subject: Subject) -> None:
    """Masked and read-only paths are absolute, and are mounts, so in a mount namespace."""
    for name in ("maskedPaths", "readonlyPaths"):
        entries = subject.linux.get(name)
        if not entries:
            continue
        clause = f"config-linux.md#{name[:-5]}-paths"
        if "mount" not in subject.namespaces:
            refuse(f"linux.{name}", "needs a mount namespace in linux.namespaces", clause)
        for place, path in enumerate(entries):
            if not path.startswith("/"):
                field = f"linux.{name}[{place}]"
                refuse(field, f"is {quote(path)}, must be an absolute path", clause)


def net_devices(subject: Subject) -> None:
    """Network devices move into a network namespace, under names that the kernel takes."""
    devices = subject.linux.get("netDevices")
    if not devices:
        return
    if "network" not in subject.namespaces:
        refuse("linux.netDevices", "needs a network namespace in linux.namespaces", _NET_DEVICES)
    for name, device in devices.items():
        field = f'linux.netDevices["{name}"]'
        if not device_name(name):
            refuse(field, "is no name of a network device", _NET_DEVICES)
        new = device.get("name", "")
        if new and not device_name(new.replace("%d", "0", 1)):
            message = f"is {quote(new)}, no name of a network device"
            refuse(f"{field}.name", message, _NET_DEVICES)


def device_name(name: str) -> bool:
    """Whether the kernel takes a name for a network device: dev_valid_name(), without patterns."""
    if not name or name in (".", "..") or len(name.encode()) > _MOST_DEVICE:
        return False
    return not any(char in "/:%" or char.isspace() for char in name)


RULES = (
    namespaces,
    names,
    mappings,
    mapped_ids,
    time_offsets,
    sysctls,
    paths,
    net_devices,
)
