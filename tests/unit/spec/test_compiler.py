"""The compiled validator says what jsonschema says, for any document; and is built reproducibly."""

from __future__ import annotations

import json
import random
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import pycontainer
from pycontainer.spec import compiler, explain, pattern, schema
from tests.unit.spec.documents import FITTING, STRINGS, Generator, damaged


@pytest.fixture(scope="module")
def compiled() -> dict[str, Any]:
    module: dict[str, Any] = {}
    exec(compile(compiler.source(), "compiled", "exec"), module)
    return module


@pytest.mark.parametrize("entry", compiler.ENTRIES)
def test_same_verdict_as_jsonschema(compiled: dict[str, Any], entry: str) -> None:
    file = compiler.ENTRIES[entry]
    rng = random.Random(entry)
    verdicts = {True: 0, False: 0}
    for round_ in range(1500):
        generator = Generator(rng, schema.resolve, rng.choice([0.05, 0.15, 0.3]))
        document = generator.document(schema.load(file), file)
        if round_ % 4:
            document = damaged(rng, document)
        verdict = compiled[entry](document, [])
        assert verdict is explain.conforms(file, document), json.dumps(document)
        verdicts[verdict] += 1
    assert min(verdicts.values()) > 200, verdicts


@pytest.mark.parametrize("document", [None, True, 1, 1.5, "x", [], {}, {"ociVersion": None}])
def test_no_configuration(compiled: dict[str, Any], document: Any) -> None:
    assert compiled["valid_config"](document, []) is False


@pytest.mark.parametrize("text", FITTING)
def test_patterns_as_string_tests(text: str) -> None:
    test = eval(f"lambda v: bool({pattern.mismatch(text, 'v')})")
    real = re.compile(re.sub(r"\$$", r"\\Z", text))
    rng = random.Random(text)
    samples = [s for good in FITTING.values() for s in good] + STRINGS
    for sample in samples * 20:
        letters = list(sample)
        for _ in range(rng.randrange(3)):
            letters.insert(rng.randrange(len(letters) + 1), rng.choice("0A_:BK\n-, zM"))
        if rng.random() < 0.3 and letters:
            del letters[rng.randrange(len(letters))]
        sample = "".join(letters)
        assert test(sample) is not bool(real.search(sample)), sample


@pytest.mark.parametrize("text", ["x+", "^x", "^a*b*$", "^a|b$", "^(ab)+$", "^[^ab]*$", "^a?$"])
def test_other_patterns_stop_the_build(text: str) -> None:
    with pytest.raises(ValueError, match="pattern"):
        pattern.mismatch(text, "v")


def test_unknown_keywords_stop_the_build(monkeypatch: pytest.MonkeyPatch) -> None:
    bad = {"type": "object", "properties": {"x": {"type": "string", "maxLength": 3}}}
    monkeypatch.setattr(schema, "load", lambda name: bad)
    with pytest.raises(ValueError, match="unknown keywords"):
        compiler.source()


def test_reproducible() -> None:
    texts = {
        subprocess.run(
            [sys.executable, "-m", "pycontainer.spec.compiler"],
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": str(Path(pycontainer.__file__).parents[1])},
            capture_output=True,
            check=True,
            text=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert texts == {compiler.source()}


def test_the_build_is_up_to_date() -> None:
    built = Path(pycontainer.__file__).with_name("spec") / "_compiled_spec.py"
    assert built.read_text() == compiler.source(), "run make build"
