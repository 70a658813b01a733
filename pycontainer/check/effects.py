"""Settings that have no effect, or that another one contradicts: allowed, and hardly meant."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from itertools import combinations
from typing import Any

from pycontainer.base.nearest import did_you_mean
from pycontainer.check.case import Case
from pycontainer.diagnose.values import FORMS
from pycontainer.spec.rules.context import ranges
from pycontainer.tables import mount_options

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


_KERNELS = ("/proc", "/sys", "/dev")


def find(case: Case) -> None:
    """All of them."""
    for part in (_mounts, _options, _limits, _cpu, _v1_only, _devices, _paths):
        part(case)


def _mounts(case: Case) -> None:
    """A mount that a later one covers is not seen by anybody. Engines add theirs on top of a file
    system of their own default, such as /dev/shm, and mean it."""
    places = [_clean(mount["destination"]) for mount in case.mounts]
    for index, place in enumerate(places):
        if _is_remount(case.mounts[index]):
            continue
        bind = mount_options.parse(case.mounts[index].get("options") or ()).bind
        if place == "/":
            message = "is mounted on /, and covers the whole root file system"
            case.add("warning", f"mounts[{index}]", message, "choose another destination")
            continue
        for later in range(index + 1, len(places)):
            over = places[later]
            if (
                over == "/"
                or _is_remount(case.mounts[later])
                or not (place == over or place.startswith(over.rstrip("/") + "/"))
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
        for one, last in _opposites(options):
            case.add("warning", field, f"has {one} and {last}; the last one, {last}, counts")
        spread = [o for o in options if o in mount_options.PROPAGATION]
        if len({o.removeprefix("r") for o in spread}) > 1 and "unbindable" not in spread:
            case.add("warning", field, f"has {' and '.join(spread)}; the last one counts")
        given = mount_options.parse(options).data
        words = [option.partition("=")[0] for option in given]
        if any("," in word for word in words):
            parts = ", ".join(f'"{part}"' for option in options for part in option.split(","))
            case.add("error", field, "has several options in one string", f"write [{parts}]")
            continue
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
        if mount.get("type") == "tmpfs":
            for name, _, value in [option.partition("=") for option in given]:
                pattern, form = FORMS.get(name, ("", ""))
                if form and not re.fullmatch(pattern, value):
                    case.add("error", field, f"{name} is {value}", f"give it as {form}")


def _opposites(options: list[str]) -> Iterator[tuple[str, str]]:
    """Pairs of options of which the second one takes back the first one."""
    sets, clears, recursive = mount_options.SETS, mount_options.CLEARS, mount_options.RECURSIVE
    once = reversed(dict.fromkeys(reversed(options)))  # each where it is last
    for one, other in combinations(once, 2):
        if one in recursive and other in recursive:
            (clear, bits), (cleared, changed) = recursive[one], recursive[other]
            if bits & cleared & ~changed or changed & clear & ~bits:
                yield one, other
        elif sets.get(one, -1) == clears.get(other) or clears.get(one) == sets.get(other, -1):
            yield one, other


def _misspelt(case: Case, field: str, words: list[str], known: list[str], bind: bool) -> None:
    for word in words:
        near = did_you_mean(word, known)
        if near and bind:  # which the rules have warned of
            case.advise(field, near)
        elif near:
            case.add("warning", field, f"{word} is passed to the file system; {near}")


def _limits(case: Case) -> None:
    memory = case.resources.get("memory") or {}
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
    weight = (case.resources.get("blockIO") or {}).get("weight")
    if weight and not 10 <= weight <= 1000:
        case.add("error", "linux.resources.blockIO.weight", f"is {weight}, must be 10 to 1000")
    pids = (case.resources.get("pids") or {}).get("limit") or 0
    if pids < -1:
        message = f"is {pids}, which is as good as no limit"
        case.add("warning", "linux.resources.pids.limit", message, "no limit is -1")


def _cpu(case: Case) -> None:
    cpu, field = case.resources.get("cpu") or {}, "linux.resources.cpu"
    if (cpu.get("period") or 0) and "quota" not in cpu:  # Kubernetes writes a quota of 0
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
    count = os.cpu_count() or 1
    if quota > period * count:
        message = f"is {quota / period:g} CPUs; this host has {count}, so it has no effect"
        case.add("warning", f"{field}.quota", message)
    if cpu.get("idle") == 1 and cpu.get("shares"):
        case.add("warning", f"{field}.shares", "has no effect with idle")
    for name in ("cpus", "mems"):
        if ranges(cpu.get(name) or "") is None:
            case.add("error", f"{field}.{name}", f"is {cpu[name]}, must be like 0-3,7")


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
    _denied_again(case, rules)
    paths: dict[str, int] = {}
    for index, device in enumerate(case.linux.get("devices") or ()):
        field = f"linux.devices[{index}]"
        first = paths.setdefault(_clean(device["path"]), index)
        if first != index:
            message = f"has the path of linux.devices[{first}]"
            case.add("error", f"{field}.path", message, "remove one, or change its path")
        mode = device.get("fileMode")
        if mode is not None and (meant := meant_as_octal(mode)):
            message = f"is {mode}, in octal {mode:04o}: JSON has decimal numbers only"
            case.add("warning", f"{field}.fileMode", message, f"for {mode:04d} write {meant}")
        if device["type"] == "p" or not rules:
            continue
        number = (device["major"], device["minor"])
        if number not in _DEFAULT_DEVICES and not _allowed(rules, device["type"], number):
            case.add(
                "warning",
                f"linux.devices[{index}]",
                f"{device['path']} cannot be opened: linux.resources.devices denies "
                f"{number[0]}:{number[1]}",
                f'add {{"allow": true, "type": "{_kind(device["type"])}", "major": {number[0]}, '
                f'"minor": {number[1]}, "access": "rwm"}} there',
            )


def _denied_again(case: Case, rules: list[dict[str, Any]]) -> None:
    """What is allowed before everything is denied."""
    last = max((i for i, r in enumerate(rules) if not r.get("allow") and _is_all(r)), default=-1)
    for index, rule in enumerate(rules[: max(last, 0)]):
        if rule.get("allow") and not _is_all(rule):
            field = f"linux.resources.devices[{index}]"
            message = f"has no effect: linux.resources.devices[{last}] denies everything after it"
            case.add("warning", field, message, f"put it after linux.resources.devices[{last}]")


def _is_all(rule: dict[str, Any]) -> bool:
    numbers = rule.get("major"), rule.get("minor")
    return (rule.get("type") or "a") == "a" and all(n in (None, -1) for n in numbers)


def meant_as_octal(mode: int) -> int:
    """What the digits of a decimal mode are in octal, where they look like it: 666, 22; or 0."""
    digits = str(mode)
    if digits in ("22", "27", "77") or (len(digits) == 3 and set(digits) <= set("04567")):
        return int(digits, 8)
    return 0


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
    for index, path in enumerate(case.linux.get("maskedPaths") or ()):
        for number, mount in enumerate(case.mounts):
            place = _clean(mount["destination"])
            if f"{place}/".startswith(_clean(path) + "/") and not place.startswith(_KERNELS):
                message = f"{path} hides mounts[{number}] on {place}"
                case.add("warning", f"linux.maskedPaths[{index}]", message, "remove one of them")
    for index, path in enumerate(case.linux.get("readonlyPaths") or ()):
        if path in masked:
            message = f"{path} is in linux.maskedPaths, too, which hides it anyway"
            case.add("warning", f"linux.readonlyPaths[{index}]", message)
    for name in ("maskedPaths", "readonlyPaths"):
        listed = case.linux.get(name) or []
        for index, path in enumerate(listed):
            if path in listed[:index]:
                case.add("warning", f"linux.{name}[{index}]", f"has {path} a second time")
            if path[:1] != "/":
                message = f'"{path}" is not absolute: other runtimes may refuse it'
                case.add("warning", f"linux.{name}[{index}]", message, f'write "/{path}"')
