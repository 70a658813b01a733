"""Mistakes that people make in a config.json: each is found, named, and nothing else is."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.unit.check.conftest import Bundle, of
from tests.unit.check.seeds import RISKS, SEEDS, Seed, base, ids


def seeded(seeds: dict[str, Seed], name: str) -> dict[str, Any]:
    config = base()
    seeds[name][0](config)
    return config


def test_nothing_is_wrong_with_the_base(bundle: Bundle):
    assert of(bundle.check(base()), "error", "warning") == []


def test_there_are_at_least_forty():
    assert len(SEEDS) >= 120


@pytest.mark.parametrize("name", SEEDS)
def test_found(bundle: Bundle, name: str):
    _, severity, field, words = SEEDS[name]
    found = of(bundle.check(seeded(SEEDS, name)), "error", "warning")
    assert [(f.severity, f.field) for f in found] == [(severity, field)], found
    assert words in f"{found[0].message} {found[0].fix}"
    assert found[0].line > 0 or not field or "required" in found[0].message


@pytest.mark.parametrize("name", RISKS)
def test_risk(bundle: Bundle, name: str):
    _, severity, field, words = RISKS[name]
    found = [f for f in of(bundle.check(seeded(RISKS, name)), severity) if f.field == field]
    assert any(words in f.message for f in found), found


def test_all_at_once(bundle: Bundle):
    """Mistakes that do not touch each other are all named, with the places in the file."""
    names = [
        "member misspelt", "wrong type", "relative cwd", "variable without a value",
        "limit misspelt", "source is missing", "namespace misspelt", "sysctl of the host",
        "swap below the limit", "quota in percent", "relative hook", "no version",
    ]  # fmt: skip
    config = base()
    for name in names:
        SEEDS[name][0](config)
    found = of(bundle.check(config), "error", "warning")
    assert {f.field for f in found} >= {SEEDS[name][2] for name in names}
    # Nothing but consequences of these: the fields are the same.
    assert {f.field for f in found} == {SEEDS[name][2] for name in names}
    for finding in found:
        if "required" not in finding.message:
            line = (bundle.path / "config.json").read_text().splitlines()[finding.line - 1]
            name = finding.field.rpartition(".")[2].partition("[")[0]
            assert name in line or finding.field.endswith("]"), (finding, line)


def test_several_errors_of_one_element(bundle: Bundle):
    config = base()
    config["process"]["rlimits"].append({"type": "RLIMIT_CORE", "soft": -1, "hard": -1})
    config["process"]["rlimits"].append({"type": "NOFILE", "soft": 1, "hard": 1})
    config["linux"]["namespaces"].append({"type": "user"})
    config["linux"]["uidMappings"] = [{"inside": 0}]
    config["linux"]["gidMappings"] = [ids(0, 100000, 65536)]
    fields = {f.field for f in of(bundle.check(config), "error")}
    assert fields == {
        "process.rlimits[1].soft", "process.rlimits[1].hard", "process.rlimits[2].type",
        "linux.uidMappings[0].containerID", "linux.uidMappings[0].hostID",
        "linux.uidMappings[0].size",
    }  # fmt: skip


def test_list_elements_keep_their_numbers(bundle: Bundle):
    config = base()
    config["process"]["env"] = ["A", "B=1", "C", "D", "PATH=/bin"]
    config["mounts"] += [
        {"destination": "/a", "type": "tmpfs", "source": "x", "options": "ro"},
        {"destination": "", "type": "tmpfs", "source": "x"},
        {"destination": "/c", "options": ["bind"]},
    ]
    fields = [f.field for f in of(bundle.check(config), "error")]
    assert fields == [
        "process.env[0]", "process.env[2]", "process.env[3]",
        "mounts[7].options", "mounts[8].destination", "mounts[9].source",
    ]  # fmt: skip


def paths(value: Any, way: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The way to each member and element below a value."""
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, below in items:
        yield (*way, key)
        if isinstance(below, dict | list):
            yield from paths(below, (*way, key))


def test_anything_anywhere(bundle: Bundle):
    """A config full of mistakes, and at each place of it one more: a report, and no failure."""
    config = base()
    for name in ("octal umask", "rate with a unit", "class misspelt", "size of pages",
                 "clocks without their namespace", "mapping without user namespace",
                 "variable of a hook", "operator of another language"):  # fmt: skip
        SEEDS[name][0](config)
    config["linux"]["memoryPolicy"] = {"mode": "MPOL_BIND", "nodes": "0"}
    values = [None, 1, -1, 1 << 70, "x", "", [], {}, [1], ["x"], {"x": 1}, 1.5, True]
    for number, (*way, last) in enumerate(paths(config)):
        changed = copy.deepcopy(config)
        holder: Any = changed
        for step in way:
            holder = holder[step]
        if number % (len(values) + 1) == len(values):
            del holder[last]
        else:
            holder[last] = values[number % (len(values) + 1)]
        assert bundle.check(changed).findings, (way, last)


def test_a_member_twice(bundle: Bundle):
    text = json.dumps(base(), indent=1).replace('"hostname"', '"hostname": "a",\n "hostname"', 1)
    found = of(bundle.check(text), "warning")
    assert [(f.field, f.message) for f in found] == [
        ("hostname", "given twice; the last one counts")
    ]
    assert '"hostname"' in text.splitlines()[found[0].line - 1]


def test_on_one_line(bundle: Bundle):
    """Columns count from 1."""
    config = base()
    config["procces"] = {}
    text = json.dumps(config)
    found = next(f for f in bundle.check(text).findings if f.field == "procces")
    assert (found.line, found.column) == (1, text.index('"procces"') + 1)
