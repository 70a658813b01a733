"""A value that is nested deeply, anywhere in config.json: it is refused, or nobody looks at it.

Go's decoder takes 10,000 levels; functions of Python may call each other 1,000 times.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import reduce
from pathlib import Path
from typing import Any

import pytest

from pycontainer import spec
from pycontainer.base import jsonfast
from pycontainer.base.errors import ConfigError
from pycontainer.base.settings import Settings
from pycontainer.cgroups import update
from pycontainer.check import examine
from pycontainer.lifecycle.options import CreateOptions
from pycontainer.spec import schema as schemas
from pycontainer.spec.schema import Node
from tests.unit.spec.samples import BASE

LEVELS = 5000
Path_ = tuple[str | int, ...]


def deep(kind: type) -> Any:
    one: Any = [] if kind is list else {}
    return reduce(lambda inner, _: [inner] if kind is list else {"a": inner}, range(LEVELS), one)


def places(node: Node, path: Path_ = ()) -> Iterator[Path_]:
    """Every place that the schema knows, with one entry in each list."""
    node = schemas.follow(node)
    for name, child in schemas.children(node).items():
        yield (*path, name)
        yield from places(child, (*path, name))
    if "items" in node.schema:
        yield (*path, 0)
        yield from places(Node(node.schema["items"], node.file), (*path, 0))


def put(document: Any, path: Path_, value: Any) -> Any:
    """The document with a value at a place, and with what has to be around it."""
    if not path:
        return value
    key, *rest = path
    if isinstance(key, int):
        return [put(None, tuple(rest), value)]
    members = document if isinstance(document, dict) else {}
    return {**members, key: put(members.get(key), tuple(rest), value)}


def refused(check: Any, document: Any) -> bool:
    try:
        check(document)
    except ConfigError as error:
        assert len(str(error)) < 1000
        return True
    return False


def everywhere(name: str) -> Iterator[tuple[Path_, Any]]:
    """Each place of a schema with an array, and an unknown member there with an object."""
    for path in places(Node(schemas.load(name), name)):
        yield path, deep(list)
        yield (*path, "unknown"), deep(dict)


def test_at_every_place_of_a_configuration():
    cases = list(everywhere(schemas.CONFIG))
    assert len(cases) > 600
    refusals = sum(refused(spec.validate, put(BASE, *case)) for case in cases)
    assert refusals > len(cases) / 2


def test_at_every_place_of_new_limits():
    for case in everywhere(schemas.RESOURCES):
        resources = put({}, *case)
        refused(spec.validate_resources, resources)
        refused(spec.validate_resources, update.without_nulls(resources))


@pytest.mark.parametrize("kind", [list, dict])
def test_check_finds_it(kind: type, tmp_path: Path):
    (tmp_path / "rootfs").mkdir()
    paths: list[Path_] = [
        ("annotations", "a"),
        ("mounts", 0, "options", 0),
        ("linux", "rdma"),
        ("process",),
    ]
    for path in paths:
        (tmp_path / "config.json").write_text(jsonfast.dumps(put(BASE, path, deep(kind))))
        settings = Settings(root=str(tmp_path / "root"))
        report = examine(settings, CreateOptions(bundle=str(tmp_path)))
        assert report.findings
