"""What exec's options make of the container's own process."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from pycontainer.base.errors import UsageError
from pycontainer.cli.commands import exec as exec_command
from pycontainer.lifecycle.exec_process import merged

NOTHING: dict[str, Any] = {
    "args": ["ls"],
    "cwd": "",
    "env": [],
    "tty": False,
    "user": "",
    "additional_gids": [],
    "process_label": "",
    "apparmor": "",
    "no_new_privs": None,
    "caps": [],
}
PROCESS: dict[str, Any] = {
    "terminal": True,
    "args": ["sh"],
    "cwd": "/work",
    "env": ["A=1"],
    "user": {"uid": 5, "gid": 6, "additionalGids": [7]},
    "noNewPrivileges": True,
    "capabilities": {"bounding": ["CAP_KILL"], "permitted": ["CAP_KILL"]},
    "oomScoreAdj": 3,
}
PLAIN = {**PROCESS, "args": ["ls"], "terminal": False}


def merge(process: dict[str, Any] = PROCESS, **options: Any) -> dict[str, Any]:
    return merged(process, SimpleNamespace(**{**NOTHING, **options}))


@pytest.mark.parametrize(
    ("options", "changes"),
    [
        ({}, {}),
        ({"tty": True}, {"terminal": True}),
        ({"cwd": "/x"}, {"cwd": "/x"}),
        ({"env": ["B=2", "A=3"]}, {"env": ["A=1", "B=2", "A=3"]}),
        ({"no_new_privs": False}, {"noNewPrivileges": False}),
        ({"apparmor": "p"}, {"apparmorProfile": "p"}),
        ({"process_label": "l"}, {"selinuxLabel": "l"}),
        ({"user": "8"}, {"user": {"uid": 8, "gid": 6, "additionalGids": [7]}}),
        ({"user": "8:9"}, {"user": {"uid": 8, "gid": 9, "additionalGids": [7]}}),
        ({"additional_gids": [1]}, {"user": {"uid": 5, "gid": 6, "additionalGids": [7, 1]}}),
    ],
)
def test_options_change_only_what_they_name(
    options: dict[str, Any], changes: dict[str, Any]
) -> None:
    assert merge(**options) == {**PLAIN, **changes}


def test_the_containers_process_is_not_changed() -> None:
    before = repr(PROCESS)
    merge(env=["B=1"], caps=["CAP_CHOWN"], user="1:2", additional_gids=[3])
    assert repr(PROCESS) == before


def test_capabilities_never_become_inheritable() -> None:
    assert merge(caps=["CAP_CHOWN"])["capabilities"] == {
        "bounding": ["CAP_KILL", "CAP_CHOWN"],
        "effective": ["CAP_CHOWN"],
        "permitted": ["CAP_KILL", "CAP_CHOWN"],
    }
    assert "capabilities" not in merge({"args": ["sh"], "cwd": "/"})
    assert merge({"args": ["sh"]}, caps=["CAP_CHOWN"])["capabilities"] == {
        "bounding": ["CAP_CHOWN"],
        "effective": ["CAP_CHOWN"],
        "permitted": ["CAP_CHOWN"],
    }


def test_ambient_ones_need_inheritable_ones() -> None:
    process = {"args": [], "capabilities": {"inheritable": ["CAP_KILL"]}}
    sets = merge(process, caps=["CAP_CHOWN"])["capabilities"]
    assert sets["ambient"] == ["CAP_CHOWN"] and sets["inheritable"] == ["CAP_KILL"]


@pytest.mark.parametrize("text", ["", "0", "1:2", "4294967294:0", "007"])
def test_users_are_numbers(text: str) -> None:
    assert exec_command._user(text) == text


@pytest.mark.parametrize(
    "text",
    "abc 1: :1 : -1 1:-1 1x +5 0x0 1:2:3 99999999999 4294967295 1_0 1,2 \u0663 root".split()
    + [" 1", "1 ", "1\n", "1:0\0"],
)
def test_anything_else_is_refused_and_never_root(text: str) -> None:
    """CVE-2026-30892: what could not be parsed became uid 0."""
    with pytest.raises(UsageError, match="must be a number"):
        exec_command._user(text)
