"""Configurations that runc takes as well, and what their containers look like from inside."""

from __future__ import annotations

import copy
import random
import re
from typing import Any

JSON = dict[str, Any]

# What cannot differ between two runs of the same runtime is not asked.
LOOK = r"""
exec 2>&1
echo "== who"; id; umask; pwd; hostname; cat /proc/sys/kernel/domainname
echo "== environment"; env | sort
echo "== status"; grep -E '^(Cap|NoNewPrivs|Seccomp:|Groups|Uid|Gid)' /proc/self/status
echo "== limits"; cat /proc/self/limits /proc/self/oom_score_adj
echo "== mounts"; cat /proc/self/mountinfo
echo "== devices"; for d in /dev /dev/pts /dev/shm /dev/mqueue /x /x/y /tmp; do
stat -c '%n %F %a %u %g %t:%T' $d $d/* 2>&1; done; cat /dev/fd/9
echo "== writable"; for d in / /etc /x /x/y /tmp /proc/sys/kernel /sys; do
touch $d/probe && rm $d/probe && echo $d; done; echo x > /proc/sysrq-trigger
echo "== hidden"; for f in /proc/kcore /proc/keys /proc/timer_list /x/f; do head -c 1 $f |
wc -c; done; ls /sys/firmware
echo "== network"; cat /proc/sys/net/ipv4/ip_forward /proc/sys/net/ipv4/ip_unprivileged_port_start
echo "== shared"; cat /proc/sys/kernel/shm_rmid_forced; ls -d /sys/fs/cgroup/cgroup.* | wc -l
exit 7
"""
_FLAGS = """ro rw nosuid suid nodev dev noexec exec noatime atime relatime norelatime nodiratime
    diratime strictatime sync async dirsync""".split()
_PROPAGATION = "private rprivate slave rslave shared rshared unbindable".split()
_CAPABILITIES = """CAP_CHOWN CAP_KILL CAP_NET_RAW CAP_SYS_ADMIN CAP_SETUID CAP_SETGID CAP_MKNOD
    CAP_AUDIT_WRITE CAP_NET_BIND_SERVICE CAP_DAC_OVERRIDE CAP_SYS_PTRACE""".split()
_DEVICES: list[JSON] = [
    {"path": "/dev/more", "type": "c", "major": 1, "minor": 3},
    {"path": "/dev/u", "type": "u", "major": 1, "minor": 5, "fileMode": 0o640, "uid": 3, "gid": 4},
    {"path": "/dev/block", "type": "b", "major": 7, "minor": 0},
    {"path": "/dev/pipe", "type": "p", "fileMode": 0o600},
    {"path": "/x/null", "type": "c", "major": 1, "minor": 3},
]
_SYSCTLS = [
    {"net.ipv4.ip_forward": "1"},
    {"net/ipv4/ip_unprivileged_port_start": "0"},
    {"kernel.shm_rmid_forced": "1", "kernel.domainname": "here"},
]
_LIMITS = [
    {"type": "RLIMIT_NOFILE", "soft": 100, "hard": 200},
    {"type": "RLIMIT_CORE", "soft": 0, "hard": 0},
    {"type": "RLIMIT_STACK", "soft": 1 << 20, "hard": 1 << 20},
]


