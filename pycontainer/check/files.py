"""Files that have to be there: the root, mount sources, hooks, and the program."""

from __future__ import annotations

import os
import stat

from pycontainer.check.case import Case
from pycontainer.diagnose.paths import missing
from pycontainer.tables import mount_options


def find(case: Case) -> None:
    """All of them."""
    _sources(case)
    _hooks(case)
    if _root(case):
        _program(case)


def _root(case: Case) -> bool:
    path = case.rootfs
    problem, fix = missing(path), ""
    if not problem and not os.path.isdir(path):
        problem = f"{path} is a file, must be a directory"
    if problem:
        fix = "unpack an image there, or correct the path"
        case.add("error", "root.path", problem, fix)
    return not problem


def _sources(case: Case) -> None:
    for index, mount in enumerate(case.mounts):
        parsed = mount_options.parse(mount.get("options") or ())
        source = mount.get("source") or ""
        if not parsed.bind or parsed.remount or not source:
            continue
        path = source if source.startswith("/") else f"{case.bundle}/{source}"
        if problem := missing(path):
            case.add("error", f"mounts[{index}].source", problem, "create it, or correct the path")
        elif _is_dir(path) != _target_is_dir(case, mount["destination"], path):
            kinds = ("a directory", "a file") if _is_dir(path) else ("a file", "a directory")
            message = (
                f"{source} is {kinds[0]}, but {mount['destination']} in the root is {kinds[1]}"
            )
            case.add("error", f"mounts[{index}]", message, "mount it elsewhere")


def _is_dir(path: str) -> bool:
    return stat.S_ISDIR(os.stat(path).st_mode)


def _target_is_dir(case: Case, destination: str, source: str) -> bool:
    """What lies there in the root; as the source, where that cannot be told: nothing, or a link."""
    at = case.rootfs
    for part in destination.strip("/").split("/"):
        at = f"{at}/{part}"
        if os.path.islink(at) or not os.path.exists(at):
            return _is_dir(source)
    return os.path.isdir(at)


def _hooks(case: Case) -> None:
    """Those of the runtime namespace; the others are files of the container."""
    for stage, listed in (case.config.get("hooks") or {}).items():
        if stage == "startContainer":
            continue
        for index, hook in enumerate(listed or ()):
            field, path = f"hooks.{stage}[{index}].path", hook["path"]
            if problem := missing(path):
                case.add("error", field, problem, "install it, or correct the path")
            elif not os.access(path, os.X_OK) or _is_dir(path):
                case.add("error", field, f"{path} is no executable file", f"chmod +x {path}")


def _program(case: Case) -> None:
    from pycontainer.diagnose.program import examine

    if not case.process.get("args"):
        return
    sources: dict[str, str] = {}
    for mount in case.mounts:
        parsed = mount_options.parse(mount.get("options") or ())
        source = mount.get("source") or ""
        if not source.startswith("/"):
            source = f"{case.bundle}/{source}"
        sources[os.path.normpath("/" + mount["destination"].strip("/"))] = (
            source if parsed.bind else ""
        )
    root = os.open(case.rootfs, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        problem, path = examine(case.config, root, sources)
        _directory(case, root, sources)
    finally:
        os.close(root)
    for index, hidden in enumerate(case.linux.get("maskedPaths") or ()):
        if path and f"{os.path.normpath(path)}/".startswith(os.path.normpath(hidden) + "/"):
            message = f"{hidden} hides the program {path}"
            case.add("error", f"linux.maskedPaths[{index}]", message, "remove it")
    if problem:
        what, _, fix = problem.partition("; fix: ")
        case.add("error", "process.args[0]", what, fix)
    elif path.startswith("/"):
        _noexec(case, path)


def _directory(case: Case, root: int, sources: dict[str, str]) -> None:
    """A working directory that is a file, or is below one; a missing one is made."""
    from pycontainer.diagnose.tree import Unseen, Walk

    try:
        with Walk(root, case.process.get("cwd") or "/", "/", sources) as walk:
            if not walk.end.is_dir:
                message = f"{walk.end.path} is a file, not a directory"
                case.add("error", "process.cwd", message, "correct the path")
    except (OSError, Unseen):
        pass  # it cannot be looked into before it is mounted


def _noexec(case: Case, path: str) -> None:
    """The mount that the program will be on, the last of the longest."""
    best, found = "", -1
    for index, mount in enumerate(case.mounts):
        place = "/" + mount["destination"].strip("/")
        if (path + "/").startswith(place + "/") and len(place) >= len(best):
            best, found = place, index
    if found >= 0 and "noexec" in (case.mounts[found].get("options") or ()):
        message = f"has noexec, and the program {path} is on it"
        case.add("error", f"mounts[{found}].options", message, "remove noexec")
