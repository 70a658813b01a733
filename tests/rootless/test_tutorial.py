"""docs/rootless.md begins with lines to type: they work, at a terminal, in an empty directory."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.rootless.person import Person
from tests.support.runtimes import CHECKOUT
from tests.support.sockets import read_until

DOCUMENT = (CHECKOUT / "docs" / "rootless.md").read_text()
BLOCKS = re.findall(
    r"<!-- tested: begin -->\n```sh\n(.*?)```\n<!-- tested: end -->", DOCUMENT, re.S
)


def test_there_are_lines():
    assert len(BLOCKS) == 2 and all("pycontainer run" in block for block in BLOCKS)


@pytest.mark.parametrize("number", range(len(BLOCKS)))
def test_lines(person: Person, number: int):
    place = person.home / "empty"
    place.mkdir()
    (place / "pycontainer").symlink_to(person.command)
    person.own()
    script = f"set -e; cd {place}; PATH={place}:$PATH\n{BLOCKS[number]}"
    master, slave = os.openpty()
    os.chmod(os.ttyname(slave), 0o666)
    said = b""
    argv = [*person.prefix(), "sh", "-c", script]
    process = subprocess.Popen(argv, stdin=slave, stdout=slave, stderr=slave)
    try:
        os.close(slave)
        said = read_until(master, b"# ", 60)
        # What is typed is shown, too: the answer must not be in it.
        os.write(master, b"read a b c < /proc/self/uid_map; echo $a is $b, $c\n")
        said += read_until(master, f"0 is {person.uid}, 1".encode(), 60)
        os.write(master, b"exit 7\n")
        assert process.wait(60) == 7, said
    finally:
        process.kill()
        process.wait()
        os.close(master)
    assert not list(Path(person.root).glob("box")), said
