"""Rules of config.md#process."""

from __future__ import annotations

from typing import Any

import pytest

from pycontainer import spec
from pycontainer.base.errors import ConfigError
from tests.unit.spec.samples import BASE, changed, refusal

CORE = {"type": "RLIMIT_CORE", "soft": 1, "hard": 2}


def _scheduler(policy: str, **more: Any) -> dict[str, Any]:
    return {"process.scheduler": {"policy": policy, **more}}


REFUSED: list[tuple[dict[str, Any], str, str]] = [
    ({"process.cwd": ""}, "cwd", "absolute"),
    ({"process.cwd": "tmp"}, "cwd", '"tmp"'),
    ({"process.args": None}, "args", "missing"),
    ({"process.args": []}, "args", "empty"),
    ({"process.env": ["A=b", "PATH"]}, "env[1]", "NAME=value"),
    ({"process.env": ["=b"]}, "env[0]", "NAME=value"),
    (
        {"process.terminal": True, "process.consoleSize": {"height": 70000, "width": 1}},
        "consoleSize.height",
        "65535",
    ),
    ({"process.user.uid": 2**32 - 1}, "user.uid", "from 0 to 4294967294"),
    ({"process.user.gid": 2**32 - 1}, "user.gid", "from 0 to 4294967294"),
    ({"process.user.additionalGids": [1, 2**32 - 1]}, "user.additionalGids[1]", "4294967294"),
    ({"process.user.umask": 0o1000}, "user.umask", "511"),
    ({"process.rlimits": [{**CORE, "type": "RLIMIT_FOO"}]}, "rlimits[0].type", "not have"),
    ({"process.rlimits": [CORE, CORE]}, "rlimits[1].type", "second time"),
    ({"process.rlimits": [{**CORE, "soft": 3}]}, "rlimits[0].soft", "above hard 2"),
    ({"process.oomScoreAdj": 1001}, "oomScoreAdj", "1000"),
    ({"process.oomScoreAdj": -(10**30)}, "oomScoreAdj", "1000"),
    (_scheduler("SCHED_ISO"), "scheduler.policy", "never"),
    (_scheduler("SCHED_OTHER", nice=20), "scheduler.nice", "19"),
    (_scheduler("SCHED_BATCH", nice=-21), "scheduler.nice", "-20"),
    (_scheduler("SCHED_OTHER", priority=1), "scheduler.priority", "only"),
    (_scheduler("SCHED_FIFO"), "scheduler.priority", "1 to 99"),
    (_scheduler("SCHED_RR", priority=100), "scheduler.priority", "1 to 99"),
    (_scheduler("SCHED_FIFO", priority=1, runtime=5), "scheduler.runtime", "only"),
    (_scheduler("SCHED_OTHER", period=5), "scheduler.period", "only"),
    (_scheduler("SCHED_DEADLINE"), "scheduler", "decrease"),
    (_scheduler("SCHED_DEADLINE", runtime=5, deadline=4), "scheduler", "decrease"),
    (_scheduler("SCHED_DEADLINE", runtime=5, deadline=9, period=8), "scheduler", "decrease"),
    (
        {"process.ioPriority": {"class": "IOPRIO_CLASS_BE", "priority": 8}},
        "ioPriority.priority",
        "0 to 7",
    ),
    ({"process.execCPUAffinity": {"initial": "3-1"}}, "execCPUAffinity.initial", "CPUs"),
    ({"process.execCPUAffinity": {"final": "0 1"}}, "execCPUAffinity.final", "CPUs"),
    ({"process.execCPUAffinity": {"final": "-"}}, "execCPUAffinity.final", "CPUs"),
]
ACCEPTED: list[dict[str, Any]] = [
    {"process.env": ["A=", "B==", "A=again"]},
    {"process.consoleSize": {"height": 70000, "width": 1}},
    {"process.user": None},
    {"process.user.umask": 0o777},
    {
        "process.rlimits": [
            CORE,
            {**CORE, "type": "RLIMIT_AS", "soft": 2**64 - 1, "hard": 2**64 - 1},
        ]
    },
    {"process.oomScoreAdj": -1000},
    _scheduler("SCHED_OTHER", nice=-20, flags=["SCHED_FLAG_RESET_ON_FORK"]),
    _scheduler("SCHED_IDLE"),
    _scheduler("SCHED_RR", priority=99, runtime=0),
    _scheduler("SCHED_DEADLINE", runtime=1, deadline=2),
    _scheduler("SCHED_DEADLINE", runtime=1, deadline=2, period=3),
    {"process.ioPriority": {"class": "IOPRIO_CLASS_IDLE"}},
    {"process.execCPUAffinity": {"initial": "", "final": "0-3, 7,"}},
    {"process.capabilities": {"bounding": ["CAP_KILL", "CAP_BPF"]}},
]


@pytest.mark.parametrize(("changes", "field", "text"), REFUSED)
def test_refused(changes: dict[str, Any], field: str, text: str) -> None:
    config = changed(changes)
    error = refusal(config)
    assert error is not None
    assert error.field == f"process.{field}"
    assert text in error.message
    assert error.clause.startswith("config.md#")
    with pytest.raises(ConfigError) as caught:
        spec.validate_process(config["process"])
    assert str(caught.value) == str(error)


@pytest.mark.parametrize("changes", ACCEPTED)
def test_accepted(changes: dict[str, Any]) -> None:
    config = changed(changes)
    assert spec.validate(config) == []
    assert spec.validate_process(config["process"]) == []


def test_unknown_capabilities_are_no_error() -> None:
    """The plan warns of them, once for all sets."""
    sets = {"bounding": ["CAP_KILL", "CAP_FOO"], "ambient": ["kill"]}
    assert spec.validate(changed({"process.capabilities": sets})) == []


def test_nul_in_a_process_of_its_own() -> None:
    with pytest.raises(ConfigError, match="NUL"):
        spec.validate_process({**BASE["process"], "args": ["\0"]})
