"""All containers of a state directory, sampled together, with rates between two samples.

    fleet = Fleet(settings)
    fleet.sample()
    time.sleep(5)
    for row in fleet.sample(): print(row.id, row.cpu)

A container's facts are read once; that it is another one of the same name is seen by its state
file. Its status is asked for when it may have changed, and now and then.
"""

from __future__ import annotations

import os
import time
from calendar import timegm
from collections.abc import Callable
from typing import Any

from pycontainer.base.errors import ContainerError
from pycontainer.base.settings import Settings
from pycontainer.cgroups.paths import CgroupPaths
from pycontainer.lifecycle.list import owner_name
from pycontainer.linux.process import start_time
from pycontainer.monitor.sample import Reader, Sample
from pycontainer.state.state import Facts
from pycontainer.state.store import FACTS, Store

RECHECK = 6  # samples between two looks at a container's status
_TICKS = os.sysconf("SC_CLK_TCK")
_BOOT = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)
# An annotation's prefix tells the engine; else a part of the bundle's path does.
ENGINES = (
    ("io.cri-o.", "cri-o"),
    ("io.kubernetes.cri-o.", "cri-o"),
    ("io.kubernetes.cri.", "containerd-cri"),
    ("io.podman.", "podman"),
    ("io.buildah.", "buildah"),
)
BUNDLES = (
    ("/io.containerd.runtime.v2.task/moby/", "docker"),
    ("/io.containerd.runtime.v2.task/k8s.io/", "containerd-cri"),
    ("/io.containerd.runtime.v2.task/", "containerd"),
    ("/overlay-containers/", "podman"),
    ("/buildah", "buildah"),
)
# Annotations that name the image, the most exact first.
IMAGES = (
    "io.kubernetes.cri.image-name",
    "io.kubernetes.cri-o.ImageName",
    "org.opencontainers.image.ref.name",
)
_MANAGERS = {"libpod": "podman", "cri-o": "cri-o"}


class Row:
    """One container now. Rates are per second, since the sample before; 0 at the first."""

    def __init__(self, container_id: str, facts: Facts | None) -> None:
        self.id = container_id
        self.facts = facts
        self.status = "broken" if facts is None else "stopped"
        self.engine = engine(facts) if facts else ""
        self.owner = owner_name(facts.owner) if facts else ""
        self.created = _epoch(facts.created) if facts else 0.0
        self.sample: Sample | None = None
        self.before: Sample | None = None
        self.active: float | None = None  # when it last did something (activity.py), if known

    @property
    def age(self) -> float:
        """Seconds since it was created."""
        return time.time() - self.created if self.created else 0.0

    @property
    def image(self) -> str:
        """What it was made from, "" when that is not recorded."""
        annotations = self.facts.annotations if self.facts else {}
        return next((annotations[key] for key in IMAGES if key in annotations), "")

    @property
    def idle(self) -> float | None:
        """Seconds since it did something, None before the first look."""
        return None if self.active is None else max(0.0, time.time() - self.active)

    @property
    def cgroup(self) -> str:
        """Its cgroup's path below the mount point, "" without one."""
        cgroup = self.facts.cgroup if self.facts else {}
        paths = cgroup.get("paths") or {}
        directory = paths.get("") or paths.get("memory") or next(iter(paths.values()), "")
        below = str(directory).removeprefix("/sys/fs/cgroup/")
        if cgroup.get("mode") != "v2":  # the first part is the hierarchy
            below = below.partition("/")[2]
        return f"/{below}" if below else ""

    def rate(self, name: str) -> float:
        """Of a counter of Sample."""
        now, before = self.sample, self.before
        if now is None or before is None or now.time <= before.time:
            return 0.0
        growth = getattr(now, name) - getattr(before, name)
        return max(0.0, growth / (now.time - before.time))

    def pressure(self, resource: str) -> float:
        """Share of the time, in percent, in which some of its processes waited for it."""
        now, before = self.sample, self.before
        if now is None or before is None or resource not in now.pressure:
            return 0.0
        growth = now.pressure[resource][0] - before.pressure.get(resource, (0.0, 0.0))[0]
        return max(0.0, 100 * growth / max(now.time - before.time, 1e-9))

    def throttled(self) -> float:
        """Share of the periods, in percent, in which its quota was used up."""
        now, before = self.sample, self.before
        if now is None or before is None or now.periods <= before.periods:
            return 0.0
        growth = now.throttled_periods - before.throttled_periods
        return 100 * growth / (now.periods - before.periods)

    def last_exec(self) -> float:
        """When its youngest process was started that came from outside (exec); 0 without one.

        Costs a look at each of its processes.
        """
        if self.facts is None or self.sample is None or self.status not in ("running", "paused"):
            return 0.0
        paths = CgroupPaths.from_dict(self.facts.cgroup)
        pids = set(_pids(paths))
        started = 0.0
        for pid in pids - {self.facts.pid}:
            parent, ticks = _parent(pid)
            if parent not in pids and ticks:
                started = max(started, _BOOT + ticks / _TICKS)
        return started


