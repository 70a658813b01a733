"""The cache: what was compiled before is found again, and what cannot be trusted is not."""

from __future__ import annotations

import copy
import json
import multiprocessing
import os
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pycontainer.seccomp import cache as seccomp
from pycontainer.seccomp import compiler as seccomp_compiler

PROFILE: dict = {
    "defaultAction": "SCMP_ACT_ERRNO",
    "syscalls": [{"names": ["getpid", "nonsense"], "action": "SCMP_ACT_ALLOW"}],
}


class Counter:
    """Counts how often the real compiler is asked."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count = 0
        real = seccomp_compiler.build

        def build(profile: dict) -> tuple:
            self.count += 1
            return real(profile)

        monkeypatch.setattr(seccomp_compiler, "build", build)


@pytest.fixture
def compiler(monkeypatch: pytest.MonkeyPatch) -> Counter:
    return Counter(monkeypatch)


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def entry(cache: Path) -> Path:
    (found,) = cache.iterdir()
    return found


def test_second_time_compiles_nothing(compiler: Counter, cache: Path) -> None:
    first = seccomp.compile(PROFILE, str(cache))
    second = seccomp.compile(json.loads(json.dumps(PROFILE)), str(cache))
    assert first == second == seccomp.compile(PROFILE)
    assert compiler.count == 2
    assert stat.S_IMODE(cache.stat().st_mode) == 0o700
    assert stat.S_IMODE(entry(cache).stat().st_mode) == 0o600
    assert second is not None and "nonsense" in " ".join(second.debug)


def test_what_the_filter_depends_on_and_what_not(compiler: Counter, cache: Path) -> None:
    seccomp.compile(PROFILE, str(cache))
    seccomp.compile({**PROFILE, "listenerPath": "/x", "listenerMetadata": "y"}, str(cache))
    assert compiler.count == 1
    others = [
        {**PROFILE, "defaultAction": "SCMP_ACT_KILL"},
        {**PROFILE, "defaultErrnoRet": 2},
        {**PROFILE, "architectures": []},
        {**PROFILE, "flags": []},
        {**PROFILE, "syscalls": [{**PROFILE["syscalls"][0], "errnoRet": None}]},
    ]
    for other in others:
        seccomp.compile(other, str(cache))
    assert compiler.count == 1 + len(others)
    assert len(list(cache.iterdir())) == compiler.count


def test_key_depends_on_values_not_on_objects() -> None:
    # Interned or not, shared or not: the same key.
    text = json.dumps(PROFILE)
    twice = {**json.loads(text)}
    twice["syscalls"] = [
        {"".join(list(key)): copy.deepcopy(value) for key, value in rule.items()}
        for rule in twice["syscalls"]
    ]
    assert seccomp._key(PROFILE) == seccomp._key(twice)
    program = (
        "import sys, json; sys.path.insert(0, sys.argv[1]); "
        "from pycontainer.seccomp import cache; print(cache._key(json.loads(sys.argv[2])))"
    )
    root = str(Path(seccomp.__file__).parents[2])
    other = subprocess.run(
        [sys.executable, "-c", program, root, text], capture_output=True, text=True, check=True
    )
    assert other.stdout.strip() == seccomp._key(PROFILE)


def _flip(data: bytes) -> bytes:
    return data[:-1] + bytes([data[-1] ^ 1])


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"",
        lambda data: data[:10],
        lambda data: data[:-1],
        lambda data: data + b"\0",
        _flip,
        lambda data: _flip(data[:5]) + data[5:],
    ],
)
def test_damaged_entry_is_compiled_again(compiler: Counter, cache: Path, damage: object) -> None:
    good = seccomp.compile(PROFILE, str(cache))
    path = entry(cache)
    data = path.read_bytes()
    path.write_bytes(damage(data))  # type: ignore[operator]
    assert seccomp.compile(PROFILE, str(cache)) == good
    assert compiler.count == 2
    assert path.read_bytes() == data


def test_entry_under_another_name_is_not_believed(compiler: Counter, cache: Path) -> None:
    seccomp.compile(PROFILE, str(cache))
    other = {**PROFILE, "defaultAction": "SCMP_ACT_KILL"}
    entry(cache).rename(cache / seccomp._key(other))
    result = seccomp.compile(other, str(cache))
    assert compiler.count == 2
    assert result == seccomp.compile(other)


def test_new_libseccomp_compiles_again(
    compiler: Counter, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seccomp.compile(PROFILE, str(cache))
    real = seccomp._library_facts
    monkeypatch.setattr(seccomp, "_library_facts", lambda path: (*real(path)[:3], 1))
    seccomp.compile(PROFILE, str(cache))
    assert compiler.count == 2


@pytest.mark.parametrize("mode", [0o755, 0o777, 0o710])
def test_open_directory_is_not_used(compiler: Counter, cache: Path, mode: int) -> None:
    cache.mkdir()
    cache.chmod(mode)
    result = seccomp.compile(PROFILE, str(cache))
    assert result is not None
    assert "not ours alone" in " ".join(result.debug)
    assert list(cache.iterdir()) == []


def test_link_to_a_directory_is_not_used(tmp_path: Path, cache: Path) -> None:
    (tmp_path / "real").mkdir(mode=0o700)
    cache.symlink_to("real")
    result = seccomp.compile(PROFILE, str(cache))
    assert result is not None
    assert "not using the seccomp cache" in " ".join(result.debug)
    assert list((tmp_path / "real").iterdir()) == []


@pytest.mark.parametrize("kind", ["link", "fifo", "directory", "writable"])
def test_strange_entry_is_not_read(compiler: Counter, cache: Path, kind: str) -> None:
    good = seccomp.compile(PROFILE, str(cache))
    path = entry(cache)
    aside = cache.parent / "aside"
    path.rename(aside)
    if kind == "link":
        path.symlink_to(aside)
    elif kind == "fifo":
        os.mkfifo(path)
    elif kind == "directory":
        path.mkdir()
    else:
        path.write_bytes(aside.read_bytes())
        path.chmod(0o666)
    result = seccomp.compile(PROFILE, str(cache))
    assert result is not None and good is not None
    assert (result.bpf, compiler.count) == (good.bpf, 2)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs a second user")
def test_entries_and_directories_of_others_are_not_used(compiler: Counter, cache: Path) -> None:
    seccomp.compile(PROFILE, str(cache))
    os.chown(entry(cache), 65534, 65534)
    seccomp.compile(PROFILE, str(cache))
    assert compiler.count == 2
    os.chown(cache, 65534, 65534)
    seccomp.compile(PROFILE, str(cache))
    assert compiler.count == 3


def test_missing_parent_costs_only_time(tmp_path: Path) -> None:
    result = seccomp.compile(PROFILE, str(tmp_path / "no" / "cache"))
    assert result is not None
    assert "no such file" in " ".join(result.debug)


def test_leftover_of_a_crash_does_not_stay(compiler: Counter, cache: Path) -> None:
    cache.mkdir(mode=0o700)
    leftover = cache / f".{seccomp._key(PROFILE)}.{os.getpid()}"
    leftover.write_bytes(b"half")
    assert seccomp.compile(PROFILE, str(cache)) is not None
    assert not leftover.exists()
    seccomp.compile(PROFILE, str(cache))
    seccomp.compile(PROFILE, str(cache))
    assert compiler.count == 2


def test_full_cache_drops_its_oldest_half(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seccomp, "ENTRIES", 8)
    profiles = [{**PROFILE, "defaultErrnoRet": number} for number in range(1, 10)]
    for number, profile in enumerate(profiles):
        seccomp.compile(profile, str(cache))
        os.utime(cache / seccomp._key(profile), (number, number))
    left = {path.name for path in cache.iterdir()}
    assert left == {seccomp._key(profile) for profile in profiles[4:]}


def _compile_often(cache: str, until: float) -> None:
    number = 0
    while time.monotonic() < until:
        number += 1
        result = seccomp.compile({**PROFILE, "defaultErrnoRet": 1 + number % 20}, cache)
        assert result is not None and result.instructions > 5


def test_many_at_once(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seccomp, "ENTRIES", 8)
    context = multiprocessing.get_context("fork")
    until = time.monotonic() + 1
    workers = [context.Process(target=_compile_often, args=(str(cache), until)) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0] * 4
    assert not [path for path in cache.iterdir() if path.name.startswith(".")]
