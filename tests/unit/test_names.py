"""The files that comments and documents name exist."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
COMMENT = re.compile(r'#.*|"""[\s\S]*?"""|/\*[\s\S]*?\*/')
FILE = re.compile(r"(?<![\w./*$-])((?:\w+/)*\w+\.(?:py|c))(?![\w/*])")
ELSEWHERE = {
    "OUTPUT.c",  # a placeholder
    "criu/files.c",  # of CRIU
    "plan/_checksum.py",  # generated
    "policy_unpack.c",  # of Linux
    "set.py",  # of the tutorial
}


def test_named_files_exist() -> None:
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("needs the list of files that git has")
    listed = subprocess.run(
        ["git", "-c", "safe.directory=*", "ls-files"], cwd=ROOT, capture_output=True, text=True
    )
    names = [name for name in listed.stdout.splitlines() if (ROOT / name).is_file()]
    ends = {tuple(parts[i:]) for name in names for parts in [name.split("/")] for i in range(9)}
    missing = []
    for name in names:
        text = ""
        if name.endswith((".py", ".c", ".h")):
            text = "\n".join(COMMENT.findall((ROOT / name).read_text()))
        elif name.endswith(".md"):
            text = (ROOT / name).read_text()
        for found in FILE.findall(text):
            known = tuple(found.split("/")) in ends or found.rpartition("/")[2] == "NAME.py"
            if not known and not found.endswith(tuple(ELSEWHERE)):
                missing.append((name, found))
    assert names and missing == []
