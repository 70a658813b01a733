"""Operations in words: every kind has its line, failures say what to do."""

from __future__ import annotations

import errno
import json

import pytest

from pycontainer.diagnose import hints, remedies
from pycontainer.plan import describe
from pycontainer.plan.ops import CONTAINER, TABLE, Op, joined, op
from tests.unit.plan.compiled import config, plan


def sample(kind: str) -> Op:
    """An operation of this kind with arguments that its words can be made from."""
    special = {
        "propagation": (1 << 18, "/x"),
        "mount_propagation": (1 << 18, "/x"),
        "mknod": (0o20666, 1 << 32 | 3, 0, 0, 0, -1, "/dev/null", ""),
        "own_node": (1, 0o20666, 1 << 32 | 3, 0, 0, "/dev/null"),
        "user": (1, 2, 0, b"\1\0\0\0"),
    }
    if kind == "scheduler":
        return op(kind, b"\0" * 56, field="a.b[1]")
    if kind in special:
        return op(kind, *special[kind], field="a.b[1]")
    _, ints, texts = TABLE[kind]
    return op(kind, *range(1, len(ints) + 1), *[f"{name}\0" for name in texts], field="a.b[1]")


@pytest.mark.parametrize("kind", TABLE)
def test_every_kind_has_a_line_of_its_own(kind: str):
    assert kind in describe._LINES
    line = describe.line(sample(kind))
    assert line and "\n" not in line and len(line) < 400


@pytest.mark.parametrize("kind", TABLE)
def test_every_kind_can_fail_in_words(kind: str):
    for number in (errno.EPERM, errno.ENOENT, errno.EINVAL, errno.ENOSYS, errno.ECANCELED):
        for detail in ("", "the detail"):
            message = describe.failure(sample(kind), number, detail)
            assert message
            if kind not in ("find_program",) and detail:
                assert "the detail" in message


def test_a_plan_as_json_is_whole():
    made = plan(config())
    document = json.loads(json.dumps(describe.as_json(made)))
    assert [entry["operation"] for entry in document] == [item.kind for item in made.ops]
    assert [entry["step"] for entry in document] == list(range(1, len(made.ops) + 1))
    for entry, item in zip(document, made.ops, strict=True):
        _, ints, texts = TABLE[item.kind]
        assert list(entry["arguments"]) == [*ints, *texts]
        assert entry["text"] == describe.line(item)
        assert entry.get("field", "") == item.field


def test_sides():
    for entry in describe.as_json(plan(config())):
        assert entry["side"] == TABLE[entry["operation"]][0]
    assert "container" == CONTAINER


def test_a_program_that_is_missing_is_said_as_engines_expect_it():
    step = op("find_program", "nothing", "/bin")
    assert describe.failure(step, errno.ENOENT, "") == (
        'exec: "nothing": executable file not found in $PATH'
    )
    step = op("find_program", "/bin/nothing", "/bin")
    text = 'exec: "/bin/nothing": stat /bin/nothing: no such file or directory'
    assert describe.failure(step, errno.ENOENT, "") == text


def test_a_detail_replaces_or_follows_the_reason():
    step = op("hostname", "h")
    assert describe.failure(step, errno.ECANCELED, "words") == "set hostname h: words"
    assert describe.failure(step, errno.EPERM, "words") == (
        "set hostname h: operation not permitted: words"
    )


def test_hints():
    assert "uts namespace" in hints.hint(op("hostname", "h"), errno.EPERM, "")
    assert "too old" in hints.hint(op("setsid"), errno.ENOSYS, "")
    assert hints.hint(op("setsid"), errno.EIO, "") == ""
    for (kind, number), sentence in remedies.OPERATIONS.items():
        beside_a_plan = ("", "cgroup_kill", "connect", "device_filter")
        assert kind in beside_a_plan or kind in TABLE
        assert number in errno.errorcode and sentence


def test_nothing_of_a_config_breaks_a_line():
    """Control characters in names cannot forge lines of the plan."""
    document = config()
    document["process"]["args"] = ["a\nb", "\x1b[31m"]
    document["hostname"] = "h\n   1 runtime   nothing"
    made = plan(document)
    lines = describe.text(made).splitlines()
    assert len(lines) == len(made.ops) and not any("\x1b" in line for line in lines)


def test_lists_are_lists():
    step = op("exec", 0, joined(["a", "b c"]), joined(["A=1"]))
    (entry,) = [e for e in describe.as_json(plan(config())) if e["operation"] == "exec"]
    assert isinstance(entry["arguments"]["args"], list)
    assert describe.line(step).startswith("exec a")
