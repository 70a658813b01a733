"""`python3 -m pycontainer`: the command, for whoever has no launcher at hand."""

from __future__ import annotations

from pycontainer.cli import main

main()
