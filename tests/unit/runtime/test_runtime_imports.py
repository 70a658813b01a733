"""The state, hook and foreground modules load next to nothing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = str(Path(__file__).resolve().parents[3])
OURS = [
    "lifecycle.foreground",
    "lifecycle.hooks",
    "lifecycle.terminal",
    "linux.fd_passing",
    "linux.process",
    "state.state",
    "state.store",
]
# Modules of C, and what the interpreter and cffi's extension bring along.
ALLOWED = {"_json", "_socket", "_signal", "_stat", "errno", "fcntl", "select", "termios"}
ALLOWED |= {"__future__", "_cffi_backend", "_locale"}


@pytest.mark.parametrize("name", OURS)
def test_imports(name: str) -> None:
    if name == "lifecycle.foreground":
        pytest.importorskip("pycontainer._shim")
    code = (
        "import sys; before = set(sys.modules)\n"
        f"sys.path[:0] = [{ROOT!r}, {str(backend())!r}]\n"
        f"import pycontainer.{name}\n"
        "print(*sorted(set(sys.modules) - before))"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=True
    )
    others = {module for module in done.stdout.split() if not module.startswith("pycontainer")}
    assert others <= ALLOWED


def backend() -> Path:
    """The directory of _cffi_backend, which -S leaves off the path."""
    import _cffi_backend

    return Path(_cffi_backend.__file__).parent
