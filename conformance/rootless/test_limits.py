"""Limits: they hold, or the container does not run; no command says yes to what it cannot do."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from conformance.rootless.case import Case
from tests.support.bundles import Bundle
from tests.support.runtimes import eventually

MEMORY = {"memory": {"limit": 32 << 20, "swap": 32 << 20}}
CPU = {"cpu": {"quota": 10000, "period": 100000}}
COUNT = "while :; do echo >> /tmp/count; sleep 0.02; done"


def with_limits(case: Case, script: str, resources: dict[str, Any]) -> Bundle:
    bundle = case.bundle(script)
    bundle.linux["resources"] = resources
    return bundle


def test_memory(case: Case) -> None:
    """Nothing else would end it: 400 MB are more than the limit, and less than the machine has."""
    bundle = with_limits(case, "ulimit -v 400000; tail /dev/zero; echo $?", MEMORY)
    done = case.run(bundle)
    if case.limited:
        assert done.out == "137\n" or done.status in (137, 143), repr(done)
    else:
        assert done.status != 0 and not done.out, "ran without the limit that it was to have"


def test_pids(case: Case) -> None:
    script = "i=0; while [ $i -lt 30 ]; do sleep 3 & i=$((i + 1)); done; echo all"
    done = case.run(with_limits(case, script, {"pids": {"limit": 10}}))
    assert done.status != 0 and not done.out
    if case.limited:
        assert "fork" in done.err


def test_cpu(case: Case) -> None:
    bundle = with_limits(case, "while :; do :; done", CPU)
    if not case.limited:
        assert case("run", "-d", "-b", bundle, case.id()).status != 0
        return
    stat = case.cgroup(case.running(bundle)) / "cpu.stat"

    def used() -> int:
        return int(dict(line.split() for line in stat.read_text().splitlines())["usage_usec"])

    time.sleep(1)
    before, began = used(), time.monotonic()
    time.sleep(2)
    assert (used() - before) / (time.monotonic() - began) < 200_000  # a tenth, and some slack


def test_cpuset(case: Case) -> None:
    bundle = with_limits(case, "grep Cpus_allowed_list /proc/self/status", {"cpu": {"cpus": "1"}})
    done = case.run(bundle)
    assert done.ok().out.split()[1] == "1" if case.limited else done.status != 0


def test_a_path_of_its_own(case: Case) -> None:
    """linux.cgroupsPath is where it is (crun's are one below), or the container does not run."""
    bundle, word = case.bundle(), case.box.token
    bundle.linux["cgroupsPath"] = f"user.slice:{word}:x" if case.limited else f"/{word}/x"
    done = case("run", "-d", "-b", bundle, case.id())
    if case.limited:
        assert f"{word}-x.scope" in case.cgroup(case.id()).parts
    else:
        assert done.status != 0


def test_update(case: Case) -> None:
    name = case.running(with_limits(case, "sleep 1000", {"pids": {"limit": 20}} | MEMORY)) \
        if case.limited else case.running()  # fmt: skip
    size = str(64 << 20)
    done = case("update", "--pids-limit", "44", "--memory", size, "--memory-swap", size, name)
    if not case.limited:
        assert done.status != 0
        return
    done.ok()
    cgroup = case.cgroup(name)
    assert (cgroup / "pids.max").read_text() == "44\n"
    assert (cgroup / "memory.max").read_text() == f"{64 << 20}\n"


def test_pause_and_resume(case: Case) -> None:
    bundle = case.bundle(COUNT)
    name, count = case.running(bundle), bundle.rootfs / "tmp/count"
    eventually(count.exists, "it counts", 30)
    done = case("pause", name)
    if not case.limited:
        assert done.status != 0 and case.runtime.status(name) == "running"
        return
    assert done.ok() and case.runtime.status(name) == "paused"
    before = count.stat().st_size
    time.sleep(0.5)
    assert count.stat().st_size == before
    case("resume", name).ok()
    eventually(lambda: count.stat().st_size > before, "it counts again", 30)


def test_delete_force_of_a_paused_one(case: Case) -> None:
    if not case.limited:
        pytest.skip("cannot be paused")
    name = case.running()
    case("pause", name).ok()
    case("delete", "--force", name).ok()
    assert case.runtime.status(name) == "gone"


def test_events(case: Case) -> None:
    if not case.limited:
        pytest.skip("nothing is counted")
    name = case.running(with_limits(case, "sleep 1000", {"pids": {"limit": 20}} | MEMORY))
    data = json.loads(case("events", "--stats", name).ok().out)["data"]
    assert data["pids"]["current"] >= 1 and data["pids"]["limit"] == 20
    assert 0 < data["memory"]["usage"]["usage"] < data["memory"]["usage"]["limit"] == 32 << 20


def test_a_process_of_exec_is_limited_too(case: Case) -> None:
    if not case.limited:
        pytest.skip("there are no limits")
    name = case.running(with_limits(case, "sleep 1000", MEMORY))
    done = case("exec", name, "sh", "-c", "ulimit -v 400000; tail /dev/zero; echo $?")
    assert done.out == "137\n" or done.status in (137, 143), repr(done)


def test_all_end_in_the_hosts_pid_namespace(case: Case) -> None:
    """No init of a namespace takes them along: a cgroup lists them, or the mount namespace."""
    script = f": {case.box.token}; {COUNT}"
    bundle = case.bundle(f"({script}) & setsid sh -c '{script}' & exec sleep 1000")
    bundle.drop_namespace("pid")
    name, count = case.running(bundle), bundle.rootfs / "tmp/count"
    eventually(count.exists, "it counts", 30)
    case("delete", "--force", name).ok()
    case.box.empty()
