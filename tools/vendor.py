"""Copy pycontainer's run-time dependencies out of this environment.

    vendor.py [--without NAME...] DIRECTORY

`make install` needs no network this way: what was resolved, built and tested with is what gets
installed, in a directory of its own that nothing else on the system changes.
"""

from __future__ import annotations

import argparse
import re
import shutil
import tomllib
from collections.abc import Container
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def closure(requirements: list[str], without: Container[str] = ()) -> dict[str, Distribution]:
    """The distributions that `requirements` need here, by name, theirs included; not `without`.

    A dependency of a dependency that is not installed was not needed on this system.
    """
    found: dict[str, Distribution] = {}
    todo = [(text, True) for text in requirements]
    while todo:
        text, required = todo.pop()
        name = re.split(r"[^\w.-]", text.strip(), maxsplit=1)[0]
        if name in found or name in without or "extra ==" in text:
            continue
        try:
            found[name] = distribution(name)
        except PackageNotFoundError:
            if required:
                raise
            continue
        todo += [(need, False) for need in found[name].requires or []]
    return found


# Of pip: RECORD has checksums of commands, in which is where the environment was.
HERE_ONLY = {"RECORD", "INSTALLER", "REQUESTED", "direct_url.json"}


def copy(package: Distribution, target: Path) -> None:
    """Copy a distribution's modules and metadata; its commands stay behind, so does bytecode."""
    for file in package.files or []:
        if ".." in file.parts or file.suffix == ".pyc" or file.name in HERE_ONLY:
            continue
        place = target / file
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(str(file.locate()), place)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--without", default=[], action="append", metavar="NAME")
    parser.add_argument("directory", type=Path)
    words = parser.parse_args()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for item in closure(project["dependencies"], words.without).values():
        copy(item, words.directory)
