"""linux.intelRdt on a tree of our own: no machine of ours has the hardware.

config-linux.md#intelrdt; the kernel's side is Documentation/filesystems/resctrl.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pycontainer.base.errors import ConfigError, HostError, OperationError
from pycontainer.resctrl import group as resctrl_group
from pycontainer.resctrl import stats as resctrl_stats

ROOT_RULES = "    L3:0=fffff;1=fffff\n    MB:0=100;1=100\n"


@pytest.fixture
def tree(tmp_path, monkeypatch):
    """A directory whose new directories fill themselves, as resctrl's do."""

    def fill(path: Path) -> None:
        (path / "tasks").write_text("")
        if path.parent.name != "mon_groups":
            (path / "schemata").write_text(ROOT_RULES)
            (path / "mon_groups").mkdir()

    def make(path: str) -> None:
        os.mkdir(path)
        fill(Path(path))

    root = tmp_path / "resctrl"
    root.mkdir()
    fill(root)
    (root / "info").mkdir()
    (root / "info" / "last_cmd_status").write_text("ok\n")
    monkeypatch.setattr(resctrl_group, "make", make)
    return root


def enter(tree, rdt: dict, pid: int = 42) -> resctrl_group.Group:
    made = resctrl_group.group(rdt, "c1", str(tree))
    made.enter(pid)
    return made


def test_a_group_of_its_own(tree):
    group = enter(tree, {"l3CacheSchema": "L3:0=f;1=ff"})
    assert (tree / "c1" / "tasks").read_text() == "42"
    assert (tree / "c1" / "schemata").read_text().startswith("L3:0=f;1=ff\n")
    assert group.facts() == {"groups": [f"{tree}/c1"], "made": [f"{tree}/c1"]}


def test_order_of_the_rules(tree):
    """The cache first, then the bandwidth, and last what schemata lists."""
    rdt = {"memBwSchema": "MB:0=20;1=70", "l3CacheSchema": "L3:0=f", "schemata": ["L2:0=3", "X:1"]}
    group = resctrl_group.group(rdt, "c1", str(tree))
    assert group.lines == ("L3:0=f", "MB:0=20;1=70", "L2:0=3", "X:1")


def test_without_rules_none_are_written(tree):
    enter(tree, {})
    assert (tree / "c1" / "schemata").read_text() == ROOT_RULES


def test_the_default_group(tree):
    group = enter(tree, {"closID": "/"})
    assert (tree / "tasks").read_text() == "42"
    assert group.facts()["made"] == []


def test_a_named_group_without_rules_must_exist(tree):
    with pytest.raises(ConfigError, match="not there") as caught:
        enter(tree, {"closID": "gold"})
    assert caught.value.field == "linux.intelRdt.closID"
    resctrl_group.make(f"{tree}/gold")
    group = enter(tree, {"closID": "gold"})
    assert (tree / "gold" / "tasks").read_text() == "42"
    assert group.facts()["made"] == []


def test_a_named_group_with_rules_is_made_and_stays(tree):
    group = enter(tree, {"closID": "gold", "l3CacheSchema": "L3:0=f"})
    assert (tree / "gold" / "schemata").read_text().startswith("L3:0=f\n")
    resctrl_group.remove(group.facts())
    assert (tree / "gold").exists()


@pytest.mark.parametrize("rule", ["L3:0=f;1=ff", "L3:1=00ff;0=0000f", "L3: 0=F"])
def test_an_existing_group_that_matches(tree, rule):
    resctrl_group.make(f"{tree}/gold")
    (tree / "gold" / "schemata").write_text("    MB:0=100\n    L3:0=0000f;1=000ff\n")
    enter(tree, {"closID": "gold", "l3CacheSchema": rule, "memBwSchema": "MB:0=100"})
    assert (tree / "gold" / "tasks").read_text() == "42"


@pytest.mark.parametrize(
    ("rdt", "member"),
    [
        ({"l3CacheSchema": "L3:0=f;1=fe"}, "l3CacheSchema"),
        ({"l3CacheSchema": "L3:2=f"}, "l3CacheSchema"),
        ({"l3CacheSchema": "L3:0=f", "memBwSchema": "MB:0=10"}, "memBwSchema"),
    ],
)
def test_an_existing_group_that_differs(tree, rdt, member):
    resctrl_group.make(f"{tree}/gold")
    (tree / "gold" / "schemata").write_text("MB:0=100\nL3:0=0000f;1=000ff\n")
    with pytest.raises(ConfigError, match="other rules") as caught:
        enter(tree, {"closID": "gold", **rdt})
    assert caught.value.field == f"linux.intelRdt.{member}"
    assert (tree / "gold" / "tasks").read_text() == ""


def test_monitoring(tree):
    group = enter(tree, {"closID": "/", "enableMonitoring": True})
    monitor = tree / "mon_groups" / "c1"
    assert (monitor / "tasks").read_text() == "42"
    assert group.facts() == {"groups": [str(tree), str(monitor)], "made": [str(monitor)]}


