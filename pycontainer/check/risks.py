"""What gives the container power over its host: allowed, but worth a decision.

High: with it, root of the container is, in effect, root of the host. Medium: a known part of a way
out, or a piece of the host that it may disturb. Low: a layer of protection that is missing.
"""

from __future__ import annotations

import os
import stat

from pycontainer.check.case import Case
from pycontainer.tables import caps, mount_options

# Capabilities over the host's own kernel; harmless in a user namespace, which has its own.
_CAPABILITIES = {
    "CAP_SYS_ADMIN": ("high", "mounts, namespaces, and much more"),
    "CAP_SYS_MODULE": ("high", "loads code into the kernel"),
    "CAP_SYS_RAWIO": ("high", "reads and writes memory and devices directly"),
    "CAP_DAC_READ_SEARCH": ("high", "opens files of the host by their handle"),
    "CAP_BPF": ("high", "loads programs into the kernel"),
    "CAP_SYS_BOOT": ("high", "restarts the machine, loads another kernel"),
    "CAP_MAC_ADMIN": ("high", "changes the policy of AppArmor and SELinux"),
    "CAP_MAC_OVERRIDE": ("high", "overrides the policy of AppArmor and SELinux"),
    "CAP_SYS_TIME": ("medium", "sets the host's clock"),
    "CAP_SYSLOG": ("medium", "reads the kernel's log and addresses"),
    "CAP_PERFMON": ("medium", "observes the whole machine"),
    "CAP_SYS_PTRACE": ("medium", "reads other processes' memory where it can see them"),
    "CAP_NET_ADMIN": ("medium", "configures its network, and reaches rarely tried kernel code"),
}
_NAMESPACES = {
    "pid": ("high", "sees the host's processes, and may signal them"),
    "mount": ("high", "has the host's file system and mounts"),
    "network": ("medium", "uses the host's network: its ports, and its abstract unix sockets"),
    "ipc": ("medium", "shares System V memory and queues with the host"),
    "uts": ("low", "has the host's name, and may change it"),
    "cgroup": ("low", "sees where its cgroups are on the host"),
}
_SOCKETS = ("docker.sock", "containerd.sock", "crio.sock", "podman.sock", "buildkitd.sock")
_SENSITIVE = {
    "/": "the whole host",
    "/etc": "the host's configuration, passwords among it",
    "/root": "the home of the host's root",
    "/boot": "the host's kernels",
    "/usr": "the host's programs",
    "/lib": "the host's programs",
    "/bin": "the host's programs",
    "/sbin": "the host's programs",
    "/var": "data of the host's services, containers among it",
    "/var/lib": "data of the host's services, containers among it",
    "/home": "the homes of all users",
    "/dev": "all devices of the host",
    "/proc": "the host's processes and kernel parameters",
    "/sys": "the host's devices and kernel",
    "/run": "sockets of the host's services",
    "/var/run": "sockets of the host's services",
}
_PUBLIC = ("/usr", "/lib", "/bin", "/sbin")  # to be read


def find(case: Case) -> None:
    """All of them."""
    for part in (_capabilities, _namespaces, _mounts, _kernel_files, _devices, _layers):
        part(case)


def _apart(case: Case) -> bool:
    """Root in there is an unprivileged id outside."""
    return "user" in case.namespaces


def _root(case: Case) -> bool:
    return not _apart(case) and not (case.process.get("user") or {}).get("uid")


def _capabilities(case: Case) -> None:
    if _apart(case):
        return
    sets = case.process.get("capabilities") or {}
    names = set(sets.get("bounding") or ()) | set(sets.get("permitted") or ())
    if names and caps.mask(names)[0] == (1 << caps.LAST + 1) - 1:
        message = "all capabilities: root of the container is root of the host"
        case.add("high", "process.capabilities", message, "list those that it needs")
        return
    for name, (severity, what) in _CAPABILITIES.items():
        if name in names:
            case.add(severity, "process.capabilities.bounding", f"{name}: {what}")


def _namespaces(case: Case) -> None:
    there = case.namespaces
    for kind, (severity, what) in _NAMESPACES.items():
        if kind not in there:
            case.add(severity, "linux.namespaces", f"no {kind} namespace: the container {what}")
    for index, space in enumerate(case.linux.get("namespaces") or ()):
        path = space.get("path") or ""
        if path.startswith("/proc/1/ns/"):
            message = f"joins the {space['type']} namespace of the host's init"
            case.add("high", f"linux.namespaces[{index}].path", message)
    for name in ("uidMappings", "gidMappings"):
        for index, entry in enumerate(case.linux.get(name) or ()):
            if not entry["hostID"] and not case.settings.rootless:
                message = "maps the host's root into the container"
                case.add("high", f"linux.{name}[{index}]", message, "use a range of /etc/subuid")


def _mounts(case: Case) -> None:
    for index, mount in enumerate(case.mounts):
        parsed = mount_options.parse(mount.get("options") or ())
        source = os.path.normpath(mount.get("source") or "")
        field = f"mounts[{index}]"
        shared = {"shared", "rshared"} & set(mount.get("options") or ())
        if parsed.bind and shared and not parsed.attr_set & mount_options.ATTR_RDONLY:
            message = "has shared: what the container mounts below it appears on the host"
            case.add("medium", f"{field}.options", message)
        if not parsed.bind:
            continue
        writable = not (parsed.attr_set | parsed.rec_attr_set) & mount_options.ATTR_RDONLY
        if os.path.basename(source) in _SOCKETS:
            message = f"{source} starts containers: a process that reaches it is root of the host"
            case.add("high", f"{field}.source", message)
        elif source in _SENSITIVE and (writable or source not in _PUBLIC):
            verb = "writes to" if writable else "reads"
            severity = "high" if writable or source == "/" else "medium"
            message = f"{source}: the container {verb} {_SENSITIVE[source]}"
            case.add(severity, f"{field}.source", message)
        elif _is_block(source):
            case.add("high", f"{field}.source", f"{source} is a disk: its file systems are open")


