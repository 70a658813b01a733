"""Help and version: short enough to be read, and right."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from pycontainer import __version__, cli
from pycontainer.cli.commands import COMMANDS, load
from tests.support.runtimes import COMMAND
from tests.support.terminals import OnTerminal

KILL = """\
NAME:
   pycontainer kill - send a signal to a container

USAGE:
   pycontainer kill [options] CONTAINER [SIGNAL]

DESCRIPTION:
SIGNAL is a name (KILL, SIGKILL), a number, or SIGRTMIN+n; without it the signal
is TERM.

   pycontainer kill mybox KILL

OPTIONS:
   -a, --all     signal every process of the container, not only its init
   -r, --regex   CONTAINER is a regular expression: all containers that match
   -h, --help    show this help

GLOBAL OPTIONS: (see "pycontainer --help")
   --root DIR, --log FILE, --log-format FORMAT, --log-level LEVEL, --debug,
   --trace FILE, --systemd-cgroup, --cgroup-manager MANAGER, --rootless WHEN,
   --trust-annotations, --version
"""


@pytest.mark.parametrize(
    "argv",
    [
        "kill --help",
        "kill -h",
        "help kill",
        "h kill",
        "--help kill",
        "kill -help x",
        "kill --help --bogus",
    ],
)
def test_help_of_a_command(pycontainer: Any, argv: str) -> None:
    done = pycontainer(*argv.split(), own_root=False)
    assert (done.stdout, done.stderr, done.returncode) == (KILL, "", 0)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_fits_a_terminal(pycontainer: Any, name: str) -> None:
    done = pycontainer("help", name)
    assert done.returncode == 0 and not done.stderr
    assert done.stdout.startswith(f"NAME:\n   pycontainer {name} - {load(name).SUMMARY}\n")
    lines = done.stdout.splitlines()
    assert len(lines) <= 55
    assert max(len(line) for line in lines) <= 80


@pytest.mark.parametrize("columns", [60, 80, 100, 200])
@pytest.mark.parametrize("name", ["", "run", "exec", "checkpoint"])
def test_it_fits_the_terminal_that_is_there(name: str, columns: int) -> None:
    """Examples are never broken: they are copied."""
    argv = [str(COMMAND), *([name] if name else []), "--help"]
    with OnTerminal(argv, columns=columns, environ={"NO_COLOR": "1"}) as shown:
        lines = shown.read().splitlines()
    assert f"pycontainer {name}".strip() in lines[1]
    filled = [line for line in lines if not line.startswith("   pycontainer ")]
    assert max(map(len, filled)) <= columns
    assert max(map(len, filled)) > min(columns, 100) - 25


@pytest.mark.parametrize(
    "environ, bold",
    [
        ({"TERM": "xterm", "NO_COLOR": ""}, True),
        ({"TERM": "xterm", "NO_COLOR": "1"}, False),
        ({"TERM": "dumb", "NO_COLOR": ""}, False),
    ],
)
def test_headings_are_bold_where_that_is_wanted(environ: dict[str, str], bold: bool) -> None:
    with OnTerminal([str(COMMAND), "kill", "--help"], environ=environ) as shown:
        text = shown.read().replace("\r\n", "\n")
    plain = re.sub(r"\x1b\[1?m", "", text)
    assert plain == KILL
    assert ("\033[1mNAME:\033[m\n" in text) == bold == (text != plain)


@pytest.mark.parametrize("argv", ["", "help", "--help", "-h", "help help", "h"])
def test_help_of_the_program(pycontainer: Any, argv: str) -> None:
    done = pycontainer(*argv.split(), own_root=False)
    assert done.returncode == 0 and not done.stderr
    assert len(done.stdout.splitlines()) <= 40 + len(COMMANDS)
    assert max(map(len, done.stdout.splitlines())) <= 80
    for name in COMMANDS:
        assert re.search(rf"^   {name} +\S", done.stdout, re.MULTILINE)
    assert "--criu" not in done.stdout


@pytest.mark.parametrize("argv", ["--help", "kill --help"])
def test_the_headings_are_runcs(pycontainer: Any, runc: Any, argv: str) -> None:
    found = []
    for command in (pycontainer, runc):
        lines = command(*argv.split()).stdout.splitlines()
        found.append([line for line in lines if re.match(r"[A-Z ]+:", line)])
    ours, theirs = ({line.partition(":")[0] for line in lines} for lines in found)
    assert theirs - {"EXAMPLE"} <= ours


@pytest.mark.parametrize("argv", ["--version", "-v", "-version", "--root /proc/nonsense/x -v"])
def test_version_needs_nothing(pycontainer: Any, argv: str) -> None:
    done = pycontainer(*argv.split(), own_root=False)
    assert done.returncode == 0 and not done.stderr
    first, *rest = done.stdout.splitlines()
    assert first == f"pycontainer version {__version__}"
    assert "spec: 1.3.0" in rest
    assert all(re.fullmatch(r"[a-z]+: \S+", line) for line in rest)


def test_version_has_the_commit(pycontainer: Any) -> None:
    file = Path(cli.__file__).parent.parent / "COMMIT"
    if not file.exists():
        pytest.skip("built without git")
    done = pycontainer("--version", own_root=False)
    assert f"\ncommit: {file.read_text().strip()}\n" in done.stdout
