"""The table of operations is complete wherever it is spelled out."""

from __future__ import annotations

from pycontainer.plan import describe
from pycontainer.plan.ops import CONTAINER, TABLE
from tests.executor.expected import EXPECTED

# Its kind and arguments are words enough.
PLAIN: set[str] = set()


def test_every_operation_of_the_container_has_its_system_calls():
    """What strace must see of it: without, a plan that has it is not proven."""
    assert {*EXPECTED} == {kind for kind, row in TABLE.items() if row[0] == CONTAINER}


def test_every_operation_has_words():
    assert {*describe._LINES} | PLAIN == {*TABLE}
