"""Id-mapped mounts in the plan: config.md#mounts, uidMappings, idmap, ridmap."""

from __future__ import annotations

import pytest

from pycontainer.base.errors import ConfigError, HostError
from pycontainer.linux.host import Host
from pycontainer.plan import describe
from pycontainer.plan.ops import op

from . import compiled

UIDS = [{"containerID": 0, "hostID": 100000, "size": 1000}]
GIDS = [{"containerID": 0, "hostID": 200000, "size": 500}]


def mount(*options: str, **members):
    return {"destination": "/data", "source": "/src", "options": list(options), **members}


def with_mount(entry, **linux):
    config = compiled.config(**linux)
    config["mounts"].append(entry)
    return compiled.plan(config), f"mounts[{len(config['mounts']) - 1}]"


def test_own_mappings():
    plan, field = with_mount(mount("rbind", "ridmap", uidMappings=UIDS, gidMappings=GIDS))
    tree, mapped = compiled.of_kind(plan, "open_tree", "idmap_tree")
    assert tree == op("open_tree", 1, 1, 0, "/src", field=field)
    assert mapped == op(
        "idmap_tree",
        1,
        1,
        "0 100000 1000\n",
        "0 200000 500\n",
        "",
        "/src",
        field=f"{field}.uidMappings",
    )
    bind = compiled.of_kind(plan, "bind")[-1]
    assert bind["slot"] == 1
    assert describe.line(mapped) == (
        "map the ids of /src and below: uids 0 100000 1000; gids 0 200000 500"
    )


def test_mappings_without_the_option_are_not_recursive():
    plan, _ = with_mount(mount("rbind", uidMappings=UIDS, gidMappings=GIDS))
    assert compiled.one(plan, "idmap_tree")["recursive"] == 0


def test_the_containers_mappings():
    config = compiled.config(uidMappings=UIDS, gidMappings=GIDS)
    config["linux"]["namespaces"].append({"type": "user"})
    config["mounts"].append(mount("bind", "idmap"))
    plan = compiled.plan(config)
    mapped = compiled.one(plan, "idmap_tree")
    assert mapped.texts[:3] == (b"0 100000 1000\n", b"0 200000 500\n", b"")
    assert mapped["recursive"] == 0


def test_a_joined_user_namespace():
    config = compiled.config()
    config["linux"]["namespaces"].append({"type": "user", "path": "/proc/7/ns/user"})
    config["mounts"].append(mount("bind", "idmap"))
    mapped = compiled.one(compiled.plan(config), "idmap_tree")
    assert mapped["namespace"] == b"/proc/7/ns/user"
    assert describe.line(mapped) == "map the ids of /src as namespace /proc/7/ns/user does"


def test_no_mappings_at_all():
    with pytest.raises(ConfigError, match="needs mappings"):
        with_mount(mount("bind", "idmap"))


def test_without_privileges():
    config = compiled.config(uidMappings=UIDS, gidMappings=GIDS)
    config["linux"]["namespaces"].append({"type": "user"})
    config["mounts"].append(mount("bind", "idmap"))
    with pytest.raises(HostError, match="take privileges over the host"):
        compiled.plan(config, Host(uid=1000, rootless=True, mounts=False))
