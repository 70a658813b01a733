"""The demo is the first thing that anybody runs: it works, and leaves nothing."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.skipif(os.geteuid() != 0, reason="makes containers: needs root")
def test_demo(tmp_path):
    path = f"{ROOT / 'build'}:{os.environ['PATH']}"
    demo = ["sh", str(ROOT / "docs" / "demo.sh")]
    environ = os.environ | {"PATH": path, "TMPDIR": str(tmp_path)}
    done = subprocess.run(demo, env=environ, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    for text in (
        "I am pid 1 on host pycontainer",
        "hello from inside",
        '"status": "created"',
        "data of container 1",
        "data of container 2",
        "removed layer",
    ):
        assert text in done.stdout
    assert list(tmp_path.iterdir()) == []
