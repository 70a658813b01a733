"""What runtime-spec 1.3.0 demands of a Linux runtime, clause by clause, and what proves it.

A module for each document; each has CLAUSES, a list of Clause, made by `section`. The words are
ours, the anchor is the document's own. A clause is bound to tests by short names:
"lifecycle/process/hooks::a_life" is tests/lifecycle/process/test_hooks.py::test_a_life. What no
test can prove has a reason.
"""

from __future__ import annotations

import re

_NAMES = re.compile(r"[^\s\[]+(?:\[[^\]]*\])?")  # parameters may contain spaces
MUST, SHOULD = "MUST", "SHOULD"


class Clause:
    """One demand: `anchor` (document#section), `level`, `words`; `tests` prove it, or `reason`
    says why there is nothing to prove (`deviates`: that we knowingly do otherwise)."""

    def __init__(self, anchor: str, level: str, words: str, proof: str) -> None:
        self.anchor = anchor
        self.level = level
        self.words = words
        self.tests: tuple[str, ...] = ()
        self.reason = ""
        self.deviates = False
        if proof.startswith("n/a: "):
            self.reason = proof[5:]
        elif proof.startswith("deviates: "):
            self.reason = proof[10:]
            self.deviates = True
        else:
            self.tests = tuple(node(name) for name in _NAMES.findall(proof))

    def __repr__(self) -> str:
        return f"{self.anchor}: {self.level}: {self.words}"


def node(short: str) -> str:
    """A pytest node id from its short name; parameters in brackets may follow."""
    file, _, name = short.partition("::")
    directory, _, stem = file.rpartition("/")
    return f"tests/{directory}/test_{stem}.py::test_{name}"


def section(anchor: str, *rows: tuple[str, str, str]) -> list[Clause]:
    """The clauses of one section, from (level, words, proof) each."""
    return [Clause(anchor, *row) for row in rows]


def load() -> list[Clause]:
    """All clauses of all documents."""
    from . import config, config_linux, features, runtime

    documents = (config, config_linux, runtime, features)
    return [clause for document in documents for clause in document.CLAUSES]
