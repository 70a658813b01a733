"""What this host offers to containers, and to the caller: each fact with what it means.

Output: sections of Item values, looked up now, changing nothing. Root and an ordinary user get
different answers, because the question is what the caller can do. `document` is the same for
programs.
"""

from __future__ import annotations

import os
import resource
import sys

from pycontainer import __version__
from pycontainer.base.obstacle import Obstacle
from pycontainer.diagnose import id_maps as diagnose_id_maps
from pycontainer.diagnose import namespaces as diagnose_namespaces
from pycontainer.diagnose.namespaces import read
from pycontainer.hostinfo import cgroups, programs
from pycontainer.hostinfo.item import Item

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from pycontainer.base.settings import Settings

SNAPSHOT_ROOM = 64 << 20  # as in csrc/launcher/front_python.c


def sections(settings: Settings) -> list[tuple[str, list[Item]]]:
    """All that is known, by heading."""
    parts: tuple[tuple[str, Callable[[], list[Item]]], ...] = (
        ("runtime", lambda: _runtime(settings)),
        ("kernel", _kernel),
        ("namespaces", _namespaces),
        ("user namespaces", _user_namespaces),
        ("cgroups", cgroups.items),
        ("security", programs.security),
        ("programs", lambda: programs.programs(settings)),
    )
    return [(name, items()) for name, items in parts]


def document(settings: Settings) -> dict[str, Any]:
    """section: key: {value, meaning, fix}."""
    return {
        section: {
            item.key: {"value": item.value, "meaning": item.meaning}
            | ({"fix": item.fix} if item.fix else {})
            for item in items
        }
        for section, items in sections(settings)
    }


def text(settings: Settings) -> str:
    """For a person: a line for each fact, and one more where something can be fixed."""
    lines = []
    for section, items in sections(settings):
        lines.append(f"{section}\n")
        for item in items:
            lines.append(f"  {item.key:22} {_shown(item.value)}\n")
            lines.append(f"  {'':22}   {item.meaning}\n")
            if item.fix:
                lines.append(f"  {'':22}   fix: {item.fix}\n")
    return "".join(lines)


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return " ".join(map(str, value)) or "none"
    return str(value) if value != "" else "none"


# -- the sections -------------------------------------------------------------------------------


def _runtime(settings: Settings) -> list[Item]:
    from pycontainer.plan.serialize import checksum
    from pycontainer.spec.default_config import SPEC_VERSION

    who = (
        "an ordinary user: a container needs a user namespace"
        if settings.rootless
        else ("root of this host: nothing is out of reach")
    )
    python = ".".join(map(str, sys.version_info[:3]))
    return [
        Item("version", __version__, f"implements runtime-spec {SPEC_VERSION}"),
        Item("plan", f"{checksum():08x}", "runtime and executor of one build agree on this number"),
        Item("python", python, f"runs from {os.path.dirname(os.path.dirname(__file__))}"),
        _start(),
        Item("user", os.geteuid(), f"rootless: {_shown(settings.rootless)}; {who}"),
        Item("state directory", settings.root, _state_meaning(settings.root)),
    ]


def _start() -> Item:
    """How this very command was started, and why not in the quick way."""
    snapshot = getattr(sys, "pycontainer_snapshot", None)
    if snapshot:  # its snapshot/preload.py
        changed = snapshot.changed()
        if changed:
            return Item("start", "snapshot", f"made with another {changed}", snapshot.fix)
        return Item("start", "snapshot", "Python has started when pycontainer was installed: 1 ms")
    directory = getattr(sys, "pycontainer_installation", "")
    if not directory:
        return Item("start", "script", "as in a checkout; the installed command is faster")
    why, fix = _why_ordinary(f"{directory}/snapshot/pycontainer")
    return Item("start", "ordinary", f"Python starts with each command: 10 ms; {why}", fix)


def _why_ordinary(path: str) -> tuple[str, str]:
    """Why the front of an installation has not started this snapshot, and what to do about it."""
    make = f"{os.path.dirname(os.path.dirname(path))}/make-snapshot"
    if os.environ.get("PYCONTAINER_ORDINARY_START"):
        return "$PYCONTAINER_ORDINARY_START is set", "unset it"
    try:
        found = os.stat(path)
        with open(path, "rb") as file:
            header = file.read(64)
    except OSError as error:
        return f"the snapshot cannot be read: {error.strerror}", f"run {make}, which says why"
    if found.st_mode & 0o022 or found.st_uid != os.stat(make).st_uid:
        return f"others may write to {path}", f"run {make} as its owner"
    if header[:4] != b"\x7fELF" or int.from_bytes(header[40:48], "little") + 64 != found.st_size:
        return f"{path} is damaged", f"run {make}"
    if not os.access(path, os.X_OK):
        return f"{path} is not executable", f"run {make}"
    limits = resource.RLIMIT_DATA, resource.RLIMIT_AS
    if any(0 <= resource.getrlimit(limit)[0] < SNAPSHOT_ROOM for limit in limits):
        return "the limit of data or address space is too low", "ulimit -d and -v of 65536 or more"
    return "the snapshot is of another processor", f"run {make}"


def _state_meaning(root: str) -> str:
    at = root
    while not os.path.exists(at):
        at = os.path.dirname(at)
    if os.access(at, os.W_OK):
        return "containers are kept here"
    return f"{at} is not writable for you: set $XDG_RUNTIME_DIR, or give --root"


