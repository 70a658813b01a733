"""The file of a program in its root file system: is the way to it open, may it be executed?

Each function leaves one sentence with the remedy, or "" when nothing is wrong.
"""

from __future__ import annotations

import errno
import os
import stat

from pycontainer.base.nearest import did_you_mean
from pycontainer.diagnose import binary
from pycontainer.diagnose.access import Identity
from pycontainer.diagnose.namespaces import read
from pycontainer.diagnose.tree import Node, Walk, names

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
SEARCHED = 100  # directories of $PATH
_READ = 4
NEAR = 3  # names in "did you mean"


class Case:
    """One program that failed: what it was called, where it was looked for, by whom."""

    __slots__ = (
        "config",
        "cwd",
        "errno",
        "is_hook",
        "limits",
        "where",
        "mounts",
        "name",
        "process",
        "root",
        "search",
        "who",
    )

    def __init__(
        self,
        config: dict[str, Any],
        root: int,
        number: int,
        program: str,
        mounts: dict[str, str] | None = None,
    ) -> None:
        process = config.get("process") or {}
        self.config = config
        self.process = process
        self.root = root
        self.mounts = mounts
        self.errno = number
        self.cwd = process.get("cwd") or "/"
        self.is_hook = not config.get("root")  # of the host
        self.name = program or (process.get("args") or [""])[0]
        paths = [e[5:] for e in process.get("env") or () if e.startswith("PATH=")]
        self.search = paths[-1] if paths else DEFAULT_PATH
        self.limits = {entry["type"]: entry["soft"] for entry in process.get("rlimits") or ()}
        self.where = "in the root file system" if config.get("root") else "on this host"
        self.who = Identity(config)

    @property
    def field(self) -> str:
        """What names the program."""
        return "the hook's path" if self.is_hook else "process.args[0]"

    def walk(self, path: str) -> Walk:
        """Follow a path as the program's process does."""
        return Walk(self.root, path, self.cwd, self.mounts)

    def mount_field(self, point: str) -> str:
        """The mount of config.json that lies there, as "mounts[3]"; "" for none."""
        found = ""
        for index, mount in enumerate(self.config.get("mounts") or ()):
            if os.path.normpath(mount.get("destination", "")).strip("/") == point[1:]:
                found = f"mounts[{index}]"
        return found

    def is_bind(self, field: str) -> bool:
        """Whether a mount_field is a directory or file of the host."""
        options = self.config["mounts"][int(field[7:-1])].get("options") if field else ()
        return any(option in ("bind", "rbind") for option in options or ())


def fix(problem: str, remedy: str) -> str:
    return f"{problem}; fix: {remedy}"


def way(case: Case, walk: Walk, program: bool = True) -> str:
    """The component of the path, of a `program` or of a directory, that is missing, no directory,
    or closed."""
    for directory in walk.directories:
        if not case.who.may(directory, 1):
            return fix(
                f"the directory {directory.path} is not searchable for {case.who} "
                f"({_mode(directory)})",
                _chmod(case, walk, directory, "x"),
            )
    at = walk.end.path
    if walk.errno == errno.ENOTDIR:
        return fix(f"{at} is a file, not a directory", "correct the path")
    if walk.errno == errno.ELOOP:
        link, target = walk.link
        return fix(f"the symbolic links go in a circle at {link} -> {target}", "correct the links")
    if walk.errno == errno.ENAMETOOLONG:
        return fix("a part of the path is longer than 255 bytes", "correct the path")
    if walk.errno == errno.ENOENT:
        return _missing(case, walk, program)
    return ""


