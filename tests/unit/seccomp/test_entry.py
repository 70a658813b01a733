"""Which filters `exec` may load before its process appears in the container."""

from __future__ import annotations

import platform
from typing import Any

import pytest

from pycontainer.seccomp import cache, simulate

pytestmark = pytest.mark.skipif(platform.machine() != "x86_64", reason="x86-64's numbers")

NAMES = [*simulate.CALLS]
NEW_NAMESPACES = 0x7E020000
ONLY_OLD = {"index": 0, "value": NEW_NAMESPACES, "valueTwo": 0, "op": "SCMP_CMP_MASKED_EQ"}


def lets_enter(default: str, *rules: dict[str, Any]) -> bool:
    made = cache.compile({"defaultAction": default, "syscalls": list(rules)})
    assert made is not None
    return made.lets_enter


def rule(*names: str, action: str = "SCMP_ACT_ALLOW", **more: Any) -> dict[str, Any]:
    return {"names": list(names), "action": action, **more}


def test_a_list_of_what_is_forbidden() -> None:
    assert lets_enter("SCMP_ACT_ALLOW", rule("swapon", action="SCMP_ACT_KILL"))
    assert lets_enter("SCMP_ACT_LOG", rule("swapon", action="SCMP_ACT_KILL"))


def test_a_list_of_what_is_allowed() -> None:
    assert lets_enter("SCMP_ACT_ERRNO", rule(*NAMES))
    assert not lets_enter("SCMP_ACT_ERRNO", rule("execve"))


@pytest.mark.parametrize("action", ["SCMP_ACT_ERRNO", "SCMP_ACT_KILL_PROCESS", "SCMP_ACT_TRAP"])
@pytest.mark.parametrize("name", NAMES)
def test_every_call_counts(name: str, action: str) -> None:
    assert not lets_enter("SCMP_ACT_ALLOW", rule(name, action=action))
    assert not lets_enter(action, rule(*(other for other in NAMES if other != name)))


def test_a_clone_without_new_namespaces() -> None:
    """What the profiles of Docker and Podman say of clone."""
    others = rule(*(name for name in NAMES if name != "clone"))
    assert lets_enter("SCMP_ACT_ERRNO", others, rule("clone", args=[ONLY_OLD]))
    parent = {"index": 0, "value": 0x8000, "valueTwo": 0, "op": "SCMP_CMP_MASKED_EQ"}
    assert not lets_enter("SCMP_ACT_ERRNO", others, rule("clone", args=[parent]))


def test_what_depends_on_the_unknown_is_a_no() -> None:
    """Which descriptor, or which request, nobody can say beforehand."""
    for index, name in ((0, "close"), (1, "ioctl"), (0, "prctl")):
        arg = {"index": index, "value": 4711, "op": "SCMP_CMP_EQ"}
        assert not lets_enter("SCMP_ACT_ALLOW", rule(name, action="SCMP_ACT_ERRNO", args=[arg]))


def test_nobody_answers_a_notification_yet() -> None:
    assert not lets_enter("SCMP_ACT_ALLOW", rule("mkdir", action="SCMP_ACT_NOTIFY"))
    assert not lets_enter("SCMP_ACT_ALLOW", rule("clone", action="SCMP_ACT_NOTIFY"))


def test_a_program_that_it_cannot_follow() -> None:
    unknown = bytes.fromhex("8700000000000000")  # BPF_MISC | BPF_TXA
    allow = bytes.fromhex("060000000000ff7f")
    assert simulate.passes(allow, 0xC000003E, len)
    assert not simulate.passes(unknown + allow, 0xC000003E, len)
    assert not simulate.passes(b"", 0xC000003E, len)


def test_create_needs_more_than_exec():
    """A container waits for its start, and runs hooks, with the filter."""
    wait = [*simulate.WAITING]
    for names, waits in ((NAMES, False), ([*NAMES, *wait], True), ([*NAMES, *wait[:-1]], False)):
        profile = {"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [rule(*names)]}
        made = cache.compile(profile)
        assert made is not None and (made.lets_enter, made.lets_wait) == (True, waits)
