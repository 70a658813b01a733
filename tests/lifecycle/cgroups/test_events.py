"""Statistics, memory that ran out, and what is left of dead containers."""

from __future__ import annotations

import json
import subprocess
import time

import pytest

from tests.support.box import Box
from tests.support.cgroups import DRIVERS, V1, directories, flags, units
from tests.support.leftovers import processes
from tests.support.runtimes import has_runc

LIMIT = 16 << 20
EATER = "exec tail /dev/zero"


def eating(box: Box, script: str = EATER):
    box.needs_a_cgroup()
    bundle = box.bundle().script(script)
    bundle.linux["resources"]["memory"] = {"limit": LIMIT, "swap": LIMIT}
    return bundle


def shape(value: object) -> object:
    """The members and types of a document."""
    if isinstance(value, dict):
        return {key: shape(inner) for key, inner in value.items()}
    return type(value).__name__


# What Debian's runc and newer ones differ in, or what depends on the moment.
UNSTEADY = ("throttling", "raw", "psi", "blkio", "usage", "cache", "swap", "kernel", "kernelTCP")


def steady(document: dict) -> object:
    for section in document["data"].values():
        for name in UNSTEADY:
            if isinstance(section, dict):
                section.pop(name, None)
    for name in ("blkio", "hugetlb"):
        document["data"].pop(name)
    return shape(document)


def test_stats_have_the_shape_of_runcs(box: Box) -> None:
    if not has_runc():
        pytest.skip("needs runc to compare with")
    documents = []
    for runtime in box.both():
        name = box.running(runtime=runtime.name)
        done = runtime("events", "--stats", name).ok()
        documents.append(json.loads(done.out))
        runtime("delete", "-f", name)
    ours, theirs = documents
    assert ours["data"]["pids"]["current"] == 1
    assert ours["data"]["memory"]["usage"]["usage"] > 0
    assert ours["data"]["cpu"]["usage"]["total"] > 0
    assert ours["data"]["memory"]["raw"].keys() == theirs["data"]["memory"]["raw"].keys()
    assert steady(ours) == steady(theirs)


def test_stats_say_what_is_used(box: Box) -> None:
    box.needs_a_cgroup()
    bundle = box.bundle().script("while :; do :; done")
    bundle.linux["resources"] = {"memory": {"limit": LIMIT}, "pids": {"limit": 9}}
    pyc, name = box.pycontainer, box.id()
    pyc("run", "-d", "-b", bundle, name).ok()
    first = json.loads(pyc("events", "--stats", name).ok().out)["data"]
    time.sleep(0.3)
    second = json.loads(pyc("events", "--stats", name).ok().out)["data"]
    assert second["cpu"]["usage"]["total"] > first["cpu"]["usage"]["total"]
    assert second["memory"]["usage"]["limit"] == LIMIT
    assert second["pids"] == {"current": 1, "limit": 9}
    pyc("delete", "-f", name).ok()
    pyc("events", "--stats", name).fails("does not exist")


@pytest.mark.parametrize("driver", DRIVERS)
def test_events_tell_of_kills_and_end(box: Box, driver: str) -> None:
    pyc, name = box.pycontainer, box.id()
    bundle = eating(box, "read x < /go; tail /dev/zero; sleep 0.3; exit 0")
    subprocess.run(["mkfifo", str(bundle.rootfs / "go")], check=True)
    pyc(*flags(driver), "run", "-d", "-b", bundle, name).ok()
    watcher = pyc.start_process("events", "--interval", "200ms", name, stdout=subprocess.PIPE)
    assert json.loads(watcher.stdout.readline())["type"] == "stats"
    (bundle.rootfs / "go").write_text("go\n")
    out, _ = watcher.communicate(timeout=60)
    assert watcher.returncode == 0
    events = [json.loads(line) for line in out.splitlines()]
    oom = [event for event in events if event["type"] == "oom"]
    assert oom and all(event["id"] == name for event in events)
    assert oom[0]["data"]["limit"] == LIMIT
    pyc("delete", "-f", name).ok()


def test_interval_is_checked(box: Box) -> None:
    name = box.running()
    for interval in ("0", "-5s", "soon", "5"):
        box.pycontainer("events", "--interval", interval, name).fails("interval")


# -- out of memory -------------------------------------------------------------------------


@pytest.mark.parametrize("driver", DRIVERS)
def test_run_says_it(box: Box, driver: str) -> None:
    done = box.pycontainer(*flags(driver), "run", "-b", eating(box), box.id())
    assert done.status == 137
    if driver == "cgroupfs":  # systemd may have removed the cgroup before we could look
        assert f"out of memory (limit {LIMIT} bytes" in done.err


