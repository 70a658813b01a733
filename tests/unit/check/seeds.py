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
        bind("directory", "nosiud"), "warning", "mounts[7].options", "did you mean nosuid?",
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
        "warning", "linux.devices[0]", "can be opened by nobody",
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
