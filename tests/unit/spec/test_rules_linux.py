"""Rules of config-linux.md: namespaces and what needs them, devices, seccomp, resources."""

from __future__ import annotations

from typing import Any

import pytest

from pycontainer import spec
from pycontainer.spec.rules import namespaces
from tests.unit.spec.samples import BASE, IDS, changed, refusal, with_user

NONE: dict[str, Any] = {"linux.namespaces": []}
NULL = {"type": "c", "path": "/dev/x", "major": 1, "minor": 3}
LOG = {"defaultAction": "SCMP_ACT_LOG"}
ALLOW = {"names": ["read"], "action": "SCMP_ACT_ALLOW"}
NOTIFY = {"names": ["read"], "action": "SCMP_ACT_NOTIFY"}
TIME = changed({"linux.namespaces.+": {"type": "time"}})
JOINED_TIME = changed({"linux.namespaces.+": {"type": "time", "path": "/x"}})


def _ids(*rows: tuple[int, int, int]) -> list[dict[str, int]]:
    return [{"containerID": a, "hostID": b, "size": n} for a, b, n in rows]


def _policy(mode: str | None, **more: Any) -> dict[str, Any]:
    entry = {"mode": mode, **more} if mode else more
    return {"linux.memoryPolicy": entry}


def _resource(name: str, value: Any) -> dict[str, Any]:
    return {"linux.resources": {name: value}}


def _rule(**more: Any) -> dict[str, Any]:
    return {"linux.seccomp": {**LOG, "syscalls": [{**ALLOW, **more}]}}


