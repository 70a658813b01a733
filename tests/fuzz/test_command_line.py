"""Random command lines: an answer and a sensible status, never a traceback, nothing made."""

from __future__ import annotations

import os
import random
import shutil

import pytest

from pycontainer.cli.commands import COMMANDS, load
from pycontainer.cli.options import GLOBALS
from tests.fuzz import forked
from tests.fuzz.seeds import seeds
from tests.support.box import Box

STRANGE = (
    "", "-", "--", "---", "=", "-=", "--=x", "\n", "a\nb", "a\tb", "é", "\udcff", "x" * 5000, "-x",
    "--no-such-flag", "--root", "--log=/nonexistent/dir/log", "0", "-1", "1e9", "99999999999999999",
    "../x", ".", "..", "/", "a/b", "%s", "{}", "$(id)", "-h", "--help", "-v", "help", "SIGKILL",
    "sig", "0x9", "\u2028", "~seccomp", "a b", "'", '"',
)  # fmt: skip
STATUSES = {0, 1, 3, 255}
# Files appear where these say.
_FILES = frozenset(
    "root log pid-file trace image-path work-path file seccomp-report seccomp-patch".split()
)


def _words(rng: random.Random) -> list[str]:
    """Some global options, a command, its options and words, all of it a bit wrong."""
    name = rng.choice((*COMMANDS, "nocommand", ""))
    tables = [GLOBALS]
    if name in COMMANDS:
        tables.append(load(name).OPTIONS)
    words: list[str] = []
    for table in tables:
        for row in rng.sample(table, rng.randrange(min(4, len(table)) + 1)):
            words += _option(rng, row[0], row[1])
        if table is GLOBALS:
            words.append(name)
    words += [rng.choice((*STRANGE, "nobody")) for _ in range(rng.randrange(4))]
    if rng.random() < 0.3:
        rng.shuffle(words)
    return [word.replace("\0", "") for word in words]


def _option(rng: random.Random, long: str, short: str) -> list[str]:
    if long in _FILES or long == "stream":  # which goes on until it is interrupted
        return []
    dashes = rng.choice(("--", "--", "-"))
    flag = f"-{short}" if short and rng.random() < 0.3 else dashes + long
    value = rng.choice((*STRANGE[:-1], "json", "text", "true", "false", "auto"))
    return rng.choice(([flag], [flag, value], [f"{flag}={value}"]))


def test_random(box: Box) -> None:
    forked.warm()
    root, empty = box.pycontainer.root, box.directory / "empty"
    empty.mkdir()
    before, faults = os.getcwd(), []
    os.chdir(empty)
    try:
        for seed in seeds(0, 700):
            argv = _words(random.Random(f"argv {seed}"))
            done = forked.command([f"--root={root}", *argv])
            bad = any(w in done.err for w in ("Traceback", "internal error"))
            if bad or done.status not in STATUSES or done.err.count("\n") > 2:
                faults.append(f"seed {seed}: {done!r}")
            for left in os.listdir(empty):
                if left != "config.json" and "--host" not in argv:  # `spec` makes them
                    faults.append(f"seed {seed}: {argv} made {left}")
                shutil.rmtree(empty / left) if (empty / left).is_dir() else os.unlink(empty / left)
    finally:
        os.chdir(before)
    if faults:
        pytest.fail("\n".join(faults[:20]))
    assert [name for name in os.listdir(root) if name != "~seccomp"] == []
