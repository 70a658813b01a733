"""Rules of config.md#mounts."""

from __future__ import annotations

from typing import Any

import pytest

from pycontainer import spec
from tests.unit.spec.samples import IDS, changed, refusal, with_user

BIND = {"destination": "/x", "source": "/y", "options": ["rbind"]}
BOTH = {"uidMappings": IDS, "gidMappings": IDS}

REFUSED: list[tuple[dict[str, Any], str, str]] = [
    ({"destination": "", "type": "tmpfs"}, ".destination", "empty"),
    ({"destination": "/x"}, ".type", "missing"),
    ({"destination": "/x", "type": "", "options": ["ro"]}, ".type", "missing"),
    ({"destination": "/x", "type": "bind", "source": "/y"}, ".type", "no filesystem"),
    ({"destination": "/x", "options": ["bind"]}, ".source", "missing"),
    ({**BIND, "uidMappings": IDS}, ".gidMappings", "missing"),
    ({**BIND, "gidMappings": IDS}, ".uidMappings", "missing"),
    ({**BIND, "gidMappings": IDS, "uidMappings": []}, ".uidMappings", "missing"),
    ({**BIND, "options": ["rbind", "idmap"]}, ".options", "neither"),
    ({**BIND, "options": ["bind", "size=3", "ro", "acl"]}, ".options", "has size=3, acl, which"),
    ({"destination": "/x", "type": "tmpfs", "options": ["ridmap"], **BOTH}, ".options", "without"),
    ({**BIND, **BOTH, "gidMappings": [{**IDS[0], "size": 0}]}, ".gidMappings[0].size", "positive"),
]
ACCEPTED: list[dict[str, Any]] = [
    {"destination": "/x", "type": "tmpfs", "options": ["size=3", "mode=755", "foo"]},
    {"destination": "/x", "type": "none", "source": "y", "options": ["bind", "ro", "rprivate"]},
    {"destination": "/x", "type": "bind", "source": "/y", "options": ["rbind", "x-a=b"]},
    {"destination": "/x", "options": ["remount", "ro"]},
    {"destination": "/x", "options": ["bind", "remount", "ro"]},
    {**BIND, **BOTH, "options": ["rbind", "ridmap"]},
    {**BIND, "uidMappings": [], "gidMappings": []},
]


@pytest.mark.parametrize(("mount", "field", "text"), REFUSED)
def test_refused(mount: dict[str, Any], field: str, text: str) -> None:
    error = refusal(changed({"mounts.+": mount}))
    assert error is not None
    assert error.field == f"mounts[1]{field}"
    assert text in error.message
    assert error.clause.startswith("config")


@pytest.mark.parametrize("mount", ACCEPTED)
def test_accepted(mount: dict[str, Any]) -> None:
    assert spec.validate(changed({"mounts.+": mount})) == []


def test_relative_destination_is_a_warning() -> None:
    mount = {"destination": "x", "type": "tmpfs"}
    (warning,) = spec.validate(changed({"mounts.+": mount}))
    assert warning.startswith("mounts[1].destination: is relative")


def test_mappings_without_idmap_are_a_warning() -> None:
    (warning,) = spec.validate(changed({"mounts.+": {**BIND, **BOTH}}))
    assert "idmap" in warning


def test_idmap_takes_the_mapping_of_the_container() -> None:
    mount = {**BIND, "options": ["rbind", "ridmap"]}
    assert spec.validate(changed({"mounts.+": mount}, with_user())) == []