# Changes, field, part of the message, and the configuration that is changed.
REFUSED: list[tuple[dict[str, Any], str, str, dict[str, Any]]] = [
    ({"linux.namespaces.+": {"type": "pid"}}, "linux.namespaces[6].type", "second time", BASE),
    ({"linux.namespaces.+": {"type": "user", "path": "x"}}, "linux.namespaces[6].path", "", BASE),
    ({"linux.namespaces.+": {"type": "user"}}, "linux.uidMappings", "required", BASE),
    ({"linux.gidMappings": None}, "linux.gidMappings", "required", with_user()),
    ({"linux.uidMappings": IDS}, "linux.uidMappings", "needs a user namespace", BASE),
    ({"linux.uidMappings": _ids((0, 0, 0))}, "linux.uidMappings[0].size", "positive", with_user()),
    ({"linux.uidMappings": _ids((0, 2**32 - 1, 2))}, "linux.uidMappings[0]", "last", with_user()),
    ({"linux.uidMappings": _ids((0, 0, 9), (8, 99, 1))}, "linux.uidMappings[1].containerID",
     "is 8, which is in linux.uidMappings[0]", with_user()),
    ({"linux.gidMappings": _ids((0, 5, 9), (9, 0, 6))}, "linux.gidMappings[0].hostID",
     "is 5, which is in linux.gidMappings[1]", with_user()),
    ({"linux.uidMappings": _ids(*[(i, i, 1) for i in range(341)])}, "linux.uidMappings", "340",
     with_user()),
    ({"process.user.uid": 100}, "process.user.uid", "does not map", with_user()),
    ({"process.user.additionalGids": [0, 100]}, "process.user.additionalGids[1]", "not map",
     with_user()),
    ({**NONE}, "hostname", "uts", BASE),
    ({**NONE, "hostname": None, "domainname": "x"}, "domainname", "uts", BASE),
    ({"hostname": "x" * 65}, "hostname", "64", BASE),
    ({"hostname": "\u00e9" * 33}, "hostname", "64", BASE),
    ({"linux.timeOffsets": {"boottime": {"secs": 1}}}, "linux.timeOffsets", "has none", BASE),
    ({"linux.timeOffsets": {"boottime": {"secs": 1}}}, "linux.timeOffsets", "join", JOINED_TIME),
    ({"linux.timeOffsets": {"boottime": {"nanosecs": 10**9}}},
     "linux.timeOffsets.boottime.nanosecs", "second", TIME),
    ({**NONE, "hostname": None, "linux.maskedPaths": ["/a"]}, "linux.maskedPaths", "mount", BASE),
    ({**NONE, "hostname": None, "linux.netDevices": {"eth0": {}}}, "linux.netDevices", "network",
     BASE),
    ({"linux.netDevices": {"a/b": {}}}, 'linux.netDevices["a/b"]', "no name", BASE),
    ({"linux.netDevices": {"eth0": {"name": "x" * 16}}}, 'linux.netDevices["eth0"].name', "no name",
     BASE),
    ({"linux.netDevices": {"eth0": {"name": "a%s"}}}, 'linux.netDevices["eth0"].name', "no", BASE),
    ({"linux.devices": [{**NULL, "path": "dev/x"}]}, "linux.devices[0].path", "absolute", BASE),
    ({"linux.devices": [{"type": "c", "path": "/x", "major": 1}]}, "linux.devices[0].minor",
     "missing", BASE),
    ({"linux.devices": [{**NULL, "major": 4096}]}, "linux.devices[0].major", "4095", BASE),
    ({"linux.devices": [{**NULL, "minor": -1}]}, "linux.devices[0].minor", "1048575", BASE),
    ({"linux.intelRdt": {"closID": "a/b"}}, "linux.intelRdt.closID", "name", BASE),
    ({"linux.intelRdt": {"closID": ".."}}, "linux.intelRdt.closID", "name", BASE),
    ({"linux.intelRdt": {"schemata": ["L3:0=f", "a\nb"]}}, "linux.intelRdt.schemata[1]", "one line",
     BASE),
    ({"linux.intelRdt": {"l3CacheSchema": "L3:\n"}}, "linux.intelRdt.l3CacheSchema", "line", BASE),
    (_policy(None, nodes="0"), "linux.memoryPolicy.mode", "missing", BASE),
    (_policy("MPOL_BIND"), "linux.memoryPolicy.nodes", "must name", BASE),
    (_policy("MPOL_BIND", nodes=" ,"), "linux.memoryPolicy.nodes", "must name", BASE),
    (_policy("MPOL_LOCAL", nodes="0"), "linux.memoryPolicy.nodes", "must be empty", BASE),
    (_policy("MPOL_BIND", nodes="a"), "linux.memoryPolicy.nodes", "like 0-3,7", BASE),
    (_policy("MPOL_BIND", nodes="0", flags=["MPOL_F_STATIC_NODES", "MPOL_F_RELATIVE_NODES"]),
     "linux.memoryPolicy.flags", "both", BASE),
    ({"linux.personality": {}}, "linux.personality.domain", "missing", BASE),
    ({"linux.seccomp": {"defaultAction": "SCMP_ACT_NOTIFY"}}, "linux.seccomp.defaultAction",
     "NOTIFY", BASE),
    ({"linux.seccomp": {**LOG, "defaultErrnoRet": 1}}, "linux.seccomp.defaultErrnoRet", "no error",
     BASE),
    ({"linux.seccomp": {"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 4096}},
     "linux.seccomp.defaultErrnoRet", "4095", BASE),
    ({"linux.seccomp": {**LOG, "listenerMetadata": "x"}}, "linux.seccomp.listenerMetadata", "needs",
     BASE),
    ({"linux.seccomp": {**LOG, "syscalls": [NOTIFY]}}, "linux.seccomp.listenerPath", "missing",
     BASE),
    ({"linux.seccomp": {**LOG, "listenerPath": "/x", "syscalls": [{**NOTIFY, "names": ["write"]}]}},
     "linux.seccomp.syscalls[0].names", "write", BASE),
    (_rule(errnoRet=1), "linux.seccomp.syscalls[0].errnoRet", "no error number", BASE),
    (_rule(names=["read", ""]), "linux.seccomp.syscalls[0].names", "empty", BASE),
    (_rule(args=[{"index": 6, "value": 0, "op": "SCMP_CMP_EQ"}]),
     "linux.seccomp.syscalls[0].args[0].index", "0 to 5", BASE),
    (_resource("devices", [{"allow": True, "type": "x"}]), "linux.resources.devices[0].type",
     "a, b or c", BASE),
    (_resource("devices", [{"allow": True, "access": "x"}]), "linux.resources.devices[0].access",
     "r, w and m", BASE),
    (_resource("devices", [{"allow": True, "access": ""}]), "linux.resources.devices[0].access",
     "r, w and m", BASE),
    (_resource("devices", [{"allow": True, "minor": -2}]), "linux.resources.devices[0].minor",
     "negative", BASE),
    (_resource("memory", {"limit": -2}), "linux.resources.memory.limit", "-1", BASE),
    (_resource("memory", {"limit": 10, "swap": 9}), "linux.resources.memory.swap", "below", BASE),
    (_resource("memory", {"swappiness": 101}), "linux.resources.memory.swappiness", "100", BASE),
    (_resource("cpu", {"quota": 5, "burst": 6}), "linux.resources.cpu.burst", "quota 5", BASE),
    (_resource("cpu", {"idle": 2}), "linux.resources.cpu.idle", "0 or 1", BASE),
    (_resource("cpu", {"cpus": "0\n1"}), "linux.resources.cpu.cpus", "line feed", BASE),
    (_resource("blockIO", {"weightDevice": [{"major": 8, "minor": 0}]}),
     "linux.resources.blockIO.weightDevice[0]", "weight", BASE),
    (_resource("blockIO", {"throttleReadBpsDevice": [{"major": 8, "minor": 0}]}),
     "linux.resources.blockIO.throttleReadBpsDevice[0].rate", "missing", BASE),
    (_resource("rdma", {"mlx": {}}), 'linux.resources.rdma["mlx"]', "hcaObjects", BASE),
    (_resource("unified", {"../x": "1"}), 'linux.resources.unified["../x"]', "no file", BASE),
    (_resource("unified", {"": "1"}), 'linux.resources.unified[""]', "no file", BASE),
]  # fmt: skip
ACCEPTED: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({**NONE, "hostname": None}, BASE),
    ({"linux.namespaces.+": {"type": "user", "path": "/proc/1/ns/user"}}, BASE),
    ({"linux.namespaces.+": {"type": "time", "path": ""}}, BASE),
    ({"linux.namespaces.+": {"type": "user", "path": "/x"}, "linux.uidMappings": IDS,
      "linux.gidMappings": IDS}, BASE),
    ({"linux.uidMappings": _ids((0, 5, 5), (5, 0, 5), (20, 20, 2**32 - 20))}, with_user()),
    ({"process.user": {"uid": 99, "gid": 99, "additionalGids": [1]}}, with_user()),
    ({"linux.uidMappings": [], "linux.gidMappings": []}, BASE),
    ({"hostname": "x" * 64, "domainname": "y"}, BASE),
    ({"linux.timeOffsets": {"monotonic": {"secs": -5, "nanosecs": 999999999}}}, TIME),
    ({"linux.timeOffsets": {}}, BASE),
    ({"linux.maskedPaths": ["/a"], "linux.readonlyPaths": ["/b", "/b"]}, BASE),
    ({"linux.netDevices": {"eth0": {"name": "ct%d"}, "x" * 15: {}}}, BASE),
    ({"linux.devices": [NULL, {"type": "p", "path": "/x/y"}, {**NULL, "type": "b"}]}, BASE),
    ({"linux.intelRdt": {"closID": "/", "schemata": ["MB:0=20"], "memBwSchema": "MB:"}}, BASE),
    (_policy("MPOL_PREFERRED"), BASE),
    (_policy("MPOL_DEFAULT", nodes=""), BASE),
    (_policy("MPOL_INTERLEAVE", nodes="0-1, 3", flags=["MPOL_F_STATIC_NODES"]), BASE),
    ({"linux.personality": {"domain": "LINUX32"}}, BASE),
    ({"linux.seccomp": {**LOG, "listenerPath": "/x", "syscalls": [NOTIFY]}}, BASE),
    ({"linux.seccomp": {"defaultAction": "SCMP_ACT_TRACE", "defaultErrnoRet": 65535}}, BASE),
    (_rule(action="SCMP_ACT_ERRNO", errnoRet=38), BASE),
    (_resource("devices", [{"allow": False, "access": "rwm"}, {"allow": True, "type": "c",
      "major": -1, "minor": -1, "access": "m"}]), BASE),
    (_resource("memory", {"limit": -1, "swap": -1, "swappiness": 0}), BASE),
    (_resource("memory", {"limit": 100, "swap": 100}), BASE),
    (_resource("memory", {"swappiness": 2**64 - 1}), BASE),
    (_resource("cpu", {"quota": -1, "burst": 6, "idle": 1, "cpus": "0-1", "mems": "0"}), BASE),
    (_resource("pids", {"limit": 0}), BASE),
    (_resource("pids", {"limit": -2}), BASE),  # no limit, as in runc
    (_resource("pids", {}), BASE),  # 1.3 says OPTIONAL; its schema still says required
    (_resource("blockIO", {"weightDevice": [{"major": 8, "minor": 0, "leafWeight": 0}]}), BASE),
    (_resource("rdma", {"mlx": {"hcaObjects": 0}}), BASE),
    (_resource("unified", {"memory.oom.group": "1"}), BASE),
    ({"linux.resources": {}}, BASE),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "field", "text", "base"), REFUSED)
