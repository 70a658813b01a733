"""Completion in real shells."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pycontainer.cli import manual
from pycontainer.cli.commands import COMMANDS, load
from pycontainer.cli.options import FLAG, GLOBALS
from tests.support.runtimes import COMMAND
from tests.support.terminals import OnTerminal

# What is typed: what completes its last word.
LINES = {
    "ru": {"run"},
    "check --jso": {"--json"},
    "--log-format j": {"json"},
    "--root /nowhere kill mybox KIL": {"KILL"},
    "check /us": {"/usr"},
    "run -b /us": {"/usr"},
    "run --bundle /us": {"/usr"},
    "completion z": {"zsh"},
    "mounts re": {"remove"},
    "exec --cap CAP_SYS_AD": {"CAP_SYS_ADMIN"},
    "help st": {"start", "state", "stats"},
    "run --vol": {"--volume"},
    "run --system": {"--systemd-cgroup"},
}
ENVIRON = {**os.environ, "PATH": f"{COMMAND.parent}:{os.environ['PATH']}"}
BASH = 'compopt() { :; }; source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); '
BASH += "_pycontainer; printf '%s\\n' \"${COMPREPLY[@]}\""


@pytest.fixture
def scripts(pycontainer: Any, tmp_path: Path) -> Callable[[str], Path]:
    """The script of a shell, as a file."""

    def script(shell: str) -> Path:
        if shutil.which(shell) is None:
            pytest.skip(f"no {shell} here")
        path = tmp_path / f"script.{shell}"
        path.write_text(pycontainer("completion", shell).stdout)
        return path

    return script


def output(*argv: str | Path) -> str:
    done = subprocess.run(
        [*map(str, argv)], capture_output=True, text=True, check=False, timeout=60, env=ENVIRON
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_it_is_a_script_of_this_shell(scripts: Callable[[str], Path], shell: str):
    path = scripts(shell)
    assert output(shell, "-n", path) == ""
    text = path.read_text()
    assert all(name in text for name in COMMANDS)


@pytest.mark.parametrize("line", LINES)
def test_bash(scripts: Callable[[str], Path], line: str):
    found = output("bash", "-c", BASH, "bash", scripts("bash"), "pycontainer", *line.split(" "))
    assert set(found.split()) == LINES[line]


def test_bash_takes_an_equals_sign_for_a_word_of_its_own(scripts: Callable[[str], Path]):
    words = ["pycontainer", "--log-format", "=", "te"]
    assert output("bash", "-c", BASH, "bash", scripts("bash"), *words) == "text\n"


@pytest.mark.parametrize("line", LINES)
def test_fish(scripts: Callable[[str], Path], line: str):
    code = f"source {scripts('fish')}; complete -C 'pycontainer {line}'"
    found = {row.partition("\t")[0].rstrip("/") for row in output("fish", "-c", code).splitlines()}
    assert found == LINES[line]


def test_zsh(scripts: Callable[[str], Path]):
    path = scripts("zsh")
    for line, words in LINES.items():
        if len(words) > 1:
            continue
        with OnTerminal(["zsh", "-f", "-i"], environ={"TERM": "dumb", "PS1": "> "}) as shell:
            shell.type(f"autoload -U compinit; compinit -D -u; source {path}; PS1='rea''dy'\n")
            shell.type('pycontainer() { print -r -- "g""ot:$*:""end"; }\n')
            shell.read("ready")
            shell.type(f"pycontainer {line}\t\n")
            (word,) = words
            got = shell.read(":end").partition("got:")[2].partition(":end")[0]
            assert got.rpartition(" ")[2].rstrip("/=") == word


@pytest.mark.parametrize("shell", ["csh", ""])
def test_another_shell(pycontainer: Any, shell: str):
    done = pycontainer("completion", shell)
    assert done.returncode == 1 and "must be bash, zsh or fish" in done.stderr


def test_every_placeholder_is_known():
    """A new one says what may take its place, or that nothing can be said."""
    free = {"NAME=VALUE", "NAME", "SRC:DIR[:ro]", "SIZE", "N", "USER[:GROUP]", "PROGRAM", "OS/ARCH"}
    free |= {"UID[:GID]", "GID", "CAP_NAME", "PROFILE", "LABEL", "[CTRL:]PATH", "FD", "AGE", "TIME"}
    free |= {"ADDRESS:PORT", "ADDRESS", "CONDITION", "COLUMN", "NAMES", "TYPE:NAME", "CONTEXT"}
    free |= {"USEC", "LIST", "SCHEMA", "FIELD"}
    options = [*GLOBALS, *(option for name in COMMANDS for option in load(name).OPTIONS)]
    unknown = {
        option[3]
        for option in options
        if option[2] != FLAG and option[4] and not manual.values(option) and option[3] not in free
    }
    assert unknown == set()
