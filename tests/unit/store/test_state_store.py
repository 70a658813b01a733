"""The state directory: ids, reservation, facts, locks, status, removal."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import _cffi_backend
import pytest

from pycontainer.base.errors import ContainerError, HostError, StateError
from pycontainer.linux.process import start_time
from pycontainer.state.state import Facts
from pycontainer.state.store import GATE, Entry, Store, check_id, status


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(tmp_path / "run" / "pc"))


@pytest.fixture
def init() -> Iterator[subprocess.Popen]:
    child = subprocess.Popen(["sleep", "60"])
    yield child
    child.kill()
    child.wait()


def made(store: Store, container_id: str = "c1", **members) -> Entry:
    entry = store.reserve(container_id)
    entry.write_facts(Facts(id=container_id, **members))
    return entry


def created(store: Store, init: subprocess.Popen) -> Entry:
    return made(store, phase="created", pid=init.pid, start_time=start_time(init.pid))


@pytest.mark.parametrize("good", ["a", "A-z_0.9+", "...", ".a", "-", "x" * 255])
def test_good_ids(good: str) -> None:
    assert check_id(good) == good


@pytest.mark.parametrize("bad", ["", ".", "..", "a/b", "a b", "ä", "a\n", "a\0", "~a", "x" * 256])
def test_bad_ids(bad: str, store: Store) -> None:
    for attempt in (check_id, store.reserve, store.open):
        with pytest.raises(StateError, match="^invalid container ID format$"):
            attempt(bad)


def test_a_root_that_does_not_exist_is_an_empty_list(store: Store) -> None:
    assert store.ids() == []
    with pytest.raises(StateError, match="^container does not exist$"):
        store.open("a")


def test_reserve_open_remove(store: Store) -> None:
    with store.reserve("a") as entry:
        assert store.ids() == []  # not before its facts are written
        assert oct(os.stat(store.root).st_mode & 0o777) == "0o711"
        entry.write_facts(Facts(id="a", bundle="/b"))
        entry.write_config(b'{"a": 1}')
    assert store.ids() == ["a"]
    with store.open("a") as entry:
        assert entry.read_facts() == Facts(id="a", bundle="/b")
        assert entry.read_config() == b'{"a": 1}'
        assert oct(os.stat(entry.path("config.json")).st_mode & 0o777) == "0o600"
        entry.lock()
        entry.remove()
        entry.remove()
    assert os.listdir(store.root) == []


def test_an_id_is_reserved_once(store: Store) -> None:
    with store.reserve("a") as entry:
        with pytest.raises(StateError, match="already exists"):
            store.reserve("a")  # at work
        entry.write_facts(Facts(id="a"))
    with pytest.raises(StateError, match="^container with given ID already exists$"):
        store.reserve("a")  # done
    with store.reserve("b"):
        pass
    with store.reserve("b"):  # whoever reserved it before has died
        pass


def test_a_reservation_is_no_container(store: Store) -> None:
    with store.reserve("a") as entry:
        entry.write_config(b"{}")
        with store.open("a") as other, pytest.raises(StateError, match="does not exist"):
            other.read_facts()
        assert not store.discard("a")
    assert store.discard("a")
    assert not store.discard("a")
    assert os.listdir(store.root) == []


def test_discard_leaves_containers_alone(store: Store) -> None:
    made(store, "a").close()
    assert not store.discard("a")
    assert store.ids() == ["a"]


def test_something_else_in_the_way(store: Store) -> None:
    os.makedirs(store.root)
    Path(store.root, "file").write_text("")
    Path(store.root, "link").symlink_to("/tmp")
    Path(store.root, "~x").mkdir()
    assert store.ids() == []
    for name in ("file", "link"):
        with pytest.raises(StateError, match="does not exist"):
            store.open(name)
        with pytest.raises(HostError, match=f"open .*/{name}: not a directory"):
            store.reserve(name)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "expecting a value"),
        (b"{", "expecting property name"),
        (b"[]", "not a JSON object"),
        (b"{}", "no version"),
        (b'{"version": 1}', "id is not a string"),
        (b'{"version": 2, "id": "a"}', "version 2 is of a newer release"),
        (b'{"version": 1, "id": "b"}', "id is 'b'"),
        (b'{"version": 1, "id": "a", "pid": "1"}', "pid is not a number"),
        (b'{"version": 1, "id": "a", "pid": true}', "pid is not a number"),
        (b'{"version": 1, "id": "a", "pid": -1}', "out of range"),
        (b'{"version": 1, "id": "a", "phase": "x"}', "out of range"),
        (b"\xff\xfe", "not UTF-8"),
        (b"\0" * 100, "expecting a value"),
    ],
)
def test_a_corrupt_file_is_named(store: Store, content: bytes, reason: str) -> None:
    made(store, "a").close()
    Path(store.root, "a", "state.json").write_bytes(content)
    assert store.ids() == ["a"]
    with store.open("a") as entry:
        with pytest.raises(StateError) as caught:
            entry.read_facts()
        entry.lock()
        entry.remove()
    assert reason in str(caught.value)
    assert f"{store.root}/a/state.json" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_unreadable_files_are_host_errors(store: Store) -> None:
    made(store, "a").close()
    os.unlink(f"{store.root}/a/state.json")
    os.mkdir(f"{store.root}/a/state.json")
    with store.open("a") as entry:
        for attempt in (entry.read_facts, entry.read_config):
            with pytest.raises(ContainerError, match="^read .*"):
                attempt()


# --- locks ---


def test_two_want_to_change_the_same_container(store: Store) -> None:
    made(store, "a").close()
    with store.open("a") as first, store.open("a") as second:
        first.lock()
        began = time.monotonic()
        with pytest.raises(StateError, match=f"lock container a: in use by process {os.getpid()}"):
            second.lock(wait=0.05)
        assert 0.04 < time.monotonic() - began < 2
        assert second.is_locked()
        assert first.is_locked()
        first.unlock()
        second.lock(exclusive=False)
        first.lock(exclusive=False)
        with store.open("a") as third, pytest.raises(StateError, match="in use by"):
            third.lock(wait=0)


def test_asking_does_not_lose_the_lock(store: Store) -> None:
    with store.reserve("a") as entry, store.open("a") as other:
        assert entry.is_locked()
        assert not other.try_lock()


def test_reading_needs_no_lock(store: Store, init: subprocess.Popen) -> None:
    with created(store, init), store.open("c1") as reader:
        assert status(reader, reader.read_facts()) == "running"


def test_the_lock_goes_with_its_holder(store: Store) -> None:
    made(store, "a").close()
    child = os.fork()
    if child == 0:
        store.open("a").lock()
        os.kill(os.getpid(), 9)
    os.waitpid(child, 0)
    with store.open("a") as entry:
        entry.lock(wait=0)


def test_who_waited_finds_the_container_gone(store: Store) -> None:
    with made(store, "a") as first, store.open("a") as second:
        first.remove()
        first.unlock()
        with pytest.raises(StateError, match="^container does not exist$"):
            second.lock(wait=0)
        with store.reserve("a") as third:  # the same path, another directory
            third.write_facts(Facts(id="a"))
            with pytest.raises(StateError, match="^container does not exist$"):
                second.lock(wait=0)


# --- status ---


def test_status_follows_the_init(store: Store, init: subprocess.Popen) -> None:
    with store.reserve("c1") as entry, store.open("c1") as reader:
        facts = Facts(id="c1")
        entry.write_facts(facts)
        assert status(reader, facts) == "creating"
        facts = facts.replace(pid=init.pid, start_time=start_time(init.pid))
        assert status(reader, facts) == "creating"
        facts = facts.replace(phase="created")
        assert status(reader, facts) == "running"
        assert status(reader, facts, lambda: True) == "paused"
        assert status(reader, facts, lambda: False) == "running"
        assert status(reader, facts.replace(start_time=facts.start_time - 1)) == "stopped"
        init.kill()
        while status(reader, facts) == "running":
            time.sleep(0.001)
        assert status(reader, facts, lambda: True) == "stopped"
        assert status(reader, facts.replace(phase="creating")) == "stopped"


def test_a_creator_that_died_leaves_a_stopped_container(store: Store) -> None:
    made(store, "a").close()
    with store.open("a") as entry:
        assert status(entry, entry.read_facts()) == "stopped"


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_SEQPACKET])
def test_created_while_the_gate_is_closed(store: Store, init: subprocess.Popen, kind: int) -> None:
    with created(store, init) as entry:
        assert not entry.gate_closed()
        gate = socket.socket(socket.AF_UNIX, kind)
        gate.bind(f"/proc/self/fd/{entry.dir_fd}/{GATE}")
        gate.listen(1)
        for _ in range(50):  # more than its backlog
            assert status(entry, entry.read_facts()) == "created"
        gate.setblocking(False)
        with pytest.raises(BlockingIOError):
            gate.accept()  # nobody woke it
        gate.close()
        assert os.path.exists(entry.path(GATE))
        assert status(entry, entry.read_facts()) == "running"


def test_the_gate_below_a_long_path(tmp_path: Path, init: subprocess.Popen) -> None:
    store = Store(f"{tmp_path}/{'d' * 200}/{'e' * 200}")
    with made(store, "x" * 255) as entry, socket.socket(socket.AF_UNIX) as gate:
        gate.bind(f"/proc/self/fd/{entry.dir_fd}/{GATE}")
        gate.listen(1)
        assert entry.gate_closed()


# --- removal ---


def test_removal_takes_everything_and_nothing_else(store: Store, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").write_text("")
    with made(store, "a") as entry:
        os.makedirs(entry.path("notify/deep/er"))
        Path(entry.path("notify/deep/file")).write_text("")
        os.symlink(outside, entry.path("link"))
        os.symlink(outside, entry.path("notify/link"))
        os.mkfifo(entry.path("fifo"))
        entry.remove()
    assert (outside / "precious").exists()
    assert os.listdir(store.root) == []


def test_half_removed_is_not_listed(store: Store) -> None:
    made(store, "a").close()
    os.unlink(f"{store.root}/a/state.json")
    assert store.ids() == []
    with store.reserve("a") as entry:
        entry.write_facts(Facts(id="a"))
    assert store.ids() == ["a"]


def test_reading_a_state_takes_few_system_calls(store: Store, init: subprocess.Popen) -> None:
    created(store, init).close()
    extensions = str(Path(_cffi_backend.__file__).parent)
    code = (
        f"import sys; sys.path[:0] = [{str(Path.cwd())!r}, {extensions!r}]\n"
        "from pycontainer.state.store import Store, status\n"
        f"store = Store({store.root!r})\n"
        "sys.stdout.write('MARK'); sys.stdout.flush()\n"
        "with store.open('c1') as entry: status(entry, entry.read_facts())\n"
        "sys.stdout.write('MARK'); sys.stdout.flush()\n"
    )
    if not os.path.exists("/usr/bin/strace"):
        pytest.skip("no strace")
    done = subprocess.run(
        ["strace", "-o", "/dev/stdout", "/usr/bin/python3", "-I", "-S", "-B", "-c", code],
        capture_output=True,
        text=True,
        check=True,
    )
    lines = done.stdout.split("MARK")[2].splitlines()[1:-1]
    calls = [line for line in lines if not line.startswith(("brk", "mmap", "munmap"))]
    assert len(calls) <= 17, calls  # five say whose the files are
