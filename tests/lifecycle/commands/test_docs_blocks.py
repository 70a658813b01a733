"""Every command of the `sh` blocks in README.md, docs/images.md and docs/monitoring.md works.

Each line is typed at a terminal, in an empty directory, by root and by an ordinary user. Only what
belongs to the machine is another: names of containers and directories, and the registry, for which
an image made here stands. docs/rootless.md has a test of its own (tests/rootless/test_tutorial.py).
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.rootless.person import Person, why_not
from tests.support.box import Box
from tests.support.images import Layout, busybox, image
from tests.support.runtimes import CHECKOUT, COMMAND
from tests.support.terminals import OnTerminal

# Part of a line: what is typed once the second text is on the screen, what it shows, its status.
ANSWERS = {
    "run -b mybundle": ("exit\n", "/ # ", "", 0),
    "run --bundle /tmp/b": ("exit\n", "# ", "", 0),
    "run --image app.tar mine": ("\x03", "ready", "", 3),
    "echo hello": ("", "", "hello", 0),
    "list --long  ": ("", "", "IDLE", 0),
    "top": ("q", "CPU%", "", 0),
    "stats  ": ("", "", "CPU%", 0),
    "stats --stream": ("\x03", '"id"', "", 130),
    "metrics  ": ("", "", "container_last_seen", 0),
    "metrics --listen": ("\x03", "", "", 0),
}
# The application of app.tar: ^C ends it.
APPLICATION = ["sh", "-c", "trap 'exit 3' INT; echo ready; sleep 1000 & wait"]
FILES = ("README.md", "docs/images.md", "docs/monitoring.md")


def lines(file: str) -> list[str]:
    text = (CHECKOUT / file).read_text()
    blocks = re.findall(r"```sh\n(.*?)```", text, re.S)
    return [line for block in blocks for line in block.splitlines() if line]


def scraped(address: str) -> str:
    """What a server at `unix:PATH` or HOST:PORT answers, once it listens."""
    kind, _, rest = address.partition(":")
    end = time.monotonic() + 30
    while True:
        with socket.socket(socket.AF_UNIX if kind == "unix" else socket.AF_INET) as client:
            try:
                client.connect(rest if kind == "unix" else (kind, int(rest)))
            except OSError:
                assert time.monotonic() < end, f"nothing listens at {address}"
                time.sleep(0.05)
                continue
            client.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
            return "".join(iter(lambda: client.recv(65536).decode(), ""))


class Reader:
    """Someone who types what a document says."""

    def __init__(self, directory: Path, prefix: list[str], command: list[str], token: str) -> None:
        self.directory = directory
        self.prefix = prefix
        self.token = token
        own = directory / "bin"
        own.mkdir()
        (own / "pycontainer").write_text(f'#!/bin/sh\nexec {shlex.join(command)} "$@"\n')
        (own / "pycontainer").chmod(0o755)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        image(directory / "registry", busybox(), name="latest", config={"Cmd": ["sh"]})
        app = Layout(directory / "app")
        app.image(busybox(), config={"Cmd": APPLICATION})
        app.tar(directory / "app.tar")
        for name in ("srv/data", "run", "tmp"):
            (directory / name).mkdir(parents=True, exist_ok=True)

    def mine(self, line: str) -> str:
        """The line, with names and directories that no other test has."""
        line = line.replace("docker://docker.io/library/alpine", "oci:registry:latest")
        if self.prefix:  # no cgroup v2 is delegated to the user who is made up
            line = line.replace(" --memory 64M", "")
        line = line.replace("127.0.0.1:9338", f"127.0.0.1:{self.port}")
        line = re.sub(r"(?<=[ :])/(srv|tmp|run)/", rf"{self.directory}/\1/", line)
        line = line.replace("/run/pycontainer-metrics.", "/m.")  # at most 107 bytes are a socket's
        line = line.replace(" --image", f" --layers {self.directory}/layers --image")
        return re.sub(r" (mybox|web|one|two|db|mine)\b", rf" {self.token}-\1", line)

    def types(self, line: str) -> None:
        key = next((key for key in ANSWERS if key in f"{line}  "), "")
        answer, prompt, expected, wanted = ANSWERS.get(key, ("", "", "", 0))
        script = f"cd {self.directory}; PATH={self.directory}/bin:$PATH; trap : INT\n"
        # The quotes: the terminal shows what is typed, too.
        script += self.mine(line) + "\necho status=$? end'ed.'"
        argv = [*self.prefix, "bash", "-c", script]
        with OnTerminal(argv, columns=200, environ={"TERM": "xterm"}) as terminal:
            shown = terminal.read(until=prompt, patience=60) if prompt else ""
            if "--listen" in line:
                assert "container_last_seen" in scraped(self.mine(line).split()[-1]), line
            terminal.type(answer)
            shown += terminal.read(until="ended.", patience=60)
        assert f"status={wanted} ended." in shown, f"$ {line}\n{shown}"
        assert expected in shown, f"$ {line}\n{shown}"


@pytest.fixture
def as_root(box: Box) -> Iterator[Reader]:
    box.needs_root("a reader who is root")
    command = [str(COMMAND), "--root", str(box.pycontainer.root)]
    yield Reader(box.directory, [], command, box.token)
    for name in os.listdir(box.pycontainer.root):
        if not name.startswith("~"):
            box.pycontainer("delete", "--force", name)
    box.pycontainer("gc", "--yes", "--unused", "0s", "--layers", box.directory / "layers")


@pytest.fixture
def as_user() -> Iterator[Reader]:
    if reason := why_not():
        pytest.skip(reason)
    person = Person()
    reader = Reader(person.home, person.prefix(), [person.command], person.token)
    person.own()
    yield reader
    person.close()


@pytest.mark.parametrize("who", ["as_root", "as_user"])
@pytest.mark.parametrize("file", FILES)
def test_lines(request: pytest.FixtureRequest, file: str, who: str):
    found = lines(file)
    assert len(found) >= 3
    if file == "docs/images.md" and not shutil.which("skopeo"):
        pytest.skip("needs skopeo")
    reader: Reader = request.getfixturevalue(who)
    if file == "docs/monitoring.md":
        reader.types(
            "pycontainer run -d --image app.tar web; pycontainer run -d --image app.tar db"
        )
    for line in found:
        reader.types(line)
