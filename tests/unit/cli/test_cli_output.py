"""What is printed goes through one function, which knows when stdout cannot be written."""

from __future__ import annotations

import ast
from pathlib import Path

import pycontainer

PACKAGE = Path(pycontainer.__file__).parent
BUILD = {"spec/compiler.py", "plan/generate_header.py"}  # they run when the package is built


def test_nothing_else_prints() -> None:
    found = []
    for path in PACKAGE.rglob("*.py"):
        name = str(path.relative_to(PACKAGE))
        for node in ast.walk(ast.parse(path.read_text())) if name not in BUILD else ():
            text = ast.unparse(node) if isinstance(node, ast.Call | ast.Attribute) else ""
            if text.startswith(("print(", "posix.write(1,")) or text == "sys.stdout":
                found.append(f"{name}:{node.lineno}: {text}")
    assert [line for line in found if not line.startswith("cli/output.py")] == []