_KERNEL_FEATURES = (
    ((5, 12), "idmapped mounts, and all that pycontainer needs"),
    ((5, 14), "cgroup.kill: a container ends at once"),
    ((6, 3), "idmapped tmpfs"),
)


def _kernel() -> list[Item]:
    release = os.uname().release
    numbers = []
    for part in release.replace("-", ".").split(".")[:2]:
        numbers.append(int(part) if part.isdigit() else 0)
    version = tuple(numbers)
    good = version >= (5, 12)
    has = "; ".join(words for least, words in _KERNEL_FEATURES if version >= least)
    meaning = f"has {has}" if good else "too old: pycontainer needs Linux 5.12"
    mapped = _idmapped_mounts()
    if mapped is None:
        mapped, words = (
            good,
            "by the kernel's version; only root can try, and only root can use them",
        )
    else:
        words = "mounts[].uidMappings and the option idmap work" if mapped else "not in this kernel"
    return [
        Item("release", release, meaning),
        Item("machine", os.uname().machine, "x86_64 and aarch64 are supported"),
        Item("idmapped mounts", mapped, words),
    ]


def _idmapped_mounts() -> bool | None:
    """Tried on a tmpfs-like mount of our own that is attached nowhere; None when we may not try."""
    from pycontainer._shim import lib

    tree = lib.shim_open_tree(b"/", 0)
    if tree < 0:
        return None
    try:
        space = lib.shim_user_namespace(b"0 100000 1\n", b"0 100000 1\n")
        if space < 0:
            return None
        try:
            return bool(lib.shim_idmap(tree, space, 0) == 0)
        finally:
            os.close(space)
    finally:
        os.close(tree)


_MEANINGS = {
    "pid": "own process numbers; its end ends all",
    "network": "own interfaces, routes and ports",
    "mount": "own file tree",
    "ipc": "own System V IPC and POSIX queues",
    "uts": "own host name",
    "user": "own ids: root inside is an unprivileged id outside",
    "cgroup": "own view of the cgroup tree",
    "time": "own boot time and monotonic clock",
}


def _namespaces() -> list[Item]:
    from pycontainer.tables.namespaces import FILES

    limits = {"network": "net", "mount": "mnt"}
    items = []
    for kind, file in FILES.items():
        present = os.path.exists(f"/proc/self/ns/{file}")
        limit = read(f"/proc/sys/user/max_{limits.get(kind, kind)}_namespaces")
        value: Any = present
        meaning = _MEANINGS[kind] if present else "this kernel was built without"
        fix = ""
        if present and limit == "0":
            found = diagnose_namespaces.limit(diagnose_namespaces.flag_of(kind))
            value, meaning = False, found.problem if found else meaning
            fix = found.command if found else ""
        elif present and limit:
            meaning += f" (at most {limit} of this type)"
        items.append(Item(kind, value, meaning, fix))
    return items


def _user_namespaces() -> list[Item]:
    from pycontainer.base.settings import in_user_namespace

    inside = in_user_namespace()
    place = (
        "in one already: what is not mapped here cannot be mapped on"
        if inside
        else ("this is the host's own")
    )
    found = [obstacle for find in diagnose_namespaces.OBSTACLES if (obstacle := find())]
    items = [
        Item("inside of one", inside, place),
        _obstacle_item("unprivileged", found, "an ordinary user can make them"),
    ]
    for file, name in (("uid_map", "subuid"), ("gid_map", "subgid")):
        ranges = diagnose_id_maps.describe(diagnose_id_maps.listed(file))
        missing = diagnose_id_maps.unlisted(file) if os.geteuid() else None
        words = "root maps any id, and needs none" if not os.geteuid() else "ids you may map"
        items.append(_ranges_item(name, ranges, words, missing))
        items.append(_helper_item(file))
    return items + _places()


def _places() -> list[Item]:
    """What is on the way of a container in a user namespace: a covered /proc, a closed home."""
    from pycontainer.diagnose import mounts as diagnose_mounts
    from pycontainer.diagnose import paths as diagnose_paths

    covered = diagnose_mounts.covered("/proc")
    items = [
        _obstacle_item("proc", [covered] if covered else [], "a new one can be mounted in them")
    ]
    if os.geteuid() != 0:
        ids = (os.geteuid(), os.getegid())
        closed = diagnose_paths.unsearchable(os.path.expanduser("~/bundle"), ids)
        good = "bundles below yours can be reached"
        items.append(_obstacle_item("home", [closed] if closed else [], good))
    return items


def _ranges_item(name: str, ranges: str, words: str, missing: Obstacle | None) -> Item:
    if missing is None:
        return Item(name, ranges, words)
    meaning = f"{missing.problem}: only your own id can be mapped"
    return Item(name, ranges, meaning, missing.command)


def _helper_item(file: str) -> Item:
    from pycontainer.linux import idmap

    name = idmap.program_of(file)
    path = idmap.find(name)
    found = diagnose_id_maps.unusable(file)
    if found is None:
        return Item(name, path, "writes the maps that an ordinary user may not write")
    return Item(name, path, found.problem, found.command)


def _obstacle_item(key: str, found: list[Obstacle], good: str) -> Item:
    if not found:
        return Item(key, True, good)
    commands = " && ".join(obstacle.command for obstacle in found if obstacle.command)
    return Item(key, False, "; ".join(obstacle.problem for obstacle in found), commands)
