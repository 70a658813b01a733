"""Rows as text: as a table, as JSON, or by a template."""

from __future__ import annotations

import json
from collections.abc import Sequence

from pycontainer.base.errors import UsageError
from pycontainer.monitor import columns
from pycontainer.monitor.fleet import Row, document


def render(rows: Sequence[Row], form: str, names: Sequence[str]) -> str:
    """`form` is table (or ""), json, or a template."""
    if "{{" in form:
        line = columns.template(form)
        return "".join(f"{line(row)}\n" for row in rows)
    if form == "json":
        return json.dumps([document(row) for row in rows]) + "\n"
    if form in ("", "table"):
        return "".join(f"{line}\n" for line in columns.table(columns.choose(names), rows))
    choices = ["table", "json", "a template"]
    raise UsageError("invalid format option", "not-one-of", kind="formats", choices=choices)
