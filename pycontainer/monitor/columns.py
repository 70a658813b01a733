"""What is shown of a container: one table of columns for `list`, `stats` and `top`."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from fnmatch import fnmatchcase
from typing import Any

from pycontainer.base.errors import UsageError
from pycontainer.monitor.fleet import Row
from pycontainer.monitor.units import amount, duration, seconds, size

Value = float | str | None


class Column:
    """`value` is what is sorted and filtered by, `text` what is shown of it."""

    def __init__(
        self,
        name: str,
        title: str,
        value: Callable[[Row], Value],
        text: Callable[[Any], str] = str,
        parse: Callable[[str], float] = float,
    ) -> None:
        self.name = name
        self.title = title
        self.value = value
        self.text = text
        self.parse = parse
        self.right = text is not str

    def cell(self, row: Row) -> str:
        """What is shown, "-" when it is not known."""
        value = self.value(row)
        return "-" if value is None or value == "" else self.text(value)


def _of(name: str) -> Callable[[Row], Value]:
    return lambda row: getattr(row.sample, name) if row.sample else None


def _limit(name: str) -> Callable[[Row], Value]:
    """None when there is none."""
    return lambda row: (getattr(row.sample, name) or None) if row.sample else None


def _rate(name: str, factor: float = 1.0) -> Callable[[Row], Value]:
    return lambda row: factor * row.rate(name) if row.before and row.sample else None


def _percent(value: float) -> str:
    return f"{value:.1f}" if value < 99.95 else f"{value:.0f}"


def _count(value: float) -> str:
    return f"{value:.0f}"


def _pressure(resource: str) -> Callable[[Row], Value]:
    def value(row: Row) -> Value:
        known = row.before and row.sample and resource in row.sample.pressure
        return row.pressure(resource) if known else None

    return value


def _last_exec(row: Row) -> Value:
    import time

    started = row.last_exec()
    return time.time() - started if started else None


COLUMNS = {
    column.name: column
    for column in (
        Column("id", "ID", lambda row: row.id),
        Column("status", "STATUS", lambda row: row.status),
        Column("engine", "ENGINE", lambda row: row.engine),
        Column("image", "IMAGE", lambda row: row.image),
        Column("owner", "OWNER", lambda row: row.owner),
        Column("age", "AGE", lambda row: row.age or None, duration, seconds),
        Column("cpu", "CPU%", _rate("cpu", 100), _percent),
        Column("cputime", "CPUTIME", _of("cpu"), duration, seconds),
        Column("memory", "MEMORY", _of("memory"), amount, size),
        Column("limit", "LIMIT", _limit("memory_limit"), amount, size),
        Column("peak", "PEAK", _limit("memory_peak"), amount, size),
        Column("pids", "PIDS", _of("pids"), _count),
        Column("read", "READ/s", _rate("read_bytes"), amount, size),
        Column("write", "WRITE/s", _rate("write_bytes"), amount, size),
        Column("cpu-wait", "CPUW%", _pressure("cpu"), _percent),
        Column("memory-wait", "MEMW%", _pressure("memory"), _percent),
        Column("io-wait", "IOW%", _pressure("io"), _percent),
        Column(
            "throttled", "THROT%", lambda row: row.throttled() if row.before else None, _percent
        ),
        Column("oom", "OOM", _of("oom_kills"), _count),
        Column("exec", "EXEC", _last_exec, duration, seconds),
        Column("idle", "IDLE", lambda row: row.idle, duration, seconds),
        Column("cgroup", "CGROUP", lambda row: row.cgroup),
        Column("bundle", "BUNDLE", lambda row: row.facts.bundle if row.facts else ""),
    )
}


def choose(names: Iterable[str]) -> list[Column]:
    """Columns by name; UsageError for one that there is not."""
    found = []
    for name in names:
        if name not in COLUMNS:
            raise UsageError(f"no column {name}", "not-one-of", kind="columns", choices=[*COLUMNS])
        found.append(COLUMNS[name])
    return found


def table(columns: Sequence[Column], rows: Sequence[Row]) -> list[str]:
    """Lines of text: numbers to the right, the rest to the left."""
    cells = [[column.title for column in columns]]
    cells += [[column.cell(row) for column in columns] for row in rows]
    widths = [max(len(line[index]) for line in cells) for index in range(len(columns))]
    return [
        "  ".join(
            cell.rjust(width) if column.right else cell.ljust(width)
            for column, cell, width in zip(columns, line, widths, strict=True)
        ).rstrip()
        for line in cells
    ]


def order(rows: list[Row], by: str) -> list[Row]:
    """Sorted by a column: numbers from the largest, texts from the first; - before it reverses."""
    column = choose([by.removeprefix("-")])[0]
    known = [row for row in rows if column.value(row) not in (None, "")]
    known.sort(key=column.value, reverse=column.right ^ by.startswith("-"))  # type: ignore[arg-type]
    return known + [row for row in rows if row not in known]


_OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "=": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
    "<": lambda a, b: a < b,
    ">": lambda a, b: a > b,
    "<=": lambda a, b: a <= b,
    ">=": lambda a, b: a >= b,
}


def condition(text: str) -> Callable[[Row], bool]:
    """COLUMN OPERATOR VALUE: status=running, id=web*, memory>100M, age>2d; or annotation=NAME[=V].

    What is not known meets no condition but !=.
    """
    found = re.fullmatch(r"([\w-]+)(!=|<=|>=|=|<|>)(.*)", text)
    if not found:
        raise UsageError(f"--filter {text}: expected COLUMN=VALUE, COLUMN>VALUE, ...", "wrong-form")
    name, operator, wanted = found.groups()
    if name == "annotation":
        key, _, value = wanted.partition("=")
        return lambda row: (
            bool(row.facts)
            and fnmatchcase(
                row.facts.annotations.get(key, ""),  # type: ignore[union-attr]
                value or "?*",
            )
        )
    column = choose([name])[0]
    if column.right:
        try:
            limit = column.parse(wanted)
        except ValueError:
            raise UsageError(f"--filter {text}: {wanted!r} is no number", "wrong-form") from None

        def compare(row: Row) -> bool:
            value = column.value(row)
            if value is None:
                return operator == "!="
            return _OPERATORS[operator](value, limit)

        return compare
    if operator not in ("=", "!="):
        raise UsageError(f"--filter {text}: {name} is a text, = or != is meant", "wrong-form")
    return lambda row: fnmatchcase(str(column.value(row)), wanted) == (operator == "=")


def template(text: str) -> Callable[[Row], str]:
    r"""{{.id}} {{.memory}} becomes the cells; \t and \n are what they are in Go's templates."""
    names = re.findall(r"\{\{\s*\.([\w-]+)\s*\}\}", text)
    columns = {name: choose([name.lower()])[0] for name in names}
    if "{{" in re.sub(r"\{\{\s*\.[\w-]+\s*\}\}", "", text):
        raise UsageError(f"--format {text}: only {{{{.COLUMN}}}} is known", "wrong-form")
    text = text.replace("\\t", "\t").replace("\\n", "\n")

    def render(row: Row) -> str:
        return re.sub(r"\{\{\s*\.([\w-]+)\s*\}\}", lambda found: columns[found[1]].cell(row), text)

    return render
