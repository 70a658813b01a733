"""tmpcopyup in the plan."""

from __future__ import annotations

import pytest

from pycontainer.errors import ConfigError
from pycontainer.plan import describe
from pycontainer.tables.mount_options import ATTR_NOSUID, ATTR_RDONLY

from . import compiled


def compile_mount(*options: str, fstype: str = "tmpfs"):
    config = compiled.config()
    entry = {"destination": "/x", "type": fstype, "source": "tmpfs", "options": list(options)}
    config["mounts"].append(entry)
    return compiled.of_kind(compiled.plan(config), "mount")[-1]


def test_owner_and_mode_of_the_directory():
    op = compile_mount("tmpcopyup", "nosuid")
    assert (op["copy_up"], op["keep_mode"], op["attr_set"]) == (2, 1, ATTR_NOSUID)
    assert op["options"] == b""
    assert describe.line(op) == "mount tmpfs on /x (nosuid), with a copy of what it covers"


@pytest.mark.parametrize("option", ["uid=1", "gid=2"])
def test_an_owner_of_its_own(option):
    assert compile_mount("tmpcopyup", option)["copy_up"] == 1


def test_read_only_comes_last():
    op = compile_mount("tmpcopyup", "ro")
    assert (op["attr_set"], op["sb_flags"]) == (ATTR_RDONLY, b"")


@pytest.mark.parametrize("options", [("tmpcopyup",), ("tmpcopyup", "rbind")])
def test_for_tmpfs_only(options):
    with pytest.raises(ConfigError, match="for mounts of type tmpfs"):
        compile_mount(*options, fstype="proc")
