"""Write the scripts that start Python in the usual way.

    launcher.py OUTPUT PYTHON PATH...
    launcher.py --snapshot DIRECTORY [--destdir DIR] PYTHON PATH...

OUTPUT is the command. The interpreter starts isolated and without site (-IS): that saves
milliseconds and trusts no variable, user directory or .pth file of its caller. The PATHs come
first on its path, so that neither the package nor `_cffi_backend` is searched for in the standard
library.

The second form writes two for an installation with a snapshot: DIRECTORY/make-snapshot makes that,
and DIRECTORY/ordinary/pycontainer is the command where it does not serve. With --destdir they are
written to DIR, which will be DIRECTORY later.
"""

from __future__ import annotations

import argparse
from pathlib import Path

COMMAND = """\
#!{python} -IS
import sys

sys.path[:0] = {paths!r}
{note}try:
    from pycontainer.cli import main
except ImportError as error:
    sys.exit(f"pycontainer: {{error}}: not the Python that it was installed for; install it anew")

main()
"""

MAKE = """\
#!{python} -IS
import sys

sys.path[:0] = {paths!r}
from pycontainer.snapshot.make import main

sys.exit(main({directory!r}, {paths!r}))
"""


def write(path: str, text: str) -> None:
    """A script that everybody may execute; never half written."""
    new = Path(path + ".new")
    new.parent.mkdir(parents=True, exist_ok=True)
    new.write_text(text)
    new.chmod(0o755)
    new.rename(path)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--snapshot", default="", metavar="DIRECTORY")
    parser.add_argument("--destdir", metavar="DIR")
    parser.add_argument("words", nargs="+")
    given = parser.parse_args()
    directory, words = given.snapshot, given.words
    if not directory:
        write(words[0], COMMAND.format(python=words[1], paths=words[2:], note=""))
        return
    values = {"python": words[0], "paths": words[1:], "directory": directory}
    note = (
        f"sys.pycontainer_installation = {directory!r}\ndel sys.argv[0]  # not as it was called\n"
    )
    to = given.destdir or directory
    write(f"{to}/make-snapshot", MAKE.format(**values))
    write(f"{to}/ordinary/pycontainer", COMMAND.format(**values, note=note))


if __name__ == "__main__":
    main()
