"""tmpcopyup in the plan."""

from __future__ import annotations

import pytest

from pycontainer.base.errors import ConfigError
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


@pytest.mark.parametrize("more", [(), ("tmpcopyup",)])
def test_read_only_comes_last(more):
    """Files and mount points come first: it is the mount that becomes so, not what it shows."""
    config = compiled.config()
    entry = {"type": "tmpfs", "source": "tmpfs", "options": ["ro", *more]}
    config["mounts"] += [{**entry, "destination": "/x"}, {**entry, "destination": "/y"}]
    config["mounts"].append({"destination": "/y/", "source": "/", "options": ["bind", "rw"]})
    plan = compiled.plan(config)
    made = compiled.of_kind(plan, "mount")[-2:]
    assert [(op["attr_set"], op["sb_flags"]) for op in made] == [(0, b"")] * 2
    last = [op for op in compiled.of_kind(plan, "mount_attr") if op["target"] in (b"/x", b"/y")]
    assert [(op["target"], op["attr_set"]) for op in last] == [(b"/x", ATTR_RDONLY)]
    assert plan.ops.index(last[0]) > plan.ops.index(compiled.of_kind(plan, "bind")[-1])


@pytest.mark.parametrize("options", [("tmpcopyup",), ("tmpcopyup", "rbind")])
def test_for_tmpfs_only(options):
    with pytest.raises(ConfigError, match="for mounts of type tmpfs"):
        compile_mount(*options, fstype="proc")
