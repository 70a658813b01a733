"""Why the program of a container could not be found or executed, and what to do about it.

Loaded after a failure of the operations `find_program` and `exec`. Input: the config, the kernel's
errno, and a descriptor of the container's root directory, whose mounts last while its process waits
for us. Output: one sentence with the remedy, or "" when nothing was found to be wrong.
"""

from __future__ import annotations

import errno
import os

from pycontainer.base.errors import CLIENT_TEXTS
from pycontainer.base.nearest import did_you_mean
from pycontainer.diagnose import binary
from pycontainer.diagnose.program_file import (
    DEFAULT_PATH,
    NEAR,
    SEARCHED,
    Case,
    empty_root,
    file,
    fix,
    way,
)
from pycontainer.diagnose.tree import Unseen, Walk, names

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_MAX_STRING = 131072  # bytes of one argument or variable (MAX_ARG_STRLEN)
_NESTED = 5  # scripts that the kernel follows as interpreters of each other


def explain(config: dict[str, Any], root: int, kind: str, number: int, program: str) -> str:
    """The sentence for an operation of this kind that failed with errno `number`; `program` is what
    was executed, or else the config's. A hook that has run explains itself."""
    if kind == "hook" and not program:
        return ""
    case = Case(config, root, number, program)
    case.is_hook |= kind == "hook"
    try:
        if kind in ("chdir", "enter_cwd"):
            return _no_directory(case)
        return _not_found(case) if kind == "find_program" else _not_executed(case)
    except (OSError, ValueError, OverflowError):
        return ""  # what cannot be looked at, or is made up by the image, explains nothing


def of_host(path: str, number: int) -> str:
    """Why the host did not execute a program of its own, as root would: a hook."""
    root = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        return explain({"process": {"args": [path]}}, root, "exec", number, "")
    finally:
        os.close(root)


def examine(config: dict[str, Any], root: int, mounts: dict[str, str]) -> tuple[str, str]:
    """Before anything is started: (what keeps the program from being executed, its path).

    `mounts` says what will lie where in the root (see Walk); a program that is in one which cannot
    be looked into is taken for good.
    """
    case = Case(config, root, 0, "", mounts)
    try:
        if "/" in case.name:
            return _inspect(case, case.name, 0), case.name
        for directory in case.search.split(":")[:SEARCHED]:
            path = f"{directory or '.'}/{case.name}"
            with case.walk(path) as walk:
                if not walk.errno and not file(case, walk):
                    return _inspect(case, path, 0), path
        return f"{case.name}: {CLIENT_TEXTS['not_in_path']}; {_searched(case)}", ""
    except (OSError, ValueError, OverflowError, Unseen):
        return "", ""


def _not_found(case: Case) -> str:
    """`find_program` has failed."""
    if "/" not in case.name:
        return _searched(case)
    with case.walk(case.name) as walk:
        return way(case, walk) or file(case, walk)


def _no_directory(case: Case) -> str:
    """The working directory is not there, or not for this user."""
    with case.walk(case.cwd) as walk:
        if found := way(case, walk, program=False):
            return found
        if not walk.errno and not walk.end.is_dir:
            return f"{walk.end.path} is a file, not a directory; fix: correct the path"
        return ""


def _not_executed(case: Case) -> str:
    """execve(2) has failed."""
    if case.errno in _LIMITS:
        return _LIMITS[case.errno](case)
    return _by_seccomp(case) or _inspect(case, case.name, 0)


# -- the search in $PATH -------------------------------------------------------------------------


def _searched(case: Case) -> str:
    """No directory of $PATH has the program, or only a file that may not be executed."""
    name = case.name
    if not name:
        return "process.args[0] is empty; fix: put the program's name there"
    if len(words := name.split()) > 1:
        shown = ", ".join(f'"{word}"' for word in words)
        return fix(f'"{name}" is one argument with a space in it', f"split it: [{shown}]")
    known: dict[str, list[str]] = {}
    for directory in case.search.split(":")[:SEARCHED]:
        with case.walk(f"{directory or '.'}/{name}") as walk:
            passed_over = file(case, walk) or (way(case, walk) if _is_broken(walk, name) else "")
            if passed_over:
                return passed_over
        with case.walk(directory or ".") as walk:
            if not walk.errno and walk.end.is_dir:
                known[directory] = names(walk.end)
    if not known and (empty := empty_root(case)):
        return empty
    for directory in DEFAULT_PATH.split(":"):
        with case.walk(f"{directory}/{name}") as walk:
            if not walk.errno and not file(case, walk):
                return fix(
                    f"{name} is in {directory}, which is not in $PATH ({case.search})",
                    f"name {directory}/{name}, or add {directory} to PATH in process.env",
                )
    where = f"$PATH is {case.search}"
    if not case.search:
        where = "PATH is empty in process.env"
    elif not any(entry.startswith("PATH=") for entry in case.process.get("env") or ()):
        where = f"process.env has no PATH, so {case.search} was searched"
    elif not known:
        where += ", none of which is in the root file system"
    there = {entry for listed in known.values() for entry in listed}
    if near := did_you_mean(name, sorted(there), NEAR):
        return f"{where}; {near}"
    return fix(where, f"correct process.args, or install the program {case.where}")


def _is_broken(walk: Walk, name: str) -> bool:
    """Whether the program is there, as a symbolic link that leads nowhere."""
    return bool(walk.errno) and walk.link[0].endswith(f"/{name}")


# -- what the kernel did not execute ---------------------------------------------------------------


