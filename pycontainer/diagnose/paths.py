"""Why a path could not be reached or written: which component, for whom, and what opens it."""

from __future__ import annotations

import os
import re
import stat
from errno import EACCES, ELOOP, ENOENT, ENOTDIR, EPERM, EROFS

from pycontainer.base.errors import os_reason
from pycontainer.base.nearest import nearest
from pycontainer.base.obstacle import Obstacle
from pycontainer.diagnose.namespaces import read
from pycontainer.plan.ops import TABLE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from pycontainer.base.errors import ContainerError
    from pycontainer.plan.ops import Op

_SEARCH, _WRITE = 1, 2
_SYSTEM = frozenset("bin boot dev etc lib lib32 lib64 libx32 proc sbin sys usr".split())
# Operations that go to a path of the host; the others write below the root file system.
_SOURCES = {
    "open_source": "path",
    "open_tree": "path",
    "open_inside": "path",
    "open_locked": "path",
    "rootfs": "path",
    "bind": "source",
    "bind_host": "source",
    "bind_link": "source",
}


def root(op: Op) -> str:
    """A root file system that is not there, or no directory."""
    path = op["path"].decode("utf-8", "surrogateescape")
    if os.path.exists(path):
        problem = "" if os.path.isdir(path) else f"{path} is a file, not a directory"
    else:
        problem = which_part(path)
    return f"{problem}; fix: unpack an image there, or correct the path" if problem else ""


def source(op: Op) -> str:
    """The source of a bind mount that is not there."""
    if op.kind in ("bind", "bind_host") and op["slot"] >= 0:  # it has been opened by now
        return ""
    path = op[_SOURCES[op.kind]].decode("utf-8", "surrogateescape")
    if os.path.exists(path):
        return ""
    return str(obstacle(path, f"correct {op.field}.source" if op.field[:1] == "m" else ""))


