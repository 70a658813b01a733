"""Ways to make a valid configuration invalid. Each must be refused, whatever else is in there."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Callable
from typing import Any

JSON = dict[str, Any]
Way = Callable[[random.Random, JSON], "bytes | None"]

_TYPES: dict[str, list[Any]] = {
    "object": [[], "x", 3, True, 1.5],
    "array": [{}, "x", 3, False, 0.0],
    "string": [[], {}, 3, True, 1.5],
    "integer": [[], {}, "3", True, 1.5, 2.0, 1e3],
    "boolean": [[], {}, "true", 0, 1, 1.0],
}
# Where something of a type stands; the members on the way are made when they are not there.
_PLACES = {
    "object": """process root hooks annotations linux linux.resources linux.resources.memory
        linux.resources.cpu linux.resources.pids process.user process.capabilities linux.sysctl
        linux.seccomp linux.intelRdt linux.timeOffsets linux.netDevices linux.personality
        linux.memoryPolicy linux.resources.rdma linux.resources.unified process.consoleSize
        process.scheduler process.ioPriority process.execCPUAffinity linux.resources.network
        linux.resources.blockIO""",
    "array": """mounts process.args process.env process.rlimits linux.namespaces linux.devices
        linux.maskedPaths linux.readonlyPaths linux.uidMappings linux.gidMappings
        process.capabilities.bounding process.capabilities.ambient hooks.prestart hooks.poststop
        linux.resources.devices linux.resources.hugepageLimits process.user.additionalGids
        linux.resources.blockIO.weightDevice linux.resources.network.priorities""",
    "string": """ociVersion hostname domainname process.cwd root.path linux.cgroupsPath
        linux.mountLabel process.apparmorProfile process.selinuxLabel linux.rootfsPropagation
        linux.resources.cpu.cpus linux.resources.cpu.mems""",
    "integer": """process.user.uid process.user.gid process.user.umask process.oomScoreAdj
        linux.resources.memory.limit linux.resources.memory.swap linux.resources.cpu.shares
        linux.resources.cpu.quota linux.resources.pids.limit linux.resources.network.classID
        linux.resources.cpu.idle linux.resources.blockIO.weight""",
    "boolean": """root.readonly process.terminal process.noNewPrivileges
        linux.resources.memory.disableOOMKiller""",
}
_REQUIRED = "ociVersion root root.path process.cwd process.args linux.namespaces.0.type".split()
_EMPTY = "ociVersion root.path process.cwd process.args mounts.0.destination mounts.0.type".split()
_HUGE = {
    "process.user.uid": [-1, 2**32 - 1, 2**32, 2**64],
    "process.user.gid": [-1, 2**32 - 1, 2**32],
    "process.user.umask": [-1, 0o1000, 2**32],
    "process.oomScoreAdj": [-1001, 1001, 2**31, 10**40],
    "linux.resources.memory.limit": [-2, 2**63, -(2**63) - 1, 10**30],
    "linux.resources.memory.swappiness": [-1, 101, 2**64],
    "linux.resources.cpu.shares": [-1, 2**64],
    "linux.resources.cpu.quota": [2**63],
    "linux.resources.cpu.idle": [-1, 2],
    "linux.resources.pids.limit": [-(2**63) - 1, 2**63],
    "linux.resources.blockIO.weight": [-1, 65536],
}
_WORDS = {
    "ociVersion": ["", "1", "1.0", "v1.0.0", "2.0.0", "01.0.0", "1.0.0-", "latest"],
    "root.path": ["a\0b"],
    "process.cwd": ["tmp", ".", "../x", "/\0"],
    "hostname": ["a\0b", "x" * 65],
    "linux.rootfsPropagation": ["Private", "shared ", "none"],
    "linux.cgroupsPath": ["/a\0b"],
    "linux.namespaces.0.type": ["mnt", "net", "PID", "", "mount "],
    "linux.namespaces.0.path": ["proc/1/ns/mnt", "\0"],
}
_ITEMS: dict[str, list[Any]] = {
    "process.env": ["PATH", "=x", "A=\0", 3, None, ["A=b"]],
    "process.args": ["a\0b", 3, None, {}],
    "process.rlimits": [
        {"type": "RLIMIT_FOO", "soft": 1, "hard": 1},
        {"type": "nofile", "soft": 1, "hard": 1},
        {"type": "RLIMIT_CPU", "soft": 2, "hard": 1},
        {"type": "RLIMIT_CPU", "soft": -1, "hard": 1},
        {"type": "RLIMIT_CPU", "soft": 1},
        {"soft": 1, "hard": 1},
        "RLIMIT_CPU",
    ],
    "mounts": [
        {"destination": ""}, {"destination": "/x"}, {"type": "tmpfs"}, {"destination": 3},
        {"destination": "/x", "type": "bind", "source": "/usr"},
        {"destination": "/x", "options": ["bind"]},
        {"destination": "/x\0", "type": "tmpfs"},
        {"destination": "/x", "type": "tmpfs", "options": "ro"},
        {"destination": "/x", "type": "tmpfs", "options": [3]},
        {"destination": "/x", "type": "tmpfs", "options": ["idmap"], "uidMappings": []},
        "/x", None, ["/x"],
    ],
    "linux.namespaces": [
        {"type": "mount"}, {"type": "net"}, {}, {"type": 3}, "pid", {"type": "user", "path": "x"},
    ],
    "linux.devices": [
        {"type": "x", "path": "/x", "major": 1, "minor": 3},
        {"type": "c", "path": "/x"},
        {"type": "c", "path": "x", "major": 1, "minor": 3},
        {"type": "c", "path": "/x", "major": 4096, "minor": 3},
        {"type": "c", "path": "/x", "major": 1, "minor": -1},
        {"type": "b", "major": 1, "minor": 3},
        {"type": "c", "path": "/x", "major": 1, "minor": 3, "fileMode": 2**31},
    ],
    "linux.maskedPaths": ["/a\0", 3],
    "linux.readonlyPaths": [None],
    "linux.resources.devices": [
        {"access": "rwm"}, {"allow": "yes"}, {"allow": True, "type": "u"},
        {"allow": True, "access": "x"}, {"allow": True, "major": -2},
    ],
    "linux.resources.hugepageLimits": [
        {"pageSize": "64kB", "limit": 1}, {"pageSize": "2MB"}, {"pageSize": "0MB", "limit": 1},
    ],
    "hooks.createRuntime": [
        {"path": "true"}, {"path": ""}, {"args": ["x"]}, {"path": "/bin/true", "timeout": 0},
        {"path": "/bin/true", "timeout": -3}, {"path": "/x", "args": "x"}, "/bin/true",
    ],
    "linux.uidMappings": [
        {"containerID": 0, "hostID": 0}, {"containerID": -1, "hostID": 0, "size": 1},
        {"containerID": 0, "hostID": 0, "size": 0},
        {"containerID": 1, "hostID": 1, "size": 2**32 - 1},
    ],
}  # fmt: skip
_SECTIONS: dict[str, list[Any]] = {
    "linux.seccomp": [
        {"syscalls": [{"names": ["read"], "action": "SCMP_ACT_LOG"}]},
        {"defaultAction": "ALLOW"}, {"defaultAction": "SCMP_ACT_NOTIFY"},
        {"defaultAction": "SCMP_ACT_ALLOW", "defaultErrnoRet": 1},
        {"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["x86_64"]},
        {"defaultAction": "SCMP_ACT_ALLOW", "flags": ["TSYNC"]},
        {"defaultAction": "SCMP_ACT_ALLOW", "listenerMetadata": "x"},
        {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": [], "action": "SCMP_ACT_LOG"}]},
        {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["read"]}]},
        {"defaultAction": "SCMP_ACT_ALLOW",
         "syscalls": [{"names": ["read"], "action": "SCMP_ACT_NOTIFY"}]},
        {"defaultAction": "SCMP_ACT_ALLOW",
         "syscalls": [{"names": ["bpf"], "action": "SCMP_ACT_LOG", "errnoRet": 1}]},
        {"defaultAction": "SCMP_ACT_ALLOW",
         "syscalls": [{"names": ["bpf"], "action": "SCMP_ACT_LOG",
                       "args": [{"index": 6, "value": 0, "op": "SCMP_CMP_EQ"}]}]},
    ],
    "linux.sysctl": [
        {"kernel.panic": "1"}, {"vm.swappiness": "1"}, {"": "1"}, {"net.ipv4.ip_forward": 1},
        {"net/../kernel/panic": "1"}, {"kernel.hostname": "x"}, {"net.x": "\0"},
    ],
    "linux.timeOffsets": [{"boottime": {"secs": 1}, "monotonic": 3}, {"boottime": {"secs": "1"}}],
    "linux.netDevices": [{"a b": {}}, {"eth0": {"name": "x" * 16}}, {"eth0": "x"}, {"": {}}],
    "linux.intelRdt": [{"closID": "../x"}, {"memBwSchema": "L3:0=f"}, {"schemata": ["a\nb"]}],
    "linux.personality": [{}, {"domain": "LINUX64"}],
    "linux.memoryPolicy": [{}, {"mode": "bind"}, {"mode": "MPOL_BIND"}, {"mode": "MPOL_LOCAL",
                           "nodes": "0"}],
    "linux.resources.unified": [{"a/b": "1"}, {"..": "1"}, {"memory.max": 1}],
    "linux.resources.rdma": [{"mlx": {}}, {"mlx": {"hcaHandles": -1}}],
    "linux.resources.memory": [{"limit": 1 << 30, "swap": 1 << 20}],
    "linux.resources.blockIO": [
        {"weightDevice": [{"major": 8, "minor": 0}]},
        {"throttleReadBpsDevice": [{"major": 8, "minor": 0}]}, {"weightDevice": [{"major": 8}]},
    ],
    "process.scheduler": [
        {}, {"policy": "SCHED_NORMAL"}, {"policy": "SCHED_FIFO"}, {"policy": "SCHED_ISO"},
        {"policy": "SCHED_OTHER", "nice": 20}, {"policy": "SCHED_OTHER", "runtime": 5},
        {"policy": "SCHED_DEADLINE"},
    ],
    "process.ioPriority": [{}, {"class": "IOPRIO_CLASS_BE", "priority": 8}, {"class": "be"}],
    "process.execCPUAffinity": [{"initial": "a"}, {"final": "3-1"}, {"final": "0\n"}],
    "annotations": [{"": "x"}, {"a": 3}],
    "domainname": ["y" * 65],
}  # fmt: skip


def damage(rng: random.Random, config: JSON) -> tuple[bytes, str]:
    """Damage a copy in one way; the text of the result, and what was done."""
    config = copy.deepcopy(config)
    kind = rng.choice(sorted(_KINDS))
    raw, why = _KINDS[kind](rng, config)
    return raw, f"{kind}: {why}"


def _text(config: Any) -> bytes:
    return json.dumps(config).encode()


def _set(config: JSON, path: str, value: Any) -> bytes:
    *parents, last = path.split(".")
    place: Any = config
    for parent in parents:
        place = place[int(parent)] if parent.isdigit() else place.setdefault(parent, {})
    place[int(last) if last.isdigit() else last] = value
    return _text(config)


def _wrong_type(rng: random.Random, config: JSON) -> tuple[bytes, str]:
    kind = rng.choice(sorted(_TYPES))
    path = rng.choice(_PLACES[kind].split())
    value = rng.choice(_TYPES[kind])
    return _set(config, path, value), f"{path} = {value!r}, which is no {kind}"


def _missing(rng: random.Random, config: JSON) -> tuple[bytes, str]:
    path = rng.choice(_REQUIRED)
    *parents, last = path.split(".")
    place: Any = config
    for parent in parents:
        place = place[int(parent)] if parent.isdigit() else place[parent]
    del place[last]
    return _text(config), f"no {path}"


def _empty(rng: random.Random, config: JSON) -> tuple[bytes, str]:
    path = rng.choice(_EMPTY)
    return _set(config, path, [] if path.endswith("args") else ""), f"{path} is empty"


def _number(rng: random.Random, config: JSON) -> tuple[bytes, str]:
    path = rng.choice(sorted(_HUGE))
    value = rng.choice(_HUGE[path])
    return _set(config, path, value), f"{path} = {value}"


def _word(rng: random.Random, config: JSON) -> tuple[bytes, str]:
    path = rng.choice(sorted(_WORDS))
    value = rng.choice(_WORDS[path])
    return _set(config, path, value), f"{path} = {value!r}"


def _item(rng: random.Random, config: JSON) -> tuple[bytes, str]:
    path = rng.choice(sorted(_ITEMS))
    value = rng.choice(_ITEMS[path])
    place: Any = config
    for name in path.split("."):
        parent, place = place, place.get(name, {}) if isinstance(place, dict) else {}
        if place == {}:
            place = parent.setdefault(name, {})
    items = place if isinstance(place, list) else []
    where = rng.randrange(len(items) + 1)
    return _set(config, path, [*items[:where], value, *items[where:]]), f"{path} has {value!r}"


def _section(rng: random.Random, config: JSON) -> tuple[bytes, str]:
    path = rng.choice(sorted(_SECTIONS))
    value = rng.choice(_SECTIONS[path])
    return _set(config, path, value), f"{path} = {value!r}"


def _nesting(rng: random.Random, config: JSON) -> tuple[bytes, str]:
    """A section one level too high, too low, or twice around."""
    whole = rng.choice([[config], {"config": config}, [[]], "config", 3, None, True, 1e400])
    if rng.random() < 0.5:
        return _text(whole), f"the document is {type(whole).__name__}"
    name = rng.choice(["process", "root", "linux", "mounts"])
    value = config[name]
    wrapped = {"0": value} if isinstance(value, list) else [value]
    return _set(config, name, wrapped), f"{name} is wrapped in a {type(wrapped).__name__}"


def _namespaces(rng: random.Random, config: JSON) -> tuple[bytes, str]:
    """Something that needs a namespace which the container does not have."""
    needs = {
        "uts": ("hostname", "x"),
        "mount": ("linux.maskedPaths", ["/x"]),
        "network": ("linux.netDevices", {"eth0": {}}),
        "time": ("linux.timeOffsets", {"monotonic": {"secs": 1}}),
        "user": ("linux.uidMappings", [{"containerID": 0, "hostID": 0, "size": 1}]),
        "ipc": ("linux.sysctl", {"kernel.sem": "1 1 1 1"}),
    }
    kind = rng.choice(sorted(needs))
    path, value = needs[kind]
    entries = config["linux"]["namespaces"]
    config["linux"]["namespaces"] = [entry for entry in entries if entry["type"] != kind]
    return _set(config, path, value), f"{path} without a {kind} namespace"


def _syntax(rng: random.Random, config: JSON) -> tuple[bytes, str]:
    text = _text(config)
    cut = rng.randrange(len(text))
    ways = {
        "cut": text[:cut],
        "byte": text[:cut] + bytes([rng.choice([0, 1, 0x80, 0xFF])]) + text[cut:],
        "comma": text[:-1] + b",}",
        "more": text + rng.choice([b"x", b"{}", b",", b"]", b"\0"]),
        "constant": text.replace(b"{", b'{"x": NaN, ', 1),
        "quotes": text.replace(b'"', b"'"),
        "comment": b"// config\n" + text,
        "mark": b"\xef\xbb\xbf" + text,
        "surrogate": text.replace(b"{", b'{"x": "\\ud800", ', 1),
        "deep": text.replace(b"{", b'{"x": ' + b"[" * 50_000 + b",", 1),
        "digits": text.replace(b"{", b'{"x": ' + b"9" * 6000 + b", ", 1),
        "utf-16": text.decode().encode("utf-16"),
        "nothing": b"",
    }
    way = rng.choice(sorted(ways))
    return ways[way], way


_KINDS: dict[str, Callable[[random.Random, JSON], tuple[bytes, str]]] = {
    "type": _wrong_type,
    "missing": _missing,
    "empty": _empty,
    "number": _number,
    "word": _word,
    "item": _item,
    "section": _section,
    "nesting": _nesting,
    "namespace": _namespaces,
    "syntax": _syntax,
}
