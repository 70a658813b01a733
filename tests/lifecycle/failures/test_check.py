"""`check` on the command line, and the warnings of unknown members in the log of create and run."""

from __future__ import annotations

import json
import os
import pty
import subprocess
from collections.abc import Callable

import pytest

from tests.support.box import Box
from tests.support.bundles import Bundle

CAPITAL = ("process.Args", "did you mean args?")


def faulty(box: Box) -> Bundle:
    bundle = box.bundle("slep", "1")
    bundle.process["Args"] = []
    bundle.process["noNewPrivileges"] = False
    return bundle


def test_text(box: Box):
    bundle = faulty(box)
    done = box.pycontainer("check", bundle)
    assert done.status == 1 and done.err == ""
    lines = done.out.splitlines()
    assert lines[0].startswith("error  process.args[0]  (") and ".json:" in lines[0]
    assert "did you mean sleep" in lines[1]
    assert "warning  process.Args" in done.out and "low risk  process.noNew" in done.out
    assert lines[-1].startswith(f"{bundle.path}/config.json: 1 error, 1 warning, ")
    assert "\x1b" not in done.out


def test_json(box: Box):
    done = box.pycontainer("check", "--json", faulty(box))
    document = json.loads(done.out)
    assert done.status == 1 and document["ok"] is False
    assert document["counts"]["error"] == 1
    first = document["findings"][0]
    assert (first["severity"], first["field"]) == ("error", "process.args[0]")
    assert first["line"] > 0 and first["column"] > 0


def test_statuses(box: Box):
    bundle = box.bundle("/bin/true")
    assert box.pycontainer("check", bundle).status == 0
    assert box.pycontainer("check", "--strict", bundle).status == 0
    bundle.process["Args"] = []
    assert box.pycontainer("check", bundle).status == 0
    assert box.pycontainer("check", "--strict", bundle).status == 1
    box.pycontainer("check", box.directory / "nosuch").fails("no such file or directory")


def test_a_config_that_is_elsewhere(box: Box):
    bundle = box.bundle("/bin/true")
    other = box.directory / "other.json"
    other.write_text(json.dumps(faulty(box).config))
    bundle.write()
    done = box.pycontainer("check", "--config", other, bundle.path)
    assert done.status == 1 and f"({other}:" in done.out


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text[:-2],
        lambda text: text.replace('"process"', "process", 1),
        lambda text: "[]",
        lambda text: "",
    ],
)
def test_no_json(box: Box, change: Callable[[str], str]):
    bundle = box.bundle()
    bundle.write()
    file = bundle.path / "config.json"
    file.write_text(change(file.read_text()))
    box.pycontainer("check", bundle.path).fails("config.json")
    done = box.pycontainer("check", "--json", bundle.path)
    document = json.loads(done.out)
    assert (done.status, done.err, document["ok"]) == (1, "", False)
    assert [finding["severity"] for finding in document["findings"]] == ["error"]


@pytest.mark.parametrize("variables", [{}, {"NO_COLOR": "1"}, {"NO_COLOR": ""}, {"TERM": "dumb"}])
def test_colour_on_a_terminal(box: Box, variables: dict[str, str]):
    leader, follower = pty.openpty()
    environment = {"PATH": os.environ["PATH"], "TERM": "xterm", **variables}
    argv = box.pycontainer.argv("check", faulty(box))
    subprocess.run(argv, stdout=follower, env=environment, check=False, timeout=60)
    os.close(follower)
    out = b""
    try:
        while part := os.read(leader, 65536):
            out += part
    except OSError:
        pass  # the end of a terminal
    os.close(leader)
    plain = variables.get("NO_COLOR") or "TERM" in variables
    assert (b"\x1b[31;1merror\x1b[0m" in out) is not bool(plain), out


@pytest.mark.parametrize("command", ["create", "run"])
def test_unknown_members_in_the_log(box: Box, command: str):
    bundle, log = box.bundle("/bin/true"), box.directory / "log"
    bundle.process["Args"] = []
    box.pycontainer("--log", log, command, "-b", bundle, box.id()).ok()
    warning = next(line for line in log.read_text().splitlines() if "level=warning" in line)
    assert all(word in warning for word in CAPITAL)


def test_unknown_members_of_an_exec(box: Box):
    name, log, file = box.running(), box.directory / "log", box.directory / "process.json"
    file.write_text(json.dumps({"args": ["true"], "cwd": "/", "user": {"Uid": 0}}))
    box.pycontainer("--log", log, "exec", "-p", file, name).ok()
    assert "process.user.Uid: unknown, ignored; did you mean uid?" in log.read_text()