def target(ops: Sequence[Op], op: Op, code: str) -> str:
    """A part of a path in the root file system that is a file of the image."""
    from pycontainer.diagnose.tree import Walk

    place = next((o["path"] for o in ops if o.kind == "rootfs"), b"").decode()
    name = op["target" if "target" in TABLE[op.kind][2] and op.kind != "symlink" else "path"]
    fd = os.open(place, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with Walk(fd, name.decode("utf-8", "surrogateescape")) as walk:
            if code in ("target-is-file", "target-is-directory") and not walk.errno:
                return _other_kind(op, code)
            if walk.errno == ENOTDIR:
                member = "destination" if op.field.startswith("mounts[") else "path"
                return (
                    f"it would lie below {walk.end.path}, which is a file in the image; "
                    f"fix: change {op.field}.{member}"
                )
            if walk.errno == ELOOP:
                return f"the symbolic links of the image go in a circle at {walk.link[0]}"
        return ""
    finally:
        os.close(fd)


def _other_kind(op: Op, code: str) -> str:
    """A file can be mounted on a file only, a directory on a directory."""
    source, target = (
        op["source"].decode("utf-8", "replace"),
        op["target"].decode("utf-8", "replace"),
    )
    if code == "target-is-file":
        return f"fix: name a directory as {op.field}.destination, or a file as its source"
    name = os.path.basename(source.rstrip("/"))
    return f"fix: mount it on a file, e.g. {target.rstrip('/')}/{name}, or bind a directory"


def device(ops: Sequence[Op], op: Op, code: str) -> str:
    """A device whose place is taken, or that is to be the host's own."""
    path = op["path"].decode("utf-8", "replace")
    if code == "open-host":
        same = _same_device(op["device"], op["mode"])
        return (
            "no device can be made in a user namespace or without CAP_MKNOD, so the host's is"
            f" bound, and it has none at {path}; "
            f"fix: set {op.field}.path to a device that the host has{same}"
        )
    if code != "file-there":
        return ""
    twins = [o.field for o in ops if o.kind == op.kind and o["path"] == op["path"]]
    if len(twins) > 1:
        return f"{' and '.join(twins)} have the same path; fix: remove one, or change its path"
    return "fix: choose another path, or remove that file from the image"


def _same_device(number: int, mode: int) -> str:
    """The host's node of a device number, which sysfs names."""
    major_minor = f"{number >> 32}:{number & 0xFFFFFFFF}"
    kind = "block" if stat.S_ISBLK(mode) else "char"
    name = re.search("^DEVNAME=(.*)", read(f"/sys/dev/{kind}/{major_minor}/uevent"), re.MULTILINE)
    path = f"/dev/{name[1]}" if name else ""
    return f" ({major_minor} is {path})" if os.path.exists(path) else ""


def closed(ops: Sequence[Op], op: Op) -> str:
    """The component on the way of this operation that is closed, or ""."""
    ids = (os.geteuid(), os.getegid())
    inner = _mapped_root(ops)
    early = (
        op.kind in ("bind", "bind_host") and op["slot"] >= 0
    )  # its source has been opened by now
    if op.kind in _SOURCES and not early:
        path = op[_SOURCES[op.kind]].decode("utf-8", "surrogateescape")
        found = unsearchable(path, ids) or (inner and unsearchable(path, inner))
        if found:
            return str(found)
    if inner and not op.kind.startswith("open_"):
        root = next((o["path"].decode() for o in ops if o.kind == "rootfs"), "")
        return str(unwritable(root, inner) or "") if root else ""
    return ""


def missing(path: str) -> str:
    """What is wrong with a path of the host; "" when it is there."""
    try:
        os.stat(path)
        return ""
    except FileNotFoundError:
        problem = which_part(path)
        known = problem.startswith(f"{path} does not exist")
        return problem if known else f"{path} does not exist: {problem}"
    except NotADirectoryError:
        return which_part(path)
    except PermissionError:
        closed = unsearchable(path, (os.geteuid(), os.getegid()))
        return closed.problem if closed else f"{path}: permission denied"
    except OSError as error:
        return f"{path}: {os_reason(error.errno or 0)}"


def which_part(path: str) -> str:
    """The part of a path that is not there, and what it is perhaps called."""
    return obstacle(path).problem


def obstacle(path: str, correct: str = "") -> Obstacle:
    """The same with what to do; `correct` tells which field to correct, when there is one."""
    correct = correct or "correct the path"
    at = path
    while at != "/" and not os.path.lexists(at):
        at = os.path.dirname(at)
    if os.path.islink(at) and _is_circle(at):
        to = os.readlink(at)
        problem = f"the symbolic links go in a circle at {at} -> {to}"
        if os.path.join(os.path.dirname(at), to) == at:
            problem = f"{at} is a symbolic link to itself"
        return Obstacle(problem, "correct the link")
    if os.path.islink(at) and not os.path.exists(at):
        problem = f"{at} is a symbolic link to {os.readlink(at)}, which does not exist"
        return Obstacle(problem, "correct the link")
    if not os.path.isdir(at):
        return Obstacle(f"{at} is a file, not a directory", correct)
    name = path[len(at) :].strip("/").partition("/")[0]
    try:
        near = nearest(name, os.listdir(at))
    except OSError:
        near = []
    gone = f"{at.rstrip('/')}/{name}"
    what = gone if gone == path.rstrip("/") else f"the directory {gone}"
    problem = f"{what} does not exist"
    if near:
        problem = f"{at} has no {name}, but {near[0]}"
    return Obstacle(problem, f"create it, or {correct}")


def _is_circle(path: str) -> bool:
    try:
        os.stat(path)
    except OSError as error:
        return error.errno == ELOOP
    return False


def unsearchable(path: str, ids: tuple[int, int]) -> Obstacle | None:
    """The first directory on the way to `path` that this user and group may not search."""
    at = ""
    for part in os.path.realpath(path).split("/")[1:-1]:
        at += f"/{part}"
        try:
            status = os.stat(at)
        except PermissionError:
            return None  # the one above was closed already
        except OSError:
            return None
        if not may(status, ids, _SEARCH) and not _by_acl(at, ids):
            remedy = f"setfacl -m u:{ids[0]}:x {at} (or: chmod o+x {at})"
            if status.st_uid != os.geteuid() and not f"{at}/".startswith(f"{_home()}/"):
                remedy = "use a path that this user may search"
            return Obstacle(
                f"the directory {at} is not searchable for uid {ids[0]} (mode "
                f"{status.st_mode & 0o7777:04o}, owner {status.st_uid})",
                remedy,
            )
    return None


def _home() -> str:
    """The home of the user whom we run as, whatever $HOME says."""
    import pwd

    try:
        return os.path.realpath(pwd.getpwuid(os.geteuid()).pw_dir)
    except KeyError:
        return "/nonexistent"


def _by_acl(path: str, ids: tuple[int, int]) -> bool:
    """For ourselves the kernel knows best, access control lists and all."""
    return ids[0] == os.geteuid() and os.access(path, os.X_OK)


def may(status: os.stat_result, ids: tuple[int, int], right: int) -> bool:
    """The mode's answer; capabilities of the host's root are not counted but for root itself."""
    uid, gid = ids
    if uid == 0:
        return True
    shift = 6 if status.st_uid == uid else 3 if status.st_gid == gid else 0
    return bool(status.st_mode >> shift & right)


def unwritable(root: str, ids: tuple[int, int]) -> Obstacle | None:
    """A root file system in which the container's root can make no mount point."""
    status = os.stat(root)
    if may(status, ids, _WRITE):
        return None
    remedy = "use a root file system of that user's, or make the mount point there beforehand"
    if _is_own(root, status):
        remedy = f"sudo chown -R {ids[0]}:{ids[1]} {root}"
    return Obstacle(
        f"the container's root is uid {ids[0]} of the host, who may not write in {root} "
        f"(owner {status.st_uid}, mode {status.st_mode & 0o7777:04o})",
        remedy,
    )


def _is_own(path: str, status: os.stat_result) -> bool:
    """Whether a directory is the caller's, and neither a home nor the system's: only such a one may
    a hint ask to give away."""
    parts = os.path.realpath(path).split("/")[1:]
    return (
        status.st_uid == os.geteuid()
        and len(parts) > 1
        and parts[0] not in _SYSTEM
        and not (parts[0] == "home" and len(parts) == 2)
        and not f"{_home()}/".startswith("/" + "/".join(parts) + "/")
    )


def _mapped_root(ops: Sequence[Op]) -> tuple[int, int] | None:
    """The host's ids of the container's root, when the plan makes its user namespace."""
    ids = {}
    for op in ops:
        if op.kind == "id_map":
            for line in op["lines"].decode().splitlines():
                inside, outside, count = map(int, line.split())
                if inside <= 0 < inside + count:
                    ids[op["file"]] = outside - inside
    return (ids[b"uid_map"], ids[b"gid_map"]) if len(ids) == 2 else None


def state_directory(error: ContainerError) -> str:
    """A path of the state directory that the kernel refuses: what to set."""
    if error.errno == ENOTDIR:
        return "a part of this path is a file; fix: give another --root"
    if error.errno == ENOENT:
        return f"{which_part(error.path)}; fix: give another --root"
    if error.errno not in (EACCES, EPERM, EROFS):
        return ""
    directory = os.environ.get("XDG_RUNTIME_DIR", "")
    if os.geteuid() != 0 and not directory:
        return "fix: set $XDG_RUNTIME_DIR to a directory of the user, or give --root"
    if directory and f"{error.path}/".startswith(directory.rstrip("/") + "/"):
        return runtime_directory(error)
    return "fix: give another --root" if error.errno == EROFS else ""


def runtime_directory(error: ContainerError) -> str:
    """What keeps the user's state directory from being made in $XDG_RUNTIME_DIR."""
    path, ours = os.environ.get("XDG_RUNTIME_DIR", ""), os.geteuid()
    what, problem, remedy = f"{path} ($XDG_RUNTIME_DIR)", "", ""
    try:
        status = os.stat(path)
    except OSError:
        problem = which_part(path) if path[:1] == "/" else f"$XDG_RUNTIME_DIR is {path!r}"
        remedy = "set $XDG_RUNTIME_DIR to a directory of this user, or "
    else:
        if status.st_uid != ours:
            problem = f"{what} belongs to uid {status.st_uid}, you are uid {ours}"
            remedy = "log in as this user (su keeps the old value), or "
        elif not may(status, (ours, os.getegid()), _WRITE):
            problem = f"{what} has mode {status.st_mode & 0o7777:04o}"
            remedy = f"chmod 0700 {path}, or "
    return f"{problem}{'; ' * bool(problem)}fix: {remedy}give --root DIR"
