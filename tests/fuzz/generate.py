"""Random configurations, by seed: valid ones that run on a machine like this, and invalid ones.

`valid_config` gives a configuration whose process ends by itself with the exit status that
`exit_status` says. The rootfs is a directory with /bin/busybox and /bin/sh, mode 755, owned by
root; it may be shared by all. Needed is root with cgroup v1 or v2; limits stay below the hard
limits of this process and capabilities within its own, as not every root has all.
"""

from __future__ import annotations

import json
import random
import resource
from pathlib import Path
from typing import Any

from tests.fuzz.damage import damage

EXIT = "com.example.exit-status"
_WORDS = ("alpha", "beta", "gamma", "delta", "epsilon", "zeta")
_CAPABILITIES = (
    "CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_FSETID", "CAP_KILL", "CAP_SETGID",
    "CAP_SETUID", "CAP_SETPCAP", "CAP_NET_BIND_SERVICE", "CAP_NET_RAW", "CAP_SYS_CHROOT",
    "CAP_MKNOD", "CAP_AUDIT_WRITE", "CAP_SETFCAP",
)  # fmt: skip
_FEW_HARM = ("nosuid", "noexec", "nodev", "relatime", "noatime", "strictatime", "nodiratime")
_MASKABLE = (
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/sys/firmware",
)
_READABLE = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")
_HARMLESS_TO_BLOCK = ("acct", "swapon", "reboot", "keyctl", "add_key", "mbind", "kexec_load", "bpf")
_HOST_KINDS = ("prestart", "createRuntime", "createContainer", "poststart", "poststop")


def valid_config(seed: int, rootfs: str, *, later: bool = False) -> dict[str, Any]:
    """A configuration that must run; `later` adds what this machine's runc does not know."""
    return _Builder(random.Random(f"valid {seed}"), rootfs, later).build()


def invalid_config(seed: int, rootfs: str) -> tuple[bytes, str]:
    """The text of a config.json that must be refused, and what is wrong with it."""
    return damage(random.Random(f"invalid {seed}"), valid_config(seed, rootfs))


def exit_status(config: dict[str, Any]) -> int:
    """What the process of a valid configuration ends with."""
    return int(config["annotations"][EXIT])


