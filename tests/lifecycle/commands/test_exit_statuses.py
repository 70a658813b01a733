"""The exit statuses that help and man pages promise, by real commands."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable

import pytest

from pycontainer.cli import manual
from tests.support.box import Box
from tests.support.runtimes import COMMAND, SLOWNESS


def run(box: Box, *args: str) -> int:
    return box.run(box.bundle(*args)).status


def execute(box: Box, *args: str) -> int:
    return box.pycontainer("exec", box.running(), *args).status


def killed(box: Box) -> int:
    name, bundle = box.id("killed"), box.bundle("sh", "-c", "echo up; sleep 1000")
    argv = box.pycontainer.argv("run", "-b", bundle, name)
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as running:
        assert running.stdout and running.stdout.readline() == b"up\n"
        box.pycontainer("kill", name, "KILL").ok()
        return running.wait(60 * SLOWNESS)


def broken_pipe(box: Box) -> int:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        return subprocess.run([COMMAND, "features"], stdout=writer, check=False).returncode
    finally:
        os.close(writer)


def interrupted(box: Box) -> int:
    argv = box.pycontainer.argv("events", "--interval", "10ms", box.running())
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as watching:
        assert watching.stdout and watching.stdout.readline()
        watching.send_signal(signal.SIGINT)
        return watching.wait(60 * SLOWNESS)


# (command or "", documented status): (what to do, the status)
CASES: dict[tuple[str, str], tuple[Callable[[Box], int], int]] = {
    ("", "0"): (lambda box: box.pycontainer("list").status, 0),
    ("", "1"): (lambda box: box.pycontainer("state", "nobody").status, 1),
    ("", "3"): (lambda box: box.pycontainer("frobnicate").status, 3),
    ("", "130"): (interrupted, 130),
    ("", "141"): (broken_pipe, 141),
    ("check", "1"): (lambda box: box.pycontainer("check", box.bundle("/nowhere")).status, 1),
    ("exec", "0 to 254"): (lambda box: execute(box, "sh", "-c", "exit 42"), 42),
    ("exec", "128+N"): (lambda box: execute(box, "sh", "-c", "kill -9 $$"), 137),
    ("exec", "255"): (lambda box: execute(box, "/nowhere"), 255),
    ("run", "0 to 255"): (lambda box: run(box, "sh", "-c", "exit 42"), 42),
    ("run", "128+N"): (killed, 137),
    ("run", "1"): (lambda box: run(box, "/nowhere"), 1),
}
# Needs CRIU, or a leftover that cannot be removed: test_checkpoint.py, tests/lifecycle/cgroups.
ELSEWHERE = {("restore", "0 to 255"), ("restore", "128+N"), ("gc", "1")}


@pytest.mark.parametrize("case", CASES, ids=[" ".join(case).strip() for case in CASES])
def test_it_is_as_documented(box: Box, case: tuple[str, str]):
    action, status = CASES[case]
    assert action(box) == status


def test_a_warning_is_an_error_only_for_strict(box: Box):
    bundle = box.bundle("true")
    bundle.config["linux"]["frobnicate"] = 1
    assert box.pycontainer("check", bundle).status == 0
    assert box.pycontainer("check", "--strict", bundle).status == 1


def test_nothing_is_promised_that_is_not_tried():
    promised = {("", row[0]) for row in manual.EXITS}
    promised |= {(name, row[0]) for name, rows in manual.EXITS_OF.items() for row in rows}
    assert promised == CASES.keys() | ELSEWHERE
