"""Fields of config.json that are wrong: each line names the field, what is wrong, and the remedy.

Made for real with `run`. Programs are in test_program.py, hosts and commands in test_words.py.
"""

from __future__ import annotations

import json
import os

import pytest

from tests.lifecycle.failures.test_words import (
    Change,
    bind,
    config,
    hook,
    linux,
    mount,
    namespace,
    one_line,
    process,
    resources,
    text,
)
from tests.support.box import Box
from tests.support.bundles import Bundle

DEVICE = {"path": "/dev/x", "type": "c", "major": 1, "minor": 3}


def both(*changes: Change) -> Change:
    def change(bundle: Bundle) -> None:
        for each in changes:
            each(bundle)

    return change


def without(member: str) -> Change:
    return lambda bundle: bundle.config.pop(member)


def no_namespace(kind: str) -> Change:
    return lambda bundle: bundle.drop_namespace(kind)


def another_namespace(kind: str) -> Change:
    return lambda bundle: bundle.linux["namespaces"].append({"type": kind})


def user_namespace(*uids: tuple[int, int, int]) -> Change:
    def change(bundle: Bundle) -> None:
        rows = uids or ((0, 300000, 65536),)
        bundle.new_namespace("user")
        keys = ("containerID", "hostID", "size")
        maps = [dict(zip(keys, row, strict=True)) for row in rows]
        one = [dict(zip(keys, (0, 300000, 65536), strict=True))]
        bundle.linux.update(uidMappings=maps, gidMappings=one)
        for path in (bundle.rootfs, *bundle.rootfs.rglob("*")):
            os.chown(path, 300000, 300000, follow_symlinks=False)

    return change


def limits(*rows: tuple[str, int, int]) -> Change:
    keys = ("type", "soft", "hard")
    return process(rlimits=[dict(zip(keys, row, strict=True)) for row in rows])


def capabilities(**sets: list[str]) -> Change:
    return process(capabilities=sets)


def seccomp(**members: object) -> Change:
    return linux(seccomp={"defaultAction": "SCMP_ACT_ALLOW", **members})


def rule(**members: object) -> Change:
    return seccomp(syscalls=[{"names": ["mkdir"], "action": "SCMP_ACT_ERRNO", **members}])


def file_in(path: str) -> Change:
    return lambda bundle: (bundle.rootfs / path).touch()


def circle(bundle: Bundle) -> None:
    (bundle.path / "a").symlink_to("a")
    bind(str(bundle.path / "a"))(bundle)


def on_the_root(bundle: Bundle) -> None:
    (bundle.path / "empty").mkdir()
    bind(str(bundle.path / "empty"), "/")(bundle)


