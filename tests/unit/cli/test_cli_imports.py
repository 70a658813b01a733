"""What a command loads before it reaches its container: every module costs a tenth of its time."""

from __future__ import annotations

import subprocess
import sys

import pytest

from .conftest import PATHS

LOADED = """
import sys
sys.path[:0] = {paths!r}
before = set(sys.modules)
from pycontainer import cli
session = cli.Session()
cli.commands.load({name!r})
print(*sorted(set(sys.modules) - before))
"""
ALWAYS = {
    "__future__",
    "pycontainer",
    "pycontainer.base",
    "pycontainer.cli",
    "pycontainer.cli.commands",
    "pycontainer.cli.options",
    "pycontainer.base.errors",
    "pycontainer.base.settings",
    "pycontainer.lifecycle",
}
SHARED = {"create": {"pycontainer.cli.create_options"}, "run": {"pycontainer.cli.create_options"}}


@pytest.mark.parametrize("name", ["create", "start", "state", "kill", "delete", "run", "exec"])
def test_the_command_line_is_small(name: str) -> None:
    code = LOADED.format(paths=PATHS, name=name)
    argv = [sys.executable, "-IS", "-c", code]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    expected = ALWAYS | {f"pycontainer.cli.commands.{name}"} | SHARED.get(name, set())
    assert set(done.stdout.split()) == expected
