"""Completion of a container's id, in real shells."""

from __future__ import annotations

import os
import shutil
import subprocess

import pytest

from tests.support.box import Box
from tests.support.runtimes import COMMAND
from tests.unit.cli.test_cli_completion import BASH


@pytest.mark.parametrize("shell", ["bash", "fish"])
def test_a_container(box: Box, shell: str):
    if shutil.which(shell) is None:
        pytest.skip(f"no {shell} here")
    name = box.running()
    path = box.directory / "script"
    path.write_text(box.pycontainer("completion", shell).ok().out)
    words = [str(COMMAND), "--root", str(box.pycontainer.root), "exec", "-t", name[:-2]]
    if shell == "bash":
        argv = ["bash", "-c", BASH, "bash", str(path), *words]
    else:
        line = " ".join(["pycontainer", *words[1:]])
        argv = ["fish", "-c", f"source {path}; complete -C '{line}'"]
    environ = {**os.environ, "PATH": f"{COMMAND.parent}:{os.environ['PATH']}"}
    done = subprocess.run(argv, capture_output=True, text=True, check=True, env=environ)
    assert done.stdout.split() == [name]