def _inspect(case: Case, path: str, depth: int) -> str:
    """The file itself, then the interpreter that it names, which may be a script again."""
    with case.walk(path) as walk:
        found = way(case, walk) or file(case, walk)
        if found or walk.errno:
            return found
        program = binary.look(walk.end.fd)
        if program is None:
            return ""
        if program.fault:
            correct = "correct the hook's path, or " if case.is_hook and not depth else ""
            problem = program.fault.replace("@", walk.end.path, 1)
            return fix(problem, correct + program.remedy)
        if program.interpreter:
            return _interpreter(case, walk.end.path, program, depth)
        return _forbidden(case, walk)


def _interpreter(case: Case, path: str, program: binary.Program, depth: int) -> str:
    """The file that executes the program."""
    name, script = program.interpreter, program.kind == "script"
    if script and name.endswith("\r"):
        return fix(
            f"the #! line of {path} ends with a carriage return (written on Windows), so its "
            f"interpreter {name[:-1]} is not found",
            f"sed -i 's/\\r$//' {path}",
        )
    if depth >= _NESTED:
        return fix(
            f"the interpreter of {path} is a script, too, and so on {_NESTED} times",
            "write a program in the first #! line",
        )
    what = f"the interpreter {name} of its #! line" if script else f"its dynamic loader {name}"
    if depth:
        what = f"{name}, the interpreter of {path},"
    with case.walk(name) as walk:
        if script and not walk.errno and walk.end.is_dir:
            problem = f"the #! line of {path} names {name}, a directory"
            return fix(problem, "write a program there, e.g. #!/bin/sh")
        if walk.errno == errno.ENOENT:
            return fix(f"{what} is not in the root file system", _supply(case, name, script))
    found = _inspect(case, name, depth + 1)
    if not found:
        with case.walk(path) as walk:
            return _forbidden(case, walk)
    return found if depth else f"{what} cannot be used: {found}"


def _supply(case: Case, name: str, script: bool) -> str:
    """Where the interpreter might come from."""
    base = name.rpartition("/")[2]
    if not script:
        library = "musl (Alpine)" if "musl" in base else "glibc" if "ld-linux" in base else ""
        image = f"an image with {library}" if library else "an image that has it"
        return f"use {image}, or link the program statically"
    for directory in DEFAULT_PATH.split(":"):
        with case.walk(f"{directory}/{base}") as walk:
            if not walk.errno and not file(case, walk):
                return f"change the line to #!{directory}/{base}"
    if not name.startswith("/"):
        return f"name it by its whole path, or write #!/usr/bin/env {name}"
    return f"install {base} there, or change the line"


def _forbidden(case: Case, walk: Walk) -> str:
    """Nothing is wrong with the files: who else has a say?"""
    if case.errno == errno.EPERM:
        missing = case.who.lacking(walk.end)
        if missing:
            return fix(
                f"{walk.end.path} has file capabilities that the container may not have: {missing}",
                "add them to process.capabilities.bounding, or take them off with setcap -r",
            )
    if case.errno in (errno.EACCES, errno.EPERM):
        for key, system in (("apparmorProfile", "AppArmor"), ("selinuxLabel", "SELinux")):
            if case.process.get(key):
                return fix(
                    f"nothing is wrong with the file; {system} may refuse it "
                    f"(process.{key} is {case.process[key]})",
                    "look for the denial in the kernel's log (dmesg)",
                )
    return ""


def _by_seccomp(case: Case) -> str:
    """The filter's answer to execve, when it is the kernel's."""
    profile = (case.config.get("linux") or {}).get("seccomp")
    if not profile:
        return ""
    from pycontainer.seccomp.report import answer_to

    field, number = answer_to(profile, "execve")
    if number != case.errno:
        return ""
    return fix(
        f"the seccomp profile refuses execve (by {field})",
        "allow execve there; `pycontainer run --seccomp-report FILE` shows what else it refuses",
    )


# -- limits ----------------------------------------------------------------------------------------


def _too_long(case: Case) -> str:
    groups = {"args": case.process.get("args") or (), "env": case.process.get("env") or ()}
    for key, strings in groups.items():
        for index, text in enumerate(strings):
            size = len(os.fsencode(text)) + 1
            if size > _MAX_STRING:
                return fix(
                    f"process.{key}[{index}] has {size} bytes, over the kernel's {_MAX_STRING} "
                    "for one string",
                    "hand it over in a file",
                )
    total = sum(len(os.fsencode(text)) + 9 for strings in groups.values() for text in strings)
    soft = case.limits.get("RLIMIT_STACK")
    allowed = f", a quarter of RLIMIT_STACK ({soft})" if soft else ""
    return fix(
        f"arguments and environment take {total} bytes, more than the kernel allows{allowed}",
        "shorten them, or raise RLIMIT_STACK in process.rlimits" if soft else "shorten them",
    )


def _no_memory(case: Case) -> str:
    for name in ("RLIMIT_AS", "RLIMIT_DATA", "RLIMIT_STACK"):
        if name in case.limits:
            return fix(f"{name} is {case.limits[name]}", "raise it in process.rlimits")
    resources = (case.config.get("linux") or {}).get("resources") or {}
    memory = (resources.get("memory") or {}).get("limit")
    if memory:
        return fix(f"linux.resources.memory.limit is {memory}", "raise it")
    return ""


def _busy(case: Case) -> str:
    return fix(
        f"a process has {case.name} open for writing", "wait until it is written, or copy it anew"
    )


_LIMITS: dict[int, Callable[[Case], str]] = {
    errno.E2BIG: _too_long,
    errno.ENOMEM: _no_memory,
    errno.ETXTBSY: _busy,
}
