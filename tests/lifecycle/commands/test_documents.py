"""What list, ps, features and spec print, and what lists look like when a state is damaged."""

from __future__ import annotations

import json
import os
import pwd
import re
import shutil
from datetime import datetime

import pytest

from tests.support.box import Box
from tests.support.runtimes import Runtime


def test_list(box: Box):
    tables, owner = [], pwd.getpwuid(os.geteuid()).pw_name
    for runtime in box.both():
        bundle, name = box.bundle("/bin/sleep", "1000"), box.id("c")
        bundle.config["annotations"] = {"a": "b"}
        runtime("create", "-b", bundle, name).ok()
        state = runtime.state(name)
        (row,) = json.loads(runtime("list", "--format", "json").ok().out)
        assert row["owner"] == owner
        assert {**row, "owner": ""} == {**state, "owner": ""}
        assert runtime("list", "--quiet").ok().out == f"{name}\n"
        header, line = runtime("list").ok().out.splitlines()
        tables.append(header.split())
        pid, status, path = str(state["pid"]), "created", str(bundle.path)
        assert line.split() == [name, pid, status, path, state["created"], owner]
        runtime("delete", "--force", name).ok()
    assert tables[0] == tables[-1]


def test_an_empty_list(box: Box):
    for runtime in box.both():
        assert runtime("list", "--format", "json").ok().out == "null\n"
        assert runtime("list", "-q").ok().out == ""
        assert len(runtime("list").ok().out.splitlines()) == 1


@pytest.mark.parametrize("damage", ["", "{", '{"version": 1}', "null", "\x00\xff"])
def test_a_damaged_state_hides_no_other(box: Box, pyc: Runtime, damage: str):
    good, bad = box.running(), box.running()
    file = pyc.root / bad / "state.json"
    saved = file.read_bytes()
    file.write_bytes(damage.encode("latin-1"))
    done = pyc("list", "-f", "json").ok()
    rows = {row["id"]: row for row in json.loads(done.out)}
    assert set(rows) >= {good}
    for row in rows.values():
        datetime.fromisoformat(row["created"])  # Go's clients refuse the whole list otherwise
    assert len(pyc("list").ok().out.splitlines()) >= 2
    done = pyc("state", bad)
    assert done.status == 1 and len(done.err.splitlines()) == 1 and bad in done.err
    file.write_bytes(saved)


def test_a_missing_config_copy(box: Box, pyc: Runtime):
    name = box.running()
    (pyc.root / name / "config.json").unlink()
    assert pyc.status(name) == "running"
    pyc("exec", name, "true").fails("config.json", status=255)
    pyc("delete", "--force", name).ok()
    box.empty()


def test_ps(box: Box):
    headers = []
    for runtime in box.both():
        name = box.running("/bin/sh", "-c", "sleep 1001 & sleep 1002; :", runtime=runtime.name)
        pids = json.loads(runtime("ps", "--format", "json", name).ok().out)
        assert len(pids) == 3 and runtime.state(name)["pid"] in pids
        lines = runtime("ps", name).ok().out.splitlines()
        headers.append(lines[0].split())
        assert len(lines) == 4 and sum("sleep 100" in line for line in lines[1:]) == 3
        lines = runtime("ps", name, "-o", "pid,args").ok().out.splitlines()
        assert sorted(int(line.split()[0]) for line in lines[1:]) == sorted(pids)
    assert headers[0] == headers[-1]


def test_features(box: Box, pyc: Runtime):
    document = json.loads(pyc("features").ok().out)
    assert document["ociVersionMin"] and document["ociVersionMax"]
    assert {"createRuntime", "poststop"} <= set(document["hooks"])
    assert {"ro", "rbind", "nosuid"} <= set(document["mountOptions"])
    assert {"pid", "user"} <= set(document["linux"]["namespaces"])
    assert "CAP_SYS_ADMIN" in document["linux"]["capabilities"]
    box.empty()


def test_spec_runs(box: Box, pyc: Runtime):
    bundle = box.bundle()
    flags = ["--rootless"] if os.geteuid() else []
    pyc("spec", *flags, "-b", bundle.path).ok()
    config = json.loads((bundle.path / "config.json").read_text())
    assert config["process"]["args"] == ["sh"]
    pyc("spec", "-b", bundle.path).fails("exists")
    config["process"] |= {"terminal": False, "args": ["/bin/echo", "spec"]}
    bundle.config = config
    assert box.run(bundle).ok().out == "spec\n"


def test_the_host_bundle_runs(box: Box, pyc: Runtime):
    path = box.directory / "host"
    path.mkdir()
    pyc("spec", "--host", "-b", path).ok()
    config = json.loads((path / "config.json").read_text())
    config["process"] |= {"terminal": False, "args": ["/bin/sh", "-c", "echo $$; id -u; hostname"]}
    (path / "config.json").write_text(json.dumps(config))
    out = pyc("run", "-b", path, box.id()).ok().out.splitlines()
    assert out[:2] == ["1", "0"] and out[2] != os.uname().nodename
    box.empty()


def test_plan_touches_nothing(box: Box, pyc: Runtime):
    bundle = box.bundle("/bin/true")
    before = sorted(p for p in bundle.path.rglob("*"))
    text = pyc("plan", bundle).ok().out
    assert re.search(r"exec.*/bin/true", text)
    plan = json.loads(pyc("plan", "--json", bundle).ok().out)
    assert plan
    assert sorted(p for p in bundle.path.rglob("*")) == sorted(
        [*before, bundle.path / "config.json"]
    )
    box.empty()


def test_the_state_directory_is_for_root_alone(box: Box, pyc: Runtime):
    name = box.running()
    assert (pyc.root / name).stat().st_mode & 0o777 == 0o711
    for file in (pyc.root / name).iterdir():
        assert file.stat().st_mode & 0o077 == 0, file


def test_a_removed_state_directory(box: Box, pyc: Runtime):
    """Nothing of ours is left to find it by: the process is the user's to end."""
    name = box.running()
    pid = pyc.state(name)["pid"]
    saved = box.directory / "saved"
    shutil.move(pyc.root / name, saved)
    pyc("state", name).fails("does not exist")
    pyc("delete", "--force", name).ok()
    assert os.path.exists(f"/proc/{pid}")
    shutil.move(saved, pyc.root / name)
    assert pyc.status(name) == "running"