def _missing(case: Case, walk: Walk, program: bool) -> str:
    if empty := empty_root(case):
        return empty
    problem = f"{walk.end.path} has no {walk.missing}"
    point = walk.mount_point()
    hiding = case.mount_field(point)
    if hiding:
        problem += f" ({hiding}, mounted on {point}, hides what the image has there)"
    link, target = walk.link
    if link:
        problem = f"{link} is a symbolic link to {target}, and {problem}"
    base = case.name.rpartition("/")[2]
    for directory in case.search.split(":")[:SEARCHED] if program else ():
        with case.walk(f"{directory}/{base}") as other:
            if not other.errno and not file(case, other):
                return f"{problem}; did you mean {directory}/{base}?"
    if near := did_you_mean(walk.missing, sorted(names(walk.end)), NEAR):
        return f"{problem}; {near}"
    what = f"install the program {case.where}" if program else f"make it {case.where}"
    if hiding:
        remedy = f"remove {hiding}"
        if case.is_bind(hiding):
            gone = os.path.join(walk.end.path, walk.missing)
            wanted = case.name if program else case.cwd
            inside = os.path.relpath(wanted if wanted.startswith(f"{gone}/") else gone, point)
            remedy += f", or add {inside} to its source directory"
        return fix(problem, remedy)
    return fix(problem, f"correct the {'link' if link else 'path'}, or {what}")


def empty_root(case: Case) -> str:
    """Nothing is there but what the runtime makes itself."""
    if case.mount_field("/"):  # it hides what root.path has
        return ""
    with case.walk("/") as walk:
        if set(names(walk.end)) - {"dev", "etc", "proc", "run", "sys"}:
            return ""
    path = (case.config.get("root") or {}).get("path")
    return fix(
        f"the root file system {path} is empty", "unpack an image there, or correct root.path"
    )


def file(case: Case, walk: Walk) -> str:
    """What keeps a file that is there from being executed at all."""
    if walk.errno:
        return ""
    node, mode = walk.end, walk.end.status.st_mode
    if stat.S_ISDIR(mode):
        return f"fix: set {case.field} to a program in it"
    if not stat.S_ISREG(mode):
        problem = f"{node.path} is {_special(mode)}, not a regular file"
        return fix(problem, f"set {case.field} to a program")
    if walk.is_noexec():
        return _noexec(case, walk)
    if not mode & 0o111:
        problem = f"{node.path} is not executable ({_mode(node)})"
        return fix(problem, _chmod(case, walk, node, _rights(case, node), ""))
    if not case.who.may(node, 1):
        return fix(
            f"{node.path} is not executable for {case.who} ({_mode(node)})",
            f"{_chmod(case, walk, node, _rights(case, node))}, or choose another process.user",
        )
    return ""


def _chmod(case: Case, walk: Walk, node: Node, rights: str, whom: str | None = None) -> str:
    """The command, and whose file it is for: the image's, a mount's, or the host's own."""
    whom = case.who.part(node) if whom is None else whom
    field = case.mount_field(walk.mount_point(node))
    where = f" in the source of {field}" if case.is_bind(field) else " in the image"
    return f"chmod {whom}+{rights} {node.path}{where if case.config.get('root') else ''}"


def _rights(case: Case, node: Node) -> str:
    """A script is read by its interpreter, with the rights of the user."""
    program = binary.look(node.fd)
    is_script = program is not None and program.kind == "script"
    return "rx" if is_script and not case.who.may(node, _READ) else "x"


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
        remedy = f"remove noexec from {field}.options, or put the program elsewhere"
        if not _names_noexec(case, field):
            remedy = f"mount the source of {field} with exec, or put the program elsewhere"
        return fix(f"{walk.end.path} is on {point}, which is mounted noexec", remedy)
    if point == "/":
        above = _mounted_noexec(walk)
        place = f", at {above}" if above else ""
        return fix(
            f"the file system of root.path is mounted noexec on the host{place}",
            f"move the bundle, or mount -o remount,bind,exec {above or 'it'}",
        )
    return fix(f"{walk.end.path} is on {point}, which is mounted noexec", "put it elsewhere")


def _mounted_noexec(walk: Walk) -> str:
    """The mount point on the host, "" when there is not exactly one."""
    device = walk.end.status.st_dev
    number = f"{os.major(device)}:{os.minor(device)}"
    lines = [line.split(" ") for line in read("/proc/self/mountinfo").splitlines()]
    points = {line[4] for line in lines if line[2] == number and "noexec" in line[5].split(",")}
    return points.pop() if len(points) == 1 else ""


def _names_noexec(case: Case, field: str) -> bool:
    index = int(field[7:-1])
    return "noexec" in (case.config["mounts"][index].get("options") or ())


def _mode(node: Node) -> str:
    return f"mode {node.status.st_mode & 0o7777:04o}, owner {node.status.st_uid}"
