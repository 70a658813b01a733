"""The JSON Schemas of oci-spec/, for what is not on the hot path: the compiler and the explainer.

A place in a schema is a Node: the schema object and the file that it stands in, which `$ref`s are
relative to. `walk` goes down from a schema along the path of a value.
"""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

# In a checkout the source itself; in an installed package the copy that the build put there.
_PLACES = (
    Path(__file__).resolve().parents[2] / "oci-spec",
    Path(__file__).resolve().parent / "schemas",
)
CONFIG = "config.schema.json"
PROCESS = "config-process.schema.json"
RESOURCES = "config-linux-resources.schema.json"
STATE = "state.schema.json"
FEATURES = "features.schema.json"


_STEP = re.compile(r"""\[(\d+)\]|\[(["']).*?\2\]|\.?([^.\[]+)""")


class Node(NamedTuple):
    """A schema object and the name of its file."""

    schema: dict[str, Any]
    file: str


def directory() -> Path:
    """Where the schemas are; FileNotFoundError when this is no whole checkout and no build."""
    for place in _PLACES:
        if (place / CONFIG).is_file():
            return place
    raise FileNotFoundError(f"no schemas in {' or '.join(map(str, _PLACES))}")


def names() -> list[str]:
    """The file names of all schemas, sorted."""
    return sorted(path.name for path in directory().glob("*.schema.json"))


@cache
def load(name: str) -> dict[str, Any]:
    """The schema in one file."""
    schema: dict[str, Any] = json.loads((directory() / name).read_text(encoding="utf-8"))
    return schema


def resolve(ref: str, file: str) -> Node:
    """What a `$ref` in `file` points to."""
    target, _, pointer = ref.partition("#")
    target = target or file
    schema = load(target)
    for part in pointer.split("/")[1:]:
        schema = schema[part.replace("~1", "/").replace("~0", "~")]
    return Node(schema, target)


def follow(node: Node) -> Node:
    """The node itself, or where its chain of `$ref`s ends."""
    while "$ref" in node.schema:
        node = resolve(node.schema["$ref"], node.file)
    return node


def children(node: Node) -> dict[str, Node]:
    """The properties that an object schema names, each not yet followed."""
    node = follow(node)
    return {
        name: Node(schema, node.file) for name, schema in node.schema.get("properties", {}).items()
    }


def step(node: Node, key: str | int) -> Node | None:
    """The schema of one member of the value that `node` describes; None when it has none."""
    node = follow(node)
    if isinstance(key, int):
        found = node.schema.get("items")
    else:
        found = node.schema.get("properties", {}).get(key)
        if found is None:
            found = node.schema.get("additionalProperties")
    return Node(found, node.file) if isinstance(found, dict) else None


def clause(name: str, path: list[str | int]) -> str:
    """The clause of the nearest place on the way to the value at `path` that names one."""
    node: Node | None = Node(load(name), name)
    nearest = ""
    for key in [None, *path]:
        if key is not None and node is not None:
            node = step(node, key)
        if node is None:
            break
        own = node.schema.get("x-clause") or follow(node).schema.get("x-clause")
        nearest = own or nearest
    return nearest


def clause_of(field: str) -> str:
    """The clause of a field of config.json, which is written as `field_path` does."""
    path: list[str | int] = []
    for step in _STEP.finditer(field):
        index, quote, name = step.groups()
        path.append(int(index) if index else "" if quote else name)
    return clause(CONFIG, path)


def field_path(path: list[str | int], prefix: str = "") -> str:
    """A JSON path for people: process.rlimits[0].type, annotations["com.example.key"]."""
    text = prefix
    for key in path:
        if isinstance(key, int):
            text += f"[{key}]"
        elif re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", key):
            text += f".{key}" if text else key
        else:
            text += f"[{json.dumps(key, ensure_ascii=False)}]"
    return text
