"""Rules about namespaces, and about settings that need a namespace to be the container's own."""

from __future__ import annotations

from pycontainer.spec.rules.context import Subject, absolute, needs, quote, refuse, refuse_value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

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
            text = f"is {entry['type']} a second time"
            refuse(field, "duplicate", text, value=entry["type"])
        seen.add(entry["type"])
        absolute(f"linux.namespaces[{place}].path", entry.get("path") or "/")


def names(subject: Subject) -> None:
    """Host and domain name need a UTS namespace and fit into struct utsname."""
    for field in ("hostname", "domainname"):
        value = subject.config.get(field)
        if not value:
            continue
        needs(field, "uts", subject)
        if len(value.encode("utf-8", "surrogatepass")) > _MOST_NAME:
            refuse_value(field, "too-large", value, f"must have at most {_MOST_NAME} bytes")


def mappings(subject: Subject) -> None:
    """Mappings come with a user namespace, and a new user namespace with both mappings.

    containerd and CRI-O give them with one that is joined, too; check_map looks whether they agree.
    """
    both = {name: subject.linux.get(name) for name in ("uidMappings", "gidMappings")}
    path = subject.namespaces.get("user")
    for name, entries in both.items():
        if not entries and path == "":
            text = "is required for a new user namespace but missing"
            refuse(f"linux.{name}", "required", text)
        if entries:
            needs(f"linux.{name}", "user", subject)
            _map(entries, f"linux.{name}")
    for place, mount in enumerate(subject.config.get("mounts", ())):
        for name in both:
            if mount.get(name):
                _map(mount[name], f"mounts[{place}].{name}")


def _map(entries: list[dict[str, Any]], field: str) -> None:
    """What the kernel takes into a uid_map: user_namespaces(7)."""
    if len(entries) > _MOST_MAPPINGS:
        text = f"has {len(entries)} entries, the kernel takes {_MOST_MAPPINGS}"
        refuse(field, "too-large", text)
    for place, entry in enumerate(entries):
        if not entry["size"]:
            refuse_value(f"{field}[{place}].size", "out-of-range", 0, "must be positive")
        for side in ("containerID", "hostID"):
            if entry[side] + entry["size"] > _IDS:
                text = f"goes past the last id, {_IDS - 1}: {side} + size is too much"
                refuse(f"{field}[{place}]", "out-of-range", text)
    if len(entries) == 1:
        return
    for side in ("containerID", "hostID"):
        spans = sorted([(e[side], e[side] + e["size"], i) for i, e in enumerate(entries)])
        for (_, end, other), (begin, _, place) in zip(spans, spans[1:], strict=False):
            if begin < end:
                text = f"is {begin}, which is in {field}[{other}], too"
                refuse(f"{field}[{place}].{side}", "overlap", text)


def mapped_ids(subject: Subject) -> None:
    """The user of the process must exist in a new user namespace."""
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
            why = f"which linux.{mapping} does not map"
            refuse_value(f"process.user.{name}", "unmapped-id", number, why)


def time_offsets(subject: Subject) -> None:
    """Offsets are for a new time namespace."""
    offsets = subject.linux.get("timeOffsets")
    if not offsets:
        return
    if not subject.new("time"):
        code, what = "needs-namespace", "has none"
        if "time" in subject.namespaces:
            code, what = "joined-namespace", "joins one"
        text = f"needs a new time namespace, the container {what}"
        refuse("linux.timeOffsets", code, text, namespace="time")
    for clock, offset in offsets.items():
        if clock not in ("boottime", "monotonic"):
            subject.warn("linux.timeOffsets", f"has no clock {quote(clock)}")
        elif offset.get("nanosecs", 0) > 999_999_999:
            field = f"linux.timeOffsets.{clock}.nanosecs"
            why = "must be less than a second"
            refuse_value(field, "out-of-range", offset["nanosecs"], why)


def sysctls(subject: Subject) -> None:
    """Only what a namespace of the container keeps apart: anything else would change the host."""
    for key in subject.linux.get("sysctl", ()):
        parts = sysctl_parts(key)
        field = f'linux.sysctl["{key}"]'
        if any(not part.strip(".") or "/" in part for part in parts):
            refuse(field, "wrong-name", "is no kernel parameter")
        if parts == ["kernel", "hostname"]:
            refuse(field, "exclusive", "is set by hostname, use that")
        kind = sysctl_space(key)
        if not kind:
            text = "belongs to no namespace, setting it would change the host"
            refuse(field, "of-the-host", text)
        needs(field, kind, subject)


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
    """Masked and read-only paths are mounts, so in a mount namespace."""
    for name in ("maskedPaths", "readonlyPaths"):
        if subject.linux.get(name):
            needs(f"linux.{name}", "mount", subject)


def net_devices(subject: Subject) -> None:
    """Network devices move into a network namespace, under names that the kernel takes."""
    devices = subject.linux.get("netDevices")
    if not devices:
        return
    needs("linux.netDevices", "network", subject)
    for name, device in devices.items():
        field = f'linux.netDevices["{name}"]'
        if not device_name(name):
            text = "is no name of a network device"
            refuse(field, "wrong-name", text, value=name)
        new = device.get("name", "")
        if new and not device_name(new.replace("%d", "0", 1)):
            why = "no name of a network device"
            refuse_value(f"{field}.name", "wrong-name", new, why)


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