# What is wrong: (how, words of the line)
FIELDS: dict[str, tuple[Change, tuple[str, ...]]] = {
    # -- the file -----------------------------------------------------------------------------
    "comma too many": (
        text(lambda json: json[:-1] + ",}"), ("line 1 column", "remove the comma"),
    ),
    "cut short": (text(lambda json: json[:400]), ("was the file written completely?",)),
    "byte order mark": (text(lambda json: "\ufeff" + json), ("save it without one",)),
    "comment": (text(lambda json: "// mine\n" + json), ("line 1", "JSON has no comments")),
    "single quotes": (text(lambda json: json.replace('"', "'")), ("double quotes only",)),
    "nothing": (text(lambda json: ""), ("the file is empty",)),
    "two documents": (text(lambda json: json + "{}"), ("unexpected text after", "remove it")),
    "unit of a number": (
        text(lambda json: json.replace('"soft": 1024', '"soft": 1k')), ("a number has no unit",),
    ),
    "no version": (without("ociVersion"), ("ociVersion", 'add "ociVersion": "1.2.0"')),
    "later version": (config(ociVersion="9.0.0"), ("is 9.0.0", "set ociVersion to 1.3.0")),
    "no process": (without("process"), ("process.args", 'add "process"')),
    "no root": (without("root"), ("root: is required", 'add "root"')),
    "empty path of the root": (config(root={"path": ""}), ("root.path: is empty",)),
    # -- process ------------------------------------------------------------------------------
    "command line": (
        process(args="sh -c ls"), ("process.args", "must be an array", 'write ["sh", "-c", "ls"]'),
    ),
    "no command": (process(args=[]), ("process.args: is empty", "name the program")),
    "relative directory": (process(cwd="app"), ("process.cwd", "begin it with /")),
    "variable": (process(env=["DEBUG"]), ("process.env[0]", "must be NAME=value")),
    "name of a user": (
        process(user={"uid": "root", "gid": 0}), ("process.user.uid", "image's /etc/passwd"),
    ),
    "huge user": (
        process(user={"uid": 1 << 33, "gid": 0}), ("process.user.uid", "from 0 to 4294967294"),
    ),
    "capability that is not permitted": (
        capabilities(bounding=["CAP_KILL"], effective=["CAP_KILL"]),
        ("capabilities.effective", "has CAP_KILL", "add them to process.capabilities.permitted"),
    ),
    "name of a limit": (
        limits(("RLIMIT_NOFILES", 1, 1)), ("rlimits[0].type", "did you mean RLIMIT_NOFILE?"),
    ),
    "soft above hard": (limits(("RLIMIT_CORE", 9, 1)), ("rlimits[0].soft", "raise hard")),
    "limit twice": (
        limits(*[("RLIMIT_CORE", 0, 0)] * 2), ("rlimits[1].type", "remove one of the two"),
    ),
    "oom score": (process(oomScoreAdj=2000), ("process.oomScoreAdj", "-1000 to 1000")),
    "scheduler": (
        process(scheduler={"policy": "SCHED_FIF"}), ("scheduler.policy", "mean SCHED_FIFO?"),
    ),
    "values of a scheduler": (
        process(scheduler={"policy": "SCHED_DEADLINE", "runtime": 1, "deadline": 2, "period": 3}),
        ("process.scheduler", "runtime must be at least 1024"),
    ),
    # -- namespaces and users -----------------------------------------------------------------
    "unmapped user": (
        both(user_namespace(), process(user={"uid": 70000, "gid": 0})),
        ("process.user.uid", "70000", "add it to linux.uidMappings"),
    ),
    "mappings that overlap": (
        user_namespace((0, 300000, 1000), (500, 400000, 1000)),
        ("uidMappings[1].containerID", "is 500, which is in linux.uidMappings[0], too"),
    ),
    "mapping past the end": (
        user_namespace((0, 4294967290, 100)), ("uidMappings[0]", "past the last id, 4294967295"),
    ),
    "mapping of nothing": (
        user_namespace((0, 300000, 0)), ("uidMappings[0].size", "must be positive"),
    ),
    "mapping without a namespace": (
        linux(uidMappings=[{"containerID": 0, "hostID": 1, "size": 1}]),
        ("linux.uidMappings", 'add {"type": "user"} to linux.namespaces'),
    ),
    "namespace twice": (another_namespace("pid"), ("a second time", "remove one of the two")),
    "word for a namespace": (another_namespace("net"), ("namespaces[5].type", "mean network?")),
    "no namespace of mounts": (no_namespace("mount"), ('add {"type": "mount"}',)),
    "relative path of a namespace": (namespace("network", "ns"), ("begin it with /",)),
    "namespace that is a file": (
        namespace("network", "/etc/hostname"), ("it is not a namespace at all", "/proc/PID/ns/net"),
    ),
    "clock": (linux(timeOffsets={"monotonic": {"secs": 1}}), ('add {"type": "time"}',)),
    "clock before 0": (
        both(
            another_namespace("time"), linux(timeOffsets={"monotonic": {"secs": -(1 << 31)}})
        ),
        ("linux.timeOffsets", "would be before 0", "go back at most"),
    ),
    "sysctl of the host's network": (
        both(no_namespace("network"), linux(sysctl={"net.ipv4.ip_forward": "1"})),
        ('linux.sysctl["net.ipv4.ip_forward"]', 'add {"type": "network"}'),
    ),
    "number for a sysctl": (
        linux(sysctl={"net.ipv4.ip_forward": 1}),
        ("is 1 (an integer), must be a string", 'write "1" with quotes'),
    ),
    "device of the network that stays": (
        linux(netDevices={"lo": {"name": "x"}}), ("cannot leave its network namespace",),
    ),
    # -- seccomp ------------------------------------------------------------------------------
    "action of a rule": (rule(action="SCMP_ACT_ERNO"), ("syscalls[0].action", "SCMP_ACT_ERRNO?")),
    "operator": (
        rule(args=[{"index": 0, "value": 1, "op": "SCMP_CMP_EQQ"}]),
        ("syscalls[0].args[0].op", "mean SCMP_CMP_EQ?"),
    ),
    "argument": (
        rule(args=[{"index": 7, "value": 1, "op": "SCMP_CMP_EQ"}]), ("args[0].index", "0 to 5"),
    ),
    "architecture": (
        seccomp(architectures=["SCMP_ARCH_X86-64"]), ("architectures[0]", "SCMP_ARCH_X86_64?"),
    ),
    "number of an error": (rule(errnoRet=70000), ("errnoRet", "must be at most 4095")),
    "notify of everything": (
        seccomp(defaultAction="SCMP_ACT_NOTIFY"), ("defaultAction", "SCMP_ACT_ERRNO or"),
    ),
    "notify without an agent": (
        rule(action="SCMP_ACT_NOTIFY"), ("listenerPath", "name the agent's socket there"),
    ),
    "rule without names": (rule(names=[]), ("syscalls[0].names", "at least 1 entry")),
    # -- devices, mounts ----------------------------------------------------------------------
    "relative device": (linux(devices=[DEVICE | {"path": "dev/x"}]), ("begin it with /",)),
    "device without numbers": (
        linux(devices=[{"path": "/dev/x", "type": "c"}]), ("devices[0].major", "`ls -l` of the"),
    ),
    "mode of a device": (
        linux(devices=[DEVICE | {"fileMode": "0666"}]), ("devices[0].fileMode", "write 438"),
    ),
    "two devices in one place": (
        linux(devices=[DEVICE, DEVICE | {"minor": 5}]),
        ("linux.devices[0] and linux.devices[1] have the same path", "remove one"),
    ),
    "device on a file": (
        both(file_in("mnt/x"), linux(devices=[DEVICE | {"path": "/mnt/x"}])),
        ("linux.devices[0]", "another file is there", "remove that file from the image"),
    ),
    "type of a rule": (
        resources(devices=[{"allow": True, "type": "char"}]), ("devices[0].type", "a, b or c"),
    ),
    "mount without a place": (
        lambda bundle: bundle.config["mounts"].append({"type": "tmpfs", "source": "x"}),
        ("mounts[7].destination", "is required", 'add "destination"'),
    ),
    "mount without a type": (
        lambda bundle: bundle.config["mounts"].append({"destination": "/mnt", "source": "/tmp"}),
        ("mounts[7].type", "add type, e.g. tmpfs, or for a bind mount the option"),
    ),
    "bind as a type": (
        mount(type="bind", source="/tmp"), ("mounts[7].type", "add the option bind or rbind"),
    ),
    "mount on the root": (
        on_the_root, (
            "mounts[7], mounted on /, hides",
            "fix: remove mounts[7], or add bin/true to its source directory",
        ),
    ),
    "file system on the root": (
        mount(destination="/"), ("mounts[7], mounted on /, hides", "fix: remove mounts[7]\""),
    ),
    "disk that is not there": (
        mount(type="ext4", source="/dev/nosuch"),
        ("/dev/nosuch does not exist", "mounts[7].source"),
    ),
    "file as a disk": (
        mount(type="ext4", source="/etc/hostname"), ("no block device", "losetup --find"),
    ),
    "circle of links as a source": (circle, ("is a symbolic link to itself", "correct the link")),
    "ids without mappings": (
        mount(source="/tmp", type="none", options=["bind", "idmap"]),
        ("mounts[7].options", "add uidMappings and gidMappings"),
    ),
    "propagation": (linux(rootfsPropagation="rshard"), ("rootfsPropagation", "mean shared?")),
    # -- limits -------------------------------------------------------------------------------
    "memory as a string": (
        resources(memory={"limit": "64M"}), ("memory.limit", "write 67108864 without quotes"),
    ),
    "swap below memory": (
        resources(memory={"limit": 1 << 26, "swap": 1 << 25}),
        ("which counts memory plus swap", "to at least memory.limit"),
    ),
    "quota in percent": (
        resources(cpu={"quota": 50, "period": 100000}), ("cpu.quota", "50000 is half a CPU"),
    ),
    "processes": (
        resources(pids={"limit": 99999999999}), ("pids.limit", "give 0 to 4194304"),
    ),
    "CPUs": (resources(cpu={"cpus": "0-999"}), ("cpu.cpus", "choose some of these")),
    "memory node": (resources(cpu={"mems": "77"}), ("cpu.mems", "choose some of these")),
    # -- hooks --------------------------------------------------------------------------------
    "relative hook": (hook("createRuntime", path="hook"), ("hooks.createRuntime[0].path",)),
    "hook without time": (
        hook("createRuntime", path="/bin/true", timeout=0), ("[0].timeout", "must be from 1"),
    ),
    "hook after the start": (
        hook("poststart", path="/bin/false"), ("hooks.poststart[0]", "exit status 1"),
    ),
    "hook of the container": (
        hook("startContainer", path="/bin/false"), ("hooks.startContainer[0]", "exit status 1"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", FIELDS)
def test_run(box: Box, name: str):
    change, words = FIELDS[name]
    bundle = box.bundle("/bin/true")
    bundle.write()
    before = (bundle.path / "config.json").stat().st_mtime_ns
    change(bundle)
    written = (bundle.path / "config.json").stat().st_mtime_ns != before
    path = bundle.path if written else bundle
    one_line(box.pycontainer("run", "-b", path, box.id("r")), words)
    box.empty()


def test_a_refused_limit_has_the_number_of_its_operation(box: Box):
    """All limits are written at the first of their operations; the number is of the refused one."""
    bundle = box.bundle("/bin/true")
    bundle.linux["resources"] = {"cpu": {"shares": 512}, "pids": {"limit": 99999999999}}
    plan = json.loads(box.pycontainer("plan", "--json", bundle).out)
    value = "99999999999"
    (refused,) = [op for op in plan if op["arguments"].get("value") == value]
    words = f"(operation {refused['step']} of {len(plan)}; from linux.resources.pids.limit)"
    one_line(box.pycontainer("create", "-b", bundle, box.id("r")), (words,))
    box.empty()
