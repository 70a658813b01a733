"""Upstream's schemas and its good and bad documents, which lie outside of the repository."""

from __future__ import annotations

import json
import os
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from referencing import Registry
from referencing.jsonschema import DRAFT4

from pycontainer.spec import explain

ROOT = Path(
    os.environ.get("PYCONTAINER_OCI_CASES")
    or Path(__file__).resolve().parents[4] / "shared" / "oci"
)
needed = pytest.mark.skipif(not (ROOT / "schema").is_dir(), reason=f"no schemas in {ROOT}")
# Ours, and upstream's for the same documents.
PAIRS = {
    "config.schema.json": "config-schema.json",
    "state.schema.json": "state-schema.json",
    "features.schema.json": "features-schema.json",
}


@cache
def load(file: str) -> dict[str, Any]:
    found = json.loads((ROOT / "schema" / file).read_text())
    if file == "config-linux.json":
        # The text, and upstream's Go, have it optional since 1.3; the schema was forgotten.
        del found["linux"]["properties"]["resources"]["properties"]["pids"]["required"]
    if file == "defs.json":
        # A bound of ours: what is longer does not fit into the nanoseconds of a Go duration.
        found["definitions"]["Hook"]["properties"]["timeout"]["maximum"] = 9223372036
    return found


def resolve(ref: str, file: str) -> tuple[dict[str, Any], str]:
    target, _, pointer = ref.partition("#")
    schema = load(target or file)
    for part in pointer.split("/")[1:]:
        schema = schema[part]
    return schema, target or file


@cache
def validator(file: str) -> Any:
    """Upstream's schema, with our reading of JSON's types: draft-04 has no 1.0 as integer either,
    and what validates for upstream (Go) takes $ for the very end."""
    registry = Registry().with_resources(
        (path.name, DRAFT4.create_resource(explain.undeclared(load(path.name))))
        for path in (ROOT / "schema").glob("*.json")
    )
    return explain.strict(jsonschema.Draft4Validator)({"$ref": file}, registry=registry)


def cases(kind: str, verdict: str) -> list[Path]:
    """The documents of one kind (config, state, features) that are good or bad."""
    return sorted((ROOT / "cases" / kind / verdict).glob("*.json"))