def test_state_says_it(box: Box) -> None:
    pyc, name = box.pycontainer, box.id()
    pyc("run", "-d", "-b", eating(box), name).ok()
    pyc.wait_for(name, "stopped")
    if box.systemd:
        pytest.skip("systemd may have removed the cgroup before we could look")
    oom = pyc.state(name)["oom"]
    assert oom["kills"] >= 1 and oom["limit"] == LIMIT
    if V1:
        assert oom["peak"] == LIMIT
    pyc("delete", name).ok()


def test_exec_says_it(box: Box) -> None:
    pyc, name = box.pycontainer, box.id()
    bundle = eating(box, "sleep 1000")
    pyc("run", "-d", "-b", bundle, name).ok()
    done = pyc("exec", name, "tail", "/dev/zero")
    assert done.status == 137 and "out of memory" in done.err
    done = pyc("exec", name, "sh", "-c", "kill -9 $$")
    assert done.status == 137 and "out of memory" not in done.err
    pyc("delete", "-f", name).ok()


@pytest.mark.parametrize("driver", DRIVERS)
def test_a_limit_too_small_to_start(box: Box, driver: str) -> None:
    box.needs_a_cgroup()
    bundle = box.bundle("/bin/true")
    bundle.linux["resources"]["memory"] = {"limit": 8192, "swap": 8192}
    pyc, name = box.pycontainer, box.id()
    pyc(*flags(driver), "run", "-b", bundle, name).fails("out of memory", "memory.limit")
    assert units(name) == []
    box.empty()


def test_every_limit_up_to_one_that_suffices(box: Box) -> None:
    """Whether the executor dies, or execve, or the program: it is called out of memory."""
    box.needs_a_cgroup()
    pyc = box.pycontainer
    statuses = []
    for limit in range(16, 200, 4):
        bundle = box.bundle("/bin/true")
        bundle.linux["resources"]["memory"] = {"limit": limit << 10, "swap": limit << 10}
        done = pyc("run", "-b", bundle, box.id(str(limit)))
        statuses.append(done.status)
        if done.status == 0:
            break
        assert done.status in (1, 137), repr(done)
        if not box.systemd:  # which may have removed the cgroup before we could look
            assert "out of memory" in done.err, repr(done)
        if done.status == 1:
            assert "linux.resources.memory.limit" in done.err, repr(done)
        # A program that was executed has a name of its own; before that, nothing was started.
        assert ("init died" in done.err) == (done.status == 1), repr(done)
    assert statuses[-1] == 0 or statuses[0] == 1
    box.empty()


# -- gc ------------------------------------------------------------------------------------


@pytest.mark.parametrize("driver", DRIVERS)
def test_gc(box: Box, driver: str) -> None:
    box.needs_a_cgroup()
    pyc = box.pycontainer
    lost, kept, stopped = box.id("lost"), box.id("kept"), box.id("stopped")
    for name in (lost, kept):
        bundle = box.bundle("/bin/sleep", "1000")
        pyc(*flags(driver), "run", "-d", "-b", bundle, name).ok()
    pyc("run", "-d", "-b", box.bundle("/bin/true"), stopped).ok()
    pyc.wait_for(stopped, "stopped")
    assert pyc("gc").ok().out == ""
    places = directories(pyc, lost)
    pid = pyc.state(lost)["pid"]
    (pyc.root / lost / "state.json").unlink()  # as if somebody had cleaned up /run
    reserved = pyc.root / box.id("reserved")
    reserved.mkdir()
    listed = pyc("gc").ok().out
    assert all(str(place) in listed for place in places.values())
    assert str(reserved) in listed and kept not in listed and stopped not in listed
    assert "1 process)" in listed
    pyc("gc", "--yes").ok()
    assert not any(place.exists() for place in places.values())
    assert not (pyc.root / lost).exists() and not reserved.exists()
    assert pid not in processes(box.token)
    assert units(lost) == []
    assert pyc.status(kept) == "running" and pyc.status(stopped) == "stopped"
    assert pyc("gc", "--yes").ok().out == ""


def test_gc_leaves_other_state_directories_alone(box: Box) -> None:
    """The same cgroup is an orphan for its own state directory only."""
    box.needs_a_cgroup()
    pyc, name = box.pycontainer, box.running()
    places = directories(pyc, name)
    other = box.directory / "other-root"
    other.mkdir()
    pyc("--root", other, "gc", "--yes").ok()
    assert all(place.exists() for place in places.values())
    assert pyc.status(name) == "running"