def test_refused(changes: dict[str, Any], field: str, text: str, base: dict[str, Any]) -> None:
    error = refusal(changed(changes, base))
    assert error is not None
    assert error.field == field
    assert text in error.message
    assert error.clause.startswith("config")


@pytest.mark.parametrize(("changes", "base"), ACCEPTED)
def test_accepted(changes: dict[str, Any], base: dict[str, Any]) -> None:
    assert spec.validate(changed(changes, base)) == []


WARNED: list[tuple[dict[str, Any], str]] = [
    (_resource("devices", [{"allow": True, "access": "rx"}]), "all but r, w and m is ignored"),
    (_resource("devices", [{"allow": False, "access": "q"}]), "all but r, w and m is ignored"),
    ({"linux.devices": [NULL, {**NULL, "path": "/dev/y", "type": "u"}]}, "same device"),
    ({"linux.intelRdt": {"l3CacheSchema": "L2:0=f"}}, "L3:"),
    ({"linux.personality": {"domain": "LINUX", "flags": ["X"]}}, "not used"),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "text"), WARNED)
def test_warned(changes: dict[str, Any], text: str) -> None:
    (warning,) = spec.validate(changed(changes))
    assert text in warning


SYSCTLS = {
    "kernel.msgmax": "ipc",
    "kernel/shm_rmid_forced": "ipc",
    "fs.mqueue.msg_max": "ipc",
    "net.ipv4.ip_forward": "network",
    "net/ipv4/conf/eno2.100/rp_filter": "network",
    "kernel.domainname": "uts",
}
NO_SYSCTLS = [
    "kernel.hostname", "kernel.panic", "vm.swappiness", "user.max_user_namespaces", "", "net",
    "netx.a", "net.ipv4.//.//.kernel.panic", "net/../kernel/panic", "net//x", "net.", ".net.x",
    "kernel.sem.x", "userx.y",
]  # fmt: skip


