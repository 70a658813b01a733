"""What features, list, ps and state print, as far as no container is needed for it."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from pycontainer.base.errors import HostError
from pycontainer.cli.commands.list import COLUMNS, table
from pycontainer.cli.commands.ps import only
from pycontainer.hostinfo import features

SCHEMAS = Path(os.environ.get("PYCONTAINER_OCI_CASES", "")) / "schema"


def test_features_has_runcs_layout(pycontainer: Any) -> None:
    done = pycontainer("features", own_root=False)
    assert (done.returncode, done.stderr) == (0, "")
    document = json.loads(done.stdout)
    assert done.stdout == json.dumps(document, indent=4) + "\n"
    assert document == features.document()
    assert document["ociVersionMax"] == "1.3.0"


def test_features_covers_what_runc_says(pycontainer: Any, runc: Any) -> None:
    ours = json.loads(pycontainer("features").stdout)
    theirs = json.loads(runc("features").stdout)
    assert ours["hooks"] == theirs["hooks"]
    missing = set(theirs["mountOptions"]) - set(ours["mountOptions"])
    assert missing <= {"acl", "noacl"}  # the filesystem's own; runc stopped listing them
    assert set(theirs["linux"]["namespaces"]) <= set(ours["linux"]["namespaces"])
    assert set(theirs["linux"]["capabilities"]) <= set(ours["linux"]["capabilities"])
    for key in ("actions", "operators", "archs"):
        assert set(theirs["linux"]["seccomp"][key]) <= set(ours["linux"]["seccomp"][key])


@pytest.mark.skipif(not SCHEMAS.is_dir(), reason="no upstream schemas at hand")
def test_features_satisfies_the_upstream_schema() -> None:
    jsonschema = pytest.importorskip("jsonschema")
    referencing = pytest.importorskip("referencing")
    schemas = {path.name: json.loads(path.read_text()) for path in SCHEMAS.glob("*.json")}
    registry = referencing.Registry().with_resources(
        (key, referencing.Resource.from_contents(schema, referencing.jsonschema.DRAFT4))
        for name, schema in schemas.items()
        for key in (name, schema.get("id", name))
    )
    schema = schemas["features-schema.json"]
    jsonschema.Draft4Validator(schema, registry=registry).validate(features.document())


def test_table_is_padded_as_gos_tabwriter() -> None:
    rows = [
        [name.upper() for name in COLUMNS],
        ("c1", 8491, "running", "/tmp/rx/b", "2026-11-22T19:16:06.567397033Z", "root"),
    ]
    assert table(rows) == (
        "ID          PID         STATUS      BUNDLE      CREATED                          OWNER\n"
        "c1          8491        running     /tmp/rx/b   2026-11-22T19:16:06.567397033Z   root\n"
    )


def test_ps_keeps_only_the_containers_lines() -> None:
    lines = ["UID PID CMD", "root 1 init", "root 22 sh", "", "root x y"]
    assert only(lines, frozenset({22})) == ["UID PID CMD", "root 22 sh"]
    with pytest.raises(HostError, match="PID field"):
        only(["COMMAND"], frozenset())
    with pytest.raises(HostError):
        only([], frozenset())