def _own_capabilities() -> set[int]:
    """The bits that this process may give away."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("CapBnd:"):
            mask = int(line.split()[1], 16)
            return {bit for bit in range(64) if mask >> bit & 1}
    return set()


class _Builder:
    """Puts one configuration together; what one part needs of another stands in the attributes."""

    def __init__(self, rng: random.Random, rootfs: str, later: bool) -> None:
        self.rng = rng
        self.rootfs = rootfs
        self.later = later
        self.kinds = self._kinds()
        # Without a /dev of its own, a user namespace meets the device nodes of other containers.
        self.dev = "user" in self.kinds or rng.random() < 0.85

    def often(self, odds: float) -> bool:
        return self.rng.random() < odds

    def some(self, words: tuple[str, ...]) -> list[str]:
        return self.rng.sample(words, self.rng.randrange(len(words) + 1))

    def build(self) -> dict[str, Any]:
        status = self.rng.choice([0, 0, 0, 1, 7, 42, 255])
        config: dict[str, Any] = {
            "ociVersion": self.rng.choice(["1.0.0", "1.0.2-dev", "1.1.0", "1.2.1", "1.3.0"]),
            "process": self._process(status),
            "root": {"path": self.rootfs},
            "mounts": self._mounts(),
            "annotations": {EXIT: str(status)},
            "linux": self._linux(),
        }
        if self.often(0.5):
            config["root"]["readonly"] = self.often(0.5)
        if "uts" in self.kinds and self.often(0.7):
            config["hostname"] = "-".join(self.rng.sample(_WORDS, 2))
        if self.often(0.3):
            config["annotations"][f"com.example.{self.rng.choice(_WORDS)}"] = ""
        if self.often(0.3):
            config["hooks"] = self._hooks()
        if self.often(0.2):
            config["x-unknown"] = {"any": [None, 1.5, True]}
        return config

    def _kinds(self) -> set[str]:
        """Namespace types. Always a mount namespace: without one the host would be changed."""
        kinds = {"mount"}
        for kind, odds in {
            "pid": 0.9,
            "network": 0.8,
            "ipc": 0.8,
            "uts": 0.8,
            "cgroup": 0.6,
        }.items():
            if self.often(odds):
                kinds.add(kind)
        if {"pid", "network", "ipc"} <= kinds and self.often(0.2):
            kinds.add("user")
        if self.later and self.often(0.2):
            kinds.add("time")
        return kinds

    def _process(self, status: int) -> dict[str, Any]:
        scripts = [f"exit {status}", f"cat /proc/self/status >/dev/null; exit {status}"]
        commands = [["/bin/sh", "-c", self.rng.choice(scripts)], ["sh", "-c", f"exit {status}"]]
        if status == 0:
            commands.append(["/bin/busybox", "true"])
        process: dict[str, Any] = {
            "cwd": self.rng.choice(["/", "/", "/bin"]),
            "args": self.rng.choice(commands),
            "env": ["PATH=/usr/sbin:/usr/bin:/sbin:/bin"],
            "user": self._user(),
        }
        process["env"] += [f"{word.upper()}={word}=1" for word in self.some(_WORDS)[:3]]
        if self.often(0.7):
            process["capabilities"] = self._capabilities()
        if self.often(0.6):
            process["rlimits"] = self._rlimits()
        if self.often(0.5):
            process["noNewPrivileges"] = self.often(0.6)
        if self.often(0.3):
            process["oomScoreAdj"] = self.rng.randrange(100, 1001)
        if self.later and self.often(0.3):
            process["scheduler"] = {"policy": "SCHED_OTHER", "nice": self.rng.randrange(20)}
        if self.later and self.often(0.3):
            level = self.rng.randrange(4, 8)
            process["ioPriority"] = {"class": "IOPRIO_CLASS_BE", "priority": level}
        return process

    def _user(self) -> dict[str, Any]:
        uid = self.rng.choice([0, 0, 0, 1000, 65534])
        user: dict[str, Any] = {"uid": uid, "gid": self.rng.choice([uid, 0, 100])}
        if self.often(0.3):
            user["additionalGids"] = self.rng.sample([1, 5, 10, 20, 1000], 2)
        if self.often(0.3):
            user["umask"] = self.rng.choice([0, 0o22, 0o77, 0o777])
        return user

    def _capabilities(self) -> dict[str, list[str]]:
        from pycontainer.tables.caps import BITS

        own = _own_capabilities()
        bounding = self.some(tuple(name for name in _CAPABILITIES if BITS[name] in own))
        permitted = self.some(tuple(bounding))
        sets = {
            "bounding": bounding,
            "permitted": permitted,
            "effective": self.some(tuple(permitted)),
        }
        if self.often(0.4):
            sets["inheritable"] = self.some(tuple(permitted))
            sets["ambient"] = self.some(tuple(sets["inheritable"]))
        return sets

    def _rlimits(self) -> list[dict[str, Any]]:
        wanted = {"NOFILE": 256, "CORE": 0, "STACK": 8 << 20, "MEMLOCK": 4096, "NPROC": 20000}
        limits = []
        for name in self.rng.sample(sorted(wanted), self.rng.randrange(1, 4)):
            most = resource.getrlimit(getattr(resource, f"RLIMIT_{name}"))[1]
            low = wanted[name]
            high = low * self.rng.choice([1, 2, 16])
            if most != resource.RLIM_INFINITY:
                low, high = min(low, most), min(high, most)
            limits.append({"type": f"RLIMIT_{name}", "soft": low, "hard": high})
        return limits

    def _mounts(self) -> list[dict[str, Any]]:
        mounts = [_mount("/proc", "proc", "proc")]
        if self.often(0.3):
            mounts[0]["options"] = ["nosuid", "noexec", "nodev"]
        if self.dev:
            options = ["nosuid", "strictatime", "mode=755", "size=65536k"]
            mounts.append(_mount("/dev", "tmpfs", "tmpfs", options))
            pts = ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"]
            mounts.append(_mount("/dev/pts", "devpts", "devpts", pts))
            if self.often(0.5):
                shm = ["nosuid", "noexec", "nodev", "mode=1777", "size=1m"]
                mounts.append(_mount("/dev/shm", "tmpfs", "shm", shm))
            if "ipc" in self.kinds and self.often(0.5):
                mounts.append(_mount("/dev/mqueue", "mqueue", "mqueue", ["nosuid", "nodev"]))
        if self.often(0.5):
            mounts.append(_mount("/sys", "sysfs", "sysfs", ["nosuid", "noexec", "nodev", "ro"]))
        for place in range(self.rng.randrange(4)):
            mounts.append(self._extra(f"/{self.rng.choice(_WORDS)}{place}"))
        return mounts

    def _extra(self, destination: str) -> dict[str, Any]:
        harmless = self.some(_FEW_HARM)[:3]
        if self.often(0.5):
            sizes = [[], ["size=1m"], ["mode=700"], ["size=64k", "mode=1777"]]
            options = harmless + self.rng.choice(sizes) + self.some(("ro",))
            nested = self.rng.choice(["", "/nested/deep"])
            return _mount(destination + nested, "tmpfs", "tmpfs", options)
        source = self.rng.choice(["/etc/passwd", "/usr/share", "/usr/bin", self.rootfs])
        kind = self.rng.choice(["bind", "rbind"])
        propagation = self.rng.choice([[], ["rprivate"], ["rslave"], ["private"]])
        options = [kind, *propagation, *self.some(("ro", "nosuid", "nodev"))]
        if source == "/etc/passwd":
            destination += "-file"  # what is once made in a shared rootfs keeps its type
        return _mount(destination, self.rng.choice(["bind", "none"]), source, options)

    def _linux(self) -> dict[str, Any]:
        linux: dict[str, Any] = {
            "namespaces": [
                {"type": kind} for kind in self.rng.sample(sorted(self.kinds), len(self.kinds))
            ]
        }
        if "user" in self.kinds:
            linux |= self._mappings()
        if self.often(0.5):
            linux["maskedPaths"] = self.some(_MASKABLE)
            linux["readonlyPaths"] = self.some(_READABLE)
        if self.often(0.4):
            linux["sysctl"] = self._sysctl()
        if self.often(0.6):
            linux["resources"] = self._resources()
        if self.often(0.4):
            linux["seccomp"] = self._seccomp()
        if self.dev and self.often(0.4):
            linux["devices"] = self._devices()
        if self.often(0.3):
            linux["rootfsPropagation"] = self.rng.choice(["private", "slave"])
        if self.later and "time" in self.kinds and self.often(0.5):
            linux["timeOffsets"] = {"monotonic": {"secs": 100}, "boottime": {"nanosecs": 5}}
        if self.later and self.often(0.2):
            linux["personality"] = {"domain": "LINUX"}
        return linux

    def _mappings(self) -> dict[str, Any]:
        """Each id is itself: the rootfs needs no other owner, wherever it lies."""
        whole = [{"containerID": 0, "hostID": 0, "size": 65536}]
        halves = [
            {"containerID": 0, "hostID": 0, "size": 1000},
            {"containerID": 1000, "hostID": 1000, "size": 64536},
        ]
        return {
            "uidMappings": self.rng.choice([whole, halves]),
            "gidMappings": self.rng.choice([whole, halves]),
        }

    def _sysctl(self) -> dict[str, str]:
        values = {}
        if "network" in self.kinds:
            values |= {"net.ipv4.ip_forward": "1", "net/ipv4/ip_default_ttl": "63"}
        if "ipc" in self.kinds:
            values |= {"kernel.shm_rmid_forced": "1", "kernel.msgmax": "8192"}
        return {name: values[name] for name in self.some(tuple(values))}

    def _resources(self) -> dict[str, Any]:
        parts: dict[str, Any] = {
            "pids": {"limit": self.rng.choice([-1, 64, 1024])},
            "memory": {"limit": self.rng.choice([64, 128, 512]) << 20},
            "cpu": self.rng.choice(
                [{"shares": 512}, {"quota": 50000, "period": 100000}, {"cpus": "0"}, {}]
            ),
            "devices": [
                {"allow": False, "access": "rwm"},
                {"allow": True, "type": "c", "major": 10, "minor": 229, "access": "rw"},
            ],
        }
        return {name: parts[name] for name in self.some(tuple(parts))}

    def _seccomp(self) -> dict[str, Any]:
        profile: dict[str, Any] = {"defaultAction": "SCMP_ACT_ALLOW"}
        rule: dict[str, Any] = {"names": list(_HARMLESS_TO_BLOCK), "action": "SCMP_ACT_ERRNO"}
        if self.often(0.5):
            rule["errnoRet"] = self.rng.choice([1, 38])
        condition = {"index": 0, "value": 2**64 - 1, "op": "SCMP_CMP_EQ"}
        masked = {"index": 1, "value": 0xFF00, "valueTwo": 0xAB00, "op": "SCMP_CMP_MASKED_EQ"}
        killer = {"names": ["personality", "no_such_call"], "action": "SCMP_ACT_KILL_PROCESS"}
        rules = [rule, {**killer, "args": [condition, masked]}]
        profile["syscalls"] = rules[: self.rng.randrange(3)]
        if self.often(0.5):
            profile["architectures"] = ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"]
        if self.often(0.3):
            profile["flags"] = self.some(
                ("SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_SPEC_ALLOW")
            )
        return profile

    def _devices(self) -> list[dict[str, Any]]:
        device = {"type": "c", "path": "/dev/like/null", "major": 1, "minor": 3}
        fuse = {**device, "path": "/dev/fuse", "major": 10, "minor": 229, "fileMode": 438}
        choice = [device, {**fuse, "uid": 0, "gid": 0}]
        if "user" not in self.kinds:  # there a device can only be the host's, bound
            return self.rng.sample(
                [*choice, {"type": "p", "path": "/dev/pipe", "fileMode": 384}], 2
            )
        return [{"type": "c", "path": "/dev/zero", "major": 1, "minor": 5}]

    def _hooks(self) -> dict[str, Any]:
        hook = {"path": "/bin/true", "args": ["true", "x"], "env": ["A=b"]}
        hooks: dict[str, Any] = {}
        for kind in self.some(_HOST_KINDS)[:2]:
            hooks[kind] = [self.rng.choice([hook, {**hook, "timeout": 20}, {"path": "/bin/true"}])]
        if self.often(0.5):
            inside = {"path": "/bin/busybox", "args": ["busybox", "true"]}
            hooks["startContainer"] = [inside] * self.rng.randrange(1, 3)
        return hooks


def _mount(
    destination: str, kind: str, source: str, options: list[str] | None = None
) -> dict[str, Any]:
    mount: dict[str, Any] = {"destination": destination, "type": kind, "source": source}
    return mount if options is None else {**mount, "options": options}


if __name__ == "__main__":
    import sys

    print(json.dumps(valid_config(int(sys.argv[1]), sys.argv[2]), indent=2))
