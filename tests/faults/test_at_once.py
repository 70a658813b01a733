"""Many commands at the same time: one wins where only one can, and nothing is left."""

from __future__ import annotations

import subprocess
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from pycontainer.state.state import Facts
from pycontainer.state.store import Store
from tests.support.box import Box
from tests.support.runtimes import Done, Runtime

SLEEP = ("/bin/sleep", "1000")


def _together(box: Box, commands: list[list[object]]) -> list[Done]:
    """Start all commands, then wait for them."""
    running = [
        box.pycontainer.start_process(
            *command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )
        for command in commands
    ]
    ended = []
    for command, process in zip(commands, running, strict=True):
        _, err = process.communicate(timeout=60)
        ended.append(Done([str(w) for w in command], process.returncode, "", err.decode()))
    for done in ended:
        assert "Traceback" not in done.err and "internal error" not in done.err, repr(done)
    return ended


def test_create_of_one_id(box: Box) -> None:
    name, log = box.id("one"), box.directory / "log"
    bundle = str(box.bundle(*SLEEP))
    # The winner's init keeps a pipe open: errors are read from the log.
    command = (
        f"exec {box.pycontainer.command} --root {box.pycontainer.root} create -b {bundle} {name}"
    )
    running = [
        subprocess.Popen(["sh", "-c", f"{command} </dev/null >/dev/null 2>{log}{number}"])
        for number in range(16)
    ]
    statuses = [process.wait(60) for process in running]
    errors = [(box.directory / f"log{number}").read_text() for number in range(16)]
    assert sorted(statuses) == [0] + 15 * [1], errors
    for status, error in zip(statuses, errors, strict=True):
        assert status == 0 or "already exists" in error, error
    assert box.pycontainer.status(name) == "created"
    box.pycontainer("start", name).ok()
    box.pycontainer("delete", "--force", name).ok()
    box.empty()


def test_many_containers(box: Box) -> None:
    pyc, bundle = box.pycontainer, str(box.bundle(*SLEEP))

    def live(number: int) -> str:
        name = box.id(f"n{number}")
        for step in (
            ("create", "-b", bundle, name),
            ("start", name),
            ("kill", name, "KILL"),
            ("delete", "--force", name),
        ):
            done = subprocess.run(
                pyc.argv(*step),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=(box.directory / name).open("w"),
                check=False,
                timeout=60,
            )
            if done.returncode:
                return f"{step}: {(box.directory / name).read_text()}"
        return ""

    with ThreadPoolExecutor(8) as pool:
        assert [line for line in pool.map(live, range(100)) if line] == []
    box.empty()


def test_many_execs(box: Box) -> None:
    name = box.running(*SLEEP)
    codes = [done.status for done in _together(
        box, [["exec", name, "/bin/sh", "-c", f"exit {n}"] for n in range(20)]
    )]  # fmt: skip
    assert codes == list(range(20))
    box.pycontainer("delete", "--force", name).ok()
    box.empty()


@pytest.mark.parametrize("round_", range(4))
def test_kill_and_delete(box: Box, round_: int) -> None:
    """Whoever comes late is told that there is nothing to do; nobody fails otherwise."""
    name = box.running(*SLEEP)
    words: list[list[object]] = [["kill", name, "KILL"], ["delete", "--force", name]]
    for done in _together(box, words * 4):
        fine = ("not running", "does not exist", "no such process")
        assert done.status == 0 or any(text in done.err for text in fine), repr(done)
    box.pycontainer("delete", "--force", name)
    box.empty()


def test_start_twice(box: Box) -> None:
    pyc, name = box.pycontainer, box.id("twice")
    pyc("create", "-b", box.bundle(*SLEEP), name).ok()
    ended = _together(box, [["start", name]] * 6)
    assert sorted(done.status for done in ended) == [0] + 5 * [1], ended
    pyc("delete", "--force", name).ok()
    box.empty()


def test_list_beside_delete(box: Box, pyc: Runtime):
    """A container that is deleted while `list` looks at it was not there: no row, no warning."""
    store = Store(str(pyc.root))
    stop = time.monotonic() + 3
    while time.monotonic() < stop:
        for number in range(300):
            with store.reserve(f"c{number}") as entry:
                entry.write_facts(Facts(id=f"c{number}"))
        listing = pyc.start_process("list", "-q", stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        while listing.poll() is None and store.ids():
            for name in reversed(store.ids()):
                with store.open(name) as entry:
                    entry.lock()
                    entry.remove()
        _, errors = listing.communicate(timeout=60)
        assert (listing.returncode, errors) == (0, b"")
