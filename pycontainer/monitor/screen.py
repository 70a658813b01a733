"""`top`: the table of a fleet on a terminal, with curses of the standard library.

Only what is seen is computed: a thousand containers are sampled, but some forty rows are drawn. The
state of the display (View) knows no terminal, so that tests can ask it for its lines.
"""

from __future__ import annotations

import curses
import os
import time
from collections.abc import Sequence
from typing import Any

from pycontainer.base.errors import ContainerError
from pycontainer.base.settings import Settings
from pycontainer.monitor import activity, columns
from pycontainer.monitor.fleet import Fleet, Row
from pycontainer.monitor.units import amount

# In the order in which they come as the terminal gets wider.
NARROW = "id cpu memory limit pids status oom age throttled read write"
WIDE = "cpu-wait memory-wait io-wait exec idle engine image cputime peak owner"
LOOK_S = 30  # seconds between two notes of activity
HINTS = ("q quit", "<> sort", "/ filter", "t tree", "r reverse", "+- interval", "space hold")


class View:
    """What is shown of the rows: filter, order, tree, place."""

    def __init__(self, filters: Sequence[str], sort: str) -> None:
        self.filters = list(filters)
        self.sort = sort
        self.tree = False
        self.top = self.cursor = 0
        self.rows: list[Row] = []
        columns.choose([sort.removeprefix("-")])
        self._conditions = [columns.condition(text) for text in self.filters]

    def set_filter(self, text: str) -> None:
        """A condition, or a part of an id; "" for none."""
        if text and not any(sign in text for sign in "=<>"):
            text = f"id=*{text}*"
        self._conditions = [columns.condition(text)] if text else []
        self.filters = [text] if text else []

    def update(self, rows: Sequence[Row]) -> None:
        """New samples."""
        found = [row for row in rows if all(holds(row) for holds in self._conditions)]
        self.rows = columns.order(found, self.sort)
        self.move(0, 1)

    def move(self, by: int, height: int) -> None:
        """The cursor, and with it what is seen of so many lines."""
        self.cursor = max(0, min(self.cursor + by, len(self.rows) - 1))
        self.top = max(min(self.top, self.cursor), self.cursor - max(1, height) + 1)

    def next_column(self, by: int, shown: Sequence[columns.Column]) -> None:
        """Sort by the column beside the one that is sorted by."""
        names = [column.name for column in shown]
        current = self.sort.removeprefix("-")
        index = names.index(current) if current in names else 0
        self.sort = names[(index + by) % len(names)]

    def reverse(self) -> None:
        """The other way round."""
        self.sort = self.sort[1:] if self.sort.startswith("-") else f"-{self.sort}"

    def header(self, interval: float) -> str:
        """Sums of what is shown."""
        samples = [row.sample for row in self.rows if row.sample]
        running = sum(row.status == "running" for row in self.rows)
        parts = [
            f"containers: {len(self.rows)}, running: {running}",
            f"CPU {100 * sum(row.rate('cpu') for row in self.rows):.1f}%",
            f"memory {amount(sum(s.memory for s in samples))}",
            f"pids {sum(s.pids for s in samples)}",
            f"every {interval:g}s",
        ]
        return "  ".join(parts)

    def footer(self, width: int) -> str:
        """How it is sorted and filtered, and as many of the keys as there is room for."""
        text = f"by {self.sort}" + (f"  filter {' '.join(self.filters)}" if self.filters else "")
        separator = "  |  "
        for hint in HINTS:
            if len(text) + len(separator) + len(hint) <= width:
                text, separator = f"{text}{separator}{hint}", "  "
        return text

    def lines(self, width: int, height: int) -> tuple[list[columns.Column], list[str], int]:
        """The columns that fit, the title and the lines that are seen, and the cursor's line."""
        rows = self._grouped() if self.tree else list(self.rows)
        at = rows.index(self.rows[self.cursor]) if self.rows else 0
        top = max(0, min(self.top + at - self.cursor, len(rows) - height))
        top = max(min(top, at), at - height + 1)
        seen = rows[top : top + height]
        shown, texts = fitting([row for row in seen if isinstance(row, Row)], width, self.tree)
        title, *cells = texts
        body = iter(cells)
        lines = [next(body) if isinstance(row, Row) else row[:width] for row in seen]
        return shown, [title, *lines], at - top + 1 if self.rows else 0

    def _grouped(self) -> list[Row | str]:
        """Below a line for each parent cgroup, those with the most first."""
        groups: dict[str, list[Row]] = {}
        for row in self.rows:
            groups.setdefault(row.cgroup.rpartition("/")[0] or "/", []).append(row)
        result: list[Row | str] = []
        for parent, rows in groups.items():
            memory = sum(row.sample.memory for row in rows if row.sample)
            cpu = 100 * sum(row.rate("cpu") for row in rows)
            result.append(f"{parent}  ({len(rows)}, CPU {cpu:.1f}%, memory {amount(memory)})")
            result += rows
        return result


