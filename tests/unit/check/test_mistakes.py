"""Mistakes that people make in a config.json: each is found, named, and nothing else is."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest

from pycontainer.spec import default_config
from tests.unit.check.conftest import Bundle, of

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
        "error", "process.args[0]", "one argument with blanks",
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
        "warning", "", "CAP_SYS_ADMN",
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


def seeded(seeds: dict[str, Seed], name: str) -> dict[str, Any]:
    config = base()
    seeds[name][0](config)
    return config


def test_nothing_is_wrong_with_the_base(bundle: Bundle):
    assert of(bundle.check(base()), "error", "warning") == []


def test_there_are_at_least_forty():
    assert len(SEEDS) >= 40


@pytest.mark.parametrize("name", SEEDS)
def test_found(bundle: Bundle, name: str):
    _, severity, field, words = SEEDS[name]
    found = of(bundle.check(seeded(SEEDS, name)), "error", "warning")
    assert [(f.severity, f.field) for f in found] == [(severity, field)], found
    assert words in f"{found[0].message} {found[0].fix}"
    assert found[0].line > 0 or not field or "required" in found[0].message


@pytest.mark.parametrize("name", RISKS)
def test_risk(bundle: Bundle, name: str):
    _, severity, field, words = RISKS[name]
    found = [f for f in of(bundle.check(seeded(RISKS, name)), severity) if f.field == field]
    assert any(words in f.message for f in found), found


def test_all_at_once(bundle: Bundle):
    """Mistakes that do not touch each other are all named, with the places in the file."""
    names = [
        "member misspelt", "wrong type", "relative cwd", "variable without a value",
        "limit misspelt", "source is missing", "namespace misspelt", "sysctl of the host",
        "swap below the limit", "quota in percent", "relative hook", "no version",
    ]  # fmt: skip
    config = base()
    for name in names:
        SEEDS[name][0](config)
    found = of(bundle.check(config), "error", "warning")
    assert {f.field for f in found} >= {SEEDS[name][2] for name in names}
    # Nothing but consequences of these: the fields are the same.
    assert {f.field for f in found} == {SEEDS[name][2] for name in names}
    for finding in found:
        if "required" not in finding.message:
            line = (bundle.path / "config.json").read_text().splitlines()[finding.line - 1]
            name = finding.field.rpartition(".")[2].partition("[")[0]
            assert name in line or finding.field.endswith("]"), (finding, line)


def test_list_elements_keep_their_numbers(bundle: Bundle):
    config = base()
    config["process"]["env"] = ["A", "B=1", "C", "D", "PATH=/bin"]
    config["mounts"] += [
        {"destination": "/a", "type": "tmpfs", "source": "x", "options": "ro"},
        {"destination": "", "type": "tmpfs", "source": "x"},
        {"destination": "/c", "options": ["bind"]},
    ]
    fields = [f.field for f in of(bundle.check(config), "error")]
    assert fields == [
        "process.env[0]", "process.env[2]", "process.env[3]",
        "mounts[7].options", "mounts[8].destination", "mounts[9].source",
    ]  # fmt: skip


def test_a_member_twice(bundle: Bundle):
    text = json.dumps(base(), indent=1).replace('"hostname"', '"hostname": "a",\n "hostname"', 1)
    found = of(bundle.check(text), "warning")
    assert [(f.field, f.message) for f in found] == [
        ("hostname", "given twice; the last one counts")
    ]
    assert '"hostname"' in text.splitlines()[found[0].line - 1]


def test_on_one_line(bundle: Bundle):
    """Columns count from 1."""
    config = base()
    config["procces"] = {}
    text = json.dumps(config)
    found = next(f for f in bundle.check(text).findings if f.field == "procces")
    assert (found.line, found.column) == (1, text.index('"procces"') + 1)
