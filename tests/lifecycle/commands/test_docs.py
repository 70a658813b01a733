"""What the documentation tells people to type works, and prints what it says."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from pycontainer.cli import manual
from pycontainer.cli.commands import COMMANDS, load, trait
from pycontainer.cli.options import GLOBALS, HELP, Arguments, check_words, parse, parse_globals
from tests.support.runtimes import CHECKOUT, COMMAND, SLOWNESS

DOCS = CHECKOUT / "docs"


class Typed:
    """A command line of a document, and the lines that it shows."""

    def __init__(self, command: str) -> None:
        self.command = command
        self.shown: list[str] = []


def typed(document: str) -> list[Typed]:
    """The commands of all console blocks, in order."""
    commands: list[Typed] = []
    for block in re.findall(r"```console\n(.*?)```", document, re.S):
        for line in block.splitlines():
            if line.startswith("$ "):
                commands.append(Typed(line[2:]))
            elif line.startswith("> "):
                commands[-1].command += "\n" + line[2:]
            else:
                commands[-1].shown.append(line)
    return commands


@pytest.mark.skipif(os.geteuid() != 0, reason="makes containers: needs root")
@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_the_tutorial(tmp_path: Path):
    commands = typed((DOCS / "tutorial.md").read_text())
    assert len(commands) > 30
    outputs = tmp_path / "outputs"
    outputs.mkdir()
    place = tmp_path / "empty"
    place.mkdir()
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "pycontainer").symlink_to(COMMAND)
    script = [f"export PATH={tmp_path}/bin:$PATH LC_ALL=C", f"cd {place}"]
    root = f'pycontainer() {{ command pycontainer --root {tmp_path}/state "$@"; }}'
    script.append(root)
    for number, item in enumerate(commands):
        file = outputs / str(number)
        script.append(f"{{ {item.command}\n}} > {file} 2>&1; s=$?; echo $s > {file}.s; (exit $s)")
    (tmp_path / "script").write_text("\n".join(script) + "\n")
    argv = ["bash", str(tmp_path / "script")]
    try:
        quiet = {"stdin": subprocess.DEVNULL, "timeout": 100 * SLOWNESS}
        subprocess.run(argv, check=False, capture_output=True, **quiet)
        check(commands, outputs)
    finally:
        cleanup = ["delete", "--force", "mybox"]
        subprocess.run([COMMAND, "--root", tmp_path / "state", *cleanup], check=False)


def check(commands: list[Typed], outputs: Path) -> None:
    """Every command ended as shown: with 0, unless the next one asks for its status."""
    for number, item in enumerate(commands):
        out = (outputs / str(number)).read_text()
        status = (outputs / f"{number}.s").read_text().strip()
        asked = number + 1 < len(commands) and commands[number + 1].command == "echo $?"
        assert status == "0" or asked, f"$ {item.command}\n{out}status {status}"
        for line in item.shown:
            words = " ".join(line.removesuffix("...").split())
            assert words in " ".join(out.split()), f"$ {item.command}\n{out}\nlacks {line!r}"


def rows(document: str) -> set[tuple[str, ...]]:
    found = re.findall(r"^\| (.*) \|$", document, re.MULTILINE)
    return {tuple(cell.strip("` ") for cell in row.split(" | ")) for row in found}


def test_exit_statuses_are_those_of_the_help():
    found = rows((DOCS / "exit-statuses.md").read_text())
    expected = set(manual.EXITS)
    own = manual.EXITS_OF.items()
    expected |= {(name, *row) for name, statuses in own for row in statuses}
    headings = {("status", "meaning"), ("command", "status", "meaning")}
    assert found - headings - {("---", "---"), ("---", "---", "---")} == expected


@pytest.mark.parametrize(
    "file", [*DOCS.rglob("*.md"), CHECKOUT / "README.md"], ids=lambda f: f.name
)
def test_links_lead_somewhere(file: Path):
    text = re.sub(r"```.*?```", "", file.read_text(), flags=re.S)
    links = [link.partition("#")[0] for link in re.findall(r"\]\(([^)\s]+)\)", text)]
    local = [link for link in links if link and ":" not in link]
    assert [link for link in local if not (file.parent / link).exists()] == []


def test_pictures_can_be_drawn_again(tmp_path: Path):
    """tools/pictures.py works, and what it draws says nothing of this machine."""
    if os.geteuid() != 0:
        pytest.skip("runs a container: needs root")
    argv = [sys.executable, CHECKOUT / "tools" / "pictures.py", COMMAND, tmp_path]
    subprocess.run(argv, check=True, timeout=100 * SLOWNESS)
    for name in ("plan.svg", "timeline.svg", "performance.svg"):
        made = (tmp_path / name).read_text()
        ElementTree.fromstring(made)
        assert str(tmp_path.parent) not in made and "/tmp/" not in made
    kept = (DOCS / "pictures" / "performance.svg").read_text()
    assert kept == (tmp_path / "performance.svg").read_text(), "draw it again: tools/pictures.py"


def command_lines(text: str) -> list[list[str]]:
    """The words of each command line of ours, up to what the shell makes of the rest."""
    found = []
    for line in re.sub(r"\\\n\s*", "", text).splitlines():
        for part in re.split(r"\$\(|&&|\|\||[|;()<>`]", line):
            words = (
                re.sub(r"\[.*?\]|…|\.\.\.", "", part)
                .strip()
                .split("   ")[0]
                .split("  #")[0]
                .strip()
            )
            start = re.match(r"(?:\$ |sudo |\S*/)*pycontainer (?=[a-z-])", words)
            if start and "'" not in words and '"' not in words:
                found.append(words[start.end() :].split())
    return found


TEXTS = {
    **{file.name: file.read_text() for file in (*DOCS.rglob("*.md"), CHECKOUT / "README.md")},
    **{f"help {name}": "```\n" + load(name).HELP + "```" for name in COMMANDS},
}


@pytest.mark.parametrize("name", TEXTS)
def test_command_lines_are_understood(name: str):
    """In every block of code: the command exists, and has these options."""
    for block in re.findall(r"```\w*\n(.*?)```", TEXTS[name], re.S):
        for words in command_lines(block):
            options = Arguments(GLOBALS)
            rest = parse_globals(words, options)
            if not rest or options["version"] or options["help"] or rest[0] == "COMMAND":
                continue
            command = load(rest[0])
            arguments = Arguments((*command.OPTIONS, HELP))
            parse(rest[1:], (arguments, options), trait(command, "STOP"))
            if not arguments["help"]:
                check_words(rest[0], arguments.words, command.WORDS)


def test_there_are_command_lines():
    blocks = [re.findall(r"```\w*\n(.*?)```", text, re.S) for text in TEXTS.values()]
    assert sum(len(command_lines(block)) for found in blocks for block in found) > 60
