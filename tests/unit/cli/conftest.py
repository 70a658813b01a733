"""Runs the command as its launcher does: isolated, without site."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[3]
PATHS = [str(CHECKOUT), sysconfig.get_path("platlib")]
MAIN = f"import sys; sys.path[:0] = {PATHS!r}; from pycontainer.cli import main; main()"

Done = subprocess.CompletedProcess[str]
Command = Callable[..., Done]


def call(argv: list[str], **options: object) -> Done:
    options = {"stdin": subprocess.DEVNULL, "timeout": 60, "check": False, **options}
    if not {"stdout", "stderr", "capture_output"} & options.keys():
        options["capture_output"] = True
    return subprocess.run(argv, encoding="utf-8", errors="surrogateescape", **options)  # type: ignore[call-overload]


@pytest.fixture
def pycontainer(tmp_path: Path) -> Command:
    """`pycontainer(*arguments)`: below a root directory of its own unless it says otherwise."""
    root = tmp_path / "root"
    root.mkdir()

    def run(
        *arguments: str, own_root: bool = True, prefix: tuple[str, ...] = (), **options: object
    ) -> Done:
        where = ["--root", str(root)] if own_root else []
        python = [sys.executable, "-IS", "-X", "utf8=0", "-c", MAIN]
        options = {"env": {**os.environ, "TZ": "UTC0"}, **options}
        return call([*prefix, *python, *where, *arguments], **options)

    return run


@pytest.fixture
def runc(tmp_path: Path) -> Command:
    """Debian's runc, to compare with; the test is skipped without it."""
    if shutil.which("runc") is None:
        pytest.skip("no runc to compare with")
    root = tmp_path / "runc-root"
    root.mkdir()

    def run(*arguments: str, **options: object) -> Done:
        options = {"env": {**os.environ, "TZ": "UTC0"}, **options}
        return call(["runc", "--root", str(root), *arguments], **options)

    return run