@pytest.mark.parametrize("name", SYSCTLS)
def test_sysctl_of_a_namespace(name: str) -> None:
    config = changed({"linux.sysctl": {name: "1"}})
    assert spec.validate(config) == []
    left = [entry for entry in BASE["linux"]["namespaces"] if entry["type"] != SYSCTLS[name]]
    error = refusal(changed({"linux.namespaces": left, "hostname": None}, config))
    assert error is not None and error.field == f'linux.sysctl["{name}"]'
    assert f" {SYSCTLS[name]} namespace in linux.namespaces" in error.message


@pytest.mark.parametrize("name", NO_SYSCTLS)
def test_sysctl_of_the_host(name: str) -> None:
    error = refusal(changed({"linux.sysctl": {name: "1"}}))
    assert error is not None and error.clause == "config-linux.md#sysctl"


def test_sysctl_of_a_user_namespace() -> None:
    name = "user.max_user_namespaces"
    assert spec.validate(changed({"linux.sysctl": {name: "1"}}, with_user())) == []


def test_sysctl_names_as_sysctl_d() -> None:
    parts = ["net", "ipv4", "conf", "eno2.100", "rp_filter"]
    assert namespaces.sysctl_parts("net.ipv4.conf.eno2/100.rp_filter") == parts
    assert namespaces.sysctl_parts("net/ipv4/conf/eno2.100/rp_filter") == parts


@pytest.mark.parametrize(
    "name", ["", ".", "..", "a b", "a\tb", "a:b", "x" * 16, "\u00e9" * 8, "%d"]
)
def test_no_device_name(name: str) -> None:
    assert not namespaces.device_name(name)


@pytest.mark.parametrize(
    "profile",
    [{}, {"defaultAction": ""}, {"defaultAction": "", "architectures": [], "syscalls": []}],
)
def test_a_profile_that_says_nothing(profile: dict[str, Any]) -> None:
    """runc takes it for none: Go writes an empty structure like this."""
    (warning,) = spec.validate(changed({"linux.seccomp": profile}))
    assert warning.startswith("linux.seccomp: ") and "filters nothing" in warning
    rules = {**profile, "syscalls": [ALLOW]}
    error = refusal(changed({"linux.seccomp": rules}))
    assert error is not None and error.field == "linux.seccomp.defaultAction"
