"""Settings that have no effect, or that another one contradicts: allowed, and hardly meant."""

from __future__ import annotations

import os
from collections import Counter
from typing import Any

from pycontainer.base.nearest import did_you_mean
from pycontainer.check.case import Case
from pycontainer.tables import caps, mount_options

# Pairs of options of which the later one wins.
_OPPOSITES = {
    "ro": "rw",
    "suid": "nosuid",
    "dev": "nodev",
    "exec": "noexec",
    "atime": "noatime",
    "sync": "async",
    "diratime": "nodiratime",
    "rro": "rrw",
}
_V1_ONLY = (
    ("memory", "swappiness"),
    ("memory", "kernel"),
    ("memory", "kernelTCP"),
    ("memory", "disableOOMKiller"),
    ("cpu", "realtimeRuntime"),
    ("cpu", "realtimePeriod"),
    ("blockIO", "leafWeight"),
    ("network", "classID"),
    ("network", "priorities"),
)
# Devices that every container may use, config-linux.md#default-devices and terminals.
_DEFAULT_DEVICES = {(1, 3), (1, 5), (1, 7), (1, 8), (1, 9), (5, 0), (5, 2)}


def find(case: Case) -> None:
    """All of them."""
    for part in (_process, _capabilities, _mounts, _options, _limits, _v1_only, _devices, _paths):
        part(case)


def _process(case: Case) -> None:
    process = case.process
    size = process.get("consoleSize") or {}
    if not process.get("terminal") and (size.get("height") or size.get("width")):
        case.add("warning", "process.consoleSize", "has no effect without process.terminal")
    names = Counter(entry.partition("=")[0] for entry in process.get("env") or ())
    for index, entry in enumerate(process.get("env") or ()):
        name = entry.partition("=")[0]
        names[name] -= 1
        if names[name] > 0:
            later = "has no effect: a later entry sets it again"
            case.add("warning", f"process.env[{index}]", f"{name} {later}")
    label = process.get("apparmorProfile")
    if label and process.get("selinuxLabel"):
        field = "process.apparmorProfile"
        case.add("warning", field, "is given beside process.selinuxLabel; a host has one of them")


def _capabilities(case: Case) -> None:
    sets = case.process.get("capabilities") or {}
    bits = {
        name: caps.mask(sets.get(name) or ())[0] for name in (*sets, "permitted", "inheritable")
    }
    lost = bits.get("ambient", 0) & ~(bits["permitted"] & bits["inheritable"])
    # For root they would have no effect anyway, and Buildah writes them.
    if lost and (case.process.get("user") or {}).get("uid"):
        names = ", ".join(caps.names(lost))
        case.add(
            "warning",
            "process.capabilities.ambient",
            f"{names}: no effect, an ambient capability must be permitted and inheritable, too",
            "add it to process.capabilities.permitted and .inheritable",
        )
    for name, listed in sets.items():
        twice = [one for one, count in Counter(listed).items() if count > 1]
        if twice:
            case.add("warning", f"process.capabilities.{name}", f"has {twice[0]} twice")


def _mounts(case: Case) -> None:
    """A mount that a later one covers is not seen by anybody. Engines add theirs on top of a file
    system of their own default, such as /dev/shm, and mean it."""
    places = [_clean(mount["destination"]) for mount in case.mounts]
    for index, place in enumerate(places):
        if _is_remount(case.mounts[index]):
            continue
        bind = mount_options.parse(case.mounts[index].get("options") or ()).bind
        for later in range(index + 1, len(places)):
            over = places[later]
            if _is_remount(case.mounts[later]) or not (
                place == over or place.startswith(over.rstrip("/") + "/")
            ):
                continue
            if bind or place != over:
                case.add(
                    "warning",
                    f"mounts[{index}]",
                    f"{place} is covered by mounts[{later}] on {over}, which is mounted later",
                    f"put mounts[{later}] before it, or remove one of them",
                )
                break


def _is_remount(mount: dict[str, Any]) -> bool:
    return "remount" in (mount.get("options") or ())


def _clean(path: str) -> str:
    return "/" + os.path.normpath(f"/{path}").strip("/")


def _options(case: Case) -> None:
    known = mount_options.known_options()
    for index, mount in enumerate(case.mounts):
        options, field = mount.get("options") or [], f"mounts[{index}].options"
        for one, other in _OPPOSITES.items():
            if one in options and other in options:
                last = max((one, other), key=lambda name: len(options) - options[::-1].index(name))
                case.add("warning", field, f"has {one} and {other}; the last one, {last}, counts")
        spread = [o for o in options if o in mount_options.PROPAGATION]
        if len({o.removeprefix("r") for o in spread}) > 1 and "unbindable" not in spread:
            case.add("warning", field, f"has {' and '.join(spread)}; the last one counts")
        words = [option.partition("=")[0] for option in mount_options.parse(options).data]
        own = mount_options.OF_FILESYSTEMS.get(mount.get("type") or "")
        bind = "bind" in options or "rbind" in options
        if own is None or bind:
            _misspelt(case, field, words, known, bind)
            continue
        for word in words:
            if word not in own.split():
                near = did_you_mean(word, [*known, *own.split()])
                message = f"{word} is no option of {mount['type']}" + (near and f"; {near}")
                case.add("error", field, message)


