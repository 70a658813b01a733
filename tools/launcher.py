"""Print the `pycontainer` command for one interpreter: `launcher.py PYTHON DIRECTORY...`.

The interpreter starts isolated and without site (-IS): that saves milliseconds and trusts no
variable, user directory or .pth file of the caller. The directories come first on the path, so that
neither the package nor `_cffi_backend` is searched for in the standard library.
"""

from __future__ import annotations

import sys

COMMAND = """\
#!{python} -IS
import sys

sys.path[:0] = {directories!r}
from pycontainer.cli import main

main()
"""


def launcher(python: str, directories: list[str]) -> str:
    """The text of the command; `python` and `directories` are absolute."""
    return COMMAND.format(python=python, directories=directories)


if __name__ == "__main__":
    sys.stdout.write(launcher(sys.argv[1], sys.argv[2:]))
