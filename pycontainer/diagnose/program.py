"""Why the program of a container could not be found or executed, and what to do about it.

Loaded after a failure of the operations `find_program` and `exec`. Enters: the config, the kernel's
errno, and a descriptor of the container's root directory, whose mounts last while its process waits
for us. Leaves: one sentence with the remedy, or "" when nothing was found to be wrong.
"""

from __future__ import annotations

import difflib
import errno
import os
import stat

from pycontainer.diagnose import binary
from pycontainer.diagnose.access import Identity
from pycontainer.diagnose.tree import Node, Walk, names

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_MAX_STRING = 131072  # bytes of one argument or variable (MAX_ARG_STRLEN)
_NESTED = 5  # scripts that the kernel follows as interpreters of each other
_NEAR = 3  # names in "did you mean"


class Case:
    """One program that failed: what it was called, where it was looked for, by whom."""

    __slots__ = ("config", "cwd", "errno", "limits", "name", "process", "root", "search", "who")

    def __init__(self, config: dict[str, Any], root: int, number: int, detail: str) -> None:
        process = config.get("process") or {}
        self.config = config
        self.process = process
        self.root = root
        self.errno = number
        self.cwd = process.get("cwd") or "/"
        # "exec /usr/bin/program" is what the executor says
        self.name = detail.removeprefix("exec ") or (process.get("args") or [""])[0]
        paths = [e[5:] for e in process.get("env") or () if e.startswith("PATH=")]
        self.search = paths[-1] if paths else DEFAULT_PATH
        self.limits = {entry["type"]: entry["soft"] for entry in process.get("rlimits") or ()}
        self.who = Identity(config)

    def walk(self, path: str) -> Walk:
        """Follow a path as the program's process does."""
        return Walk(self.root, path, self.cwd)

    def mount_field(self, point: str) -> str:
        """The mount of config.json that lies there, as "mounts[3]"; "" for none."""
        found = ""
        for index, mount in enumerate(self.config.get("mounts") or ()):
            if os.path.normpath(mount.get("destination", "")).strip("/") == point[1:]:
                found = f"mounts[{index}]"
        return found


def explain(config: dict[str, Any], root: int, kind: str, number: int, detail: str) -> str:
    """The sentence for an operation of this kind that failed with errno `number`."""
    case = Case(config, root, number, detail)
    try:
        return _not_found(case) if kind == "find_program" else _not_executed(case)
    except (OSError, ValueError, OverflowError):
        return ""  # what cannot be looked at, or is made up by the image, explains nothing


def _not_found(case: Case) -> str:
    """`find_program` has failed."""
    if "/" not in case.name:
        return _searched(case)
    with case.walk(case.name) as walk:
        return _way(case, walk) or _file(case, walk)


def _not_executed(case: Case) -> str:
    """execve(2) has failed."""
    if case.errno in _LIMITS:
        return _LIMITS[case.errno](case)
    return _by_seccomp(case) or _inspect(case, case.name, 0)


def _fix(problem: str, remedy: str) -> str:
    return f"{problem}; fix: {remedy}"


def _perhaps(problem: str, near: str) -> str:
    return f"{problem}; did you mean {near}?"


# -- the search in $PATH -------------------------------------------------------------------------