def _misspelt(case: Case, field: str, words: list[str], known: list[str], bind: bool) -> None:
    for word in words:
        near = did_you_mean(word, known)
        if near and bind:  # which the rules have warned of
            case.advise(field, near)
        elif near:
            case.add("warning", field, f"{word} is passed to the file system; {near}")


def _limits(case: Case) -> None:
    memory, cpu = case.resources.get("memory") or {}, case.resources.get("cpu") or {}
    limit, reservation = memory.get("limit") or 0, memory.get("reservation") or 0
    field = "linux.resources.memory"
    if 0 < limit < reservation:
        message = f"is {reservation}, above limit {limit}, so it has no effect"
        case.add("warning", f"{field}.reservation", message)
    if 0 < limit < 512 << 10:
        message = f"is {limit} bytes; most programs do not even start with less than 512 KiB"
        case.add("warning", f"{field}.limit", message, "the unit is bytes: 64 MiB are 67108864")
    if (memory.get("swap") or 0) > 0 and not limit:
        message = "needs linux.resources.memory.limit, which it includes"
        case.add("error", f"{field}.swap", message, "add the limit")
    field = "linux.resources.cpu"
    if (cpu.get("period") or 0) and not cpu.get("quota"):
        case.add("warning", f"{field}.period", "has no effect without quota")
    quota, period = cpu.get("quota") or 0, cpu.get("period") or 100000
    if 0 < quota < 1000:
        message = f"is {quota} microseconds; the kernel takes at least 1000"
        case.add("error", f"{field}.quota", message, f"for one CPU: {period}")
    if period and not 1000 <= period <= 1000000:
        message = f"is {period} microseconds; the kernel takes 1000 to 1000000"
        case.add("error", f"{field}.period", message)
    if cpu.get("burst") and not quota > 0:
        case.add("warning", f"{field}.burst", "has no effect without quota")
    if cpu.get("idle") == 1 and cpu.get("shares"):
        case.add("warning", f"{field}.shares", "has no effect with idle")


def _v1_only(case: Case) -> None:
    if not case.on_v2():
        return
    for part, name in _V1_ONLY:
        value = (case.resources.get(part) or {}).get(name)
        if value and value != (1 << 64) - 1:  # Docker's word for unset swappiness
            field = f"linux.resources.{part}.{name}"
            case.add("warning", field, "has no effect: it is of cgroup v1, this host has cgroup v2")


def _devices(case: Case) -> None:
    """A device node that the device rules do not let anybody open."""
    rules = case.resources.get("devices") or []
    for index, device in enumerate(case.linux.get("devices") or ()):
        if device["type"] == "p" or not rules:
            continue
        number = (device["major"], device["minor"])
        if number not in _DEFAULT_DEVICES and not _allowed(rules, device["type"], number):
            case.add(
                "warning",
                f"linux.devices[{index}]",
                f"{device['path']} can be opened by nobody: linux.resources.devices denies "
                f"{number[0]}:{number[1]}",
                f'add {{"allow": true, "type": "{_kind(device["type"])}", "major": {number[0]}, '
                f'"minor": {number[1]}, "access": "rwm"}} there',
            )


def _kind(letter: str) -> str:
    return "b" if letter == "b" else "c"


def _allowed(rules: list[dict[str, Any]], letter: str, number: tuple[int, int]) -> bool:
    """The last rule that is about the device decides; none denies."""
    allowed = False
    for rule in rules:
        kind = rule.get("type") or "a"
        of_kind = kind in ("a", _kind(letter))
        numbers = ((rule.get("major"), number[0]), (rule.get("minor"), number[1]))
        if of_kind and all(said in (None, -1, real) for said, real in numbers):
            allowed = bool(rule.get("allow"))
    return allowed


def _paths(case: Case) -> None:
    """Masked or read-only in vain."""
    masked = set(case.linux.get("maskedPaths") or ())
    for index, path in enumerate(case.linux.get("readonlyPaths") or ()):
        if path in masked:
            message = f"{path} is in linux.maskedPaths, too, which hides it anyway"
            case.add("warning", f"linux.readonlyPaths[{index}]", message)
    for name in ("maskedPaths", "readonlyPaths"):
        listed = case.linux.get(name) or []
        for index, path in enumerate(listed):
            if path in listed[:index]:
                case.add("warning", f"linux.{name}[{index}]", f"has {path} a second time")
