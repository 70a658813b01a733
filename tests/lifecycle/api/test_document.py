"""docs/python.md runs: its blocks, in order, in one program; what they print is what it says."""

from __future__ import annotations

import contextlib
import io
import re
from pathlib import Path
from typing import Any

from tests.support.box import Box
from tests.support.runtimes import CHECKOUT

DOCUMENT = CHECKOUT / "docs" / "python.md"
# A block of code, and the text that it prints.
BLOCK = re.compile(r"^```python\n(.*?)^```\n(?:```text\n(.*?)^```\n)?", re.MULTILINE | re.DOTALL)
NAMES = re.compile(r'f?"(web|hello|job\{number\})"')  # of containers: no other test may have them


def test_the_tutorial(box: Box, tmp_path: Path):
    box.needs_root("the document's containers are root's")
    document = DOCUMENT.read_text()
    blocks = BLOCK.findall(document)
    assert len(blocks) == document.count("```python") > 5
    names: dict[str, Any] = {}
    for code, printed in blocks:
        code = code.replace("/tmp/demo", str(box.directory / "demo"))
        code = code.replace("Runtime()", f"Runtime(root={str(box.pycontainer.root)!r})")
        code = NAMES.sub(rf'f"{box.token}-\1"', code)
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            exec(compile(code, str(DOCUMENT), "exec"), names)
        assert out.getvalue() == printed, code
    box.empty()
