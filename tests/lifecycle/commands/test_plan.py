"""`plan`: its options, with real bundles and containers."""

from __future__ import annotations

import json

import pytest

from tests.support.box import Box
from tests.support.runtimes import COMMAND
from tests.support.terminals import OnTerminal


def test_a_container_has_the_plan_of_its_bundle(box: Box):
    name = box.running()
    bundle = str(box.directory / "bundle1")
    assert box.pycontainer("plan", "--diff", name, bundle).ok().out == ""
    config = json.loads((box.directory / "bundle1" / "config.json").read_text())
    config["process"]["args"] = ["/bin/sleep", "5"]
    config["linux"]["resources"] = {"pids": {"limit": 77}}
    (box.directory / "bundle1" / "config.json").write_text(json.dumps(config))
    out = box.pycontainer("plan", "--diff", name, bundle).ok().out
    assert "- exec /bin/sleep 1000   # process.args\n" in out
    assert "+ exec /bin/sleep 5   # process.args\n" in out
    assert "+ write 77 to cgroup's pids.max   # linux.resources.pids.limit\n" in out


def test_another_config(box: Box):
    bundle = box.bundle("/bin/true").write()
    other = box.directory / "other.json"
    other.write_text(json.dumps({**bundle.config, "hostname": "elsewhere"}))
    out = box.pycontainer("plan", "--config", other, "--why", "hostname", bundle).ok().out
    assert "set hostname elsewhere   # hostname" in out and out.count("\n") == 1
    out = box.pycontainer("plan", "--diff", other, bundle).ok().out
    assert "- set hostname elsewhere" in out


def test_one_field_as_json(box: Box):
    out = box.pycontainer("plan", "--json", "--why", "root.path", box.bundle("true")).ok().out
    assert [entry["operation"] for entry in json.loads(out)] == ["rootfs", "pivot_root"]


@pytest.mark.parametrize(
    "flags, words",
    [
        (["--summary", "--json"], "--summary and --json cannot be used together"),
        (["--diff", "x", "--why", "root"], "--diff and --why cannot be used together"),
        (["--diff", "nobody"], "neither a bundle, nor a file, nor a container"),
        (["--why", "proces.args"], "did you mean process.args"),
    ],
)
def test_what_cannot_be(box: Box, flags: list[str], words: str):
    box.pycontainer("plan", *flags, box.bundle("true")).fails(words)


def test_on_a_terminal(box: Box):
    argv = [str(COMMAND), "plan", str(box.bundle("true"))]
    with OnTerminal(argv, environ={"TERM": "xterm", "NO_COLOR": ""}) as shown:
        text = shown.read()
    assert "\x1b[36mcontainer" in text
    with OnTerminal(argv, environ={"NO_COLOR": "1"}) as shown:
        lines = shown.read().splitlines()
    assert "\x1b" not in "".join(lines)
    assert all(len(line) <= 80 or max(map(len, line.split())) > 50 for line in lines)
