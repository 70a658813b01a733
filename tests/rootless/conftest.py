"""Fixtures: an ordinary user, who is made up when root runs the tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.rootless.person import Person, why_not


@pytest.fixture
def person() -> Iterator[Person]:
    """Somebody without privileges."""
    reason = why_not()
    if reason:
        pytest.skip(reason)
    made = Person()
    yield made
    made.close()


@pytest.fixture
def obstructed(person: Person) -> Person:
    """The same, where root is there to make obstacles."""
    if not person.is_root:
        pytest.skip("needs root to make the obstacle")
    return person


@pytest.fixture(params=["own", "ranges", "shifted"])
def mapping(request: pytest.FixtureRequest) -> str:
    """Each of the usual mappings."""
    return request.param
