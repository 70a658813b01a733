"""Our schemas and upstream's agree: on its good and bad documents, and on thousands of random ones.

Where the text says more than upstream's schema, rules say it; the one thing that ours lets pass is
a status of our own in the state, as runtime.md#state allows.
"""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from pycontainer.spec import explain, schema
from tests.unit.spec import upstream
from tests.unit.spec.documents import Generator, damaged

pytestmark = upstream.needed
KINDS = {"config": schema.CONFIG, "state": schema.STATE, "features": schema.FEATURES}
CASES = [
    pytest.param(kind, verdict, path, id=f"{kind}-{verdict}-{path.stem}")
    for kind in KINDS
    for verdict in ("good", "bad")
    for path in upstream.cases(kind, verdict)
]


@pytest.mark.parametrize(("kind", "verdict", "path"), CASES)
def test_documents_of_upstream(kind: str, verdict: str, path: Path) -> None:
    try:
        document = json.loads(path.read_text())
    except ValueError:
        assert verdict == "bad"
        return
    assert explain.conforms(KINDS[kind], document) is (verdict == "good")


def test_there_are_documents() -> None:
    assert len(CASES) >= 17


def _custom_status(document: Any) -> bool:
    known = ("creating", "created", "running", "stopped")
    return (
        isinstance(document, dict)
        and isinstance(document.get("status"), str)
        and document["status"] not in known
    )


@pytest.mark.parametrize("origin", ["ours", "upstream"])
@pytest.mark.parametrize("file", upstream.PAIRS)
def test_random_documents(file: str, origin: str) -> None:
    theirs = upstream.PAIRS[file]
    rng = random.Random(f"{file} {origin}")
    verdicts = {True: 0, False: 0}
    for round_ in range(600):
        odds = rng.choice([0.1, 0.2, 0.3])
        if origin == "ours":
            document = Generator(rng, schema.resolve, odds).document(schema.load(file), file)
        else:
            document = Generator(rng, upstream.resolve, odds).document(
                upstream.load(theirs), theirs
            )
        if round_ % 4:
            document = damaged(rng, document)
        if file == schema.STATE and _custom_status(document):
            document["status"] = "running"
        verdict = explain.conforms(file, document)
        assert verdict is upstream.validator(theirs).is_valid(document), json.dumps(document)
        verdicts[verdict] += 1
    assert min(verdicts.values()) > 50, verdicts


def test_status_of_our_own() -> None:
    document = {"ociVersion": "1.3.0", "id": "x", "status": "paused", "bundle": "/x", "pid": 3}
    assert explain.conforms(schema.STATE, document)
    assert not explain.conforms(schema.STATE, {**document, "status": 3})
    assert not explain.conforms(schema.STATE, {**document, "pid": -1})
