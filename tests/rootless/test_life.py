"""The lifecycle as an ordinary user, with one id, and with ranges of /etc/subuid."""

from __future__ import annotations

import json
import os
import stat
import subprocess

import pytest

from tests.rootless.person import Person
from tests.support.leftovers import processes
from tests.support.runtimes import PATIENCE, eventually


def test_run(person: Person, mapping: str):
    done = person("run", "-b", person.bundle(mapping, "id -u; cat /proc/self/uid_map; exit 7"), "c")
    assert done.status == 7, repr(done)
    uid, *lines = done.out.splitlines()
    rows = [tuple(map(int, line.split())) for line in lines]
    wanted = [
        (row["containerID"], row["hostID"], row["size"])
        for row in person.mappings(mapping)["uidMappings"]
    ]
    assert (uid, rows) == ("0", wanted)


def test_setgroups_is_denied_only_where_it_must_be(person: Person, mapping: str):
    done = person("run", "-b", person.bundle(mapping, "cat /proc/self/setgroups"), person.id())
    assert done.ok().out.strip() == ("deny" if mapping == "own" else "allow")


def test_a_caller_that_ignores_sigchld(person: Person):
    """newuidmap(1) and newgidmap(1) are waited for."""
    argv = person.argv("run", "-b", person.bundle("ranges", "exit 4"), person.id())
    done = subprocess.run(["env", "--ignore-signal=CHLD", *argv], timeout=PATIENCE, check=False)
    assert done.returncode == 4


def test_life(person: Person, mapping: str):
    name = person.id()
    bundle = person.bundle(mapping, "trap exit TERM; while :; do sleep 0.05; done")
    person("create", "-b", bundle, name).ok()
    assert person.status(name) == "created"
    assert person("exec", name, "id", "-u").ok().out == "0\n"
    person("start", name).ok()
    person.wait_for(name, "running")
    assert name in person("list", "-q").ok().out
    assert "sh" in person("ps", name).ok().out
    person("exec", "-d", name, "sleep", "1000").ok()
    assert "sleep" in person("ps", name).ok().out
    person("delete", name).fails("not stopped")
    person("kill", name, "TERM").ok()
    person.wait_for(name, "stopped")
    person("kill", name, "TERM").fails("not running")
    person("delete", name).ok()
    assert person.status(name) == "gone"


def test_exec_as_another_user(person: Person):
    name = person.id()
    person("run", "-d", "-b", person.bundle("ranges", "sleep 1000"), name).ok()
    done = person("exec", "-u", "1000:1000", name, "sh", "-c", "id -u; id -g; touch /tmp/x").ok()
    assert done.out == "1000\n1000\n"
    person("exec", "-u", "70000", name, "true").fails("not mapped", status=255)


def test_state_is_below_the_runtime_directory_and_sticky(person: Person):
    name = person.id()
    person("create", "-b", person.bundle(), name).ok()
    root = person.runtime_dir / "pycontainer"
    assert (root / name / "state.json").exists()
    assert stat.S_IMODE(root.stat().st_mode) == 0o1700


def test_what_is_inside(person: Person, mapping: str):
    script = """
        echo x > /dev/null && head -c 2 /dev/zero | wc -c
        stat -c %t:%T /dev/null /dev/tty
        test -c /dev/pts/ptmx && test -d /proc/self && test -d /sys/class && echo mounted
        touch /dev/shm/mine && stat -c %u:%g /dev/shm/mine
        echo $(ls /proc | grep -c '^[0-9]')
    """
    done = person("run", "-b", person.bundle(mapping, script), person.id()).ok()
    lines = done.out.splitlines()
    assert lines[:5] == ["2", "1:3", "5:0", "mounted", "0:0"]
    assert int(lines[5]) < 6  # its own processes only


def test_masked_and_readonly_paths(person: Person):
    script = "cat /proc/timer_list | wc -c; echo 1 > /proc/sys/kernel/x; cat /proc/mounts"
    out = person("run", "-b", person.bundle("own", script), person.id()).ok().out
    assert out.splitlines()[0] == "0"
    assert " /proc/sys proc ro" in out


def test_a_bind_from_where_only_the_user_may_go(person: Person, mapping: str):
    """With a range alone the container's root is somebody else; the home stays closed to others."""
    person.home.chmod(0o711)
    secret = person.home / "private"
    secret.mkdir(mode=0o700)
    (secret / "shared").mkdir()
    (secret / "shared" / "file").write_text("here\n")
    person.own()
    bundle = person.bundle(mapping, "cat /mnt/file; touch /mnt/x 2>&1")
    mount = {"destination": "/mnt", "source": str(secret / "shared"), "options": ["rbind", "ro"]}
    bundle.config["mounts"].append({"type": "none", **mount})
    done = person("run", "-b", bundle, person.id())
    assert "here\n" in done.out and "Read-only file system" in done.out, repr(done)


def test_a_closed_home(person: Person, mapping: str):
    """Nobody but the user may search the way to the root file system."""
    bundle = person.bundle(mapping, "echo in")
    outer = person.home / "closed"
    outer.mkdir()
    bundle.write()
    bundle.path.rename(outer / "bundle")
    person.own()
    outer.chmod(0o700)
    assert person("run", "-b", outer / "bundle", person.id()).ok().out == "in\n"


