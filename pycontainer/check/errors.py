"""Everything in a config that `create` refuses, where `create` itself stops at the first.

The schema finds all of its violations at once. The rules, and the compilation of the plan, stop at
the first: so what they refuse is taken out of the copy, and they look again. An error about
something that has been taken out already is a consequence, and not told.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import Any

from pycontainer import spec
from pycontainer.base.errors import ConfigError, ContainerError, HostError
from pycontainer.check.case import Case
from pycontainer.check.positions import parse
from pycontainer.diagnose.hints import hint_of
from pycontainer.plan.process import NOT_RAISED
from pycontainer.spec import schema, unknown_keys
from pycontainer.spec.schema import field_path

_ROUNDS = 200
_ALL_IDS = [{"containerID": 0, "hostID": 0, "size": (1 << 32) - 1}]
# What stands for a member that has to be there.
_STAND_INS: dict[str, Any] = {
    "ociVersion": "1.3.0",
    "root": {"path": "rootfs"},
    "root.path": "rootfs",
    "process.cwd": "/",
    "process.args": ["true"],
    "linux.uidMappings": _ALL_IDS,
    "linux.gidMappings": _ALL_IDS,
    "linux.seccomp.defaultAction": "SCMP_ACT_ERRNO",
    "linux.memoryPolicy.mode": "MPOL_DEFAULT",
    "linux.personality.domain": "LINUX",
}


def find(case: Case) -> None:
    """Errors of the schema, then of the rules, then of the plan for this host."""
    case.config = _without_what_is_ignored(case.config)
    taken: set[str] = set()
    for look in (_schema, _rules, _plan):
        for _ in range(_ROUNDS):
            # As they are in the file, before anything of this round is taken out.
            problems = [(problem, case.in_file(problem.field)) for problem in look(case)]
            gone: set[str] = set()
            repaired = [_note(case, problem, key, taken, gone) for problem, key in problems]
            if not any(repaired):
                break


def _without_what_is_ignored(config: dict[str, Any]) -> dict[str, Any]:
    """Without members of other platforms and unknown ones: their values may be anything."""
    for unknown in unknown_keys.find(schema.CONFIG, config):
        *way, name = unknown.path
        holder = _at(config, way)
        if isinstance(holder, dict):
            del holder[name]
    return {name: v for name, v in config.items() if name not in spec.rules.OTHER_PLATFORMS}


def _schema(case: Case) -> Sequence[ContainerError]:
    from pycontainer.spec import compat, explain

    accepted = compat.rewritten(case.config, [])
    # Later list elements first: the indices of the others stay true.
    return list(islice(explain.violations(schema.CONFIG, accepted), _ROUNDS))[::-1]


def _rules(case: Case) -> list[ContainerError]:
    try:
        _warn(case, spec.rules.check(case.config))
    except ConfigError as error:
        return [error]
    return []


def _plan(case: Case) -> list[ContainerError]:
    """What only the compilation sees, and what this host cannot do."""
    from pycontainer.lifecycle.create import Creation
    from pycontainer.lifecycle.options import CreateOptions

    options = CreateOptions(bundle=case.options.bundle, document=(case.config, b"{}"), detach=True)
    try:
        creation = Creation(case.settings, "check", options, gated=True, dry=True)
        plan = creation.compile()
        case.layout = creation.driver.layout
    except ContainerError as error:
        return [error]
    # Of ambient capabilities effects.py speaks, which knows when they do not matter.
    _warn(case, [words for words in plan.warnings if not words.endswith(NOT_RAISED)])
    return []


def _warn(case: Case, warnings: list[str]) -> None:
    """Warnings are "FIELD: message; fix: ..."; those without a field are about the whole config."""
    for warning in warnings:
        if warning.startswith("ignoring unknown or unavailable capabilities"):
            continue  # process.py names them one by one
        field, colon, message = warning.partition(": ")
        if not colon or " " in field:
            field, message = "", warning
        message, _, remedy = message.partition("; fix: ")
        # Engines ask for that, too: it is about who could take the container.
        severity = "medium" if "CAP_SYS_PTRACE" in message else "warning"
        case.add(severity, field, message, remedy)


def _note(case: Case, error: ContainerError, key: str, taken: set[str], gone: set[str]) -> bool:
    """Report an error and take its cause out of the config; False when that is not possible.

    `key` is its field in the file, `gone` are the elements that other errors of this round have
    taken out.
    """
    field = error.field
    element = field.rpartition("]")[0]
    if not any(_related(key, other) for other in taken) and not _follows(error, key, taken):
        clause = error.clause if isinstance(error, ConfigError) else ""
        message = error.message
        if isinstance(error, HostError):
            message = f"this host cannot do it: {message}"
        remedy = error.hint or hint_of(error)
        case.add_in_file("error", key, message, remedy.removeprefix("fix: "), clause)
    elif key in taken and error.code != "required" and field not in _STAND_INS:
        return False
    taken.add(key)
    if element and element in gone:
        return True
    gone.add(element)
    if error.code == "required" and field not in _STAND_INS:
        field = field.rpartition(".")[0]  # an object that lacks a member is of no use
    return bool(field) and _take_out(case, field)


def _follows(error: ContainerError, key: str, taken: set[str]) -> bool:
    """Whether it is missing only because what was wrong with it has been taken out."""
    place = {"required": key, "needs-namespace": "linux.namespaces"}.get(error.code)
    return place is not None and any(other.startswith(f"{place}[") for other in taken)


def _related(field: str, other: str) -> bool:
    return field == other or field.startswith((f"{other}.", f"{other}["))


def _take_out(case: Case, field: str) -> bool:
    """Remove what the field names: the innermost list element around it, or the member."""
    steps = parse(field)
    places = [depth for depth, step in enumerate(steps) if isinstance(step, int)]
    if field in _STAND_INS and _set(case.config, steps, _STAND_INS[field]):
        return True  # the next time it is removed: here it must not be
    end = places[-1] + 1 if places else len(steps)
    holder = _at(case.config, steps[: end - 1])
    last = steps[end - 1]
    try:
        del holder[last]
    except (KeyError, IndexError, TypeError):
        return False
    if isinstance(last, int):
        path = field_path(steps[: end - 1])
        indices = case.gone.setdefault(path, [])
        original = last
        for index in indices:
            original += index <= original
        indices.append(original)
        indices.sort()
    return True


def _at(value: Any, steps: list[str | int]) -> Any:
    for step in steps:
        try:
            value = value[step]
        except (KeyError, IndexError, TypeError):
            return None
    return value


def _set(config: dict[str, Any], steps: list[str | int], value: Any) -> bool:
    holder = _at(config, steps[:-1])
    if not isinstance(holder, dict) or holder.get(steps[-1]) == value:
        return False
    holder[str(steps[-1])] = value
    return True
