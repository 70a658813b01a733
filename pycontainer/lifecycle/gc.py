"""What containers of this state directory have left behind: found, and removed on demand.

Three kinds: state directories of a `create` or `delete` that died, cgroups that are marked as ours
(cgroups/owner_xattr.py) while their container is gone, and failed units of systemd's that
are described as ours. Nothing without the mark of exactly this state directory is even looked at; a
container that has merely stopped is no orphan.
"""

from __future__ import annotations

import posix

from pycontainer.base.errors import ContainerError
from pycontainer.cgroups import owner_xattr
from pycontainer.cgroups.files import processes
from pycontainer.cgroups.layout import Hierarchy, probe
from pycontainer.cgroups.paths import CgroupPaths
from pycontainer.cgroups.systemd.scope import DESCRIPTION
from pycontainer.state.store import Store

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pycontainer.base.settings import Settings

DEEPEST = 16  # levels of cgroups that are searched


class Orphan:
    """Something left over: its `kind` (state, cgroup, unit), `name`, and a `note` on it."""

    __slots__ = ("_remove", "kind", "name", "note")

    def __init__(self, kind: str, name: str, note: str, remove: Callable[[], None]) -> None:
        self.kind = kind
        self.name = name
        self.note = note
        self._remove = remove

    def remove(self) -> None:
        """Remove it; ContainerError when it does not go."""
        self._remove()


def orphans(settings: Settings) -> list[Orphan]:
    """Everything that was left behind, in the order in which it should be removed."""
    Store(settings.root).check()
    return [*_cgroups(settings), *_units(settings), *_states(settings)]


# -- state directories -------------------------------------------------------------------------


def _states(settings: Settings) -> Iterator[Orphan]:
    store = Store(settings.root)
    try:
        names = sorted(posix.listdir(settings.root))
    except OSError:
        return
    known = set(store.ids())
    for name in names:
        path = f"{settings.root}/{name}"
        if name in known:
            if _died_creating(settings, name):
                note = "its create died"
                yield Orphan("state", path, note, lambda name=name: _delete(settings, name))  # type: ignore[misc]
        elif _abandoned(store, name):
            note = "without a container"
            yield Orphan("state", path, note, lambda name=name: _discard(store, name))  # type: ignore[misc]


def _died_creating(settings: Settings, name: str) -> bool:
    from pycontainer.lifecycle.container import Container

    try:
        container = Container.load(settings, name)
    except ContainerError:
        return False  # damaged: that is for a person to decide
    with container.entry:
        return container.facts.phase == "creating" and container.status() == "stopped"


def _abandoned(store: Store, name: str) -> bool:
    try:
        with store.open(name) as entry:
            return not entry.is_locked()
    except ContainerError:
        return False  # no id, or gone meanwhile


def _delete(settings: Settings, name: str) -> None:
    from pycontainer.lifecycle.container import Container

    Container.load(settings, name).delete(force=True)


def _discard(store: Store, name: str) -> None:
    store.discard(name)


# -- cgroups -----------------------------------------------------------------------------------


def _cgroups(settings: Settings) -> Iterator[Orphan]:
    ours = owner_xattr.identity(settings.root)
    if not ours:
        return
    for hierarchy in probe().hierarchies:
        for directory in _below(hierarchy.mountpoint, 0):
            identity, owner = owner_xattr.get(directory)
            if identity != ours or not owner.startswith(settings.root + "/"):
                continue
            if _belongs(settings, owner.rpartition("/")[2], directory):
                continue
            count = len(processes(directory))
            yield Orphan(
                "cgroup",
                directory,
                f"of {owner}, {count} process{'' if count == 1 else 'es'}",
                lambda h=hierarchy, d=directory: _remove_cgroup(h, d),  # type: ignore[misc]
            )


def _below(directory: str, depth: int) -> Iterator[str]:
    """All cgroups below one, the deepest first."""
    try:
        with posix.scandir(directory) as entries:
            inner = [entry.path for entry in entries if entry.is_dir(follow_symlinks=False)]
    except OSError:
        return  # removed meanwhile
    for path in inner:
        if depth < DEEPEST:
            yield from _below(path, depth + 1)
        yield path


def _belongs(settings: Settings, container_id: str, directory: str) -> bool:
    """Whether a container has the cgroup; in doubt it does."""
    try:
        with Store(settings.root).open(container_id) as entry:
            if not entry.exists():
                return entry.is_locked()  # a command is making it just now
            return directory in (entry.read_facts().cgroup.get("paths") or {}).values()
    except ContainerError:
        return posix.access(f"{settings.root}/{container_id}", posix.F_OK)


def _remove_cgroup(hierarchy: Hierarchy, directory: str) -> None:
    from pycontainer import cgroups

    mode = "v1" if hierarchy.controllers else "v2"
    names = hierarchy.controllers or ("",)
    paths = CgroupPaths(mode, dict.fromkeys(names, directory), True)
    cgroup = cgroups.load(paths.to_dict())
    cgroup.kill()
    unit = directory.rpartition("/")[2]
    if unit.endswith((".scope", ".slice")):
        _stop_unit(unit, "/user@" in directory)
    cgroup.delete()


# -- units of systemd's ------------------------------------------------------------------------


def _units(settings: Settings) -> Iterator[Orphan]:
    """Units that failed: their cgroup is gone, and only the name is left."""
    from pycontainer.cgroups.systemd.manager import Manager, is_the_users

    user = settings.rootless and is_the_users()
    if not posix.access("/run/systemd/system", posix.F_OK):
        return
    try:
        with Manager(user, deadline_s=5.0) as manager:
            found = manager.units("*")
    except ContainerError as error:
        settings.log.debug(f"ask systemd for its units: {error}")
        return
    for name, description in found:
        owner = description.removeprefix(DESCRIPTION)
        if owner == description or not owner.startswith(settings.root + "/"):
            continue
        if not posix.access(owner, posix.F_OK):
            yield Orphan("unit", name, f"of {owner}", lambda n=name: _forget(n, user))  # type: ignore[misc]


def _forget(unit: str, user: bool) -> None:
    from pycontainer.cgroups.systemd.manager import Manager

    with Manager(user) as manager:
        manager.reset_failed(unit)


def _stop_unit(unit: str, user: bool) -> None:
    from pycontainer.cgroups.systemd.manager import Manager

    with Manager(user) as manager:
        manager.stop(unit)
