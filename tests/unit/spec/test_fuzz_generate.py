"""The fuzzer's configurations are what it says: valid and varied, or refused with one line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pycontainer import spec
from pycontainer.base.errors import ConfigError
from tests.fuzz import generate

ROOTFS = "/some/rootfs"


@pytest.mark.parametrize("later", [False, True])
def test_valid_ones_are_valid(later: bool) -> None:
    for seed in range(400):
        config = generate.valid_config(seed, ROOTFS, later=later)
        raw = json.dumps(config).encode()
        unknown = ['["x-unknown"]: unknown, ignored'] * ("x-unknown" in config)
        assert spec.validate(json.loads(raw), raw) == unknown, seed
        assert 0 <= generate.exit_status(config) <= 255
        assert {"type": "mount"} in config["linux"]["namespaces"]


def test_same_seed_same_configuration() -> None:
    assert generate.valid_config(7, ROOTFS) == generate.valid_config(7, ROOTFS)
    assert generate.invalid_config(7, ROOTFS) == generate.invalid_config(7, ROOTFS)


def _members(value: Any, path: str = "") -> set[str]:
    if isinstance(value, dict):
        return {path}.union(*(_members(v, f"{path}.{k}") for k, v in value.items()))
    if isinstance(value, list):
        return {path}.union(*(_members(v, path) for v in value))
    return {path}


def test_valid_ones_are_varied() -> None:
    configs = [generate.valid_config(seed, ROOTFS) for seed in range(200)]
    assert len({json.dumps(config) for config in configs}) == 200
    members = set().union(*(_members(config) for config in configs))
    assert len(members) > 100
    kinds = {n["type"] for config in configs for n in config["linux"]["namespaces"]}
    assert kinds == {"mount", "pid", "network", "ipc", "uts", "cgroup", "user"}


def test_invalid_ones_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    reasons = set()
    for seed in range(2000):
        raw, why = generate.invalid_config(seed, ROOTFS)
        path.write_bytes(raw)
        with pytest.raises(ConfigError) as caught:
            spec.validate(*spec.load_config(str(path)))
            pytest.fail(f"seed {seed} was accepted: {why}")
        text = str(caught.value)
        assert text.startswith("invalid config: ") and "\n" not in text, why
        assert len(text) < 600, why
        reasons.add(caught.value.field)
    assert len(reasons) > 100
