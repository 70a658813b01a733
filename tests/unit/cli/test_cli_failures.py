"""How commands fail: statuses, the one record, the one line; beside runc where it has an answer."""

from __future__ import annotations

import json
import os
import re
import subprocess
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from pycontainer.base.errors import ConfigError, OperationError, StateError
from pycontainer.cli import Session, errors

RECORD = re.compile(r'time="([^"]+)" level=(\w+) msg=(.+)\n')

# Command lines that runc and we must answer alike: exit status, and the message but for the name.
SAME = [
    "state absent",
    "start absent",
    "kill absent",
    "kill absent KILL",
    "kill --all absent 9",
    "delete absent",
    "delete --force absent",
    "delete absent --force",
    "pause absent",
    "resume absent",
    "ps absent",
    "ps --format json absent",
    "exec absent ls",
    "exec absent",
    "exec -d -e A=1 absent ls -l",
    "state a/b",
    "state ..",
    "state",
    "state a b",
    "list x",
    "kill",
    "exec",
    "ps",
    "state --bogus x",
    "exec --bogus x",
    "--bogus",
    "list --format yaml",
    "list -q",
    "list --format json",
    "list",
    "nonsense",
    "nonsense --help",
    "help nonsense",
    "--log-format yaml state x",
    "state --",
]


def message(done: subprocess.CompletedProcess[str]) -> str:
    """The message of the only record on stderr, with runc's name as ours."""
    match = RECORD.fullmatch(done.stderr)
    assert match, done.stderr
    text = match[3]
    text = json.loads(text) if text.startswith('"') else text
    text = text.strip().removeprefix("runc: ").removeprefix("pycontainer: ")
    return text.replace("runc ", "pycontainer ")


@pytest.mark.parametrize("line", SAME)
def test_answers_as_runc(pycontainer: Any, runc: Any, line: str) -> None:
    ours, theirs = pycontainer(*line.split()), runc(*line.split())
    assert ours.returncode == theirs.returncode
    assert bool(ours.stderr) == bool(theirs.stderr)
    if not ours.stderr:
        assert ours.stdout == theirs.stdout
        return
    assert message(ours).startswith(message(theirs))
    # runc says it a second time on stdout, before the whole help.
    assert ours.stdout == ""


@pytest.mark.parametrize(
    ("argv", "status", "text"),
    [
        ("state absent", 1, "container does not exist"),
        ("state", 1, '"state" requires exactly 1 argument(s)'),
        ("state --bogus x", 1, "flag provided but not defined: -bogus"),
        ("exec absent ls", 255, "exec failed: container does not exist"),
        ("nonsense", 3, "No help topic for 'nonsense'"),
        ("nocommand x", 3, "No help topic for 'nocommand'"),
        ("rnu x", 3, "did you mean run?"),
        ("statr x", 3, "did you mean start?"),
        ("exec -u 0x0 absent ls", 255, "exec failed: "),
        ("--rootless=perhaps state x", 1, "must be true, false or auto"),
        ("--root / list", 1, "Option --root argument should not be set to /"),
        ("--root /nonexistent/root list", 1, "open /nonexistent/root: no such file or directory"),
    ],
)
def test_one_line_and_one_record(
    pycontainer: Any, tmp_path: Path, argv: str, status: int, text: str
) -> None:
    log = tmp_path / "log.json"
    own_root = "--root" not in argv
    done = pycontainer("--log", str(log), "--log-format=json", *argv.split(), own_root=own_root)
    assert done.returncode == status
    assert done.stderr.count("\n") == 1 and text in done.stderr
    [record] = [json.loads(line) for line in log.read_text().splitlines()]
    assert list(record)[:3] == ["level", "msg", "time"]
    assert record["level"] == "error" and record["msg"] + "\n" == done.stderr
    assert datetime.fromisoformat(record["time"]).tzinfo
    assert record["code"]


def test_the_log_file_is_runcs(pycontainer: Any, runc: Any, tmp_path: Path) -> None:
    texts = []
    for name, command in (("ours", pycontainer), ("theirs", runc)):
        log = tmp_path / name
        command("--log", str(log), "state", "absent")
        assert log.stat().st_mode & 0o777 == 0o644
        texts.append(re.sub(r'time="[^"]+"', "time", log.read_text()))
    # After runc's words comes where the container was looked for.
    assert texts[0].startswith(texts[1].removesuffix('"\n')) and texts[0].endswith('"\n')


def test_the_log_is_appended_to_and_made(pycontainer: Any, tmp_path: Path) -> None:
    log = tmp_path / "log"
    assert pycontainer("--log", str(log), "list").returncode == 0
    assert log.read_text() == ""
    for _ in range(2):
        pycontainer("state", "absent", "--log", str(log))
    assert len(RECORD.findall(log.read_text())) == 2


