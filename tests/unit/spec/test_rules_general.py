"""Rules of config.md but for process and mounts: each says no to what it is for, and only that."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pycontainer import spec
from pycontainer.base.errors import ConfigError
from pycontainer.spec import rules
from tests.unit.spec.samples import BASE, changed, refusal

REFUSED = {
    "version": ({"ociVersion": "1.3"}, "ociVersion", "SemVer"),
    "version empty": ({"ociVersion": ""}, "ociVersion", "SemVer"),
    "version major": ({"ociVersion": "2.0.0"}, "ociVersion", "supported is 1.x"),
    "root": ({"root": None}, "root", "required"),
    "root path": ({"root.path": ""}, "root.path", "empty"),
    "hook": ({"hooks": {"poststop": [{"path": "x"}]}}, "hooks.poststop[0].path", "absolute"),
    "annotation": ({"annotations": {"": "x"}}, "annotations", "empty key"),
    "annotation value": ({"annotations": {"\n": 3}}, "annotations", "no string"),
    "nul": ({"process.args": ["sh", "a\0b"]}, "process.args[1]", "NUL"),
    "nul deep": ({"linux.sysctl": {"net.x": "\0"}}, "linux.sysctl.net.x", "NUL"),
    "nul key": ({"linux.sysctl": {"net.\0": "1"}}, "linux.sysctl", "key with NUL"),
    "nul root": ({"root.path": "\0"}, "root.path", "NUL"),
}
ACCEPTED: dict[str, dict[str, Any]] = {
    "nothing": {},
    "no process": {"process": None},
    "no linux": {"linux": None, "hostname": None},
    "no mounts": {"mounts": None},
    "hook": {"hooks": {"poststop": [{"path": "/x"}], "other": [3]}},
    "annotations": {"annotations": {"a": "", "b": "\0"}},
    "unknown": {"linux.unknown": {"x": [None, "\0"[:0]]}, "surprise": 3, "process.x": 1.5},
    "opaque": {
        "linux.seccomp": {
            "defaultAction": "SCMP_ACT_ALLOW",
            "listenerPath": "/x",
            "listenerMetadata": "a\0b",
        }
    },
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name: str) -> None:
    changes, field, text = REFUSED[name]
    error = refusal(changed(changes))
    assert error is not None
    assert error.field == field
    assert text in error.message
    assert error.clause.startswith("config")


@pytest.mark.parametrize("name", ACCEPTED)
def test_accepted(name: str) -> None:
    warnings = [w for w in spec.validate(changed(ACCEPTED[name])) if "unknown, ignored" not in w]
    assert warnings == []


@pytest.mark.parametrize("section", ["solaris", "windows", "vm", "zos", "freebsd"])
def test_other_platforms_are_a_warning(section: str) -> None:
    value = {
        "windows": {"layerFolders": ["x"]},
        "vm": {"kernel": {"path": "x"}},
    }.get(section, {})
    warnings = spec.validate(changed({section: value}))
    assert warnings == [f"{section}: is not for Linux and not used"]


@pytest.mark.parametrize("version", ["1.4.0", "0.5.0-dev", "1.99.1+x"])
def test_other_versions_are_a_warning(version: str) -> None:
    (warning,) = spec.validate(changed({"ociVersion": version}))
    assert warning == f"ociVersion: {version} is read as 1.3"


VERSIONS = {
    "1.0.0": (1, 0, 0),
    "10.20.30": (10, 20, 30),
    "1.0.2-dev": (1, 0, 2),
    "1.0.0-rc.1+build.123": (1, 0, 0),
    "1.0.0-0A.is.legal": (1, 0, 0),
    "1.0.0+21AF26D3---117B344092BD": (1, 0, 0),
    "1.0.0--": (1, 0, 0),
    "1": None,
    "1.2": None,
    "1.2.3.4": None,
    "01.1.1": None,
    "1.01.1": None,
    "1.1.1-01": None,
    "1.1.1-": None,
    "1.1.1+": None,
    "1.1.1-a..b": None,
    "1.1.1+a+b": None,
    "1.1.1-\u00e9": None,
    "\u0661.1.1": None,
    "-1.0.0": None,
    " 1.0.0": None,
    "1.0.0\n": None,
    "v1.0.0": None,
}


@pytest.mark.parametrize("text", VERSIONS)
def test_semantic_version(text: str) -> None:
    assert rules.semantic_version(text) == VERSIONS[text]


def test_nul_is_looked_for_when_the_text_has_its_escape() -> None:
    config = changed({"process.args": ["a\0"]})
    with pytest.raises(ConfigError, match="NUL"):
        spec.validate(config, json.dumps(config).encode())
    assert spec.validate(BASE, json.dumps(BASE).encode()) == []


def test_process_is_needed_at_start() -> None:
    spec.require_process(BASE)
    with pytest.raises(ConfigError) as caught:
        spec.require_process(changed({"process": None}))
    assert (caught.value.field, caught.value.clause) == ("process", "runtime.md#start")


def test_what_engines_write() -> None:
    (warning,) = spec.validate(changed({"linux.rootfsPropagation": "rslave"}))
    assert "rslave" in warning
    device = {"type": "c", "path": "/dev/x", "major": 1, "minor": 3, "fileMode": 0o20666}
    (warning,) = spec.validate(changed({"linux.devices": [device]}))
    assert "0o20666" in warning
    for bad in ({"linux.rootfsPropagation": "rx"}, {"linux.devices": [{**device, "major": "1"}]}):
        assert refusal(changed(bad)) is not None
    both = changed({"linux.rootfsPropagation": "rshared", "hostname": 3})
    error = refusal(both)
    assert error is not None and error.field == "hostname"
    assert "more like this" not in error.hint
    assert both["linux"]["rootfsPropagation"] == "rshared"


def test_an_empty_propagation_asks_for_nothing() -> None:
    assert spec.validate(changed({"linux.rootfsPropagation": ""})) == []
    error = refusal(changed({"linux.rootfsPropagation": "", "hostname": 3}))
    assert error is not None and error.field == "hostname"
