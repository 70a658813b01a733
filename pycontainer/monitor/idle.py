"""Containers that seem unused: idle by what was seen (activity.py), stopped, or broken."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from functools import partial

from pycontainer.base.settings import Settings
from pycontainer.lifecycle.gc import Orphan
from pycontainer.monitor import activity
from pycontainer.monitor.fleet import Fleet, Row
from pycontainer.monitor.units import amount, duration


def idle(settings: Settings, least_s: float) -> Iterator[Orphan]:
    """Those that have done nothing for so many seconds; `remove` kills and deletes one."""
    rows = Fleet(settings).sample()
    activity.look(settings, rows)
    for row in rows:
        if row.status == "broken":
            written = os.stat(f"{settings.root}/{row.id}").st_mtime
            if time.time() - written >= least_s:
                remove = partial(_remove_broken, settings, row.id)
                yield Orphan("broken", row.id, "its state cannot be read", remove)
        elif row.idle is not None and row.idle >= least_s:
            yield Orphan("idle", row.id, _note(row), partial(_remove, settings, row))


def _note(row: Row) -> str:
    facts = [row.status, f"idle for {duration(row.idle or 0)}", f"{duration(row.age)} old"]
    if row.sample is not None and row.status != "stopped":
        facts.append(f"{amount(row.sample.memory)} of memory")
    if row.engine:
        facts.append(f"of {row.engine}, which should delete it")
    return ", ".join(facts)


def _remove(settings: Settings, row: Row) -> None:
    """Unless another container has the name meanwhile."""
    from pycontainer.base.errors import StateError
    from pycontainer.lifecycle.container import Container

    container = Container.load(settings, row.id)
    if row.facts is None or container.facts.created != row.facts.created:
        container.entry.close()
        raise StateError("it is another one by now", "replaced")
    container.delete(force=True)


def _remove_broken(settings: Settings, container_id: str) -> None:
    from pycontainer.lifecycle import delete_damaged

    delete_damaged.remove(settings, container_id)
