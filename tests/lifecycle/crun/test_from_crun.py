"""What scripts and engines know from crun, where runc has nothing that it contradicts."""

from __future__ import annotations

import json
import os

import pytest

from tests.support.box import Box
from tests.support.runtimes import Runtime

KEEP = "run.oci.keep_original_groups"


@pytest.mark.parametrize("command", ["run", "create"])
def test_a_config_that_is_elsewhere(box: Box, pyc: Runtime, command: str):
    bundle, name = box.bundle("/bin/false"), box.id()
    other = {**bundle.config, "process": {**bundle.process, "args": ["/bin/echo", "other"]}}
    bundle.write()
    (box.directory / "other.json").write_text(json.dumps(other))
    for place in ("-f", box.directory / "other.json"), ("--config", "other.json"):
        done = pyc(command, "-b", bundle.path, *place, name, cwd=box.directory).ok()
        assert command == "create" or done.out == "other\n"
        pyc("delete", "--force", name).ok()
    pyc(command, "--config", "none.json", name, cwd=box.directory).fails("none.json not found")


@pytest.mark.parametrize("user_namespace", [False, True])
def test_the_callers_groups_may_be_kept(box: Box, pyc: Runtime, user_namespace: bool):
    box.needs_root("gives itself groups")
    bundle = box.bundle().script("id -G")
    bundle.process["user"] = {"uid": 0, "gid": 0, "additionalGids": [5]}
    if user_namespace:
        bundle.new_namespace("user")
        for kind in ("uidMappings", "gidMappings"):
            bundle.linux[kind] = [{"containerID": 0, "hostID": 0, "size": 100}]
    groups = [*os.getgroups(), 7, 8]
    first = pyc("run", "-b", bundle, box.id(), extra_groups=groups).ok().out.split()
    assert {"7", "8"}.isdisjoint(first) and "5" in first
    bundle.config["annotations"] = {KEEP: "1"}
    kept = pyc("run", "-b", bundle, box.id(), extra_groups=groups).ok().out.split()
    assert {"7", "8"} <= set(kept) and "5" not in kept


def test_exec_keeps_them_too(box: Box, pyc: Runtime):
    box.needs_root("gives itself groups")
    bundle, name = box.bundle("/bin/sleep", "1000"), box.id()
    bundle.config["annotations"] = {KEEP: "1"}
    pyc("run", "-d", "-b", bundle, name).ok()
    out = pyc("exec", name, "id", "-G", extra_groups=[*os.getgroups(), 7]).ok().out
    assert "7" in out.split()
