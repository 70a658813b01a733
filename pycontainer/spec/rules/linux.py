"""Rules of config-linux.md for devices, resctrl, memory policy, personality and seccomp."""

from __future__ import annotations

from pycontainer.spec.rules.context import (
    Subject,
    absolute,
    ranges,
    refuse,
    refuse_value,
    required,
)

_MOST_MAJOR, _MOST_MINOR = 0xFFF, 0xFFFFF  # 12 and 20 bits: include/linux/kdev_t.h
_MOST_ARGUMENTS = 6  # of a system call
_WITHOUT_NODES = ("MPOL_DEFAULT", "MPOL_LOCAL")
_WITH_NODES = ("MPOL_BIND", "MPOL_INTERLEAVE", "MPOL_WEIGHTED_INTERLEAVE", "MPOL_PREFERRED_MANY")


def devices(subject: Subject) -> None:
    """Paths are absolute, and all but pipes have numbers."""
    seen: dict[tuple[str, int, int], int] = {}
    for place, device in enumerate(subject.linux.get("devices", ())):
        field = f"linux.devices[{place}]"
        absolute(f"{field}.path", device["path"])
        if device["type"] == "p":
            continue
        for name, most in (("major", _MOST_MAJOR), ("minor", _MOST_MINOR)):
            if name not in device:
                required(f"{field}.{name}")
            if not 0 <= device[name] <= most:
                why = f"must be 0 to {most}"
                refuse_value(f"{field}.{name}", "out-of-range", device[name], why)
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
        refuse_value("linux.intelRdt.closID", "wrong-form", group, "must be a name or /")
    cache = rdt.get("l3CacheSchema", "")
    if cache and not cache.startswith("L3:"):
        subject.warn("linux.intelRdt.l3CacheSchema", "should begin with L3:")
    lines = [("l3CacheSchema", cache)]
    lines += [(f"schemata[{i}]", line) for i, line in enumerate(rdt.get("schemata", ()))]
    for name, line in lines:
        if "\n" in line:
            refuse_value(f"linux.intelRdt.{name}", "wrong-form", line, "must be one line")


_NODES_MAX = 1024  # include/linux/numa.h, the most that any configuration allows


def memory_policy(subject: Subject) -> None:
    """Modes with and without nodes, set_mempolicy(2)."""
    policy = subject.linux.get("memoryPolicy")
    if policy is None:
        return
    field = "linux.memoryPolicy"
    mode = policy.get("mode")
    if mode is None:
        required(f"{field}.mode")
    text = policy.get("nodes", "")
    nodes = ranges(text)
    if nodes is None:
        why = "must be memory nodes like 0-3,7"
        refuse_value(f"{field}.nodes", "wrong-form", text, why)
    if nodes and max(high for _, high in nodes) >= _NODES_MAX:
        why = f"must be below {_NODES_MAX} (MAX_NUMNODES)"
        refuse_value(f"{field}.nodes", "out-of-range", text, why)
    if nodes and mode in _WITHOUT_NODES:
        refuse(f"{field}.nodes", "not-empty", f"must be empty with {mode}")
    if not nodes and mode in _WITH_NODES:
        refuse(f"{field}.nodes", "empty", f"must name a node with {mode}")
    flags = policy.get("flags", ())
    if "MPOL_F_STATIC_NODES" in flags and "MPOL_F_RELATIVE_NODES" in flags:
        refuse(f"{field}.flags", "exclusive", "has both static and relative nodes")


def personality(subject: Subject) -> None:
    """A domain, and no flags, as none is defined."""
    entry = subject.linux.get("personality")
    if entry is None:
        return
    if "domain" not in entry:
        required("linux.personality.domain")
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
        refuse(f"{field}.defaultAction", "not-allowed", message)
    if "defaultErrnoRet" in profile:
        number = profile["defaultErrnoRet"]
        _errno(profile["defaultAction"], number, f"{field}.defaultErrnoRet")
    if profile.get("listenerMetadata") and not profile.get("listenerPath"):
        refuse(f"{field}.listenerMetadata", "required", "needs listenerPath")
    notifies = False
    for place, rule in enumerate(profile.get("syscalls", ())):
        if "errnoRet" in rule:
            _errno(rule["action"], rule["errnoRet"], f"{field}.syscalls[{place}].errnoRet")
        if rule["action"] == "SCMP_ACT_NOTIFY":
            notifies = True
            if "write" in rule["names"]:  # as runc: the filter is on when the agent gets it
                message = "has write, which cannot have SCMP_ACT_NOTIFY"
                refuse(f"{field}.syscalls[{place}].names", "not-allowed", message)
        if "" in rule["names"]:
            refuse(f"{field}.syscalls[{place}].names", "empty", "has an empty name")
        for index, argument in enumerate(rule.get("args", ())):
            if argument["index"] >= _MOST_ARGUMENTS:
                where = f"{field}.syscalls[{place}].args[{index}].index"
                why = "must be from 0 to 5"
                refuse_value(where, "out-of-range", argument["index"], why)
    if notifies and not profile.get("listenerPath"):
        text = "is required for SCMP_ACT_NOTIFY but missing"
        refuse(f"{field}.listenerPath", "required", text)


def _errno(action: str, number: int, field: str) -> None:
    from pycontainer.tables import seccomp_names

    most = seccomp_names.DATA_LIMITS.get(action)
    if most is None:
        refuse(field, "not-allowed", f"is set, but {action} has no error number")
    if number > most:
        why = f"must be at most {most} with {action}"
        refuse_value(field, "out-of-range", number, why)


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
