"""The lab of the executor's tests."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.executor.lab import Lab
from tests.rootless.conftest import person

__all__ = ["lab", "person"]


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    """A new lab; the namespaces that its runs make end with them."""
    if os.geteuid() != 0 or not Path("/bin/busybox").exists():
        pytest.skip("needs root and /bin/busybox")
    return Lab(tmp_path)
