"""Long lists in an invalid configuration: the entry at fault is found, and named by its place."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from pycontainer.base.errors import ConfigError
from pycontainer.spec import default_config, validate

MOUNT = {"destination": "/x", "type": "tmpfs"}
RULE = {"names": ["getpid"], "action": "SCMP_ACT_ALLOW"}


def seccomp(*rules: dict[str, Any]) -> dict[str, Any]:
    return {"seccomp": {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": list(rules)}}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda c: c.update(mounts=[MOUNT] * 1500 + [{"type": 1}] * 2),
            "mounts[1500].destination: ",
        ),
        (lambda c: c.update(mounts=[{}] + [MOUNT] * 1500), "mounts[0].destination: "),
        (lambda c: c.update(mounts=[MOUNT] * 1500 + [{}], hostname=1), "hostname: is 1"),
        (lambda c: c["process"].update(env=["A=b"] * 1500 + [1]), "process.env[1500]: is 1"),
        (
            lambda c: c["linux"].update(
                seccomp(*[RULE] * 1200, {**RULE, "names": ["getpid"] * 1300 + [None, 7]})
            ),
            "linux.seccomp.syscalls[1200].names[1300]: is null",
        ),
        (
            lambda c: c["linux"].update(maskedPaths=["/x"] * 100_001),
            "linux.maskedPaths: has 100001 entries, must have at most 100000",
        ),
    ],
)
def test_the_entry_is_named(change: Any, message: str) -> None:
    config = default_config.example()
    change(config)
    before = copy.deepcopy(config)
    with pytest.raises(ConfigError) as caught:
        validate(config)
    assert message in str(caught.value)
    assert config == before
