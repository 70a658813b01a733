"""Help and version: short enough to be read, and right."""

from __future__ import annotations

import re
from typing import Any

import pytest

from pycontainer import __version__
from pycontainer.cli.commands import COMMANDS, load

KILL = """\
NAME:
   pycontainer kill - send a signal to a container

USAGE:
   pycontainer kill [options] CONTAINER [SIGNAL]

DESCRIPTION:
SIGNAL is a name (KILL, SIGKILL), a number, or SIGRTMIN+n; without it the signal is TERM.

   pycontainer kill mybox KILL

OPTIONS:
   -a, --all     signal every process of the container, not only its init
   -r, --regex   CONTAINER is a regular expression: all containers that match
   -h, --help    show this help
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
    assert len(lines) <= 40
    assert max(len(line) for line in lines) <= 100


@pytest.mark.parametrize("argv", ["", "help", "--help", "-h", "help help", "h"])
def test_help_of_the_program(pycontainer: Any, argv: str) -> None:
    done = pycontainer(*argv.split(), own_root=False)
    assert done.returncode == 0 and not done.stderr
    assert len(done.stdout.splitlines()) <= 31 + len(COMMANDS)
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
