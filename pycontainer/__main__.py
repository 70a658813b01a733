"""`python3 -m pycontainer`: the command, without a launcher."""

from __future__ import annotations

from pycontainer.cli import main

main()