def _searched(case: Case) -> str:
    """No directory of $PATH has the program, or only a file that may not be executed."""
    name = case.name
    if not name:
        return "process.args[0] is empty; fix: put the program's name there"
    if len(words := name.split()) > 1:
        shown = ", ".join(f'"{word}"' for word in words)
        return _fix(f'"{name}" is one argument with blanks in it', f"split it: [{shown}]")
    known: dict[str, list[str]] = {}
    for directory in case.search.split(":"):
        with case.walk(f"{directory or '.'}/{name}") as walk:
            if passed_over := _file(case, walk):
                return passed_over
        with case.walk(directory or ".") as walk:
            if not walk.errno and walk.end.is_dir:
                known[directory] = names(walk.end)
    if not known and (empty := _empty_root(case)):
        return empty
    for directory in DEFAULT_PATH.split(":"):
        with case.walk(f"{directory}/{name}") as walk:
            if not walk.errno and not _file(case, walk):
                return _fix(
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
    near = _near(name, {entry for listed in known.values() for entry in listed})
    if near:
        return _perhaps(where, near)
    return _fix(where, "correct process.args, or install the program in the root file system")


def _near(name: str, known: set[str]) -> str:
    return ", ".join(difflib.get_close_matches(name, sorted(known), _NEAR, 0.75))


# -- the way to a file -----------------------------------------------------------------------------


def _way(case: Case, walk: Walk) -> str:
    """The component of the path that is missing, no directory, or closed."""
    for directory in walk.directories:
        if not case.who.may(directory, 1):
            return _fix(
                f"the directory {directory.path} is not searchable for {case.who} "
                f"({_mode(directory)})",
                "chmod o+x it in the image",
            )
    at = walk.end.path
    if walk.errno == errno.ENOTDIR:
        return _fix(f"{at} is a file, not a directory", "correct the path")
    if walk.errno == errno.ELOOP:
        link, target = walk.link
        return _fix(f"the symbolic links go in a circle at {link} -> {target}", "correct the links")
    if walk.errno == errno.ENAMETOOLONG:
        return _fix("a part of the path is longer than 255 bytes", "correct the path")
    if walk.errno == errno.ENOENT:
        return _missing(case, walk)
    return ""


def _missing(case: Case, walk: Walk) -> str:
    if empty := _empty_root(case):
        return empty
    problem = f"{walk.end.path} has no {walk.missing}"
    link, target = walk.link
    if link:
        problem = f"{link} is a symbolic link to {target}, and {problem}"
    base = case.name.rpartition("/")[2]
    for directory in case.search.split(":"):
        with case.walk(f"{directory}/{base}") as other:
            if not other.errno and not _file(case, other):
                return _perhaps(problem, f"{directory}/{base}")
    if near := _near(walk.missing, set(names(walk.end))):
        return _perhaps(problem, near)
    return _fix(problem, "correct the path, or install the program in the root file system")


def _empty_root(case: Case) -> str:
    """Nothing is there but what the runtime makes itself."""
    with case.walk("/") as walk:
        if set(names(walk.end)) - {"dev", "etc", "proc", "run", "sys"}:
            return ""
    path = (case.config.get("root") or {}).get("path")
    return _fix(
        f"the root file system {path} is empty", "unpack an image there, or correct root.path"
    )


def _file(case: Case, walk: Walk) -> str:
    """What keeps a file that is there from being executed at all."""
    if walk.errno:
        return ""
    node, mode = walk.end, walk.end.status.st_mode
    if stat.S_ISDIR(mode):
        return "fix: name a program in it"
    if not stat.S_ISREG(mode):
        return _fix(f"{node.path} is {_special(mode)}, not a regular file", "name a program")
    if walk.is_noexec():
        return _noexec(case, walk)
    if not mode & 0o111:
        return _fix(f"{node.path} is not executable ({_mode(node)})", "chmod +x it in the image")
    if not case.who.may(node, 1):
        return _fix(
            f"{node.path} is not executable for {case.who} ({_mode(node)})",
            "chmod o+x it in the image, or choose another process.user",
        )
    return ""


def _special(mode: int) -> str:
    kinds = (
        (stat.S_ISFIFO, "a fifo"),
        (stat.S_ISSOCK, "a socket"),
        (stat.S_ISCHR, "a character device"),
        (stat.S_ISBLK, "a block device"),
    )
    return next((words for test, words in kinds if test(mode)), "of another type")


def _noexec(case: Case, walk: Walk) -> str:
    point = walk.mount_point()
    field = case.mount_field(point)
    if field:
        remedy = f"take noexec out of {field}.options, or put the program elsewhere"
        if not _names_noexec(case, field):
            remedy = f"mount the source of {field} with exec, or put the program elsewhere"
        return _fix(f"{walk.end.path} is on {point}, which is mounted noexec", remedy)
    if point == "/":
        return _fix(
            "the file system of root.path is mounted noexec on the host",
            "move the bundle, or remount it with exec",
        )
    return _fix(f"{walk.end.path} is on {point}, which is mounted noexec", "put it elsewhere")


def _names_noexec(case: Case, field: str) -> bool:
    index = int(field[7:-1])
    return "noexec" in (case.config["mounts"][index].get("options") or ())


def _mode(node: Node) -> str:
    return f"mode {node.status.st_mode & 0o7777:04o}, owner {node.status.st_uid}"


# -- what the kernel did not execute ---------------------------------------------------------------


def _inspect(case: Case, path: str, depth: int) -> str:
    """The file itself, then the interpreter that it names, which may be a script again."""
    with case.walk(path) as walk:
        found = _way(case, walk) or _file(case, walk)
        if found or walk.errno:
            return found
        program = binary.look(walk.end.fd)
        if program is None:
            return ""
        if program.fault:
            return _fix(program.fault.replace("@", walk.end.path, 1), program.remedy)
        if program.interpreter:
            return _interpreter(case, walk.end.path, program, depth)
        return _forbidden(case, walk)


def _interpreter(case: Case, path: str, program: binary.Program, depth: int) -> str:
    """The file that executes the program."""
    name, script = program.interpreter, program.kind == "script"
    if script and name.endswith("\r"):
        return _fix(
            f"the #! line of {path} ends with a carriage return (written on Windows), so its "
            f"interpreter {name[:-1]} is not found",
            f"sed -i 's/\\r$//' {path}",
        )
    if depth >= _NESTED:
        return _fix(
            f"the interpreter of {path} is a script, too, and so on {_NESTED} times",
            "name a program in the first #! line",
        )
    what = f"the interpreter {name} of its #! line" if script else f"its dynamic loader {name}"
    if depth:
        what = f"{name}, the interpreter of {path},"
    with case.walk(name) as walk:
        if walk.errno == errno.ENOENT:
            return _fix(f"{what} is not in the root file system", _supply(case, name, script))
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
            if not walk.errno and not _file(case, walk):
                return f"change the line to #!{directory}/{base}"
    if not name.startswith("/"):
        return f"name it by its whole path, or write #!/usr/bin/env {name}"
    return f"install {base} there, or change the line"


def _forbidden(case: Case, walk: Walk) -> str:
    """Nothing is wrong with the files: who else has a say?"""
    if case.errno == errno.EPERM:
        missing = case.who.lacking(walk.end)
        if missing:
            return _fix(
                f"{walk.end.path} has file capabilities that the container may not have: {missing}",
                "add them to process.capabilities.bounding, or take them off with setcap -r",
            )
    if case.errno in (errno.EACCES, errno.EPERM):
        for key, system in (("apparmorProfile", "AppArmor"), ("selinuxLabel", "SELinux")):
            if case.process.get(key):
                return _fix(
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
    return _fix(
        f"the seccomp profile refuses execve (by {field})",
        "allow execve there; run --seccomp-report says what else it refuses",
    )


# -- limits ----------------------------------------------------------------------------------------


def _too_long(case: Case) -> str:
    groups = {"args": case.process.get("args") or (), "env": case.process.get("env") or ()}
    for key, strings in groups.items():
        for index, text in enumerate(strings):
            size = len(os.fsencode(text)) + 1
            if size > _MAX_STRING:
                return _fix(
                    f"process.{key}[{index}] has {size} bytes, over the kernel's {_MAX_STRING} "
                    "for one string",
                    "hand it over in a file",
                )
    total = sum(len(os.fsencode(text)) + 9 for strings in groups.values() for text in strings)
    soft = case.limits.get("RLIMIT_STACK")
    allowed = f", a quarter of RLIMIT_STACK ({soft})" if soft else ""
    return _fix(
        f"arguments and environment take {total} bytes, more than the kernel allows{allowed}",
        "shorten them, or raise RLIMIT_STACK in process.rlimits" if soft else "shorten them",
    )


def _no_memory(case: Case) -> str:
    for name in ("RLIMIT_AS", "RLIMIT_DATA", "RLIMIT_STACK"):
        if name in case.limits:
            return _fix(f"{name} is {case.limits[name]}", "raise it in process.rlimits")
    resources = (case.config.get("linux") or {}).get("resources") or {}
    memory = (resources.get("memory") or {}).get("limit")
    if memory:
        return _fix(f"linux.resources.memory.limit is {memory}", "raise it")
    return ""


def _busy(case: Case) -> str:
    return _fix(
        f"a process has {case.name} open for writing", "wait until it is written, or copy it anew"
    )


_LIMITS: dict[int, Callable[[Case], str]] = {
    errno.E2BIG: _too_long,
    errno.ENOMEM: _no_memory,
    errno.ETXTBSY: _busy,
}
