"""Why an id map was refused: newuidmap and newgidmap, subuid(5), the outer user namespace."""

from __future__ import annotations

import os
import pwd
import stat
from errno import ECANCELED, EINVAL

from pycontainer.base.obstacle import Obstacle
from pycontainer.diagnose.namespaces import apparmor, filtered, read
from pycontainer.linux import idmap

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from pycontainer.plan.ops import Op

    Range = tuple[int, int]  # first, count

PAGE = 4096
COUNT = 65536  # ids of a usual range
FIRST = 100000
_PACKAGES = {
    "debian": "sudo apt install uidmap",
    "ubuntu": "sudo apt install uidmap",
    "fedora": "sudo dnf install shadow-utils",
    "rhel": "sudo dnf install shadow-utils",
    "suse": "sudo zypper install shadow",
    "arch": "sudo pacman -S shadow",
    "alpine": "sudo apk add shadow-uidmap",
}


def refused(op: Op, errno: int) -> str:
    """Why the map of this operation was refused, or ""."""
    file, lines = op["file"].decode(), parse(op["lines"].decode())
    if errno == EINVAL:
        return str(too_long(len(op["lines"])) or "")
    if not op["helper"]:
        return str(outside(file, lines) or apparmor() or "")
    if errno != ECANCELED:
        return ""
    found = unusable(file) or unlisted(file, lines) or beyond(file, lines) or apparmor()
    return str(found or "")


def parse(lines: str) -> list[tuple[int, int, int]]:
    """Lines of a map as (inside, outside, count)."""
    rows = [line.split() for line in lines.splitlines()]
    return [(int(a), int(b), int(c)) for a, b, c in rows]


def too_long(size: int) -> Obstacle | None:
    """user_namespaces(7): a map is one write of less than a page."""
    if size < PAGE:
        return None
    return Obstacle(f"the map is {size} bytes long, the kernel takes {PAGE - 1}", "join ranges")


def outside(file: str, rows: list[tuple[int, int, int]]) -> Obstacle | None:
    """Only ids that exist in our own user namespace can be given on."""
    ours = [(start, count) for start, _, count in parse(read(f"/proc/self/{file}"))]
    for _, first, count in rows:
        if not contains(ours, first, count):
            return Obstacle(
                f"ids {first} to {first + count - 1} do not exist in this user namespace, "
                f"which has {describe(ours)}",
                "map only ids that are there",
            )
    return None


def contains(ranges: list[Range], first: int, count: int) -> bool:
    """Whether all of these ids are in the ranges, which may touch."""
    at, end = first, first + count
    for start, size in sorted(ranges):
        if start <= at < start + size:
            at = start + size
    return at >= end


def describe(ranges: list[Range]) -> str:
    """In words: "100000-165535"."""
    return ", ".join(f"{start}-{start + count - 1}" for start, count in ranges) or "none"


# -- newuidmap and newgidmap --------------------------------------------------------------------


def unusable(file: str) -> Obstacle | None:
    """The program is missing, or lacks the privilege that it is there for."""
    name = idmap.program_of(file)
    path = idmap.find(name)
    if not path:
        return Obstacle(f"{name} is not installed", install_command())
    capability = "cap_setuid" if file == "uid_map" else "cap_setgid"
    mode = os.stat(path)
    setuid = bool(mode.st_mode & stat.S_ISUID) and mode.st_uid == 0
    if not setuid and not _has_capabilities(path):
        return Obstacle(
            f"{path} is not setuid root and lacks {capability.upper()}",
            f"sudo chmod u+s {path} (or: sudo setcap {capability}+ep {path})",
        )
    if os.statvfs(path).f_flag & os.ST_NOSUID:
        return Obstacle(
            f"{path} is on a file system that is mounted nosuid",
            f"sudo mount -o remount,suid $(findmnt -nro TARGET -T {path})",
        )
    if "NoNewPrivs:\t1" in read("/proc/self/status"):
        return Obstacle(
            f"{path} gets no privileges: no_new_privs is set on this process",
            "start pycontainer without no_new_privs (in a systemd unit: NoNewPrivileges=no)",
        )
    return filtered() if not setuid else None


