"""The package as one image, for a start without a hundred file look-ups.

    image     4 bytes little endian: length of the index; the index; the groups of modules
    index     marshalled: module name to its group; group to (start, end); how many groups are hot
    group     marshalled tuple of (name, file below DIRECTORY, code object)

Modules that are needed together are marshalled together: what they share (every name, once) is
read once. They are executed together, too, in an order that satisfies each one's imports: the
import statement then finds them there, and the import system's own work for each is spared. The
code is compiled without docstrings, asserts, annotations and line numbers: nothing on this path
looks at them, and each costs time at every start. The modules that want them (attrs' classes, the
schemas' explanations) stay out, and are imported from their files.
"""

from __future__ import annotations
import __future__

import ast
import marshal
from pathlib import Path
from types import CodeType

# What every command loads, and what create, run and exec load beyond that: these modules with all
# that they import at their top. The others stand alone.
GROUPS = (
    ("cli", "lifecycle.container"),
    (
        "lifecycle.create",
        "lifecycle.exec",
        "cli.commands.create",
        "cli.commands.run",
        "cgroups.create",
        "cgroups.resources",
        "cgroups.resources.devices",
        "spec.load",
        "spec.rules",
        "spec._compiled_spec",
        "seccomp.cache",
        "lifecycle.foreground",
    ),
)
# Off the hot path: they look at annotations, or at files beside them.
LEFT_OUT = (
    "spec.explain",
    "spec.schema",
    "spec.compiler",
    "plan.generate_header",
    "__main__",
    "api",
    "image",
    "monitor",
    "spec.unknown_keys",
    "check",
)


class Diet(ast.NodeTransformer):
    """Drops annotations and the import that makes them cheap."""

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        self.generic_visit(node)
        node.returns = None
        every = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
        for argument in [*every, node.args.vararg, node.args.kwarg]:
            if argument is not None:
                argument.annotation = None
        return node

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST | None:
        if node.value is None:
            return ast.copy_location(ast.Pass(), node)
        assign = ast.Assign(targets=[node.target], value=self.visit(node.value))
        return ast.copy_location(assign, node)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.AST:
        return ast.copy_location(ast.Pass(), node) if node.module == "__future__" else node

    def visit_If(self, node: ast.If) -> ast.AST:
        self.generic_visit(node)
        if isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            return ast.copy_location(ast.Pass(), node)
        return node


def lean(code: CodeType) -> CodeType:
    """The code without line numbers, and without a second name for everything."""
    constants = tuple(lean(c) if isinstance(c, CodeType) else c for c in code.co_consts)
    return code.replace(co_linetable=b"", co_qualname=code.co_name, co_consts=constants)


def compiled(tree: ast.Module) -> CodeType:
    """The module's code; all share one file name."""
    tree = ast.fix_missing_locations(Diet().visit(tree))
    flags = __future__.annotations.compiler_flag
    return lean(compile(tree, "<image>", "exec", flags=flags, dont_inherit=True, optimize=2))


def modules(directory: Path) -> dict[str, Path]:
    """Every module of the package but those left out."""
    found = {}
    for path in sorted((directory / "pycontainer").rglob("*.py")):
        parts = path.relative_to(directory).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        own = name.removeprefix("pycontainer.")
        if not {own, own.partition(".")[0]} & set(LEFT_OUT) and "schemas" not in parts:
            found[name] = path
    return found


def imported(tree: ast.Module, package: str) -> set[str]:
    """The names that a module imports at its top, absolute; some are functions, which is fine."""
    names = set()
    for node in tree.body:
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            parts = package.split(".")
            base = ".".join(parts[: len(parts) - node.level + 1]) if node.level else ""
            module = ".".join(part for part in (base, node.module) if part)
            names |= {module, *(f"{module}.{alias.name}" for alias in node.names)}
    return names


def groups(trees: dict[str, ast.Module], paths: dict[str, Path]) -> list[list[str]]:
    """The names of each group, in an order in which they can be executed: GROUPS, then one group
    for each other module."""
    result: list[list[str]] = []
    seen: set[str] = set()

    def visit(name: str, names: list[str]) -> None:
        """Add a module after the package that it is in and what it imports."""
        if name in seen or name not in trees:
            return
        seen.add(name)
        outer = name.rpartition(".")[0]
        package = name if paths[name].name == "__init__.py" else outer
        for other in [outer, *sorted(imported(trees[name], package))]:
            visit(other, names)
        names.append(name)

    for roots in GROUPS:
        names: list[str] = []
        for root in roots:
            visit(f"pycontainer.{root}", names)
        result.append(names)
    return result + [[name] for name in trees if name not in seen]


def image(directory: Path) -> bytes:
    """The whole image."""
    paths = modules(directory)
    trees = {name: ast.parse(path.read_text()) for name, path in paths.items()}
    index: dict[str, int] = {}
    spans, bodies, at = [], [], 0
    for number, names in enumerate(groups(trees, paths)):
        files = {name: str(paths[name].relative_to(directory)) for name in names}
        rows = tuple((name, files[name], compiled(trees[name])) for name in names)
        body = marshal.dumps(rows)
        spans.append((at, at + len(body)))
        bodies.append(body)
        at += len(body)
        index.update(dict.fromkeys(names, number))
    head = marshal.dumps((index, spans, len(GROUPS)))
    return len(head).to_bytes(4, "little") + head + b"".join(bodies)
