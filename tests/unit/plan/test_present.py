"""A plan for people: wrapped, coloured, in short, for one field, and beside another one."""

from __future__ import annotations

import copy
import json
import re
from typing import Any

import pytest

from pycontainer.base.errors import UsageError
from pycontainer.linux.host import Host
from pycontainer.plan import describe, present
from pycontainer.plan.builder import Plan, Sketch
from pycontainer.plan.ops import op
from tests.unit.plan.compiled import config, plan

ESCAPE = re.compile(r"\x1b\[\d*m")


def small(document: dict[str, Any], *operations: tuple[Any, ...]) -> Plan:
    """A plan of these operations: kind, arguments, and the field last."""
    sketch = Sketch(document, Host())
    for kind, *values, field in operations:
        sketch.ops.append(op(kind, *values, field=field))
    return Plan(sketch, False)


CPU = {"linux": {"resources": {"cpu": {"shares": 1024, "quota": 50000, "period": 100000}}}}
SHARES = ("cgroup_write", "cpu", "cpu.weight", "39", "linux.resources.cpu.shares")
QUOTA = ("cgroup_write", "cpu", "cpu.max", "50000 100000", "linux.resources.cpu.quota")


def test_without_a_terminal_it_is_the_plain_plan():
    made = plan(config())
    assert present.text(made) == describe.text(made)


def test_a_converted_value_is_shown_as_it_was():
    lines = present.text(small(CPU, SHARES, QUOTA)).splitlines()
    assert lines[0].endswith(
        "write 39 to cgroup's cpu.weight   # linux.resources.cpu.shares = 1024"
    )
    assert lines[1].endswith("cpu.max   # linux.resources.cpu.quota")


@pytest.mark.parametrize("width", [60, 80, 120])
def test_it_is_wrapped_and_nothing_is_lost(width: int):
    made = plan(config(maskedPaths=["/proc/" + "x" * 20]))
    shown = present.text(made, True, width)
    plain = ESCAPE.sub("", shown)
    words = [word for line in plain.splitlines() for word in line.split()]
    assert words == describe.text(made).split()
    for line in plain.splitlines():  # a long word stays whole
        assert len(line) <= width or max(map(len, line.split())) > width - 30


def test_colours_mark_sides_and_fields():
    made = plan(config())
    assert ESCAPE.sub("", present.text(made, True)) == present.text(made)
    assert "\x1b[33mruntime" in present.text(made, True)
    assert "\x1b" not in present.text(made, False, 80)


@pytest.mark.parametrize(
    "field, words",
    [
        ("mounts[0]", ["mount proc on /proc"]),
        ("mounts[0].source", ["mount proc on /proc"]),
        ("root.path", ["use /b/rootfs as root", "make it the root, detach the old one"]),
        ("process.args", ["find program sh", "exec sh"]),
        (".process.noNewPrivileges", ["forbid new privileges"]),
    ],
)
def test_why(field: str, words: list[str]):
    made = plan(config())
    found = [describe.line(made.ops[number - 1]) for number in present.why(made, field)]
    assert found == words


def test_why_of_all_mounts():
    made = plan(config())
    numbers = present.why(made, "mounts")
    assert {made.ops[number - 1].field.partition("[")[0] for number in numbers} == {"mounts"}


def test_a_field_without_an_operation_of_its_own():
    assert present.why(plan(config()), "ociVersion") == []


@pytest.mark.parametrize("field", ["process.argss", "mounts[99]", "mounts[", "x.y", ""])
def test_no_such_field(field: str):
    if not field:
        return
    with pytest.raises(UsageError, match="no such field"):
        present.why(plan(config()), field)


def test_a_field_with_a_quoted_name():
    document = {"annotations": {"com.example.key": "v"}}
    assert present.find(document, 'annotations["com.example.key"]') == "v"


def test_a_summary_has_all_topics_in_a_few_lines():
    text = present.summary(plan(config()))
    assert len(text.splitlines()) < 25
    for words in (
        "namespaces     ",
        "pid",
        "/b/rootfs",
        "/proc",
        "CAP_KILL",
        "uid 0 gid 0",
        "sh\n",
    ):
        assert words in text
    assert text.splitlines()[-1].startswith(f"{len(plan(config()).ops)} operations: ")


@pytest.mark.parametrize("width", [60, 100])
def test_a_summary_fits(width: int):
    assert max(map(len, present.summary(plan(config()), False, width).splitlines())) <= width


def test_equal_plans_have_no_difference():
    assert present.difference(plan(config()), plan(config())) == ""


def test_a_difference_is_what_only_one_has():
    document = copy.deepcopy(config())
    document["mounts"].insert(0, {"destination": "/data", "type": "tmpfs", "source": "tmpfs"})
    document["process"]["args"] = ["true"]
    lines = present.difference(plan(config()), plan(document)).splitlines()
    assert [line for line in lines if line.startswith("- ")] == [
        "- find program sh   # process.args[]",
        "- exec sh   # process.args",
    ]
    assert "+ mount tmpfs on /data   # mounts[]" in lines
    assert len([line for line in lines if line.startswith("+ ")]) == 3


def test_the_numbers_are_those_of_errors():
    made = plan(config())
    numbers = [int(line[:4]) for line in present.text(made).splitlines()]
    assert numbers == [entry["step"] for entry in json.loads(json.dumps(describe.as_json(made)))]