def fitting(
    rows: Sequence[Row], width: int, indent: bool = False
) -> tuple[list[columns.Column], list[str]]:
    """As many columns as the width has room for; a long id is cut to make room for the first."""
    shown = columns.choose(NARROW.split())
    cells = {column.name: _cells(column, rows) for column in shown}
    if indent:
        cells["id"][1:] = [f"  {text}" for text in cells["id"][1:]]
    room = max(12, width // 3)
    cells["id"] = [text if len(text) <= room else f"{text[: room - 1]}…" for text in cells["id"]]
    used, kept = -2, []
    for name in [*NARROW.split(), *WIDE.split()]:
        if name not in cells:
            cells[name] = _cells(columns.COLUMNS[name], rows)
        needed = max(map(len, cells[name])) + 2
        if used + needed > width:
            break
        used += needed
        kept.append(columns.COLUMNS[name])
    lines = []
    for index in range(len(rows) + 1):
        parts = []
        for column in kept:
            widest = max(map(len, cells[column.name]))
            text = cells[column.name][index]
            parts.append(text.rjust(widest) if column.right else text.ljust(widest))
        lines.append("  ".join(parts)[:width])
    return kept, lines


def _cells(column: columns.Column, rows: Sequence[Row]) -> list[str]:
    return [column.title, *(column.cell(row) for row in rows)]


class Screen(View):
    """The view on a terminal, until q."""

    def __init__(
        self, settings: Settings, interval: float, filters: Sequence[str], sort: str
    ) -> None:
        super().__init__(filters, sort)
        self.settings = settings
        self.interval = interval
        self.fleet = Fleet(settings)
        self.held = False
        self.message = ""
        self._looked = 0.0

    def run(self) -> None:
        """Draw until the user leaves."""
        os.environ.setdefault("ESCDELAY", "25")
        os.environ.setdefault("TERM", "xterm")
        try:
            curses.wrapper(self._loop)
        except KeyboardInterrupt:
            pass

    def _loop(self, window: Any) -> None:
        curses.use_default_colors()
        try:
            curses.curs_set(0)
        except curses.error:
            pass
        self.fleet.sample()
        due = time.monotonic() + min(0.5, self.interval)  # rates soon
        self._sample()
        while True:
            self._draw(window)
            window.timeout(max(1, int(1000 * (due - time.monotonic()))))
            key = window.getch()
            if key != -1 and not self._key(window, key):
                return
            if time.monotonic() >= due:
                due = time.monotonic() + self.interval
                if not self.held:
                    self._sample()

    def _sample(self) -> None:
        rows = self.fleet.sample()
        if time.monotonic() - self._looked >= LOOK_S:
            activity.look(self.settings, rows)
            self._looked = time.monotonic()
        self.update(rows)

    def _draw(self, window: Any) -> None:
        height, width = window.getmaxyx()
        _, lines, at = self.lines(width - 1, max(1, height - 3))
        window.erase()
        _put(window, 0, self.header(self.interval), curses.A_BOLD)
        for number, line in enumerate(lines):
            style = curses.A_REVERSE if number in (0, at) else curses.A_NORMAL
            _put(window, number + 1, line.ljust(width - 1), style)
        state = "held, " if self.held else ""
        footer = state + self.footer(width - 1 - len(state))
        _put(window, height - 1, self.message or footer, curses.A_NORMAL)
        self.message = ""
        window.refresh()

    def _key(self, window: Any, key: int) -> bool:
        """False to leave."""
        height, width = window.getmaxyx()
        page = max(1, height - 4)
        moves = {
            curses.KEY_UP: -1, curses.KEY_DOWN: 1, curses.KEY_PPAGE: -page,
            curses.KEY_NPAGE: page, curses.KEY_HOME: -len(self.rows),
            curses.KEY_END: len(self.rows), ord("k"): -1, ord("j"): 1,
        }  # fmt: skip
        if key in (ord("q"), 27):
            return False
        if key in moves:
            self.move(moves[key], page)
        elif key in (ord("<"), ord(">")):
            self.next_column(1 if key == ord(">") else -1, self.lines(width - 1, page)[0])
        elif key == ord("r"):
            self.reverse()
        elif key == ord("t"):
            self.tree = not self.tree
        elif key == ord(" "):
            self.held = not self.held
        elif key in (ord("+"), ord("-")):
            self.interval = min(60.0, max(0.5, self.interval * (2 if key == ord("+") else 0.5)))
        elif key == ord("/"):
            self._ask_filter(window)
        else:
            return True
        self.update(list(self.fleet.rows()))
        return True

    def _ask_filter(self, window: Any) -> None:
        height, width = window.getmaxyx()
        _put(window, height - 1, "filter: ".ljust(width - 1), curses.A_BOLD)
        curses.echo()
        window.timeout(-1)
        try:
            text = window.getstr(height - 1, 8, max(1, width - 10)).decode("utf-8", "replace")
        finally:
            curses.noecho()
        try:
            self.set_filter(text.strip())
        except ContainerError as error:
            self.message = str(error)


def _put(window: Any, line: int, text: str, style: int) -> None:
    """What does not fit is cut; curses complains about the last cell."""
    height, width = window.getmaxyx()
    if 0 <= line < height:
        try:
            window.addnstr(line, 0, text, width - 1, style)
        except curses.error:
            pass
