"""Which module may import which: docs/ARCHITECTURE.md, "Where things are"."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

from pycontainer.snapshot import preload

PACKAGE = Path(__file__).resolve().parents[2] / "pycontainer"
# A package imports from itself and from those to its left; api and cli not from each other.
ORDER = (
    "base tables linux state resctrl seccomp cgroups spec plan diagnose executor lifecycle criu"
    " hostinfo check monitor image api|cli snapshot"
)
PLACE = {name: i for i, part in enumerate(ORDER.split()) for name in part.split("|")}
AT_THE_ROOT = {"__init__.py", "__main__.py", "__init__.pyi", "py.typed"}
NATIVE = "pycontainer._shim"
GENERATED = {"_compiled_spec.py", "_checksum.py"}
THE_KERNEL = {"posix", "os", "_socket", "socket", "fcntl", "subprocess", NATIVE}


def module(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts).removesuffix(".__init__")


FILES = {module(path): path for path in sorted(PACKAGE.rglob("*.py"))}


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """Line and module of each import that can be executed, lazy ones included."""
    return imports_below(ast.parse(path.read_text()), path)


def imports_below(top: ast.AST, path: Path) -> Iterator[tuple[int, str]]:
    todo = [top]
    while todo:
        node = todo.pop()
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            todo += node.orelse
            continue
        todo += ast.iter_child_nodes(node)
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}:{node.lineno}: imports are absolute"
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                yield node.lineno, whole if whole in {*FILES, NATIVE} else str(node.module)


EDGES = [(name, line, to) for name, path in FILES.items() for line, to in imports(path)]


GRAPH = {name: {to for n, _, to in EDGES if n == name != to and to in FILES} for name in FILES}


def package(name: str) -> str:
    return (name.split(".") + [""])[1]


def line_of(name: str, line: int, target: str) -> str:
    return f"{FILES[name].relative_to(PACKAGE.parent)}:{line} imports {target}"


def test_imports_go_to_the_left():
    wrong = []
    for name, line, target in EDGES:
        here, there = package(name), package(target)
        if target not in FILES or not here or here == "__main__" or here == there:
            continue
        if target != "pycontainer" and PLACE[there] >= PLACE[here]:
            wrong.append(line_of(name, line, target))
    assert wrong == []


def reached(start: str) -> set[str]:
    """The modules that it imports, by way of others, too."""
    found: set[str] = set()
    todo = [start]
    while todo:
        new = GRAPH[todo.pop()] - found
        found |= new
        todo += new
    return found


def test_no_circle_of_modules():
    reach = {name: reached(name) for name in FILES}
    wrong = [line_of(n, line, to) for n, line, to in EDGES if n in reach.get(to, ()) and n != to]
    assert wrong == []


def test_a_plan_does_not_reach_the_kernel():
    plan = [name for name in FILES if package(name) == "plan"]
    parts = {other for name in plan for other in reached(name)}.union(plan)
    wrong = [
        line_of(name, line, target)
        for name, line, target in EDGES
        if name in parts and package(name) != "base" and target in THE_KERNEL
    ]
    assert wrong == []


def test_every_module_is_in_a_room():
    assert {
        path.name for path in PACKAGE.iterdir() if path.suffix in (".py", ".pyi", ".typed")
    } <= (AT_THE_ROOT)
    packages = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    assert packages == set(PLACE)


def test_a_snapshot_holds_what_functions_import():
    """The files of the standard library may have changed, or gone, when a command needs one."""
    found = set()
    for name, path in FILES.items():
        if name.removeprefix("pycontainer.").startswith(preload.LEFT_OUT):
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef):
                found |= {to for _, to in imports_below(node, path)}
    standard = {to for to in found if to.partition(".")[0] in sys.stdlib_module_names}
    assert standard <= {*preload.LATER, *preload.KEPT_OUT, *sys.builtin_module_names}
