"""A picture (SVG) of how a plan was carried out: a lane for each side, the longest operations."""

from __future__ import annotations

from html import escape

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from pycontainer.executor.timing import Entry

_WIDTH, _LEFT, _RIGHT = 1000, 90, 20
_LANE, _ROW, _TOP = 26, 20, 54
_LONGEST = 24  # operations that get a row of their own
_LABEL = 78  # characters
_COLOURS = {"runtime": "#d97706", "container": "#2563eb"}
_FAILED = "#dc2626"


def draw(entries: Sequence[Entry]) -> str:
    """The picture; one that says so when there was no plan."""
    if not entries:
        return _document(80, [_text(20, 45, "This command carried out no plan.")])
    begun = min(entry.begun for entry in entries)
    scale = _Scale(begun, max(entry.ended for entry in entries))
    shapes = [_text(20, 24, f"{len(entries)} operations in {scale.span / 1e6:.1f} ms", bold=True)]
    for number, side in enumerate(_COLOURS):
        y = _TOP + number * _LANE
        shapes.append(_text(20, y + 14, side))
        own = (entry for entry in entries if entry.side == side)
        shapes += [_bar(scale, entry, y, _LANE - 8) for entry in own]
    top = _TOP + 2 * _LANE + 10
    longest = sorted(entries, key=lambda entry: entry.begun - entry.ended)[:_LONGEST]
    longest.sort(key=lambda entry: entry.begun)
    bottom = top + _ROW * len(longest)
    shapes += _grid(scale, top, bottom)
    for number, entry in enumerate(longest):
        y = top + number * _ROW
        shapes += [_bar(scale, entry, y + 3, _ROW - 6), _label(scale, entry, y + 14)]
    return _document(bottom + 40, shapes)


class _Scale:
    """From nanoseconds to places."""

    def __init__(self, begun: int, ended: int) -> None:
        self.begun = begun
        self.span = max(ended - begun, 1)

    def x(self, moment: int) -> float:
        return _LEFT + (moment - self.begun) * (_WIDTH - _LEFT - _RIGHT) / self.span


def _bar(scale: _Scale, entry: Entry, y: int, height: int) -> str:
    x = scale.x(entry.begun)
    width = max(scale.x(entry.ended) - x, 1.0)
    colour = _FAILED if entry.result else _COLOURS[entry.side]
    title = f"{entry.number}: {entry.words()}: {entry.outcome()}, {_duration(entry)}"
    return (
        f'<rect x="{x:.1f}" y="{y}" width="{width:.1f}" height="{height}" rx="2" fill="{colour}">'
        f"<title>{escape(title)}</title></rect>"
    )


def _label(scale: _Scale, entry: Entry, y: int) -> str:
    words = entry.words()
    if len(words) > _LABEL:
        words = words[: _LABEL - 1] + "…"
    label = f"{entry.number} {words}, {_duration(entry)}"
    left, right = scale.x(entry.begun), scale.x(entry.ended)
    if left > _WIDTH / 2:
        return _text(left - 5, y, label, anchor="end")
    return _text(right + 5, y, label)


def _duration(entry: Entry) -> str:
    span = entry.ended - entry.begun
    return f"{span / 1e6:.1f} ms" if span >= 1e6 else f"{span / 1e3:.0f} µs"


def _grid(scale: _Scale, top: int, bottom: int) -> list[str]:
    step = 1
    while scale.span / step > 12_000_000:
        step = {1: 2, 2: 5, 5: 10}.get(step, step * 2)
    lines = []
    for tick in range(0, scale.span // 1_000_000 + 1, step):
        x = scale.x(scale.begun + tick * 1_000_000)
        lines.append(f'<path d="M{x:.1f} {_TOP - 8}V{bottom + 6}" stroke="#e5e7eb"/>')
        lines.append(_text(x, bottom + 22, f"{tick} ms", anchor="middle"))
    return lines


def _text(x: float, y: float, words: str, *, anchor: str = "start", bold: bool = False) -> str:
    weight = ' font-weight="bold"' if bold else ""
    return f'<text x="{x:.1f}" y="{y}" text-anchor="{anchor}"{weight}>{escape(words)}</text>'


def _document(height: int, shapes: list[str]) -> str:
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{height}" '
        f'viewBox="0 0 {_WIDTH} {height}" font-family="sans-serif" font-size="11" fill="#111827">'
    )
    background = f'<rect width="{_WIDTH}" height="{height}" fill="#ffffff"/>'
    return "\n".join([head, background, *shapes, "</svg>\n"])
