"""Damaged state directories: each command says so in one line, `delete --force` clears away."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.fuzz import forked
from tests.fuzz.seeds import seeds
from tests.support.box import Box
from tests.support.runtimes import Done

TAILS: dict[str, list[str]] = {"exec": ["/bin/true"], "kill": ["TERM"]}
VALUES: tuple[Any, ...] = (None, True, -1, 0, 2**70, 1.5, "", "x", "\0", [], ["x"], {}, {"a": 1})
FILES = ("state.json", "state.json", "state.json", "config.json", "record", "start.sock")


def _forked(box: Box) -> Callable[..., Done]:
    forked.warm()
    root = str(box.runtime("pycontainer").root)
    return lambda *argv: forked.command(["--root", root, *argv])


def test_damaged(box: Box) -> None:
    """A created container whose files are changed and put back, 150 times."""
    pyc, name, run = box.pycontainer, box.id("victim"), _forked(box)
    pyc("create", "-b", box.bundle("/bin/sleep", "1000"), name).ok()
    place = pyc.root / name
    faults = []
    for seed in seeds(0, 150):
        rng = random.Random(f"damaged {seed}")
        file = place / rng.choice(FILES)
        whole = file.read_bytes() if file.is_file() else None
        if whole is None:
            continue
        damaged = _damage(rng, whole)
        file.write_bytes(damaged)
        # What a state means that is still a state is not asked here, so nothing that acts on it.
        words = ["state", "list", "ps"]
        if file.name == "state.json" and _senseless(damaged):
            words += ["pause", "kill", "start", "exec", "delete"]
        for word in words:
            done = run(word, *([] if word == "list" else [name]), *TAILS.get(word, []))
            if not _clean(word, done):
                faults.append(f"seed {seed}: {file.name} is {damaged[:300]!r}: {done!r}")
        file.write_bytes(whole)
    if faults:
        pytest.fail("\n".join(faults))
    pyc("start", name).ok()
    pyc("delete", "-f", name).ok()
    box.empty()


@pytest.mark.parametrize("running", [False, True], ids=["created", "running"])
@pytest.mark.parametrize(
    "facts",
    [b"", b"{", b"\xff" * 100, b"null", b'{"version": 99}', b'{"version": 1, "id": "other"}'],
    ids=["empty", "cut", "binary", "null", "newer", "other"],
)
def test_delete_force(box: Box, running: bool, facts: bytes) -> None:
    pyc, name = box.pycontainer, box.id("victim")
    pyc("create", "-b", box.bundle("/bin/sleep", "1000"), name).ok()
    if running:
        pyc("start", name).ok()
    (pyc.root / name / "state.json").write_bytes(facts)
    pyc("delete", name).fails("delete --force")
    pyc("delete", "--force", name).ok()
    box.empty()


def test_delete_force_without_a_config(box: Box) -> None:
    pyc, name = box.pycontainer, box.id("victim")
    pyc("create", "-b", box.bundle("/bin/sleep", "1000"), name).ok()
    (pyc.root / name / "state.json").write_bytes(b"{}")
    (pyc.root / name / "config.json").write_bytes(b"[")
    pyc("delete", "--force", name).ok()
    box.empty()


@pytest.mark.parametrize("missing", ["config.json", "start.sock", "record"])
def test_missing_file(box: Box, missing: str) -> None:
    """Each command fails cleanly or does without it; in the end everything goes."""
    pyc, name = box.pycontainer, box.id("victim")
    pyc("create", "-b", box.bundle("/bin/sleep", "1000"), name).ok()
    (pyc.root / name / missing).unlink(missing_ok=True)
    for word in ("state", "ps", "list", "exec", "start"):
        done = pyc(word, *([] if word == "list" else [name]), *TAILS.get(word, []))
        assert _clean(word, done), repr(done)
    pyc("delete", "--force", name).ok()
    box.empty()


@pytest.mark.parametrize("kind", ["directory", "fifo", "symlink", "file"])
@pytest.mark.parametrize("name", ["state.json", "config.json", "start.sock"])
def test_wrong_kind(box: Box, kind: str, name: str) -> None:
    """Something else stands where a file should: no command hangs on it."""
    pyc, victim = box.pycontainer, box.id("victim")
    pyc("create", "-b", box.bundle("/bin/sleep", "1000"), victim).ok()
    file = pyc.root / victim / name
    file.rename(box.directory / "kept")
    _make(kind, file)
    for word in ("state", "ps", "list", "exec", "start"):
        done = pyc(word, *([] if word == "list" else [victim]), *TAILS.get(word, []), timeout=5)
        assert _clean(word, done), repr(done)
    if pyc.status(victim) != "gone":
        pyc("kill", victim, "KILL")
    if file.parent.exists():
        if file.is_dir():
            file.rmdir()
        (box.directory / "kept").replace(file)


def _make(kind: str, file: Path) -> None:
    if kind == "directory":
        file.mkdir()
    elif kind == "fifo":
        os.mkfifo(file)
    elif kind == "symlink":
        file.symlink_to("/nonexistent")
    else:
        file.touch()


def _damage(rng: random.Random, data: bytes) -> bytes:
    way = rng.randrange(5)
    at = rng.randrange(len(data) + 1)
    if way == 0:
        return data[:at]
    if way == 1:
        return data[:at] + rng.randbytes(rng.randrange(1, 40)) + data[at:]
    if way == 2:
        return rng.randbytes(rng.randrange(2000))
    try:
        members = json.loads(data)
    except ValueError:
        return data[:at] + b"\0" + data[at + 1 :]
    name = rng.choice(sorted(members))
    if way == 3:
        del members[name]
    elif isinstance(members[name], dict) and members[name]:
        members[name][rng.choice(sorted(members[name]))] = rng.choice(VALUES)
    else:
        members[name] = rng.choice(VALUES)
    return json.dumps(members).encode()


def _senseless(data: bytes) -> bool:
    """Certainly no state any more."""
    try:
        return not isinstance(json.loads(data), dict)
    except (ValueError, RecursionError):
        return True


def _clean(word: str, done: Done) -> bool:
    """Success, or one line and the status of a failure."""
    text = done.err.strip()
    if "Traceback" in text or "internal error" in text or "protocol error" in text:
        return False
    if done.status == 0:
        return "level=error" not in text
    return done.status == (255 if word == "exec" else 1) and text.count("\n") == 0
