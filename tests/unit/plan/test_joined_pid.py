"""When the process of a container that joins a pid namespace appears there."""

from __future__ import annotations

from typing import Any

from pycontainer.linux.host import Host
from pycontainer.seccomp.cache import Filter
from tests.unit.plan import compiled

CAP_SYS_ADMIN = 1 << 21


def config(**process: Any) -> dict[str, Any]:
    document = compiled.config()
    document["process"].update(process)
    document["linux"]["namespaces"] = [
        {"type": "pid", "path": "/proc/7/ns/pid"},
        *({"type": kind} for kind in ("mount", "network", "uts", "ipc", "cgroup")),
    ]
    return document


def order(plan: Any, *kinds: str) -> list[str]:
    return [item.kind for item in plan.ops if item.kind in kinds]


def test_last_of_all():
    """After it has given up everything; only then it has a session of its own."""
    plan = compiled.plan(config(), Host(procfs_pidns=True))
    kinds = ("setns", "pivot_root", "capabilities", "respawn", "setsid", "await_start")
    assert order(plan, *kinds) == [*kinds]
    proc = next(item for item in plan.ops if item.kind == "mount" and item["fstype"] == b"proc")
    assert b"pidns=/proc/self/ns/pid_for_children\0" in proc["options"]
    assert plan.warnings == []


def test_on_an_older_kernel():
    plan = compiled.plan(config(), Host(procfs_pidns=False))
    kinds = ("setns", "respawn", "setsid", "pivot_root", "capabilities", "await_start")
    assert order(plan, *kinds) == [*kinds]
    (warning,) = plan.warnings
    assert "CAP_SYS_PTRACE" in warning and "6.18" in warning


def test_hooks_of_the_host_stay_outside():
    document = config()
    document["hooks"] = {"createContainer": [{"path": "/bin/true"}]}
    plan = compiled.plan(document, Host(procfs_pidns=True))
    assert order(plan, "setns", "hook", "respawn") == ["setns", "setns", "hook", "setns", "respawn"]
    paths = [item["path"] for item in plan.ops if item.kind == "setns"]
    assert paths == [b"/proc/7/ns/pid", b"/proc/self/ns/pid", b"/proc/7/ns/pid"]


def test_a_filter_without_no_new_privileges():
    """It is loaded before, if it lets a container wait; then nothing is kept for it."""
    kinds = ("seccomp", "respawn", "await_start", "exec")
    for lets, expected in (
        (True, [*kinds]),
        (False, ["respawn", "await_start", "seccomp", "exec"]),
    ):
        loaded = Filter(b"\6" * 8, 0, False, (), (), lets, lets)
        plan = compiled.plan(config(noNewPrivileges=False), Host(procfs_pidns=True), filter=loaded)
        assert order(plan, *kinds) == expected
        before = plan.ops[: [o.kind for o in plan.ops].index("respawn")]
        kept = [o for o in before if o.kind == "capabilities"][-1]["permitted"] & CAP_SYS_ADMIN
        assert bool(kept) == bool(plan.warnings) == (not lets)


def mapped(**process: Any) -> dict[str, Any]:
    document = config(**process)
    document["linux"]["namespaces"].append({"type": "user"})
    for kind in ("uidMappings", "gidMappings"):
        document["linux"][kind] = [{"containerID": 0, "hostID": 100000, "size": 65536}]
    return document


def test_with_a_user_namespace():
    """Who is in the pid namespace need not be in that one."""
    plan = compiled.plan(mapped(), Host(procfs_pidns=True))
    kinds = ("setns", "open_fs", "become_root", "capabilities", "respawn", "setsid", "await_start")
    assert order(plan, *kinds) == [*kinds]
    proc = next(item for item in plan.ops if item.kind == "open_fs")
    assert b"pidns=/proc/self/ns/pid_for_children\0" in proc["options"]
    assert plan.warnings == []


def test_a_user_namespace_on_an_older_kernel():
    plan = compiled.plan(mapped(), Host(procfs_pidns=False))
    assert order(plan, "respawn") == []
    assert next(item for item in plan.ops if item.kind == "clone")["pid_slot"] >= 0
    (warning,) = plan.warnings
    assert "CAP_SYS_PTRACE" in warning
    document = mapped()
    document["linux"]["namespaces"][-1]["path"] = "/proc/7/ns/user"
    assert compiled.plan(document, Host(procfs_pidns=False)).warnings == []


def test_hooks_in_a_user_namespace_cannot_stay_outside():
    document = mapped()
    document["hooks"] = {"createContainer": [{"path": "/bin/true"}]}
    (warning,) = compiled.plan(document, Host(procfs_pidns=True)).warnings
    assert "hooks.createContainer" in warning
