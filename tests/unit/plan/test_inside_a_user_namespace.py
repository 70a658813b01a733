"""The plan for root of a user namespace, and for who is nobody in particular."""

from __future__ import annotations

import pytest

from pycontainer.base.errors import ConfigError
from pycontainer.linux.host import Host

from . import compiled

INSIDE = Host(rootless=True, setgroups=False)
SOMEBODY = Host(uid=1000, gid=1000, rootless=True, permitted=0, setgroups=False)


def with_groups(*gids: int):
    config = compiled.config()
    config["process"]["user"] = {"uid": 0, "gid": 0, "additionalGids": list(gids)}
    return config


def test_no_setgroups_where_it_is_denied():
    plan = compiled.plan(compiled.config(), INSIDE)
    assert compiled.one(plan, "user")["groups_kept"] == 1
    assert not plan.warnings


@pytest.mark.parametrize("make", [compiled.plan, compiled.entry_plan])
def test_groups_that_cannot_be(make):
    plan = make(with_groups(5, 6), INSIDE)
    user = compiled.one(plan, "user")
    assert (user["groups"], user["groups_kept"]) == (b"", 1)
    assert any("additionalGids" in warning for warning in plan.warnings)
    with pytest.raises(ConfigError, match="setgroups is denied"):
        make(with_groups(5, 6), SOMEBODY)


@pytest.mark.parametrize(
    ("host", "last"), [(Host(), "user"), (INSIDE, "user"), (SOMEBODY, "network")]
)
def test_who_has_privileges_joins_the_user_namespace_last(host: Host, last: str):
    config = compiled.config()
    spaces = [{"type": "user", "path": "/u"}, {"type": "network", "path": "/n"}]
    config["linux"]["namespaces"] = [{"type": "mount"}, *spaces]
    joined = compiled.of_kind(compiled.plan(config, host), "setns")
    assert [op["path"].decode()[1] for op in joined][-1] == last[0]


def test_mappings_of_a_joined_user_namespace_are_compared():
    """Once it has been joined; in the words of the kernel."""
    entry = {"containerID": 0, "hostID": 5, "size": 7}
    config = compiled.config(uidMappings=[entry])
    config["linux"]["namespaces"] = [{"type": "mount"}, {"type": "user", "path": "/u"}]
    plan = compiled.plan(config)
    look = compiled.one(plan, "check_map")
    assert (look["file"], look["lines"]) == (b"uid_map", b"0 5 7\n")
    kinds = compiled.kinds(plan)
    at = kinds.index("check_map")
    assert kinds[at - 1] == "sync" and kinds.index("setns") < at < kinds.index("rootfs")
    del config["linux"]["uidMappings"]
    assert not compiled.of_kind(compiled.plan(config), "check_map")
    assert not compiled.of_kind(compiled.entry_plan(config), "check_map")
