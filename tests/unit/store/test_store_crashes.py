"""The store after a crash at every single one of its system calls.

A child runs a story (create, or delete) and dies before its n-th call, or in the middle of a
write, for each n until it gets through. Afterwards everything must work again.
"""

from __future__ import annotations

import os
import posix
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pycontainer.base.errors import StateError
from pycontainer.state import store as store_module
from pycontainer.state.state import Facts
from pycontainer.state.store import Store, status

OLD = Facts(id="c1", bundle="/bundle")
NEW = OLD.replace(phase="created", pid=2**22, start_time=1, annotations={"a": "b" * 9000})
CONFIG = b'{"ociVersion": "1.3.0"}' * 1000


class Dying:
    """`posix`, but for a process that dies at its n-th call."""

    def __init__(self, calls: int) -> None:
        self.calls = calls

    def __getattr__(self, name: str) -> object:
        real = getattr(posix, name)
        return self.wrapped(name, real) if callable(real) else real

    def wrapped(self, name: str, real: Callable) -> Callable:
        def call(*args: object, **options: object) -> object:
            self.calls -= 1
            if self.calls == 0:
                if name == "write":
                    posix.write(args[0], bytes(args[1])[: len(args[1]) // 2])
                posix._exit(77)
            if name == "write":  # short writes, so that there are several
                args = (args[0], bytes(args[1])[:5000])
            return real(*args, **options)

        return call


def create(store: Store) -> None:
    entry = store.reserve("c1")
    entry.write_facts(OLD)
    entry.write_config(CONFIG)
    os.makedirs(entry.path("notify/inner"))
    entry.write_facts(NEW)
    entry.close()


def delete(store: Store) -> None:
    with store.open("c1") as entry:
        entry.lock()
        entry.remove()


def crashes(story: Callable[[Store], None], store: Store) -> Iterator[int]:
    """Run the story again and again, one call longer each time, until it gets through."""
    for calls in range(1, 500):
        child = os.fork()
        if child == 0:
            try:
                store_module.posix = Dying(calls)  # type: ignore[attr-defined]
                story(store)
                posix._exit(0)
            except BaseException:  # noqa: B036
                posix._exit(99)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        assert code in (0, 77), f"call {calls}: the story failed"
        yield calls
        if code == 0:
            return
    raise AssertionError("the story has no end")


def everything_works(store: Store) -> None:
    for name in store.ids():
        with store.open(name) as entry:
            facts = entry.read_facts()
            assert facts in (OLD, NEW)
            assert status(entry, facts) == "stopped"
            if facts == NEW:
                assert entry.read_config() == CONFIG
            with pytest.raises(StateError, match="already exists"):
                store.reserve(name)
        delete(store)
    assert store.ids() == []
    create(store)
    assert store.ids() == ["c1"]
    delete(store)
    assert os.listdir(store.root) == []


def test_crashes_while_creating(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "root"))
    counts = []
    for count in crashes(create, store):
        counts.append(count)
        everything_works(store)
    assert len(counts) > 15


def test_crashes_while_deleting(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "root"))
    create(store)
    counts = []
    for count in crashes(delete, store):
        counts.append(count)
        everything_works(store)
        create(store)
    assert len(counts) > 10
    shutil.rmtree(store.root)


def test_crashes_while_sweeping_up_after_a_crash(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "root"))

    def remains() -> None:
        create(store)
        os.unlink(f"{store.root}/c1/state.json")

    remains()
    for _ in crashes(create, store):
        everything_works(store)
        remains()
    for _ in crashes(lambda store: [store.discard("c1")] and None, store):
        assert store.ids() == []
        everything_works(store)
        remains()


def test_many_creators_one_winner(tmp_path: Path) -> None:
    """Eight processes create and delete the same id; never two at a time."""
    store = Store(str(tmp_path / "root"))
    children = []
    for _ in range(8):
        child = os.fork()
        if child == 0:
            code = 99
            try:
                code = compete(store, str(tmp_path / "inside"))
            finally:
                posix._exit(code)
        children.append(child)
    codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    assert codes == [0] * 8
    assert os.listdir(store.root) == []


def compete(store: Store, marker: str) -> int:
    won = 0
    while won < 10:
        try:
            entry = store.reserve("c1")
        except StateError:
            continue
        os.mkdir(marker)  # fails when another is inside
        entry.write_facts(OLD)
        os.rmdir(marker)
        entry.remove()
        entry.close()
        won += 1
    return 0
