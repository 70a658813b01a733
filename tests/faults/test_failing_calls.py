"""A system call that fails in `create`: one line says so, and nothing is left."""

from __future__ import annotations

import pytest

from tests.faults.injection import calls, inject, spread
from tests.support.box import Box

SAMPLE = 8


@pytest.mark.parametrize("error", ["EIO", "ENOSPC", "EMFILE", "ENOMEM"])
def test_create(box: Box, error: str) -> None:
    pyc, bundle, name = box.pycontainer, box.bundle("/bin/sleep", "1000"), box.id("victim")
    step = ("create", "-b", bundle, name)
    found = calls(pyc, f"/{name}", *step)
    pyc("delete", "-f", name).ok()
    # What cannot fail so, or only tells Python about memory.
    found = [call for call in found if call.name not in ("munmap", "brk", "mmap", "close")]
    faults = []
    for call in spread(found, SAMPLE, len(error)):
        done = inject(pyc, call, f"error={error}", *step)
        if done.status == 0:
            pyc("delete", "--force", name).ok()
        elif done.status != 1 or done.err.count("level=error") != 1:
            faults.append(f"{error} at {call}: {done!r}")
        for word in ("Traceback", "internal error", "Fatal"):
            if word in done.err:
                faults.append(f"{error} at {call}: {done!r}")
        # A reservation that could not be taken back is no container: the next create has it.
        left = [line for line in box.leftovers(1) if not line.endswith(f"{name}: []")]
        if left:
            faults.append(f"{error} at {call}: {done!r}: left {left}")
            pyc.sweep()
    if faults:
        pytest.fail("\n".join(faults))
