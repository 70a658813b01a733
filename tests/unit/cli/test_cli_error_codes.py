"""docs/errors.md lists the codes that the source has, and nothing looks into messages."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from pycontainer.cli import runc_errors
from pycontainer.diagnose import remedies
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


def raised() -> Iterator[tuple[Path, ast.Call]]:
    """The calls that make an error."""
    for path, node, name in calls():
        made = isinstance(node.func, ast.Attribute) and ast.unparse(node.func.value)
        if name == "of":
            name = made or ""
        if (name.endswith("Error") and name not in _OTHERS) or name in _REFUSE:
            yield path, node


def texts(node: ast.AST) -> set[str]:
    """The texts in an expression, but for those that it compares."""
    if isinstance(node, ast.IfExp):
        return texts(node.body) | texts(node.orelse)
    return {node.value} - {""} if isinstance(node, ast.Constant) else set()


def test_every_code_is_documented():
    used = set(DETAILS)
    for _, node in raised():
        named = [key.value for key in node.keywords if key.arg == "code"]
        if ast.unparse(node.func).endswith(".of"):
            given = named
        else:
            given = [*node.args[1:2], *named]
        for code in given:
            used |= texts(code)
    assert used <= documented()
    assert "out-of-range" in used and len(used) > 40


def test_every_documented_code_is_used():
    source = "".join(path.read_text() for path in (CHECKOUT / "pycontainer").rglob("*.py"))
    assert [code for code in documented() if f'"{code}"' not in source] == []


def test_advice_is_by_code_and_in_one_place():
    """Who raises an error gives facts; diagnose/ knows what to do. It has no code in vain."""
    written = [
        f"{path.relative_to(CHECKOUT)}:{node.lineno}"
        for path, node in raised()
        if path.parent.name != "diagnose"
        for key in node.keywords
        if key.arg == "hint"
        for part in ast.walk(key.value)
        if isinstance(part, ast.Constant) and part.value
    ]
    assert written == []
    codes = {key.split(" ")[-1] for key in (*remedies.REMEDIES, *remedies.FUNCTIONS)}
    assert codes - {"criu"} <= documented()


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