def test_an_unusable_log_fails_the_command(pycontainer: Any, tmp_path: Path) -> None:
    log = tmp_path / "missing" / "log"
    done = pycontainer("--log", str(log), "list")
    assert done.returncode == 1
    remedy = f"the directory {tmp_path}/missing does not exist; fix: create it, or correct the path"
    assert done.stderr == f"open {log}: no such file or directory (from --log); {remedy}\n"


def test_wrong_usage_reaches_a_log_named_after_it(pycontainer: Any, tmp_path: Path) -> None:
    log = tmp_path / "log"
    done = pycontainer("--log", str(log), "state", "--bogus")
    assert "flag provided but not defined: -bogus" in log.read_text()
    assert "flag provided but not defined: -bogus" in done.stderr and done.stdout == ""


def test_debug_goes_to_the_log_or_to_stderr(pycontainer: Any, tmp_path: Path) -> None:
    log = tmp_path / "log"
    done = pycontainer("--debug", "--log", str(log), "list")
    assert "level=debug" in log.read_text() and not done.stderr
    assert "level=debug" in pycontainer("--debug", "list").stderr


def test_bytes_that_are_not_text_survive(pycontainer: Any, tmp_path: Path) -> None:
    done = pycontainer("list", "/no\udcff/\n", "x")
    assert done.returncode == 1 and done.stderr.count("\n") == 1
    log = tmp_path / "log"
    pycontainer("--log", str(log), "--log-format", "json", "state", "\udcfe")
    assert json.loads(log.read_bytes())


def test_a_reader_that_left_is_no_error(pycontainer: Any) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = pycontainer("features", stdout=writer, stderr=subprocess.PIPE)
    finally:
        os.close(writer)
    assert (done.stderr, done.returncode) == ("", 141)


@pytest.mark.parametrize("closed", [(0,), (1,), (2,), (0, 1, 2)])
def test_closed_descriptors_are_not_reused(
    pycontainer: Any, tmp_path: Path, closed: tuple[int, ...]
) -> None:
    """Nothing that we open may become the stdin, stdout or stderr of someone."""
    log = tmp_path / "log"
    done = pycontainer(
        "--log",
        str(log),
        "state",
        "absent",
        preexec_fn=lambda: [os.close(fd) for fd in closed],  # type: ignore[func-returns-value]
    )
    assert done.returncode == 1
    assert len(RECORD.findall(log.read_text())) == 1


class TestReport:
    """The last stop of every exception, called directly."""

    def report(self, error: BaseException, capfd: Any, *argv: str) -> tuple[int, str]:
        session = Session()
        for name in argv:
            session.options.values[name.lstrip("-")] = True
        try:
            raise error
        except BaseException as raised:
            status = errors.report(raised, session)
        captured = capfd.readouterr()
        assert not captured.out
        return status, captured.err

    def test_internal_errors_are_one_line(self, capfd: Any) -> None:
        status, text = self.report(ZeroDivisionError("by \n zero"), capfd)
        assert status == 1 and text.count("\n") == 1
        assert "internal error: ZeroDivisionError: by \\n zero (at " in text
        assert "Traceback" not in text

    def test_debug_shows_where(self, capfd: Any) -> None:
        _, text = self.report(ZeroDivisionError(), capfd, "--debug")
        assert "level=debug" in text and "in report" in text
        assert text.count("level=error") == 1

    def test_interrupt(self, capfd: Any) -> None:
        status, text = self.report(KeyboardInterrupt(), capfd)
        assert status == 130 and text.count("\n") == 1 and "msg=interrupted" in text

    @pytest.mark.parametrize(("code", "status"), [(None, 0), (7, 7), ("text", 1), (False, 0)])
    def test_exit(self, capfd: Any, code: Any, status: int) -> None:
        assert self.report(SystemExit(code), capfd) == (status, "")

    def test_system_errors_name_the_file(self, capfd: Any) -> None:
        _, text = self.report(FileNotFoundError(2, "x", "/a/b"), capfd)
        assert 'msg="/a/b: no such file or directory"' in text

    def test_keys_for_programs(self) -> None:
        _, keys = errors.describe(
            OperationError("mount x: y", errno=13, step=0, total=4, field="mounts[0]", hint="do z")
        )
        assert keys == {
            "category": "operation",
            "code": "operation",
            "errno": 13,
            "step": 0,
            "field": "mounts[0]",
            "hint": "do z",
        }
        assert errors.describe(StateError("x"))[1] == {"category": "state", "code": "state"}
        assert errors.describe(ConfigError("x", "empty", "root", value=""))[1] == {
            "category": "config",
            "code": "empty",
            "field": "root",
            "params": {"value": ""},
        }


def test_a_fault_in_the_advice_does_not_hide_the_error(monkeypatch: pytest.MonkeyPatch):
    def fail(error: Exception) -> str:
        raise IndexError("nothing there")

    monkeypatch.setattr("pycontainer.diagnose.hints.hint_of", fail)
    message, _ = errors.describe(StateError("container x does not exist", "not-found"))
    assert message.startswith("container x does not exist")
    assert message.endswith("no advice: internal error: IndexError: nothing there")
