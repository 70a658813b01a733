"""Mistakes that people make in a config.json, and risks that they take: how, and what is found."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

from pycontainer.spec import default_config

Change = Callable[[dict[str, Any]], Any]


def base() -> dict[str, Any]:
    """The default config, which has nothing to complain of."""
    config = copy.deepcopy(default_config.example())
    config["root"]["path"] = "rootfs"
    return config


def member(path: str, value: Any) -> Change:
    """Set a member; None removes it."""

    def change(config: dict[str, Any]) -> None:
        *way, last = [int(step) if step.isdigit() else step for step in path.split(".")]
        at: Any = config
        for step in way:
            at = at.setdefault(step, {}) if isinstance(at, dict) else at[step]
        if value is None:
            del at[last]
        else:
            at[last] = value

    return change


def rename(path: str, name: str) -> Change:
    def change(config: dict[str, Any]) -> None:
        at: Any = config
        *way, last = path.split(".")
        for step in way:
            at = at[step]
        at[name] = at.pop(last)

    return change


def add(path: str, value: Any) -> Change:
    def change(config: dict[str, Any]) -> None:
        at: Any = config
        *way, last = path.split(".")
        for step in way:
            at = at[step]
        at.setdefault(last, []).append(value)

    return change


def mount(**entry: Any) -> Change:
    return add("mounts", {"destination": "/mnt", "type": "tmpfs", "source": "tmpfs", **entry})


def bind(source: str, *options: str, destination: str = "/mnt") -> Change:
    entry = {"destination": destination, "type": "none", "source": source}
    return add("mounts", {**entry, "options": ["bind", *options]})


def drop_namespace(kind: str) -> Change:
    def change(config: dict[str, Any]) -> None:
        spaces = config["linux"]["namespaces"]
        config["linux"]["namespaces"] = [space for space in spaces if space["type"] != kind]

    return change


def both(*changes: Change) -> Change:
    return lambda config: [change(config) for change in changes]


def hook(**members: Any) -> Change:
    return member("hooks", {"poststop": [{"path": "/bin/true", **members}]})


def profile(*rules: dict[str, Any]) -> dict[str, Any]:
    return {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": list(rules)}


def ids(inside: int, outside: int, size: int) -> dict[str, int]:
    return {"containerID": inside, "hostID": outside, "size": size}


MEMORY = "linux.resources.memory"
BLOCKS = "linux.resources.blockIO.throttleReadBpsDevice"
DEVICE = {"path": "/dev/fuse", "type": "c", "major": 10, "minor": 229, "fileMode": 438}
RULES = [{"allow": False, "access": "rwm"}]

# What is wrong: (how, severity, field, words of the message)
Seed = tuple[Change, str, str, str]
SEEDS: dict[str, Seed] = {
    "member misspelt": (
        rename("process.capabilities", "capabilites"),
        "warning", "process.capabilites", "did you mean capabilities?",
    ),
    "member in another case": (
        rename("root.readonly", "readOnly"), "warning", "root.readOnly", "did you mean readonly?",
    ),
    "member in the wrong object": (
        member("process.seccomp", {}), "warning", "process.seccomp", "it belongs in linux",
    ),
    "member at the top": (
        member("namespaces", []), "warning", "namespaces", "it belongs in linux",
    ),
    "no such member": (member("linux.frobnicate", 1), "warning", "linux.frobnicate", "unknown"),
    "annotation misspelt": (
        member("annotations", {"run.oci.keep_original_group": "1"}),
        "warning", 'annotations["run.oci.keep_original_group"]', "keep_original_groups?",
    ),
    "wrong type": (
        member("process.terminal", "true"), "error", "process.terminal", "must be a boolean",
    ),
    "number as a string": (
        member(f"{MEMORY}.limit", "64M"), "error", f"{MEMORY}.limit", "must be an integer",
    ),
    "no root": (member("root", None), "error", "root", "is required"),
    "no cwd": (member("process.cwd", None), "error", "process.cwd", "is required"),
    "relative cwd": (member("process.cwd", "app"), "error", "process.cwd", "absolute"),
    "no version": (member("ociVersion", None), "error", "ociVersion", "is required"),
    "no program": (member("process.args", []), "error", "process.args", "must name a program"),
    "root is missing": (
        member("root.path", "rotfs"), "error", "root.path", "has no rotfs, but rootfs",
    ),
    "root is a file": (member("root.path", "file"), "error", "root.path", "is a file"),
    "program misspelt": (
        member("process.args", ["slep", "1"]), "error", "process.args[0]", "did you mean sleep?",
    ),
    "program is a command line": (
        member("process.args", ["sleep 1"]),
        "error", "process.args[0]", "one argument with a space",
    ),
    "program outside of $PATH": (
        member("process.env", ["PATH=/usr/bin"]), "error", "process.args[0]", "not in $PATH",
    ),
    "program on a noexec mount": (
        both(bind("rootfs/bin", "noexec", "ro"), member("process.args", ["/mnt/sh"])),
        "error", "mounts[7].options", "the program /mnt/sh is on it",
    ),
    "variable without a value": (
        add("process.env", "DEBUG"), "error", "process.env[2]", "must be NAME=value",
    ),
    "variable twice": (
        add("process.env", "PATH=/bin"), "warning", "process.env[0]", "a later entry sets it",
    ),
    "limit misspelt": (
        member("process.rlimits.0.type", "RLIMIT_NOFILES"),
        "error", "process.rlimits[0].type", "which Linux does not have",
    ),
    "soft limit above hard": (
        member("process.rlimits.0.soft", 4096), "error", "process.rlimits[0].soft", "above hard",
    ),
    "console size without terminal": (
        both(
            member("process.terminal", False),
            member("process.consoleSize", {"height": 9, "width": 9}),
        ),
        "warning", "process.consoleSize", "no effect without process.terminal",
    ),
    "ambient that is not inheritable": (
        both(
            member("process.capabilities.ambient", ["CAP_KILL"]),
            member("process.user", {"uid": 1, "gid": 1}),
        ),
        "warning", "process.capabilities.ambient", "CAP_KILL: no effect",
    ),
    "capability misspelt": (
        add("process.capabilities.bounding", "CAP_SYS_ADMN"),
        "warning", "process.capabilities.bounding[3]", "did you mean CAP_SYS_ADMIN?",
    ),
    "bind without the option": (
        mount(type="bind", source="directory"), "error", "mounts[7].type", "no filesystem",
    ),
    "source is missing": (
        bind("direktory"), "error", "mounts[7].source", "has no direktory, but directory",
    ),
    "file on a directory": (
        bind("directory", destination="/bin/true"),
        "error", "mounts[7]", "is a directory, but /bin/true in the root is a file",
    ),
    "option misspelt": (
        mount(options=["nosiud"]), "error", "mounts[7].options", "did you mean nosuid?",
    ),
    "option of a bind misspelt": (
        bind("directory", "nosiud"), "error", "mounts[7].options", "did you mean nosuid?",
    ),
    "options that contradict": (
        mount(options=["ro", "rw"]), "warning", "mounts[7].options", "the last one, rw, counts",
    ),
    "mount covered by a later one": (
        both(bind("file", destination="/data/x"), bind("directory", destination="/data")),
        "warning", "mounts[7]", "is covered by mounts[8]",
    ),
    "file system misspelt": (
        mount(type="tmfps"), "error", "mounts[7].type", "did you mean tmpfs?",
    ),
    "relative destination": (
        mount(destination="mnt"), "warning", "mounts[7].destination", "is relative",
    ),
    "namespace misspelt": (
        member("linux.namespaces.1.type", "net"),
        "error", "linux.namespaces[1].type", "must be one of",
    ),
    "namespace twice": (
        add("linux.namespaces", {"type": "pid"}), "error", "linux.namespaces[5].type", "second",
    ),
    "namespace file is missing": (
        member("linux.namespaces.1", {"type": "network", "path": "/run/netns/nosuch"}),
        "error", "linux.namespaces[1].path", "does not exist",
    ),
    "host name without a uts namespace": (
        drop_namespace("uts"), "error", "hostname", "needs a uts namespace",
    ),
    "sysctl of the host": (
        member("linux.sysctl", {"vm.swappiness": "1"}),
        "error", 'linux.sysctl["vm.swappiness"]', "would change the host",
    ),
    "sysctl misspelt": (
        member("linux.sysctl", {"net.ipv4.ip_forwarding": "1"}),
        "error", 'linux.sysctl["net.ipv4.ip_forwarding"]', "did you mean net.ipv4.ip_forward?",
    ),
    "swap below the limit": (
        member(MEMORY, {"limit": 1 << 26, "swap": 1 << 25}),
        "error", f"{MEMORY}.swap", "below limit",
    ),
    "reservation above the limit": (
        member(MEMORY, {"limit": 1 << 26, "reservation": 1 << 27}),
        "warning", f"{MEMORY}.reservation", "no effect",
    ),
    "limit in megabytes": (
        member(MEMORY, {"limit": 64}), "warning", f"{MEMORY}.limit", "do not even start",
    ),
    "period without quota": (
        member("linux.resources.cpu", {"period": 100000}),
        "warning", "linux.resources.cpu.period", "no effect without quota",
    ),
    "quota in percent": (
        member("linux.resources.cpu", {"quota": 50, "period": 100000}),
        "error", "linux.resources.cpu.quota", "at least 1000",
    ),
    "CPU that is not there": (
        member("linux.resources.cpu", {"cpus": "0,4000"}),
        "error", "linux.resources.cpu.cpus", "this host has",
    ),
    "device that the rules deny": (
        both(add("linux.devices", DEVICE), member("linux.resources.devices", RULES)),
        "warning", "linux.devices[0]", "cannot be opened",
    ),
    "id that is not mapped": (
        both(
            add("linux.namespaces", {"type": "user"}),
            member("linux.uidMappings", [{"containerID": 0, "hostID": 100000, "size": 1000}]),
            member("linux.gidMappings", [{"containerID": 0, "hostID": 100000, "size": 1000}]),
            member("process.user", {"uid": 5000, "gid": 0}),
        ),
        "error", "process.user.uid", "does not map",
    ),
    "mapping without user namespace": (
        member("linux.uidMappings", [{"containerID": 0, "hostID": 100000, "size": 1000}]),
        "error", "linux.uidMappings", "needs a user namespace",
    ),
    "seccomp action misspelt": (
        member("linux.seccomp", {"defaultAction": "SCMP_ACT_ALOW"}),
        "error", "linux.seccomp.defaultAction", "did you mean SCMP_ACT_ALLOW?",
    ),
    "hook that is not there": (
        member("hooks", {"poststop": [{"path": "/no/such/hook"}]}),
        "error", "hooks.poststop[0].path", "does not exist",
    ),
    "relative hook": (
        member("hooks", {"poststop": [{"path": "hook"}]}),
        "error", "hooks.poststop[0].path", "absolute",
    ),
    "unit in a string": (
        member(f"{MEMORY}.limit", "512M"), "error", f"{MEMORY}.limit", "write 536870912 without",
    ),
    "limit of cgroup v2": (
        member(f"{MEMORY}.max", 1), "warning", f"{MEMORY}.max", "did you mean limit?",
    ),
    "weight of cgroup v2": (
        member("linux.resources.cpu.weight", 100),
        "warning", "linux.resources.cpu.weight", "did you mean shares?",
    ),
    "limit one level too high": (
        member("linux.resources.limit", 1),
        "warning", "linux.resources.limit", "or linux.resources.memory",
    ),
    "env at the top": (member("env", []), "warning", "env", "it belongs in process"),
    "weight of block devices": (
        member("linux.resources.blockIO", {"weight": 5}),
        "error", "linux.resources.blockIO.weight", "10 to 1000",
    ),
    "negative pids": (
        member("linux.resources.pids", {"limit": -7}),
        "warning", "linux.resources.pids.limit", "no limit is -1",
    ),
    "more CPUs than there are": (
        member("linux.resources.cpu", {"quota": 1 << 40, "period": 100000}),
        "warning", "linux.resources.cpu.quota", "so it has no effect",
    ),
    "CPUs without an end": (
        member("linux.resources.cpu", {"cpus": "0-"}),
        "error", "linux.resources.cpu.cpus", "like 0-3,7",
    ),
    "capability without its prefix": (
        add("process.capabilities.bounding", "NET_RAW"),
        "warning", "process.capabilities.bounding[3]", "did you mean CAP_NET_RAW?",
    ),
    "system call misspelt": (
        member("linux.seccomp", profile({"names": ["mkdri"], "action": "SCMP_ACT_ERRNO"})),
        "warning", "linux.seccomp.syscalls[0].names[0]", "did you mean mkdir?",
    ),
    "no execve": (
        member("linux.seccomp", {"defaultAction": "SCMP_ACT_ERRNO"}),
        "error", "linux.seccomp", "no program can be started",
    ),
    "seccomp action in small letters": (
        member("linux.seccomp", {"defaultAction": "scmp_act_errno"}),
        "error", "linux.seccomp.defaultAction", "did you mean SCMP_ACT_ERRNO?",
    ),
    "mappings that overlap": (
        both(
            add("linux.namespaces", {"type": "user"}),
            member("linux.uidMappings", [ids(0, 100000, 65536), ids(9, 300000, 1)]),
            member("linux.gidMappings", [ids(0, 100000, 65536)]),
        ),
        "error", "linux.uidMappings[1].containerID", "which is in linux.uidMappings[0]",
    ),
    "stage of a hook": (
        member("hooks", {"createruntime": []}),
        "warning", "hooks.createruntime", "did you mean createRuntime?",
    ),
    "variable of a hook": (
        hook(env=["A"]), "warning", "hooks.poststop[0].env[0]", "must be NAME=value",
    ),
    "hook without its name": (
        hook(args=["--now"]), "warning", "hooks.poststop[0].args[0]", 'put "true" in front',
    ),
    "hook with milliseconds": (
        hook(timeout=30000), "warning", "hooks.poststop[0].timeout", "the unit is seconds",
    ),
    "limit without its prefix": (
        member("process.rlimits.0.type", "NOFILE"),
        "error", "process.rlimits[0].type", "did you mean RLIMIT_NOFILE?",
    ),
    "mask that is not absolute": (
        member("linux.maskedPaths", ["proc/keys"]),
        "warning", "linux.maskedPaths[0]", "is not absolute",
    ),
    "limit twice": (
        add("process.rlimits", {"type": "RLIMIT_NOFILE", "soft": 1, "hard": 1}),
        "error", "process.rlimits[1].type", "a second time",
    ),
    "negative limit": (
        add("process.rlimits", {"type": "RLIMIT_CORE", "soft": 0, "hard": -1}),
        "error", "process.rlimits[1].hard", "no limit is 18446744073709551615",
    ),
    "negative user": (member("process.user.uid", -1), "error", "process.user.uid", "from 0 to"),
    "huge user": (member("process.user.uid", 1 << 33), "error", "process.user.uid", "from 0 to"),
    "decimal umask": (
        member("process.user.umask", 22), "warning", "process.user.umask", "for 0022 write 18",
    ),
    "decimal mode": (
        both(
            add("linux.devices", DEVICE | {"fileMode": 666}),
            member("linux.resources.devices", [*RULES, {"allow": True, "access": "rwm"}]),
        ),
        "warning", "linux.devices[0].fileMode", "for 0666 write 438",
    ),
    "two devices in one place": (
        both(
            add("linux.devices", DEVICE),
            add("linux.devices", DEVICE | {"minor": 1}),
            member("linux.resources.devices", [*RULES, {"allow": True, "access": "rwm"}]),
        ),
        "error", "linux.devices[1].path", "remove one",
    ),
    "allowed before all is denied": (
        member(
            "linux.resources.devices",
            [{"allow": True, "type": "c", "major": 1, "minor": 3, "access": "rw"}, *RULES],
        ),
        "warning", "linux.resources.devices[0]", "denies everything after it",
    ),
    "mount on the root": (
        mount(destination="/"), "warning", "mounts[7]", "covers the whole root file system",
    ),
    "symlinks and none": (
        mount(options=["nosymfollow", "symfollow"]), "warning", "mounts[7].options",
        "has nosymfollow and symfollow; the last one, symfollow, counts",
    ),
    "recursive options that contradict": (
        mount(options=["rexec", "ro", "rnoexec", "rexec"]), "warning", "mounts[7].options",
        "has rnoexec and rexec; the last one, rexec, counts",
    ),
    "access times that contradict": (
        mount(options=["rnoatime", "rstrictatime"]), "warning", "mounts[7].options",
        "has rnoatime and rstrictatime",
    ),
    "options in one string": (
        mount(options="ro,nosuid"), "error", "mounts[7].options", 'write ["ro", "nosuid"]',
    ),
    "options with commas": (
        mount(options=["ro,nosuid"]), "error", "mounts[7].options", 'write ["ro", "nosuid"]',
    ),
    "size with a unit": (mount(options=["size=64MB"]), "error", "mounts[7].options", "50%"),
    "place as others call it": (
        mount(target="/mnt"), "warning", "mounts[7].target", "did you mean destination?",
    ),
    "neither bind nor a type": (
        mount(type="none", source="directory"), "error", "mounts[7].type", 'add "rbind"',
    ),
    "mask on the program": (
        add("linux.maskedPaths", "/bin"),
        "error", "linux.maskedPaths[10]", "hides the program /bin/sh",
    ),
    "mask on a mount": (
        both(mount(), add("linux.maskedPaths", "/mnt")),
        "warning", "linux.maskedPaths[10]", "hides mounts[7]",
    ),
    "name of a host": (member("hostname", "a b"), "warning", "hostname", "no name of a host"),
    "directory that is a file": (
        member("process.cwd", "/bin/sh"), "error", "process.cwd", "is a file",
    ),
    "variable with a blank": (
        add("process.env", "A =1"), "warning", "process.env[2]", "has a blank",
    ),
    "pipe without a shell": (
        member("process.args", ["echo", "a", "|", "cat"]),
        "warning", "process.args[2]", '["sh", "-c", "echo a | cat"] has one',
    ),
    "variable without a shell": (
        member("process.args", ["echo", "$HOME"]), "warning", "process.args[1]", "no shell",
    ),
    "script in pieces": (
        member("process.args", ["sh", "-c", "echo", "hi"]),
        "warning", "process.args[3]", 'write one string: "echo hi"',
    ),
    "another platform": (member("windows", {}), "warning", "windows", "not for Linux"),
    "read-only in vain": (
        add("linux.readonlyPaths", "/proc/kcore"),
        "warning", "linux.readonlyPaths[5]", "in linux.maskedPaths, too",
    ),
    # -- wrong types, deep in the config -------------------------------------------------------
    "number for a boolean": (
        member("process.terminal", 1), "error", "process.terminal", "must be a boolean",
    ),
    "env as an object": (
        member("process.env", {"A": "b"}), "error", "process.env", "must be an array",
    ),
    "args as one string": (
        member("process.args", "sh -c true"), "error", "process.args", '["sh", "-c", "true"]',
    ),
    "id as a string": (
        member("process.user.uid", "1000"), "error", "process.user.uid", "write 1000 without",
    ),
    "empty id": (member("process.user.uid", ""), "error", "process.user.uid", "an integer"),
    "groups as a string": (
        member("process.user.additionalGids", "10,20"),
        "error", "process.user.additionalGids", "write [10, 20]",
    ),
    "capabilities as a list": (
        member("process.capabilities", ["CAP_KILL"]),
        "error", "process.capabilities", "must be an object",
    ),
    "limits as an object": (
        member("process.rlimits", {"RLIMIT_NOFILE": 1024}),
        "error", "process.rlimits", "must be an array",
    ),
    "mounts as an object": (
        member("mounts", {"/proc": "proc"}), "error", "mounts", "must be an array",
    ),
    "namespace as a string": (
        add("linux.namespaces", "user"), "error", "linux.namespaces[5]", "must be an object",
    ),
    "true as a string": (
        member("linux.resources.devices", [{"allow": "false", "access": "rwm"}]),
        "error", "linux.resources.devices[0].allow", "write false without quotes",
    ),
    "number for a cgroup file": (
        member("linux.resources.unified", {"memory.max": 1}),
        "error", 'linux.resources.unified["memory.max"]', 'write "1" with quotes',
    ),
    "fraction": (
        member("process.oomScoreAdj", 1.5), "error", "process.oomScoreAdj", "with a fraction",
    ),
    "annotation as a number": (
        member("annotations", {"a": 1}), "error", "annotations.a", 'write "1" with quotes',
    ),
    "annotations as a list": (
        member("annotations", ["a=b"]), "error", "annotations", "must be an object",
    ),
    "version as a number": (member("ociVersion", 1.0), "error", "ociVersion", "must be a string"),
    "kernel parameter as a number": (
        member("linux.sysctl", {"net.ipv4.ip_forward": 1}),
        "error", 'linux.sysctl["net.ipv4.ip_forward"]', 'write "1" with quotes',
    ),
    "root as a string": (member("root", "rootfs"), "error", "root", "must be an object"),
    "rate with a unit": (
        member(f"{BLOCKS}", [{"major": 8, "minor": 0, "rate": "10M"}]),
        "error", f"{BLOCKS}[0].rate", "write 10485760",
    ),
    "hook that is no list": (
        member("hooks", {"poststop": {"path": "/bin/true"}}),
        "error", "hooks.poststop", "must be an array",
    ),
    # -- words that there are not --------------------------------------------------------------
    "namespace as the kernel calls it": (
        add("linux.namespaces", {"type": "mnt"}),
        "error", "linux.namespaces[5].type", "did you mean mount?",
    ),
    "namespace in another case": (
        add("linux.namespaces", {"type": "User"}),
        "error", "linux.namespaces[5].type", "did you mean user?",
    ),
    "operator of another language": (
        member(
            "linux.seccomp",
            profile(
                {
                    "names": ["chmod"],
                    "action": "SCMP_ACT_ERRNO",
                    "args": [{"index": 0, "value": 1, "op": "=="}],
                }
            ),
        ),
        "error", "linux.seccomp.syscalls[0].args[0].op", "SCMP_CMP_EQ",
    ),
    "flag misspelt": (
        member("linux.seccomp", {**profile(), "flags": ["SECCOMP_FILTER_FLAG_LOGS"]}),
        "error", "linux.seccomp.flags[0]", "did you mean SECCOMP_FILTER_FLAG_LOG?",
    ),
    "propagation misspelt": (
        member("linux.rootfsPropagation", "rprivat"),
        "error", "linux.rootfsPropagation", "did you mean private?",
    ),
    "type of a device": (
        member("linux.devices", [{**DEVICE, "type": "char"}]),
        "error", "linux.devices[0].type", "must be c, b, u or p",
    ),
    "access to a device": (
        member("linux.resources.devices", [{"allow": True, "access": "rwx"}]),
        "warning", "linux.resources.devices[0].access", "all but r, w and m is ignored",
    ),
    "size of pages": (
        member("linux.resources.hugepageLimits", [{"pageSize": "2M", "limit": 1}]),
        "error", "linux.resources.hugepageLimits[0].pageSize", "a size like 2MB",
    ),
    "class misspelt": (
        member("process.ioPriority", {"class": "IOPRIO_CLASS_BEST", "priority": 1}),
        "error", "process.ioPriority.class", "IOPRIO_CLASS_BE",
    ),
    "policy as the kernel calls it": (
        member("process.scheduler", {"policy": "SCHED_NORMAL"}),
        "error", "process.scheduler.policy", "must be one of SCHED_OTHER",
    ),
    "personality misspelt": (
        member("linux.personality", {"domain": "LINUX64"}),
        "error", "linux.personality.domain", "must be one of LINUX",
    ),
    "version with a v": (member("ociVersion", "v1.0"), "error", "ociVersion", "SemVer"),
    # -- numbers and contradictions ------------------------------------------------------------
    "seventh argument": (
        member(
            "linux.seccomp",
            profile(
                {
                    "names": ["chmod"],
                    "action": "SCMP_ACT_ERRNO",
                    "args": [{"index": 6, "value": 1, "op": "SCMP_CMP_EQ"}],
                }
            ),
        ),
        "error", "linux.seccomp.syscalls[0].args[0].index", "from 0 to 5",
    ),
    "errno of what is allowed": (
        member(
            "linux.seccomp",
            {
                "defaultAction": "SCMP_ACT_ERRNO",
                "syscalls": [{"names": ["execve"], "action": "SCMP_ACT_ALLOW", "errnoRet": 5}],
            },
        ),
        "error", "linux.seccomp.syscalls[0].errnoRet", "has no error number",
    ),
    "device without a number": (
        member("linux.devices", [{"path": "/dev/fuse", "type": "c"}]),
        "error", "linux.devices[0].major", "is required",
    ),
    "too eager to swap": (
        member(f"{MEMORY}.swappiness", 200), "error", f"{MEMORY}.swappiness", "0 to 100",
    ),
    "rate left out": (
        member(f"{BLOCKS}", [{"major": 8, "minor": 0}]),
        "error", f"{BLOCKS}[0].rate", "is required",
    ),
    "priority without its policy": (
        member("process.scheduler", {"policy": "SCHED_OTHER", "priority": 10}),
        "error", "process.scheduler.priority", "only for SCHED_FIFO",
    ),
    "clocks without their namespace": (
        member("linux.timeOffsets", {"monotonic": {"secs": 1}}),
        "error", "linux.timeOffsets", '{"type": "time"}',
    ),
    "read-only and writable": (
        mount(options=["ro", "rw"]), "warning", "mounts[7].options", "the last one, rw, counts",
    ),
    "mode in letters": (
        mount(options=["mode=rwx"]), "error", "mounts[7].options", "octal digits",
    ),
    "mapping of nothing": (
        both(
            add("linux.namespaces", {"type": "user"}),
            member("linux.uidMappings", [ids(0, 100000, 0)]),
            member("linux.gidMappings", [ids(0, 100000, 65536)]),
        ),
        "error", "linux.uidMappings[0].size", "must be positive",
    ),
    "half of a console size": (
        both(member("process.terminal", True), member("process.consoleSize", {"height": 24})),
        "error", "process.consoleSize.width", "is required",
    ),
    "octal umask": (
        member("process.user.umask", "022"), "error", "process.user.umask", "write 18",
    ),
    "long name of a device": (
        member("linux.netDevices", {"nosuch0": {"name": "averyveryverylongname"}}),
        "error", "linux.netDevices.nosuch0.name", "no name of a network device",
    ),
    "parameter of another namespace": (
        both(drop_namespace("ipc"), member("linux.sysctl", {"fs.mqueue.msg_max": "10"})),
        "error", 'linux.sysctl["fs.mqueue.msg_max"]', "needs an ipc namespace",
    ),
    "host name as a parameter": (
        member("linux.sysctl", {"kernel.hostname": "x"}),
        "error", 'linux.sysctl["kernel.hostname"]', "set hostname",
    ),
    "of another platform": (member("windows", {}), "warning", "windows", "is not for Linux"),
    "unknown member of any shape": (
        member("process.capabilities", {"x": 1}), "warning", "process.capabilities.x", "unknown",
    ),
}  # fmt: skip

RISKS: dict[str, Seed] = {
    "docker.sock": (
        bind("/run/docker.sock"), "high", "mounts[7].source", "starts containers",
    ),
    "the host's root": (bind("/", "ro"), "high", "mounts[7].source", "the whole host"),
    "writable /etc": (bind("/etc"), "high", "mounts[7].source", "writes to"),
    "CAP_SYS_ADMIN": (
        add("process.capabilities.bounding", "CAP_SYS_ADMIN"),
        "high", "process.capabilities.bounding", "CAP_SYS_ADMIN",
    ),
    "host's pids": (drop_namespace("pid"), "high", "linux.namespaces", "no pid namespace"),
    "host's network": (
        drop_namespace("network"), "medium", "linux.namespaces", "no network namespace",
    ),
    "writable /sys": (
        member("mounts.5.options", ["nosuid"]), "high", "mounts[5].options", "/sys is writable",
    ),
    "all devices": (
        member("linux.resources.devices", [{"allow": True, "access": "rwm"}]),
        "high", "linux.resources.devices[0]", "allows all devices",
    ),
    "a disk": (
        member(
            "linux.resources.devices",
            [*RULES, {"allow": True, "type": "b", "major": 8, "minor": 0, "access": "r"}],
        ),
        "high", "linux.resources.devices[1]", "allows a disk",
    ),
    "writable /proc/sys": (
        member("linux.readonlyPaths", []), "high", "linux.readonlyPaths", "/proc/sys",
    ),
    "no masked paths": (member("linux.maskedPaths", []), "medium", "linux.maskedPaths", "secrets"),
    "no seccomp": (lambda config: None, "medium", "linux.seccomp", "no seccomp profile"),
    "root": (lambda config: None, "low", "process.user", "no user namespace"),
    "setuid programs": (
        member("process.noNewPrivileges", False), "low", "process.noNewPrivileges", "setuid",
    ),
}  # fmt: skip
