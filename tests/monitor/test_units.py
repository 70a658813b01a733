"""Durations, sizes, columns, conditions, templates, and what a terminal shows of them."""

from __future__ import annotations

import pytest

from pycontainer.base.errors import UsageError
from pycontainer.monitor import columns, metrics
from pycontainer.monitor.fleet import Row, engine
from pycontainer.monitor.sample import Sample
from pycontainer.monitor.screen import View, fitting
from pycontainer.monitor.units import amount, duration, seconds, size
from pycontainer.state.state import Facts, rfc3339_nano


@pytest.mark.parametrize(
    "text, value",
    [
        ("2d", 172800),
        ("1h30m", 5400),
        ("90", 90),
        ("0.5s", 0.5),
        ("300ms", 0.3),
        ("1w", 604800),
        ("36h", 129600),
    ],
)
def test_durations_are_read(text: str, value: float):
    assert seconds(text) == value


@pytest.mark.parametrize("text", ["", "2x", "d", "-1s", "1 d", "2d!"])
def test_what_is_no_duration(text: str):
    with pytest.raises(UsageError):
        seconds(text)


@pytest.mark.parametrize(
    "value, text",
    [(0, "0s"), (59, "59s"), (61, "1m1s"), (3600, "1h"), (90061, "1d1h"), (700000, "1w1d")],
)
def test_durations_are_written(value: float, text: str):
    assert duration(value) == text


@pytest.mark.parametrize(
    "value, text",
    [
        (0, "0B"),
        (1023, "1023B"),
        (1024, "1.0K"),
        (10240, "10K"),
        (1 << 30, "1.0G"),
        (999 << 20, "999M"),
    ],
)
def test_amounts(value: int, text: str):
    assert amount(value) == text


def test_sizes():
    assert (size("64M"), size("1g"), size("10"), size("2KiB")) == (64 << 20, 1 << 30, 10, 2048)


def row(name: str, memory: int = 0, cpu: float = 0.0, **facts: object) -> Row:
    """A container with two samples, a second apart."""
    cgroup = {"mode": "v2", "driver": "cgroupfs", "explicit": True, "paths": {"": "/nowhere"}}
    made = Row(name, Facts(id=name, created=rfc3339_nano(), cgroup=cgroup, **facts))
    made.status = "running"
    made.before, made.sample = Sample(), Sample()
    made.before.time, made.sample.time = 1.0, 2.0
    made.sample.memory, made.sample.cpu = memory, cpu
    made.sample.pressure = {"cpu": (0.5, 0.1)}
    made.before.pressure = {"cpu": (0.25, 0.1)}
    return made


ROWS = [row("web1", 100 << 20, 0.5), row("web2", 50 << 20, 0.75), row("db", 300 << 20)]


@pytest.mark.parametrize(
    "text, expected",
    [
        ("memory>60M", "web1 db"),
        ("memory<=50M", "web2"),
        ("id=web*", "web1 web2"),
        ("id!=web*", "db"),
        ("cpu>=75", "web2"),
        ("limit>0", ""),
        ("limit!=1", "web1 web2 db"),
        ("cpu-wait>20", "web1 web2 db"),
        ("status=running", "web1 web2 db"),
    ],
)
def test_conditions(text: str, expected: str):
    assert " ".join(r.id for r in ROWS if columns.condition(text)(r)) == expected


@pytest.mark.parametrize("text", ["memory", "nothing=1", "memory>x", "status>running", "=1"])
def test_what_is_no_condition(text: str):
    with pytest.raises(UsageError):
        columns.condition(text)


def test_annotations_are_a_condition():
    one = row("a", annotations={"team": "blue"})
    holds = [columns.condition(f"annotation=team{value}")(one) for value in ("", "=blue", "=red")]
    assert holds == [True, True, False]


@pytest.mark.parametrize(
    "by, expected",
    [("memory", "db web1 web2"), ("-memory", "web2 web1 db"), ("id", "db web1 web2"),
     ("-id", "web2 web1 db"), ("cpu", "web2 web1 db")],
)  # fmt: skip
def test_order(by: str, expected: str):
    assert " ".join(r.id for r in columns.order(list(ROWS), by)) == expected


def test_templates():
    assert columns.template("{{.id}}\\t{{ .Memory }}!")(ROWS[0]) == "web1\t100M!"
    for wrong in ("{{.nothing}}", "{{if .id}}"):
        with pytest.raises(UsageError):
            columns.template(wrong)


@pytest.mark.parametrize(
    "annotations, bundle, expected",
    [
        ({"io.container.manager": "libpod"}, "/x", "podman"),
        ({"io.kubernetes.cri.container-type": "sandbox"}, "/x", "containerd-cri"),
        ({"io.kubernetes.cri-o.ContainerType": "x"}, "/x", "cri-o"),
        ({}, "/run/containerd/io.containerd.runtime.v2.task/moby/abc", "docker"),
        ({}, "/run/containerd/io.containerd.runtime.v2.task/default/abc", "containerd"),
        ({"a": "b"}, "/home/me/bundle", ""),
    ],
)
def test_engines(annotations: dict[str, str], bundle: str, expected: str):
    assert engine(Facts(id="x", annotations=annotations, bundle=bundle)) == expected


@pytest.mark.parametrize("width", [40, 80, 120, 200])
def test_a_terminal_of_any_width(width: int):
    rows = [*ROWS, row("x" * 100, 1 << 40, 12.5)]
    _, lines = fitting(rows, width)
    assert all(len(line) <= width for line in lines)
    assert len(lines) == 5 and "…" in lines[-1]


def test_the_cursor_stays_in_sight():
    view = View([], "id")
    view.update([row(f"c{n:03}") for n in range(100)])
    for step in (1, 5, 50, 1000, -3, -1000):
        view.move(step, 10)
        _, lines, at = view.lines(80, 10)
        assert lines[at].startswith(f"c{view.cursor:03}") and len(lines) == 11
    view.tree = True
    view.move(50, 10)
    _, lines, at = view.lines(80, 10)
    assert lines[at].startswith("  c050")


def test_filters_of_the_screen():
    view = View([], "cpu")
    view.set_filter("web")
    view.update(ROWS)
    assert [r.id for r in view.rows] == ["web2", "web1"]
    view.set_filter("memory>100M")
    view.update(ROWS)
    assert [r.id for r in view.rows] == ["db"] and "memory>100M" in view.footer(80)
    view.reverse()
    assert view.sort == "-cpu"


def test_labels_are_escaped():
    one = row('a"b\\c\nd', annotations={"org.opencontainers.image.ref.name": 'x"y\\z\n'})
    text = metrics.text([one])
    assert 'image="x\\"y\\\\z\\n"' in text and all(line for line in text.splitlines())