def _has_capabilities(path: str) -> bool:
    try:
        return bool(os.getxattr(path, "security.capability"))
    except OSError:
        return False


def install_command() -> str:
    """How this distribution installs newuidmap and newgidmap."""
    names: list[str] = []
    for line in read("/etc/os-release").splitlines():
        key, _, value = line.partition("=")
        if key in ("ID", "ID_LIKE"):
            names += value.strip("\"'").split()
    for name in names:
        if name in _PACKAGES:
            return _PACKAGES[name]
    return "install the package with newuidmap (uidmap or shadow-utils)"


# -- /etc/subuid and /etc/subgid ----------------------------------------------------------------


def user_name() -> str:
    """The caller's login name, "" without one."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return ""


def listed(file: str) -> list[Range]:
    """The caller's ranges in /etc/subuid or /etc/subgid, subuid(5)."""
    return [(first, count) for who, first, count in _entries(file) if who in _own_names()]


def _own_names() -> tuple[str, ...]:
    return tuple(name for name in (user_name(), str(os.getuid())) if name)


def _entries(file: str) -> list[tuple[str, int, int]]:
    entries = []
    for line in read(path_of(file)).splitlines():
        fields = line.split(":")
        if len(fields) == 3 and fields[1].isdigit() and fields[2].isdigit():
            entries.append((fields[0], int(fields[1]), int(fields[2])))
    return entries


def path_of(file: str) -> str:
    """/etc/subuid for "uid_map", /etc/subgid for "gid_map"."""
    return "/etc/subuid" if file == "uid_map" else "/etc/subgid"


def unlisted(file: str, rows: Sequence[tuple[int, int, int]] = ()) -> Obstacle | None:
    """newuidmap knows users by name, and their ranges by these two files."""
    name = user_name()
    if not name:
        return Obstacle(
            f"uid {os.getuid()} has no entry in /etc/passwd, newuidmap wants one",
            "add the user, or map its own id only",
        )
    if listed(file):
        return None
    lacking = next((row[1:] for row in rows if not contains([_own(file)], *row[1:])), None)
    return Obstacle(f"{name} has no range in {path_of(file)}", _grant(file, lacking))


def _own(file: str) -> Range:
    return (os.getuid() if file == "uid_map" else os.getgid(), 1)


def _grant(file: str, wanted: Range | None) -> str:
    """The command that gives the caller these ids: in this file, and in the other one too if that
    lists none. Ids of other users are never given away: then it is a free range of that length."""
    files = [f for f in ("uid_map", "gid_map") if f == file or not listed(f)]
    first, count = wanted or (0, COUNT)
    entries = [entry for f in files for entry in _entries(f) if entry[0] not in _own_names()]
    free = first >= FIRST and not any(a < first + count and first < a + n for _, a, n in entries)
    start = first if free else _behind_all()
    fields = " and ".join(f"linux.{f[:3]}Mappings" for f in files)
    if start + count > 1 << 32:
        return f"map fewer ids in {fields}"
    options = " ".join(f"{_OPTIONS[f]} {start}-{start + count - 1}" for f in files)
    command = f"sudo usermod {options} {user_name()}"
    if free or not wanted:
        return command
    return f"{command}, then set hostID to {start} in {fields}"


_OPTIONS = {"uid_map": "--add-subuids", "gid_map": "--add-subgids"}


def _behind_all() -> int:
    """The first id behind all ranges of both files."""
    used = [first + count for file in _OPTIONS for _, first, count in _entries(file)]
    return max([FIRST, *used])


def beyond(file: str, rows: list[tuple[int, int, int]]) -> Obstacle | None:
    """A mapping to ids that are not the caller's."""
    ours = [*listed(file), _own(file)]
    for _, first, count in rows:
        if not contains(ours, first, count):
            return Obstacle(
                f"ids {first} to {first + count - 1} are not all of {user_name()}'s in "
                f"{path_of(file)}, which has {describe(listed(file))}",
                f"change the mapping, or: {_grant(file, (first, count))}",
            )
    return None
