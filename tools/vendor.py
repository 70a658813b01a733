"""Copy pycontainer's run-time dependencies out of this environment: `vendor.py DIRECTORY`.

`make install` needs no network this way: what was resolved, built and tested with is what gets
installed, in a directory of its own that nothing else on the system changes.
"""

from __future__ import annotations

import re
import shutil
import sys
import tomllib
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def closure(requirements: list[str]) -> dict[str, Distribution]:
    """The distributions that `requirements` need here, by name, theirs included.

    A dependency of a dependency that is not installed was not needed on this system.
    """
    found: dict[str, Distribution] = {}
    todo = [(text, True) for text in requirements]
    while todo:
        text, required = todo.pop()
        name = re.split(r"[^\w.-]", text.strip(), maxsplit=1)[0]
        if name in found or "extra ==" in text:
            continue
        try:
            found[name] = distribution(name)
        except PackageNotFoundError:
            if required:
                raise
            continue
        todo += [(need, False) for need in found[name].requires or []]
    return found


def copy(package: Distribution, target: Path) -> None:
    """Copy a distribution's modules and metadata; its commands stay behind, so does bytecode."""
    for file in package.files or []:
        if ".." in file.parts or file.suffix == ".pyc":
            continue
        place = target / file
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(str(file.locate()), place)


if __name__ == "__main__":
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for item in closure(project["dependencies"]).values():
        copy(item, Path(sys.argv[1]))