def test_a_group_of_counters_that_cannot_be_made(tree):
    """The kernel has only so many; what was made before is taken back."""
    full = tree / "mon_groups"
    if full.is_dir():
        full.rmdir()
    full.write_text("")
    with pytest.raises(OperationError, match="mon_groups"):
        enter(tree, {"closID": "/", "enableMonitoring": True})


def test_joining(tree):
    facts = enter(tree, {"enableMonitoring": True}).facts()
    resctrl_group.join(facts, 43)
    assert (tree / "c1" / "tasks").read_text() == "43"
    assert (tree / "c1" / "mon_groups" / "c1" / "tasks").read_text() == "43"


def test_removing(tree, monkeypatch):
    """What was made goes, counters first; what was there before stays."""
    facts = enter(tree, {"enableMonitoring": True}).facts()
    removed = []
    monkeypatch.setattr(resctrl_group.posix, "rmdir", removed.append)
    resctrl_group.remove(facts)
    assert removed == [f"{tree}/c1/mon_groups/c1", f"{tree}/c1"]


def test_a_group_that_was_there_is_not_removed(tree):
    resctrl_group.make(f"{tree}/c1")
    assert enter(tree, {}).facts()["made"] == []


def test_what_is_gone_is_removed(tree):
    resctrl_group.remove({"groups": [], "made": [f"{tree}/gone"]})


def test_the_kernels_words(tree):
    (tree / "info" / "last_cmd_status").write_text("cache domain 7 not found\n")
    group = resctrl_group.group({"schemata": ["L3:7=f"]}, "c1", str(tree))
    resctrl_group.make(f"{tree}/c1")
    (tree / "c1" / "schemata").unlink()
    with pytest.raises(OperationError, match="cache domain 7 not found"):
        group.enter(42)


def test_no_file_system():
    if resctrl_group.find_root():
        pytest.skip("this machine has one")
    with pytest.raises(HostError, match="no resctrl file system is mounted") as caught:
        resctrl_group.group({}, "c1")
    assert caught.value.field == "linux.intelRdt"


def hardware(tree, files: dict[str, str]) -> None:
    """What the CPU of this tree has."""
    for name, text in files.items():
        path = tree / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def test_statistics(tree):
    """As runc's types/events.go names them; the counters are of the container's own group."""
    group = enter(tree, {"l3CacheSchema": "L3:0=f;1=ff", "enableMonitoring": True})
    hardware(
        tree,
        {
            "info/L3/cbm_mask": "fffff\n",
            "info/L3/min_cbm_bits": "1\n",
            "info/L3/num_closids": "16\n",
            "info/MB/bandwidth_gran": "10\n",
            "info/MB/delay_linear": "1\n",
            "info/MB/min_bandwidth": "10\n",
            "info/MB/num_closids": "8\n",
            "info/L3_MON/mon_features": "llc_occupancy\nmbm_total_bytes\nmbm_local_bytes\n",
            "c1/mon_groups/c1/mon_data/mon_L3_00/llc_occupancy": "123\n",
            "c1/mon_groups/c1/mon_data/mon_L3_00/mbm_total_bytes": "456\n",
            "c1/mon_groups/c1/mon_data/mon_L3_00/mbm_local_bytes": "Unavailable\n",
            "c1/mon_groups/c1/mon_data/mon_L3_01/llc_occupancy": "7\n",
            "c1/mon_groups/c1/mon_data/mon_L3_01/mbm_total_bytes": "8\n",
            "c1/mon_groups/c1/mon_data/mon_L3_01/mbm_local_bytes": "9\n",
            "c1/schemata": "    L3:0=0000f;1=000ff\n    MB:0=100;1=100\n",
        },
    )
    assert resctrl_stats.collect(group.facts(), str(tree)) == {
        "l3_cache_info": {"cbm_mask": "fffff", "min_cbm_bits": 1, "num_closids": 16},
        "l3_cache_schema_root": "L3:0=fffff;1=fffff",
        "l3_cache_schema": "L3:0=0000f;1=000ff",
        "mem_bw_info": {
            "bandwidth_gran": 10,
            "delay_linear": 1,
            "min_bandwidth": 10,
            "num_closids": 8,
        },
        "mem_bw_schema_root": "MB:0=100;1=100",
        "mem_bw_schema": "MB:0=100;1=100",
        "mbm_stats": [
            {"mbm_total_bytes": 456, "mbm_local_bytes": 0},
            {"mbm_total_bytes": 8, "mbm_local_bytes": 9},
        ],
        "cmt_stats": [{"llc_occupancy": 123}, {"llc_occupancy": 7}],
        "schemata": ["L3:0=0000f;1=000ff", "MB:0=100;1=100"],
    }


def test_statistics_of_what_the_cpu_has(tree):
    """Bandwidth without monitoring; and of a group that is gone there is nothing to say."""
    group = enter(tree, {})
    hardware(tree, {"info/MB/num_closids": "8\n"})
    found = resctrl_stats.collect(group.facts(), str(tree))
    assert set(found) == {"mem_bw_info", "mem_bw_schema_root", "mem_bw_schema", "schemata"}
    assert resctrl_stats.collect({"groups": [f"{tree}/gone"]}, str(tree))["schemata"] == []
