"""A command that is killed between any two system calls leaves nothing that cannot be removed."""

from __future__ import annotations

import os

import pytest

from tests.faults.injection import Call, calls, inject, recovered, spread
from tests.support.box import Box

SAMPLE = 8


def _kill_at(box: Box, found: list[Call], steps: list[tuple], bundle: object, name: str) -> None:
    """Before each fault the commands of `steps` but the last one are done; that one is killed."""
    faults = []
    for call in found:
        for step in steps[:-1]:
            box.pycontainer(*step).ok()
        inject(box.pycontainer, call, "signal=KILL", *steps[-1])
        wrong = recovered(box, name, bundle)
        if wrong:
            faults.append(f"killed at {call}: {wrong}")
            box.pycontainer.sweep()
    if faults:
        pytest.fail("\n".join(faults))


def test_create(box: Box) -> None:
    bundle, name = box.bundle("/bin/sleep", "1000"), box.id("victim")
    step = ("create", "-b", bundle, name)
    found = calls(box.pycontainer, f"/{name}", *step)
    box.pycontainer("delete", "-f", name).ok()
    _kill_at(box, spread(found, 2 * SAMPLE), [step], bundle, name)


@pytest.mark.skipif(
    "PYCONTAINER_SWEEP" not in os.environ, reason="takes minutes: set PYCONTAINER_SWEEP=1"
)
@pytest.mark.timeout(1800)
def test_create_at_every_call(box: Box) -> None:
    bundle, name = box.bundle("/bin/sleep", "1000"), box.id("victim")
    step = ("create", "-b", bundle, name)
    found = calls(box.pycontainer, f"/{name}", *step)
    box.pycontainer("delete", "-f", name).ok()
    _kill_at(box, found, [step], bundle, name)


@pytest.mark.parametrize("word", ["start", "delete", "exec", "kill"])
def test_later_command(box: Box, word: str) -> None:
    bundle, name = box.bundle("/bin/sleep", "1000"), box.id("victim")
    before: list[tuple] = [("create", "-b", bundle, name)]
    if word in ("exec", "kill"):
        before.append(("start", name))
    last = {
        "start": ("start", name),
        "delete": ("delete", "--force", name),
        "exec": ("exec", name, "/bin/true"),
        "kill": ("kill", name, "KILL"),
    }[word]
    for step in before:
        box.pycontainer(*step).ok()
    found = calls(box.pycontainer, f"/{name}", *last)
    box.pycontainer("delete", "-f", name)
    _kill_at(box, spread(found, SAMPLE // 2), [*before, last], bundle, name)


def test_run(box: Box) -> None:
    bundle, name = box.bundle("/bin/true"), box.id("victim")
    step = ("run", "-b", bundle, name)
    found = calls(box.pycontainer, f"/{name}", *step)
    _kill_at(box, spread(found, SAMPLE), [step], bundle, name)
