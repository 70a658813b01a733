"""Print what pyproject.toml depends on, a line each: `requirements.py [EXTRA...]`.

The run-time dependencies (which include what the native build needs), then the named extras'.
"""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def requirements(extras: list[str]) -> list[str]:
    """The requirement strings, as pip takes them."""
    needs = list(PROJECT["dependencies"])
    for extra in extras:
        needs += PROJECT["optional-dependencies"][extra]
    return needs


if __name__ == "__main__":
    print("\n".join(requirements(sys.argv[1:])))
