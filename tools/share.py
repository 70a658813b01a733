"""Write what an installation has below share/: man pages and completion scripts.

    share.py DIRECTORY

All of it is made from the tables of the commands, as --help is.
"""

from __future__ import annotations

import sys
from pathlib import Path

from pycontainer.base.settings import NAME
from pycontainer.cli.manual import bash, fish, roff, zsh


def files() -> dict[str, str]:
    """Each file's place below the directory, and its text."""
    made = {
        f"bash-completion/completions/{NAME}": bash.script(),
        f"zsh/site-functions/_{NAME}": zsh.script(),
        f"fish/vendor_completions.d/{NAME}.fish": fish.script(),
    }
    pages = roff.pages()
    return made | {f"man/man{name[-1]}/{name}": text for name, text in pages.items()}


if __name__ == "__main__":
    for place, text in files().items():
        path = Path(sys.argv[1], place)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