@pytest.mark.parametrize("score, seen", [(321, "321"), (-500, None)])
def test_oom_score(person: Person, score: int, seen: str | None):
    bundle = person.bundle("own", "cat /proc/self/oom_score_adj")
    bundle.process["oomScoreAdj"] = score
    out = person("run", "-b", bundle, person.id()).ok().out.strip()
    assert out == seen if seen else int(out) >= 0


@pytest.mark.parametrize("kind", ["pid", "ipc", "network", "uts"])
def test_a_namespace_of_the_host(person: Person, kind: str):
    """proc, sysfs and mqueue of a namespace that belongs to somebody else are bound."""
    bundle = person.bundle("own", f"readlink /proc/self/ns/{'net' if kind == 'network' else kind}")
    bundle.drop_namespace(kind)
    if kind == "uts":
        del bundle.config["hostname"]
    done = person("run", "-b", bundle, person.id()).ok()
    link = "net" if kind == "network" else kind
    assert done.out.strip() == person.execute("readlink", f"/proc/self/ns/{link}").out.strip()


def test_offsets_of_a_time_namespace(person: Person, mapping: str):
    bundle = person.bundle(mapping, "cat /proc/self/timens_offsets")
    bundle.new_namespace("time")
    bundle.linux["timeOffsets"] = {"boottime": {"secs": 1337, "nanosecs": 5}}
    done = person("run", "-b", bundle, person.id()).ok()
    assert done.out.split() == ["monotonic", "0", "0", "boottime", "1337", "5"]


def test_a_network_of_its_own_and_its_sysfs(person: Person):
    bundle = person.bundle("own", "ls /sys/class/net; ip link show lo | grep -c UP")
    bundle.new_namespace("network")
    for mount in bundle.config["mounts"]:
        if mount["destination"] == "/sys":
            mount.update(type="sysfs", source="sysfs", options=["ro"])
    assert person("run", "-b", bundle, person.id()).ok().out.split() == ["lo", "1"]


def test_the_namespaces_of_another_container(person: Person):
    """As an engine does it for the second container of a pod."""
    first = person.bundle("ranges", "sleep 1000")
    first.new_namespace("network")
    person("run", "-d", "-b", first, person.id("a")).ok()
    pid = person.state(person.id("a"))["pid"]
    second = person.bundle("own", "id -u; readlink /proc/self/ns/net; cat /proc/self/uid_map")
    for name in ("uidMappings", "gidMappings"):
        del second.linux[name]
    second.join_namespace("user", f"/proc/{pid}/ns/user")
    second.join_namespace("network", f"/proc/{pid}/ns/net")
    second.join_namespace("ipc", f"/proc/{pid}/ns/ipc")
    done = person("run", "-b", second, person.id("b")).ok()
    lines = done.out.splitlines()
    assert lines[0] == "0" and len(lines) == 4
    assert lines[1] == person("exec", person.id("a"), "readlink", "/proc/self/ns/net").out.strip()


def test_hooks_see_the_namespaces(person: Person):
    """A hook that sets up a network has to open the files in /proc/PID/ns."""
    seen = person.home / "seen"
    bundle = person.bundle("own")
    line = f'pid=$(sed "s/.*\\"pid\\":\\([0-9]*\\).*/\\1/"); readlink /proc/$pid/ns/mnt > {seen}'
    bundle.config["hooks"] = {"createRuntime": [{"path": "/bin/sh", "args": ["sh", "-c", line]}]}
    person("run", "-b", bundle, person.id()).ok()
    assert seen.read_text().startswith("mnt:[")


def test_a_terminal(person: Person):
    name = person.id()
    person("run", "-d", "-b", person.bundle("ranges", "sleep 1000"), name).ok()
    person("exec", "-t", name, "tty").fails(
        "neither stdin, stdout nor stderr is a terminal", status=255
    )
    leader, follower = os.openpty()
    try:
        done = person("exec", "-t", name, "sh", "-c", "tty; stty size", stdin=follower).ok()
    finally:
        os.close(leader)
        os.close(follower)
    assert done.out.startswith("/dev/pts/")


def test_kill_all_and_delete_force(person: Person):
    name = person.id()
    person("run", "-d", "-b", person.bundle("own", "sleep 1000 & sleep 1000"), name).ok()
    person("delete", "--force", name).ok()
    assert person.status(name) == "gone"


@pytest.mark.parametrize("command", [("delete", "--force"), ("kill", "--all"), ("kill",)])
def test_all_in_the_hosts_pid_namespace_end(person: Person, command: tuple[str, ...]):
    """Without a cgroup, the mount namespace tells what belongs to it, as long as init runs."""
    name, mark = person.id(), str(1000000000 + int(person.token[3:9], 16))
    bundle = person.bundle("own", f"sleep {mark} & setsid sleep {mark} & exec sleep {mark}")
    bundle.drop_namespace("pid")
    person("run", "-d", "-b", bundle, name).ok()
    eventually(lambda: len(json.loads(person("ps", "-f", "json", name).out)) == 3, "3 processes")
    person(*command, name, *(["KILL"] if command[0] == "kill" else [])).ok()
    eventually(lambda: not processes(mark), "all have ended")
    person("delete", "--force", name).ok()
