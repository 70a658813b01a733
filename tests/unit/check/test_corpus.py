"""Configs that engines have really written: no error, no warning.

Those of CRI-O, which Debian does not have, are made after its source (August 2026) and what the
kubelet asks of it.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.unit.check.conftest import Bundle, of

CORPUS = sorted((Path(__file__).parent / "corpus").glob("*.json"))
ENGINES = {file.stem.rpartition("-")[0] for file in CORPUS}


def test_there_are_some_of_each_engine():
    assert ENGINES >= {"podman", "docker", "containerd-ctr", "containerd-cri", "buildah", "crio"}


@pytest.mark.parametrize("file", CORPUS, ids=[file.stem for file in CORPUS])
def test_no_false_alarm(bundle: Bundle, file: Path):
    report = bundle.check(bundle.at_home(json.loads(file.read_text())))
    # What was asked for on a host with cgroup v1 may really have no effect on one with v2, and not
    # every root has all capabilities.
    ours = ("cgroup v1", "the runtime lacks it")
    found = of(report, "error", "warning")
    wrong = [f for f in found if not any(words in f.message for words in ours)]
    assert wrong == []


@pytest.mark.parametrize("engine", sorted(ENGINES - {"containerd-cri", "containerd-ctr"}))
def test_an_ordinary_container_has_no_high_risk(bundle: Bundle, engine: str):
    file = next(file for file in CORPUS if file.stem.startswith(engine))
    assert of(bundle.check(bundle.at_home(json.loads(file.read_text()))), "high") == []