class Author:
    """Changes the default configuration here and there."""

    def __init__(self, seed: int, source: str) -> None:
        self.random = random.Random(f"beside {seed}")
        self.source = source

    def sometimes(self, share: float = 0.3) -> bool:
        return self.random.random() < share

    def some(self, values: list[Any], most: int = 3) -> list[Any]:
        return self.random.sample(values, self.random.randint(0, min(most, len(values))))

    def change(self, config: JSON) -> JSON:
        config = copy.deepcopy(config)
        config["root"]["readonly"] = self.sometimes()
        self._process(config["process"])
        self._namespaces(config)
        self._mounts(config["mounts"])
        self._rest(config["linux"])
        return config

    def _process(self, process: JSON) -> None:
        one = self.random.choice
        process["args"] = ["/bin/sh", "-c", LOOK]
        process["user"] = {"uid": one([0, 0, 1, 1000]), "gid": one([0, 1, 1000])}
        if self.sometimes():
            process["user"]["additionalGids"] = self.some([1, 2, 5, 10], 4)
        if self.sometimes():
            process["user"]["umask"] = one([0, 0o22, 0o77])
        if self.sometimes(0.5):
            permitted = self.some(_CAPABILITIES, 6)
            process["capabilities"] = {
                "bounding": [*permitted, *self.some(_CAPABILITIES)],
                "permitted": permitted,
                "effective": permitted[:3],
                "inheritable": permitted[2:],
                "ambient": permitted[2:4],
            }
        process["noNewPrivileges"] = self.sometimes()
        if self.sometimes():
            process["oomScoreAdj"] = one([0, 100, 1000])
        if self.sometimes():
            process["rlimits"] = self.some(_LIMITS)
        if self.sometimes():
            process["cwd"] = one(["/tmp", "/made/here", "/x", "/etc"])
        if self.sometimes():
            process["env"] = one([[], ["A=b", "A=c"], ["HOME=/x", "EMPTY="]])

    def _namespaces(self, config: JSON) -> None:
        linux, one = config["linux"], self.random.choice
        if self.sometimes():
            kind = one(["ipc", "uts"])
            spaces = [space for space in linux["namespaces"] if space["type"] != kind]
            linux["namespaces"] = spaces
            if kind == "uts":
                config.pop("hostname", None)
            else:  # runc's mqueue belongs to the namespace, or fails
                config["mounts"] = [m for m in config["mounts"] if m["type"] != "mqueue"]
        elif self.sometimes():
            linux["namespaces"] = [s for s in linux["namespaces"] if s["type"] != "cgroup"]
            if self.sometimes(0.5):
                linux["namespaces"].append({"type": "cgroup"})
        elif self.sometimes():
            linux["namespaces"].append({"type": "user"})
            mappings = [{"containerID": 0, "hostID": 0, "size": 70000}]
            linux["uidMappings"] = linux["gidMappings"] = mappings

    def _mounts(self, mounts: list[JSON]) -> None:
        one = self.random.choice
        for mount in mounts:
            if mount["type"] not in ("cgroup", "tmpfs") and self.sometimes(0.2):
                mount["options"] = [*(mount.get("options") or []), *self.some(_FLAGS, 2)]
        if self.sometimes(0.6):
            options = [one(["bind", "rbind"]), *self.some(["ro", "nosuid", "nodev", "noexec"])]
            options += self.some(_PROPAGATION, 1)
            where = one(["/x", "/y/z", "/etc/../x"])
            mounts.append({"destination": where, "source": self.source, "options": options})
        if self.sometimes(0.5):
            options = [*self.some(_FLAGS), *self.some(["size=65536k", "nr_inodes=100", "uid=5"], 2)]
            options += self.some(_PROPAGATION, 1)
            where = one(["/x/y", "/new/one", "/tmp", "/dev/dir"])
            mounts.append(
                {"destination": where, "type": "tmpfs", "source": "tmpfs", "options": options}
            )

    def _rest(self, linux: JSON) -> None:
        one = self.random.choice
        if self.sometimes():
            linux["rootfsPropagation"] = one(["private", "slave"])
        if self.sometimes():
            masked = [[], ["/proc/kcore", "/x"], ["/x/f", "/sys/firmware"], ["x/f", ""]]
            linux["maskedPaths"] = one(masked)
        if self.sometimes():
            linux["readonlyPaths"] = one([[], ["/proc/sys", "/tmp"], ["/not/there", "/etc"]])
        if self.sometimes() and not linux.get("uidMappings"):
            linux["devices"] = self.some(_DEVICES)
        if self.sometimes() and not linux.get("uidMappings"):
            linux["sysctl"] = one(_SYSCTLS)
        if self.sometimes():
            rule = {"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 95}
            linux["seccomp"] = {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule]}


# Differences that are known and meant, as lines of mountinfo or of a look.
_KNOWN = [
    (r"^\d+ \d+ \d+:\d+ ", ""),  # numbers of mounts and devices
    (r" shared:\d+", " shared"),
    (r" (master|propagate_from):\d+", ""),  # runc 1.1 leaves the root a slave, 1.2 does not
    (r"^Max open files .*", ""),  # Go raises the soft limit
    (r",(mode|size)=[0-9a-z]+(?=,|$)", ""),  # runc sets the mode afterwards
    # What hides: runc's own tmpfs and the container's null device, or ours of the host.
    (r"^/\S* (/proc/\S+|/sys/firmware|/sys/devices\S*|/x|/x/f) .* - \w*tmpfs .*", r"hides \1"),
    # In a user namespace: the host's nodes, writable, or ours of the container's own.
    (r"^/\S* (/dev/(?:null|zero|full|u?random|tty)) .* - \w*tmpfs .*", r"device \1"),
    (r"(/sys/fs/cgroup )r.(,.* - tmpfs)", r"\1\2"),  # ours is read-only when it is asked for
    (r"- cgroup \S+ rw", "- cgroup rw"),
    (r"(- tmpfs tmpfs )r.", r"\1"),  # runc's is read-only as a mount alone
]  # fmt: skip


def normal(text: str, *ids: str) -> list[str]:
    """The lines of a look without what may differ; mounts in the order of their places."""
    for name in ids:
        text = text.replace(name, "ID")
    lines = text.splitlines()
    for pattern, replacement in _KNOWN:
        lines = [re.sub(pattern, replacement, line) for line in lines]
    start, end = lines.index("== mounts"), lines.index("== devices")
    return [*lines[: start + 1], *sorted(lines[start + 1 : end]), *lines[end:]]
