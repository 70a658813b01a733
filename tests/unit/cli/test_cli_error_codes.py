"""docs/errors.md lists the codes that the source has, and nothing looks into messages."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from pycontainer.cli import runc_errors
from pycontainer.plan.details import DETAILS

CHECKOUT = Path(__file__).parents[3]
_REFUSE = ("refuse", "refuse_value")
_OTHERS = ("MoveError", "OSError")  # exceptions without a code
_LOOKS = ("startswith", "endswith", "find", "partition", "split")


def calls() -> Iterator[tuple[Path, ast.Call, str]]:
    for path in sorted((CHECKOUT / "pycontainer").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call):
                yield path, node, ast.unparse(node.func).rpartition(".")[2]


def documented() -> set[str]:
    table = (CHECKOUT / "docs/errors.md").read_text().partition("## Codes")[2]
    return {line.split("`")[1] for line in table.splitlines() if line.startswith("| `")}


def test_every_code_is_documented():
    used: set[object] = set(DETAILS)
    for _, node, name in calls():
        if len(node.args) < 2 or not (name.endswith("Error") or name in _REFUSE):
            continue
        code = node.args[1]
        parts = [code.body, code.orelse] if isinstance(code, ast.IfExp) else [code]
        if name not in _OTHERS:
            used |= {part.value for part in parts if isinstance(part, ast.Constant)} - {""}
    assert used <= documented()
    assert "out-of-range" in used and len(used) > 40


def test_every_documented_code_is_used():
    source = "".join(path.read_text() for path in (CHECKOUT / "pycontainer").rglob("*.py"))
    assert [code for code in documented() if f'"{code}"' not in source] == []


def test_runc_has_words_for_codes_that_there_are():
    rows = [*runc_errors.CONFIG, *runc_errors.LIMITS]
    codes = {row.split(" ")[1] for row in rows}
    codes |= {key for _, key in runc_errors.OPERATIONS if isinstance(key, str) and "." not in key}
    assert codes - {"*", "option"} <= documented()


def test_nothing_looks_into_a_message():
    """What an error is, its class and its code say."""
    found = []
    for path in sorted((CHECKOUT / "pycontainer").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Compare):
                texts = [ast.unparse(part) for part in (node.left, *node.comparators)]
            elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                texts = [ast.unparse(node.func.value)] if node.func.attr in _LOOKS else []
            else:
                continue
            if any(t in ("error.message", "str(error)") for t in texts):
                found.append(f"{path.relative_to(CHECKOUT)}:{node.lineno}")
    assert found == []