def _is_block(path: str) -> bool:
    try:
        return stat.S_ISBLK(os.stat(path).st_mode)
    except (OSError, ValueError):
        return False


def _kernel_files(case: Case) -> None:
    """procfs and sysfs, which show the host whatever the namespaces are."""
    if _apart(case):
        return
    readonly = case.linux.get("readonlyPaths") or ()
    masked = case.linux.get("maskedPaths") or ()
    kinds = [(index, mount.get("type"), mount) for index, mount in enumerate(case.mounts)]
    for index, kind, mount in kinds:
        options = mount.get("options") or ()
        if kind == "sysfs" and "ro" not in options and "rro" not in options:
            message = "/sys is writable: the container changes devices and kernel of the host"
            case.add("high", f"mounts[{index}].options", message, 'add "ro"')
        if (
            kind in ("cgroup", "cgroup2")
            and "ro" not in options
            and "cgroup" not in case.namespaces
        ):
            message = "the host's cgroups are writable: the container changes its own limits"
            case.add("medium", f"mounts[{index}].options", message, 'add "ro"')
    if not any(kind == "proc" for _, kind, _ in kinds):
        return
    severity = "high" if _root(case) else "low"
    if not any(path in ("/proc/sys", "/proc") for path in readonly):
        message = "without /proc/sys root of the container writes kernel parameters of the host"
        case.add(severity, "linux.readonlyPaths", message, 'add "/proc/sys"')
    elif "/proc/sysrq-trigger" not in (*readonly, *masked):
        message = "without /proc/sysrq-trigger the container can restart the machine"
        case.add(severity, "linux.readonlyPaths", message, 'add "/proc/sysrq-trigger"')
    if not masked:
        message = "no masked paths: /proc/kcore, /proc/keys and others show the host's secrets"
        case.add("medium", "linux.maskedPaths", message, "take the list of `spec`")


def _devices(case: Case) -> None:
    if _apart(case):
        return
    for index, rule in enumerate(case.resources.get("devices") or ()):
        field = f"linux.resources.devices[{index}]"
        if not rule.get("allow"):
            continue
        kind = rule.get("type") or "a"
        major, minor = rule.get("major"), rule.get("minor")
        opens = set(rule.get("access") or "rwm") & set("rw")
        if kind == "a" or (major in (None, -1) and minor in (None, -1) and opens):
            if _denied_later(case, index):
                continue
            case.add("high", field, "allows all devices: disks and memory of the host are open")
        elif kind == "b" and opens:
            case.add("high", field, "allows a disk, with the file systems on it")
        elif kind == "c" and major == 1 and minor in (1, 2, 4, None, -1) and opens:
            case.add("high", field, "allows the host's memory and ports (/dev/mem)")
    if "devices" not in case.resources and case.layout is not None and case.layout.mode != "none":
        message = "no rules: the container opens every device that it can make a node of"
        if "CAP_MKNOD" in ((case.process.get("capabilities") or {}).get("bounding") or ()):
            case.add("high", "linux.resources.devices", message, 'begin with {"allow": false}')


def _denied_later(case: Case, index: int) -> bool:
    rules = case.resources["devices"][index + 1 :]
    return any(not r.get("allow") and (r.get("type") or "a") == "a" for r in rules)


def _layers(case: Case) -> None:
    """Protections that are not there."""
    profile = case.linux.get("seccomp") or {}
    if not profile:
        case.add("medium", "linux.seccomp", "no seccomp profile: all system calls are open")
    elif profile.get("defaultAction") in ("SCMP_ACT_ALLOW", "SCMP_ACT_LOG"):
        message = f"is {profile['defaultAction']}: what the profile does not name is open"
        case.add("low", "linux.seccomp.defaultAction", message)
    if _root(case):
        message = "root of the container is root of the host: no user namespace"
        case.add("low", "process.user", message, 'add a "user" namespace with mappings')
    if not case.process.get("noNewPrivileges") and case.process:
        case.add("low", "process.noNewPrivileges", "is off: setuid programs of the image work")
    label = case.process.get("apparmorProfile") or case.process.get("selinuxLabel")
    if case.process.get("apparmorProfile") == "unconfined":
        case.add("medium", "process.apparmorProfile", "is unconfined: AppArmor holds nothing")
    elif not label and case.process:
        message = "no AppArmor profile and no SELinux label"
        case.add("low", "process", message)
    for part, what in (("memory", "memory"), ("pids", "process ids")):
        value = (case.resources.get(part) or {}).get("limit")
        if not value or value < 0:
            message = f"no limit: the container can take all {what} of the host"
            case.add("low", f"linux.resources.{part}.limit", message)
    if case.linux.get("rootfsPropagation") in ("shared", "rshared"):
        message = "is shared: what the container mounts appears on the host"
        case.add("medium", "linux.rootfsPropagation", message)
