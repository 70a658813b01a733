"""Log records as logrus writes them."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pycontainer.cli import log


@pytest.fixture
def zone() -> Iterator[None]:
    before = os.environ.get("TZ")
    yield
    if before is None:
        os.environ.pop("TZ", None)
    else:
        os.environ["TZ"] = before
    time.tzset()


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("plain-1.2_3/@^+", "plain-1.2_3/@^+"),
        ("", '""'),
        ("two words", '"two words"'),
        ('a "b" \\', '"a \\"b\\" \\\\"'),
        ("a\nb\tc\r\a\b\f\v", '"a\\nb\\tc\\r\\a\\b\\f\\v"'),
        ("\x00\x1b\x7f", '"\\x00\\x1b\\x7f"'),
        ("é", '"é"'),
    ],
)
def test_quotes_as_logrus(value: str, text: str) -> None:
    assert log.quoted(value) == text


@pytest.mark.parametrize(
    ("zone_name", "suffix"), [("UTC0", "Z"), ("XXX-5:30", "+05:30"), ("XXX+3:30", "-03:30")]
)
def test_time_is_rfc3339(zone: None, zone_name: str, suffix: str) -> None:
    os.environ["TZ"] = zone_name
    time.tzset()
    text = log.timestamp()
    assert text.endswith(suffix)
    assert abs(datetime.fromisoformat(text).timestamp() - time.time()) < 5


@given(st.text())
def test_records_are_single_lines(message: str) -> None:
    record = ("error", message, {"code": "x"})
    assert "\n" not in log.text_line(record)
    assert "\n" not in log.short_line(record)
    line = log.json_line(record)
    assert "\n" not in line
    assert json.loads(line)["msg"] == message


def test_the_name_stands_once_at_a_terminal() -> None:
    record = ("error", "pycontainer create failed: no", {})
    assert log.short_line(record) == "pycontainer: create failed: no"
    assert 'msg="pycontainer create failed: no"' in log.text_line(record)


def test_json_keys_are_runcs_then_ours() -> None:
    keys = list(json.loads(log.json_line(("error", "x", {"code": "state"}))))
    assert keys == ["level", "msg", "time", "code"]


def test_a_log_that_vanished_does_not_hide_the_message(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    log.write(str(tmp_path / "gone" / "log"), False, ("warning", "look here", {}))
    assert 'level=warning msg="look here"' in capfd.readouterr().err
