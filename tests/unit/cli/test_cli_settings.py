"""Where state lives, and for whom."""

from __future__ import annotations

import os
import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pycontainer.base import settings
from pycontainer.base.settings import Settings, absolute, default_root

XDG = {b"XDG_RUNTIME_DIR": b"/run/user/7"}
BELOW_XDG = ("/run/user/7/pycontainer", True)
SYSTEM = ("/run/pycontainer", False)


@pytest.mark.parametrize(
    ("uid", "user_namespace", "environ", "expected"),
    [
        (0, False, {}, SYSTEM),
        (0, False, XDG, SYSTEM),
        (0, True, XDG, BELOW_XDG),
        (0, True, {**XDG, b"USER": b"root"}, SYSTEM),
        (0, True, {**XDG, b"USER": b"me"}, BELOW_XDG),
        (7, False, XDG, BELOW_XDG),
        (7, True, {**XDG, b"USER": b"root"}, BELOW_XDG),
        (7, False, {}, SYSTEM),
        (7, False, {b"XDG_RUNTIME_DIR": b""}, SYSTEM),
    ],
)
def test_default_root(
    monkeypatch: pytest.MonkeyPatch,
    uid: int,
    user_namespace: bool,
    environ: dict[bytes, bytes],
    expected: tuple[str, bool],
) -> None:
    monkeypatch.setattr("posix.geteuid", lambda: uid)
    monkeypatch.setattr(settings, "in_user_namespace", lambda: user_namespace)
    assert default_root(environ) == expected
    assert Settings().rootless == (uid != 0 or user_namespace)
    assert Settings(rootless=True).rootless and not Settings(rootless=False).rootless


@given(st.text(st.sampled_from("/.a"), min_size=1))
def test_absolute_is_normal(path: str) -> None:
    expected = os.path.normpath(os.path.join(os.getcwd(), path))
    assert absolute(path) == expected.replace("//", "/")


@pytest.mark.parametrize("command", ["list", "spec -b /nonexistent"])
@pytest.mark.parametrize("below", [".", "not/there"])
def test_the_runtime_directory_is_made_sticky(
    pycontainer: Any, tmp_path: Path, command: str, below: str
) -> None:
    """As the root of a user namespace, who uses $XDG_RUNTIME_DIR; by whoever keeps state there."""
    prefix = ("unshare", "--user", "--map-root-user")
    if subprocess.run([*prefix, "true"], capture_output=True, check=False).returncode:
        pytest.skip("cannot make a user namespace")
    environ = {**os.environ, "XDG_RUNTIME_DIR": str(tmp_path / below)}
    environ.pop("USER", None)
    pycontainer(*command.split(), own_root=False, prefix=prefix, env=environ)
    made = tmp_path / below / "pycontainer"
    if command == "list":
        assert stat.S_IMODE(made.stat().st_mode) == 0o1700
        assert below == "." or stat.S_IMODE(made.parent.stat().st_mode) == 0o700
    else:
        assert not made.exists()


@pytest.mark.parametrize("word", ["t", "F", "AUTO", "1", "False"])
def test_words_for_rootless(pycontainer: Any, word: str) -> None:
    """Those of Go's ParseBool, and auto."""
    assert pycontainer("--rootless", word, "list").returncode == 0
