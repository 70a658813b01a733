"""Rules of config-linux.md for devices, resctrl, memory policy, personality and seccomp."""

from __future__ import annotations

from pycontainer.spec.rules.context import Subject, quote, ranges, refuse

_DEVICES = "config-linux.md#devices"
_RDT = "config-linux.md#intelrdt"
_POLICY = "config-linux.md#memory-policy"
_PERSONALITY = "config-linux.md#personality"
_SECCOMP = "config-linux.md#seccomp"
_MOST_MAJOR, _MOST_MINOR = 0xFFF, 0xFFFFF  # 12 and 20 bits: include/linux/kdev_t.h
_MOST_ARGUMENTS = 6  # of a system call
_WITHOUT_NODES = ("MPOL_DEFAULT", "MPOL_LOCAL")
_WITH_NODES = ("MPOL_BIND", "MPOL_INTERLEAVE", "MPOL_WEIGHTED_INTERLEAVE", "MPOL_PREFERRED_MANY")


def devices(subject: Subject) -> None:
    """Paths are absolute, and all but pipes have numbers."""
    seen: dict[tuple[str, int, int], int] = {}
    for place, device in enumerate(subject.linux.get("devices", ())):
        field = f"linux.devices[{place}]"
        if not device["path"].startswith("/"):
            message = f"is {quote(device['path'])}, must be an absolute path"
            refuse(f"{field}.path", message, _DEVICES)
        if device["type"] == "p":
            continue
        for name, most in (("major", _MOST_MAJOR), ("minor", _MOST_MINOR)):
            if name not in device:
                refuse(f"{field}.{name}", "is required but missing", _DEVICES)
            if not 0 <= device[name] <= most:
                refuse(f"{field}.{name}", f"is {device[name]}, must be 0 to {most}", _DEVICES)
        kind = "b" if device["type"] == "b" else "c"
        first = seen.setdefault((kind, device["major"], device["minor"]), place)
        if first != place:
            subject.warn(field, f"is the same device as linux.devices[{first}]")


def intel_rdt(subject: Subject) -> None:
    """closID is a directory of resctrl, schemata are single lines."""
    rdt = subject.linux.get("intelRdt")
    if not rdt:
        return
    group = rdt.get("closID", "")
    if group in (".", "..") or ("/" in group and group != "/"):
        refuse("linux.intelRdt.closID", f"is {quote(group)}, must be a name or /", _RDT)
    cache = rdt.get("l3CacheSchema", "")
    if cache and not cache.startswith("L3:"):
        subject.warn("linux.intelRdt.l3CacheSchema", "should begin with L3:")
    lines = [("l3CacheSchema", cache)]
    lines += [(f"schemata[{i}]", line) for i, line in enumerate(rdt.get("schemata", ()))]
    for name, line in lines:
        if "\n" in line:
            refuse(f"linux.intelRdt.{name}", f"is {quote(line)}, must be one line", _RDT)


_NODES_MAX = 1024  # include/linux/numa.h, the most that any configuration allows


def memory_policy(subject: Subject) -> None:
    """Modes with and without nodes, set_mempolicy(2)."""
    policy = subject.linux.get("memoryPolicy")
    if policy is None:
        return
    field = "linux.memoryPolicy"
    mode = policy.get("mode")
    if mode is None:
        refuse(f"{field}.mode", "is required but missing", _POLICY)
    nodes = ranges(policy.get("nodes", ""))
    if nodes is None:
        message = f"is {quote(policy['nodes'])}, must be memory nodes like 0-3,7"
        refuse(f"{field}.nodes", message, _POLICY)
    if nodes and max(high for _, high in nodes) >= _NODES_MAX:
        message = f"is {quote(policy['nodes'])}, must be below {_NODES_MAX} (MAX_NUMNODES)"
        refuse(f"{field}.nodes", message, _POLICY)
    if nodes and mode in _WITHOUT_NODES:
        refuse(f"{field}.nodes", f"must be empty with {mode}", _POLICY)
    if not nodes and mode in _WITH_NODES:
        refuse(f"{field}.nodes", f"must name a node with {mode}", _POLICY)
    flags = policy.get("flags", ())
    if "MPOL_F_STATIC_NODES" in flags and "MPOL_F_RELATIVE_NODES" in flags:
        refuse(f"{field}.flags", "has both static and relative nodes", _POLICY)


def personality(subject: Subject) -> None:
    """A domain, and no flags, as none is defined."""
    entry = subject.linux.get("personality")
    if entry is None:
        return
    if "domain" not in entry:
        refuse("linux.personality.domain", "is required but missing", _PERSONALITY)
    if entry.get("flags"):
        subject.warn("linux.personality.flags", "are not defined and not used")


def seccomp(subject: Subject) -> None:
    """Error numbers only where the action has one; an agent wherever one is asked."""
    profile = subject.linux.get("seccomp")
    if profile is None or not profile.get("defaultAction"):
        return  # compat.py has the second
    field = "linux.seccomp"
    if profile["defaultAction"] == "SCMP_ACT_NOTIFY":
        message = "is SCMP_ACT_NOTIFY: the process could not even send the agent's descriptor"
        refuse(f"{field}.defaultAction", message, _SECCOMP)
    if "defaultErrnoRet" in profile:
        number = profile["defaultErrnoRet"]
        _errno(profile["defaultAction"], number, f"{field}.defaultErrnoRet")
    if profile.get("listenerMetadata") and not profile.get("listenerPath"):
        refuse(f"{field}.listenerMetadata", "needs listenerPath", _SECCOMP)
    notifies = False
    for place, rule in enumerate(profile.get("syscalls", ())):
        if "errnoRet" in rule:
            _errno(rule["action"], rule["errnoRet"], f"{field}.syscalls[{place}].errnoRet")
        if rule["action"] == "SCMP_ACT_NOTIFY":
            notifies = True
            if "write" in rule["names"]:  # as runc: the filter is on when the agent gets it
                message = "has write, which cannot have SCMP_ACT_NOTIFY"
                refuse(f"{field}.syscalls[{place}].names", message, _SECCOMP)
        if "" in rule["names"]:
            refuse(f"{field}.syscalls[{place}].names", "has an empty name", _SECCOMP)
        for index, argument in enumerate(rule.get("args", ())):
            if argument["index"] >= _MOST_ARGUMENTS:
                where = f"{field}.syscalls[{place}].args[{index}].index"
                refuse(where, f"is {argument['index']}, must be from 0 to 5", _SECCOMP)
    if notifies and not profile.get("listenerPath"):
        refuse(f"{field}.listenerPath", "is required for SCMP_ACT_NOTIFY but missing", _SECCOMP)


def _errno(action: str, number: int, field: str) -> None:
    from pycontainer.tables import seccomp_names

    most = seccomp_names.DATA_LIMITS.get(action)
    if most is None:
        refuse(field, f"is set, but {action} has no error number", _SECCOMP)
    if number > most:
        refuse(field, f"is {number}, must be at most {most} with {action}", _SECCOMP)


def resources(subject: Subject) -> None:
    """The rules of resources.py, when there is something for them."""
    if subject.linux.get("resources"):
        from pycontainer.spec.rules import resources as resource_rules

        for rule in resource_rules.RULES:
            rule(subject)


RULES = (
    devices,
    intel_rdt,
    memory_policy,
    personality,
    seccomp,
    resources,
)
