"""The package as one image, for a start without a hundred file look-ups.

    image     4 bytes little endian: length of the index; the index; the code of each module
    index     marshalled: module name to (start, end, file below DIRECTORY, is a package)

The code is compiled without docstrings, asserts and annotations: nothing on this path looks at
them, and each costs time at every start. The modules that want them (attrs' classes, the schemas'
explanations) stay out, and are imported from their files.
"""

from __future__ import annotations
import __future__

import ast
import marshal
from pathlib import Path

# Off the hot path: they look at annotations, or at files beside them.
LEFT_OUT = ("spec.explain", "spec.schema", "spec.compiler", "plan.layout", "__main__")


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


def compiled(path: Path, name: str) -> bytes:
    """The module's code, marshalled."""
    tree = ast.fix_missing_locations(Diet().visit(ast.parse(path.read_text())))
    flags = __future__.annotations.compiler_flag
    code = compile(tree, f"<{name}>", "exec", flags=flags, dont_inherit=True, optimize=2)
    return marshal.dumps(code)


def modules(directory: Path) -> dict[str, Path]:
    """Every module of the package but those left out."""
    found = {}
    for path in sorted((directory / "pycontainer").rglob("*.py")):
        parts = path.relative_to(directory).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        if name.removeprefix("pycontainer.") not in LEFT_OUT and "schemas" not in parts:
            found[name] = path
    return found


def image(directory: Path) -> bytes:
    """The whole image."""
    codes = {name: compiled(path, name) for name, path in modules(directory).items()}

    def index(start: int) -> bytes:
        entries = {}
        for name, path in modules(directory).items():
            end = start + len(codes[name])
            # A fixed width keeps the index's length independent of where the code begins.
            file = str(path.relative_to(directory))
            entries[name] = (start, end, file, path.name == "__init__.py")
            start = end
        return marshal.dumps(entries)

    length = len(index(1 << 20))
    head = index(4 + length)
    assert len(head) == length
    return length.to_bytes(4, "little") + head + b"".join(codes.values())
