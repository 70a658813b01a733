"""A create that fails, at every stage: one line that names the field, and nothing is left."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.support.box import Box
from tests.support.bundles import Bundle
from tests.support.runtimes import Runtime

Damage = Callable[[Bundle], Any]


def mount(**entry: Any) -> Damage:
    return lambda bundle: bundle.config["mounts"].append({"type": "none", **entry})


def linux(**properties: Any) -> Damage:
    return lambda bundle: bundle.linux.update(properties)


def process(**properties: Any) -> Damage:
    return lambda bundle: bundle.process.update(properties)


def device(**entry: Any) -> Damage:
    return linux(devices=[entry])


def hooks(stage: str) -> Damage:
    entry = {"path": "/bin/sh", "args": ["sh", "-c", "exit 1"]}
    return lambda bundle: bundle.config.update(hooks={stage: [entry]})


def namespace(kind: str, path: str) -> Damage:
    return lambda bundle: bundle.join_namespace(kind, path)


def file_in_the_way(bundle: Bundle) -> None:
    (bundle.rootfs / "mnt" / "file").touch()
    mount(destination="/mnt/file/x", source="/tmp", options=["bind"])(bundle)


def device_in_the_way(bundle: Bundle) -> None:
    (bundle.rootfs / "mnt" / "dev").touch()
    device(path="/mnt/dev", type="c", major=1, minor=3)(bundle)


def file_over_directory(bundle: Bundle) -> None:
    mount(destination="/mnt", source="/etc/hostname", options=["bind"])(bundle)


def proc_as_link(bundle: Bundle) -> None:
    (bundle.rootfs / "proc").rmdir()
    (bundle.rootfs / "proc").symlink_to("/tmp")


def no_such_limit(bundle: Bundle) -> None:
    bundle.linux["resources"]["memory"] = {"limit": 1 << 62, "reservation": 1 << 63 - 1, "swap": 1}


def no_mappings(bundle: Bundle) -> None:
    bundle.new_namespace("user")
    for name in ("uidMappings", "gidMappings"):
        bundle.linux.pop(name, None)


def host_uts(bundle: Bundle) -> None:
    bundle.drop_namespace("uts")


# What is wrong: (how, words of the message)
DAMAGES: dict[str, tuple[Damage, tuple[str, ...]]] = {
    "mount source": (
        mount(destination="/mnt", source="/no/such", options=["bind"]),
        ("mounts[7]", "/no/such", "no such file or directory"),
    ),
    "mount type": (mount(destination="/mnt", type="nosuchfs"), ("mounts[7]", "nosuchfs")),
    "mount option": (
        mount(destination="/mnt", type="tmpfs", options=["nosuch=1"]),
        ("mounts[7]", "nosuch"),
    ),
    "mount target": (file_in_the_way, ("mounts[7]", "not a directory")),
    "file over directory": (file_over_directory, ("mounts[7]", "/mnt")),
    "proc is a link": (proc_as_link, ("mounts[0]", "/proc")),
    "device": (device(path="/mnt/d", type="c", major=1 << 20, minor=1 << 30), ("devices[0]",)),
    "device in the way": (device_in_the_way, ("linux.devices[0]", "/mnt/dev")),
    "sysctl": (linux(sysctl={"net.nosuch": "1"}), ("linux.sysctl", "net.nosuch")),
    "foreign sysctl": (linux(sysctl={"vm.swappiness": "1"}), ("sysctl", "vm.swappiness")),
    "program": (process(args=["nosuch"]), ("process.args", "$PATH")),
    "user": (process(user={"uid": 1, "gid": 1 << 40}), ("gid",)),
    "namespace path": (
        namespace("network", "/no/such"),
        ("linux.namespaces[", "].path", "/no/such"),
    ),
    "namespace kind": (namespace("network", "/proc/self/ns/mnt"), ("linux.namespaces[", "].path")),
    "host's uts": (host_uts, ("hostname",)),
    "memory": (no_such_limit, ("linux.resources.memory",)),
    "rlimit": (
        process(rlimits=[{"type": "RLIMIT_NOFILE", "soft": 5, "hard": 3}]),
        ("process.rlimits[0]",),
    ),
    "apparmor": (process(apparmorProfile="nosuch"), ("process.apparmorProfile",)),
    "selinux": (process(selinuxLabel="nosuch"), ("process.selinuxLabel",)),
    "cwd": (process(cwd="/bin/sh/x"), ("process.cwd", "not a directory")),
    "prestart": (hooks("prestart"), ("hooks.prestart[0]",)),
    "createRuntime": (hooks("createRuntime"), ("hooks.createRuntime[0]",)),
    "createContainer": (hooks("createContainer"), ("hooks.createContainer[0]",)),
    "mappings": (no_mappings, ("linux.uidMappings",)),
    "propagation": (linux(rootfsPropagation="nosuch"), ("rootfsPropagation",)),
}


@pytest.mark.parametrize("case", DAMAGES)
@pytest.mark.parametrize("command", ["create", "run"])
def test_nothing_is_left_of_a_failed_create(box: Box, pyc: Runtime, case: str, command: str):
    damage, words = DAMAGES[case]
    bundle, pid_file = box.bundle("/bin/sleep", "1000"), box.directory / "pid"
    damage(bundle)
    before = sorted(p for p in bundle.rootfs.rglob("*") if p.is_file())
    done = pyc(command, "-b", bundle, "--pid-file", pid_file, box.id())
    done.fails(*words)
    assert len(done.err.splitlines()) == 1, done.err
    assert not pid_file.exists()
    box.empty()
    assert [p for p in before if not p.exists()] == []


def test_a_failed_create_leaves_the_id_free(box: Box, pyc: Runtime):
    bundle = box.bundle("nosuch")
    pyc("create", "-b", bundle, box.id()).fails()
    bundle.process["args"] = ["/bin/true"]
    pyc("run", "-b", bundle, box.id()).ok()


def test_a_failed_create_of_an_existing_id_harms_nothing(box: Box, pyc: Runtime):
    name, pid_file = box.running(), box.directory / "pid"
    before = pyc.state(name)
    for command in ("create", "run"):
        done = pyc(command, "-b", box.bundle("nosuch"), "--pid-file", pid_file, name)
        done.fails("container with given ID already exists")
    assert pyc.state(name) == before
    assert not pid_file.exists()


def test_a_pid_file_that_cannot_be_written(box: Box, pyc: Runtime):
    pid_file = box.directory / "no" / "pid"
    pyc("create", "-b", box.bundle(), "--pid-file", pid_file, box.id()).fails("pid", "no such file")
    box.empty()


def test_a_console_socket_that_is_not_there(box: Box, pyc: Runtime):
    bundle = box.bundle()
    bundle.process["terminal"] = True
    socket = box.directory / "nosocket"
    pyc("create", "-b", bundle, "--console-socket", socket, box.id()).fails("console")
    box.empty()
    pyc("create", "-b", bundle, box.id()).fails("console socket")
    box.empty()


def test_a_state_directory_that_cannot_be_made(box: Box, pyc: Runtime):
    (box.directory / "file").touch()
    pyc("--root", box.directory / "file", "create", "-b", box.bundle(), box.id()).fails("file")
    box.empty()


def test_memory_too_small_for_the_program(box: Box, pyc: Runtime):
    box.needs_a_cgroup()
    bundle = box.bundle().script("a=x; while :; do a=$a$a; done")
    bundle.linux["resources"]["memory"] = {"limit": 8 << 20}
    done = box.run(bundle)
    assert done.status in (137, 2, 1), repr(done)
    box.empty()
