"""A valid configuration is read and checked without any module that is not needed for it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pycontainer
from pycontainer.spec import default_config
from tests.unit.spec.samples import with_user

CODE = """
import sys
sys.path.insert(0, sys.argv[1])
before = set(sys.modules)
from pycontainer import spec
config, raw = spec.load_config(sys.argv[2])
print(spec.validate(config, raw), spec.validate_process(config["process"]))
print(sorted(set(sys.modules) - before))
"""
ALLOWED = {"__future__", "_json", "posix", "errno", "time"}


def _modules(path: Path) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-IS", "-c", CODE, str(Path(pycontainer.__file__).parents[1]), str(path)],
        capture_output=True,
        check=True,
        text=True,
    )
    verdict, modules = done.stdout.splitlines()
    assert verdict == "[] []"
    return set(eval(modules))


def test_imports_of_a_valid_configuration(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    for config in (default_config.example(), with_user()):
        config["linux"]["seccomp"] = {"defaultAction": "SCMP_ACT_ALLOW"}
        config["linux"]["resources"] = {"pids": {"limit": 7}}
        path.write_text(json.dumps(config))
        others = {name for name in _modules(path) if not name.startswith("pycontainer")}
        assert others <= ALLOWED
