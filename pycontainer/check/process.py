"""The process, its capabilities and seccomp profile, and hooks: what has no effect, or another one
than was meant."""

from __future__ import annotations

import os
import re
from collections import Counter

from pycontainer.base.nearest import did_you_mean
from pycontainer.check import unknown_calls
from pycontainer.check.case import Case
from pycontainer.check.effects import meant_as_octal
from pycontainer.tables import caps


def find(case: Case) -> None:
    """All of them."""
    for part in (_process, _capabilities, _arguments, _hooks, _seccomp):
        part(case)


def _process(case: Case) -> None:
    process = case.process
    size = process.get("consoleSize") or {}
    if not process.get("terminal") and (size.get("height") or size.get("width")):
        case.add("warning", "process.consoleSize", "has no effect without process.terminal")
    names = Counter(entry.partition("=")[0] for entry in process.get("env") or ())
    for index, entry in enumerate(process.get("env") or ()):
        name = entry.partition("=")[0]
        if name != name.strip():
            message = f'the name "{name}" has a blank at its end or its beginning'
            case.add("warning", f"process.env[{index}]", message, "remove it")
        names[name] -= 1
        if names[name] > 0:
            later = "has no effect: a later entry sets it again"
            case.add("warning", f"process.env[{index}]", f"{name} {later}")
    label = process.get("apparmorProfile")
    if label and process.get("selinuxLabel"):
        field = "process.apparmorProfile"
        case.add("warning", field, "is given beside process.selinuxLabel; a host has one of them")
    mask = (process.get("user") or {}).get("umask") or 0
    if meant := meant_as_octal(mask):
        message = f"is {mask}, in octal {mask:04o}: JSON has decimal numbers only"
        case.add("warning", "process.user.umask", message, f"for {mask:04d} write {meant}")
    name = case.config.get("hostname") or ""
    if any(char.isspace() or char == "/" for char in name):
        case.add("warning", "hostname", f"is {name!r}, which is no name of a host", "take - for it")


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
        for index, one in enumerate(listed):
            if caps.mask([one])[1]:
                near = did_you_mean(f"CAP_{one.upper().removeprefix('CAP_')}", caps.NAMES)
                message = f"{one} is no capability of this kernel, and ignored"
                case.add("warning", f"process.capabilities.{name}[{index}]", message, near)
        twice = [one for one, count in Counter(listed).items() if count > 1]
        if twice:
            case.add("warning", f"process.capabilities.{name}", f"has {twice[0]} twice")


# Words that a shell understands, and a program gets as they are.
_SHELLS = ("sh", "bash", "dash", "ash", "zsh", "busybox")
_OF_A_SHELL = ("|", "||", "&&", ">", ">>", "<", "2>&1", "&")


def _arguments(case: Case) -> None:
    """A command line as people type it, without a shell to read it."""
    args = case.process.get("args") or [""]
    name = os.path.basename(args[0])
    if name in _SHELLS:
        if (
            args[1:2] == ["-c"]
            and len(args) > 3
            and len(args[2].split()) == 1
            and "$" not in args[2]
        ):
            message = f'{name} runs "{args[2]}" alone; what follows is $0, $1 ... of it'
            script = " ".join(args[2:])
            case.add("warning", "process.args[3]", message, f'write one string: "{script}"')
        return
    for index, word in enumerate(args[1:], 1):
        if word in _OF_A_SHELL or re.fullmatch(r"\$\{?[A-Za-z_][A-Za-z0-9_]*\}?", word):
            if name in ("expr", "test", "["):
                continue
            script = " ".join(args)
            message = f"{word} is passed on as it is: there is no shell that would read it"
            case.add(
                "warning", f"process.args[{index}]", message, f'["sh", "-c", "{script}"] has one'
            )
            break


def _hooks(case: Case) -> None:
    """Hooks take their arguments as execv(3) does, and seconds."""
    for stage, listed in (case.config.get("hooks") or {}).items():
        for index, hook in enumerate(listed or ()):
            field = f"hooks.{stage}[{index}]"
            for place, entry in enumerate(hook.get("env") or ()):
                if entry.find("=") < 1:
                    case.add("warning", f"{field}.env[{place}]", f"is {entry}, must be NAME=value")
            first = (hook.get("args") or [""])[0]
            if first.startswith("-"):
                message = f"{first} is taken for the name of the program, not for an argument"
                path = os.path.basename(hook["path"])
                case.add("warning", f"{field}.args[0]", message, f'put "{path}" in front of it')
            if (hook.get("timeout") or 0) >= _LONG:
                message = f"is {hook['timeout']} seconds, {hook['timeout'] // 3600} hours"
                case.add("warning", f"{field}.timeout", message, "the unit is seconds")


_LONG = 10000


def _seccomp(case: Case) -> None:
    """A profile that keeps the program from being started; names of calls with a slip in them."""
    profile = case.linux.get("seccomp")
    if not profile or case.found_below("linux.seccomp", "error"):
        return
    from pycontainer.base.errors import ContainerError
    from pycontainer.seccomp.report import answer_to

    try:
        field, _ = answer_to(profile, "execve")
    except ContainerError:
        return  # which has been reported
    if field:
        message = f"refuses execve (by {field}), so that no program can be started"
        case.add("error", "linux.seccomp", message, "allow execve")
    for index, rule in enumerate(profile.get("syscalls") or ()):
        for place, name in enumerate(rule["names"]):
            if near := unknown_calls.slip(name):
                field = f"linux.seccomp.syscalls[{index}].names[{place}]"
                message = f"there is no system call {name}, so that the rule does nothing for it"
                case.add("warning", field, message, f"did you mean {near}?")
