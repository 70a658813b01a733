"""Man pages: complete, and without a fault that groff finds."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pycontainer.cli import manual
from pycontainer.cli.commands import COMMANDS, load
from pycontainer.cli.manual import roff
from pycontainer.cli.options import GLOBALS

PAGES = roff.pages()
SHARE = Path(__file__).parents[3] / "tools" / "share.py"


def shown(page: str) -> str:
    """The page as man(1) shows it on 80 columns."""
    if shutil.which("groff") is None:
        pytest.skip("no groff here")
    argv = ["groff", "-man", "-ww", "-rLL=78n", "-rHY=0", "-Tascii", "-P-cbou"]
    done = subprocess.run(argv, input=PAGES[page], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    return done.stdout


def test_there_is_one_for_every_command():
    expected = {"pycontainer.1", "pycontainer-config.5"}
    assert set(PAGES) == expected | {f"pycontainer-{name}.1" for name in COMMANDS}


@pytest.mark.parametrize("page", PAGES)
def test_it_fits_a_terminal(page: str):
    assert max(len(line) for line in shown(page).splitlines()) <= 80


@pytest.mark.parametrize("name", COMMANDS)
def test_it_has_all_that_the_help_has(name: str):
    text = " ".join(shown(f"pycontainer-{name}.1").split())
    assert " ".join(load(name).SUMMARY.split()) in text
    for option in manual.table_of(name):
        assert f"--{option[0]}" in text and " ".join(option[4].split()) in text
    for status, meaning in manual.exits(name):
        assert status in text and meaning in text


def test_the_programs_page_has_all_commands_and_options():
    text = " ".join(shown("pycontainer.1").split())
    assert all(f"pycontainer-{name}(1) {load(name).SUMMARY}" in text for name in COMMANDS)
    assert all(f"--{option[0]}" in text for option in GLOBALS if option[4])


def test_whatis_would_find_it():
    assert "NAME pycontainer-kill - send a signal to a container" in " ".join(
        shown("pycontainer-kill.1").split()
    )


def test_an_installation_gets_all_of_them(tmp_path: Path):
    subprocess.run([sys.executable, SHARE, tmp_path], check=True)
    found = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    assert {f"man/man{name[-1]}/{name}" for name in PAGES} < found
    assert len(found) == len(PAGES) + 3
