"""When a container last did something, as far as anybody has looked.

The kernel counts what was used, not when. So each look (`list --long`, `gc --idle`, `top` or
`metrics`) compares the counters with those of an earlier one, and notes them: in ~activity of the
state directory, one file for all. A container that was not looked at before counts as active
now: idle is only what was seen to be idle.

Active means: it used more than a thousandth of a processor since the look before (of a minute at
least), did block I/O, or a process was started in it from outside (exec).
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Iterable
from typing import Any

from pycontainer.base.settings import Settings
from pycontainer.monitor.fleet import Row

FILE = "~activity"  # no container can be called so
SHARE = 0.001  # of a processor, which timers and keep-alives may use
LEAST = 60.0  # seconds between two looks that are compared


def look(settings: Settings, rows: Iterable[Row]) -> None:
    """Set `active` of each row, and write the notes; where they cannot be, nothing is known."""
    path = f"{settings.root}/{FILE}"
    try:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError:
        return
    with open(fd, "r+", encoding="utf-8") as file:
        fcntl.flock(fd, fcntl.LOCK_EX)
        try:
            notes = json.load(file)
        except ValueError:
            notes = {}
        now = time.time()
        for row in rows:
            if row.facts is not None:
                notes[row.id] = _note(row, notes.get(row.id), now)
                row.active = notes[row.id]["active"]
        there = {n: note for n, note in notes.items() if os.path.isdir(f"{settings.root}/{n}")}
        file.seek(0)
        file.truncate()
        json.dump(there, file)


def _note(row: Row, before: Any, now: float) -> dict[str, Any]:
    """The new note on a container: when it was active; its counters at a time before."""
    assert row.facts is not None
    sample = row.sample
    counters = [sample.cpu, sample.read_bytes + sample.write_bytes] if sample else [0, 0]
    fresh = {"created": row.facts.created, "active": now, "at": now, "counters": counters}
    if not isinstance(before, dict) or before.get("created") != row.facts.created:
        return fresh
    allowed = SHARE * max(LEAST, now - before["at"])
    used = counters[0] - before["counters"][0] > allowed
    if sample and (used or counters[1] != before["counters"][1]):
        return fresh
    active = max(before["active"], row.last_exec())
    kept = before if now - before["at"] < LEAST else fresh
    return {**kept, "active": active}