class Fleet:
    """The rows of all containers; those that `wanted` names, if it is given."""

    def __init__(self, settings: Settings, wanted: Callable[[str], bool] | None = None) -> None:
        self.settings = settings
        self.store = Store(settings.root)
        self.wanted = wanted or (lambda container_id: True)
        self._rows: dict[str, Row] = {}
        self._readers: dict[str, Reader] = {}
        self._files: dict[str, tuple[int, int]] = {}
        self._round = 0

    def sample(self) -> list[Row]:
        """All of them now, sorted by id."""
        self._round += 1
        names = [name for name in self.store.ids() if self.wanted(name)]
        for gone in self._rows.keys() - set(names):
            self._forget(gone)
        return [row for row in map(self._one, names) if row is not None]

    def rows(self) -> list[Row]:
        """Those of the last sample."""
        return list(self._rows.values())

    def _one(self, name: str) -> Row | None:
        try:
            found = os.stat(f"{self.settings.root}/{name}/{FACTS}")
        except OSError:
            self._forget(name)
            return None
        identity = (found.st_ino, found.st_mtime_ns)
        if self._files.get(name) != identity:
            self._load(name)
            self._files[name] = identity
        row = self._rows[name]
        if name in self._readers:
            before = row.sample
            row.before, row.sample = before, self._readers[name].read()
            appeared = (before is None) != (row.sample is None)
            emptied = before and row.sample and (before.pids == 0) != (row.sample.pids == 0)
            if appeared or emptied or (self._round + hash(name)) % RECHECK == 0:
                self._look(row)
        return row

    def _load(self, name: str) -> None:
        old = self._rows.get(name)
        facts = None
        try:
            with self.store.open(name) as entry:
                facts = entry.read_facts()
        except ContainerError as error:
            self.settings.log.debug(f"load container {name}: {error}")
        row = self._rows[name] = Row(name, facts)
        if old and facts and old.facts and old.facts.created == facts.created:
            row.sample, row.active = old.sample, old.active
        if facts is not None:
            if facts.cgroup:
                self._readers[name] = Reader(CgroupPaths.from_dict(facts.cgroup))
            self._look(row)

    def _look(self, row: Row) -> None:
        from pycontainer.lifecycle.container import Container

        try:
            container = Container.load(self.settings, row.id)
            with container.entry:
                row.status = container.status()
        except ContainerError:
            row.status = "broken"

    def _forget(self, name: str) -> None:
        for table in (self._rows, self._readers, self._files):
            table.pop(name, None)


def engine(facts: Facts) -> str:
    """Who has created it, by what engines leave in annotations and bundles; "" if unknown."""
    manager = facts.annotations.get("io.container.manager", "")
    if manager in _MANAGERS:
        return _MANAGERS[manager]
    for name in facts.annotations:
        for prefix, known in ENGINES:
            if name.startswith(prefix):
                return known
    return next((known for part, known in BUNDLES if part in facts.bundle), "")


def _epoch(text: str) -> float:
    """Seconds since 1970 of an RFC 3339 time in UTC."""
    try:
        return float(timegm(time.strptime(text[:19], "%Y-%m-%dT%H:%M:%S")))
    except ValueError:
        return 0.0


def _pids(paths: CgroupPaths) -> list[int]:
    from pycontainer.cgroups.files import processes

    directory = paths.unified or paths.directory("pids") or paths.directory("memory")
    return processes(directory) if directory else []


def _parent(pid: int) -> tuple[int, int]:
    """The parent, and the start in ticks since boot; zeros when it has gone."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
        return int(fields[1]), start_time(pid) or 0
    except (OSError, ValueError, IndexError):
        return 0, 0


def document(row: Row) -> dict[str, Any]:
    """One row as JSON has it."""
    found: dict[str, Any] = {
        "id": row.id,
        "status": row.status,
        "engine": row.engine,
        "owner": row.owner,
        "pid": row.facts.pid if row.facts and row.status not in ("stopped", "broken") else 0,
        "created": row.facts.created if row.facts else "",
        "age_s": round(row.age),
        "cgroup": row.cgroup,
        "bundle": row.facts.bundle if row.facts else "",
    }
    if row.idle is not None:
        found["idle_s"] = round(row.idle)
    sample = row.sample
    if sample is None:
        return found
    names = (
        "cpu", "cpu_user", "cpu_system", "periods", "throttled_periods", "throttled", "memory",
        "working_set", "memory_limit", "memory_peak", "swap", "oom_kills", "pids", "pids_limit",
        "read_bytes", "write_bytes", "reads", "writes", "cpu_quota",
    )  # fmt: skip
    seconds = {"cpu", "cpu_user", "cpu_system", "throttled"}
    found |= {f"{n}_s" if n in seconds else n: getattr(sample, n) for n in names}
    found["pressure"] = {
        resource: {"some_s": some, "full_s": full}
        for resource, (some, full) in sample.pressure.items()
    }
    if row.before is not None:
        found["cpu_percent"] = round(100 * row.rate("cpu"), 2)
        found["read_bytes_per_s"] = round(row.rate("read_bytes"))
        found["write_bytes_per_s"] = round(row.rate("write_bytes"))
        found["throttled_percent"] = round(row.throttled(), 2)
        found["pressure_percent"] = {r: round(row.pressure(r), 2) for r in sample.pressure}
    return found
