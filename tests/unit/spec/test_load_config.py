"""Reading config.json: what it gives, and one clear line for whatever is no configuration."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from pycontainer import spec
from pycontainer.base.errors import ConfigError, ContainerError


def test_object_and_bytes(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    raw = b'{"b": 1,\n "a": "\\u00e9", "b": 18446744073709551615}\n'
    path.write_bytes(raw)
    assert spec.load_config(str(path)) == ({"b": 2**64 - 1, "a": "\u00e9"}, raw)
    assert spec.load_process(str(path)) == {"b": 2**64 - 1, "a": "\u00e9"}


NULLS = {
    b'{"a": null, "b": {"c":null, "d": [{"e" :\n null}, null]}}': {"b": {"d": [{}, None]}},
    b'{"a": "/dev/null", "b": null}': {"a": "/dev/null"},
    b'{"a": "/dev/null"}': {"a": "/dev/null"},
    b'{"a": "null"}': {"a": "null"},
}


@pytest.mark.parametrize("raw", NULLS, ids=lambda raw: raw.decode())
def test_null_is_as_good_as_nothing(tmp_path: Path, raw: bytes) -> None:
    """As in Go; and what is kept of the configuration does not have it any more."""
    path = tmp_path / "config.json"
    path.write_bytes(raw)
    config, kept = spec.load_config(str(path))
    assert config == json.loads(kept) == NULLS[raw]
    if config == json.loads(raw):
        assert kept == raw


def test_descriptor_stays_open(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_bytes(b'{"a": "' + b"x" * 200_000 + b'"}')
    with path.open("rb") as file:
        config, raw = spec.load_config(file.fileno())
        os.fstat(file.fileno())
    assert len(config["a"]) == 200_000
    assert raw == path.read_bytes()


def test_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ContainerError) as caught:
        spec.load_config()
    assert str(caught.value).startswith("JSON specification file config.json not found; fix: ")
    with pytest.raises(ContainerError, match="not found"):
        spec.load_config("a\0b")


REFUSED = {
    b"": "line 1 column 1",
    b"{\n]": "line 2 column 1",
    b'{"a": 1,}': "line 1 column",
    b'{"a": 1} x': "line 1 column 10",
    b'{"a": "\x00"}': "line 1 column 8",
    b'{"a": NaN}': "NaN",
    b'{"a": "\\ud800"}': "",
    b'{"a": "\xff"}': "",
    b"\xef\xbb\xbf{}": "byte order mark",
    b"[]": "holds an array, must be an object",
    b"null": "holds null, must be an object",
    b"3": "holds a number, must be an object",
    b'"x"': "holds a string, must be an object",
    b"true": "holds a boolean, must be an object",
    b"[" * 100_000: "",
    b'{"a": ' + b"9" * 5000 + b"}": "out of range",
}


@pytest.mark.parametrize("raw", REFUSED, ids=lambda raw: repr(raw[:20]))
def test_no_configuration(tmp_path: Path, raw: bytes) -> None:
    path = tmp_path / "config.json"
    path.write_bytes(raw)
    with pytest.raises(ConfigError) as caught:
        spec.load_config(str(path))
    text = str(caught.value)
    assert text.startswith(f"invalid config: read {path}: ")
    assert REFUSED[raw] in text
    assert "\n" not in text


def test_unreadable(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is a directory"):
        spec.load_config(str(tmp_path))
    with pytest.raises(ConfigError, match="not a directory"):
        (tmp_path / "file").touch()
        spec.load_config(str(tmp_path / "file" / "config.json"))
    with pytest.raises(ConfigError, match="bad file descriptor"):
        spec.load_config(9999)


def test_endless(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="longer than"):
        spec.load_config("/dev/zero")
