"""Time namespaces: clocks that are shifted for all of the container, init included.

config-linux.md#offset-for-time-namespace; Linux 5.6.
"""

from __future__ import annotations

import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/ns/time").exists(), reason="needs a kernel with time namespaces"
)

UPTIME = "cat /proc/uptime"


def with_time(box, **offsets):
    bundle = box.bundle().script(f"echo $$; {UPTIME}")
    bundle.new_namespace("time")
    if offsets:
        bundle.linux["timeOffsets"] = offsets
    return bundle


def uptime(text: str) -> float:
    return float(text.splitlines()[-1].split()[0])


def test_boottime(box):
    """/proc/uptime is CLOCK_BOOTTIME; the program that sees it is pid 1."""
    bundle = with_time(box, boottime={"secs": 100_000_000, "nanosecs": 0})
    out = box.run(bundle).ok().out
    assert out.splitlines()[0] == "1"
    shift = uptime(out) - time.clock_gettime(time.CLOCK_BOOTTIME)
    assert -60 < shift - 100_000_000 < 1


def test_the_offsets_of_the_namespace(box):
    bundle = with_time(box, monotonic={"secs": 5, "nanosecs": 7}, boottime={"secs": -1})
    bundle.process["args"] = ["/bin/sleep", "1000"]
    box.pycontainer("run", "-d", "-b", bundle, box.id()).ok()
    pid = box.pycontainer.state(box.id())["pid"]
    found = Path(f"/proc/{pid}/timens_offsets").read_text().split()
    assert found == ["monotonic", "5", "7", "boottime", "-1", "0"]


def with_a_user_namespace(box):
    """Its root may not write the file of a process that is not dumpable."""
    box.needs_root("maps ids of its own choice")
    bundle = with_time(box, monotonic={"secs": 5, "nanosecs": 7}, boottime={"secs": 1337})
    bundle.process["args"] = ["/bin/cat", "/proc/self/timens_offsets"]
    bundle.new_namespace("user")
    for name in ("uidMappings", "gidMappings"):
        bundle.linux[name] = [{"containerID": 0, "hostID": 100000, "size": 65536}]
    bundle.path.parent.chmod(0o755)
    return bundle


SHIFTED = ["monotonic", "5", "7", "boottime", "1337", "0"]


@pytest.mark.parametrize("joined", ["none", "pid", "user"])
def test_with_a_user_namespace(box, joined):
    bundle = with_a_user_namespace(box)
    if joined != "none":
        first = with_a_user_namespace(box)
        first.process["args"] = ["/bin/sleep", "1000"]
        box.pycontainer("run", "-d", "-b", first, box.id("first")).ok()
        pid = box.pycontainer.state(box.id("first"))["pid"]
        box.join(bundle, joined, f"/proc/{pid}/ns/{joined}")
    assert box.run(bundle).ok().out.split() == SHIFTED


def test_create_and_exec_with_a_user_namespace(box):
    bundle = with_a_user_namespace(box)
    bundle.process["args"] = ["/bin/sleep", "1000"]
    pyc, name = box.pycontainer, box.id()
    pyc("create", "-b", bundle, name).ok()
    for start in (False, True):
        if start:
            pyc("start", name).ok()
        done = pyc("exec", name, "/bin/cat", "/proc/self/timens_offsets").ok()
        assert done.out.split() == SHIFTED


def test_exec_joins_it(box):
    bundle = with_time(box, boottime={"secs": 100_000_000})
    bundle.process["args"] = ["/bin/sleep", "1000"]
    pyc, name = box.pycontainer, box.id()
    pyc("create", "-b", bundle, name).ok()
    pyc("start", name).ok()
    pid = pyc.state(name)["pid"]
    assert Path(f"/proc/{pid}/ns/time").readlink() != Path("/proc/self/ns/time").readlink()
    out = pyc("exec", name, "/bin/sh", "-c", UPTIME).ok().out
    assert uptime(out) > 100_000_000
    pyc("kill", name, "KILL").ok()
    pyc.wait_for(name, "stopped")
    pyc("delete", name).ok()


def test_joined_by_path(box):
    """A second container in the first one's time."""
    first = with_time(box, boottime={"secs": 100_000_000})
    first.process["args"] = ["/bin/sleep", "1000"]
    box.pycontainer("run", "-d", "-b", first, box.id("first")).ok()
    pid = box.pycontainer.state(box.id("first"))["pid"]
    second = box.bundle().script(f"echo $$; {UPTIME}")
    box.join(second, "time", f"/proc/{pid}/ns/time")
    out = box.run(second).ok().out
    assert out.splitlines()[0] == "1"
    assert uptime(out) > 100_000_000


def test_without_offsets(box):
    out = box.run(with_time(box)).ok().out
    assert abs(uptime(out) - time.clock_gettime(time.CLOCK_BOOTTIME)) < 60


def test_refused_by_the_kernel(box):
    """An offset before the clock's beginning: the field, and what it was."""
    bundle = with_time(box, boottime={"secs": -(10**12)})
    done = box.run(bundle)
    done.fails("timens_offsets", "boottime -1000000000000 0", "from linux.timeOffsets")
    box.empty()


def test_offsets_need_the_namespace(box):
    bundle = box.bundle()
    bundle.linux["timeOffsets"] = {"boottime": {"secs": 1}}
    box.run(bundle).fails("linux.timeOffsets", "time namespace")
