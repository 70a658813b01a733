"""linux.netDevices in the plan: moved while the executor waits, before hooks run."""

from __future__ import annotations

import pytest

from pycontainer.base.errors import ConfigError
from pycontainer.plan import describe
from pycontainer.plan.ops import op

from . import compiled


def test_order():
    config = compiled.config(netDevices={"eth1": {"name": "inner%d"}, "eth2": {}})
    config["hooks"] = {"createRuntime": [{"path": "/bin/true"}]}
    plan = compiled.plan(config)
    wanted = ("loopback_up", "sync", "net_device", "run_hooks", "pivot_root")
    found = compiled.of_kind(plan, *wanted)
    kinds = [item.kind for item in found]
    assert kinds[:6] == ["loopback_up", "sync", "net_device", "net_device", "sync", "run_hooks"]
    assert found[2] == op("net_device", "eth1", "inner%d", field='linux.netDevices["eth1"]')
    assert describe.line(found[2]) == "move network device eth1 inside as inner%d"
    assert describe.line(found[3]) == "move network device eth2 inside"


def test_without_a_namespace():
    config = compiled.config(netDevices={"eth1": {}})
    spaces = config["linux"]["namespaces"]
    config["linux"]["namespaces"] = [s for s in spaces if s["type"] != "network"]
    with pytest.raises(ConfigError, match="needs a network namespace"):
        compiled.plan(config)
