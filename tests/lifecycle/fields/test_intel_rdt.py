"""linux.intelRdt from create to delete, on a tree of our own: the library in this process.

What resctrl does by itself, filling new directories, is done by the test.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from pycontainer.base.errors import ConfigError, ContainerError
from pycontainer.base.settings import Settings
from pycontainer.lifecycle import events, update
from pycontainer.lifecycle.container import Container, CreateOptions, ExecOptions
from pycontainer.resctrl import group as resctrl_group


@pytest.fixture
def tree(tmp_path, monkeypatch):
    def make(path: str) -> None:
        os.mkdir(path)
        for name in ("tasks", "schemata"):
            Path(path, name).write_text("")
        if "mon_groups" not in path:
            Path(path, "mon_groups").mkdir()

    def rmdir(path: str) -> None:
        shutil.rmtree(path) if path.startswith(str(root)) else os_rmdir(path)

    root = tmp_path / "resctrl"
    make(str(root))
    os_rmdir = os.rmdir
    monkeypatch.setattr(resctrl_group, "make", make)
    monkeypatch.setattr(resctrl_group, "find_root", lambda: str(root))
    monkeypatch.setattr(resctrl_group.posix, "rmdir", rmdir)
    return root


def settings(box) -> Settings:
    return Settings(root=str(box.pycontainer.root))


def test_from_create_to_delete(box, tree):
    box.needs_root("resctrl is root's")
    bundle = box.bundle("/bin/sleep", "1000")
    bundle.linux["intelRdt"] = {"l3CacheSchema": "L3:0=f", "enableMonitoring": True}
    name = box.id()
    made = Container.create(settings(box), name, CreateOptions(bundle=str(bundle)))
    pid = made.facts.pid
    made.entry.close()
    assert (tree / name / "tasks").read_text() == str(pid)
    assert (tree / name / "schemata").read_text() == "L3:0=f\n"
    assert (tree / name / "mon_groups" / name / "tasks").read_text() == str(pid)
    box.pycontainer("start", name).ok()
    joined = Container.load(settings(box), name)
    options = ExecOptions(args=["/bin/sleep", "1000"], detach=True)
    options.pid_file = str(box.directory / "pid")
    joined.exec(options)
    other = (box.directory / "pid").read_text()
    assert other != str(pid)
    # The one that was cloned: its child, if it goes on in one, is born in the group.
    assert int((tree / name / "tasks").read_text()) not in (0, pid)
    os.kill(int(other), 9)
    os.waitpid(int(other), 0)  # a child of this process, which alone can reap it
    assert events.stats(joined)["data"]["intel_rdt"] == {"schemata": ["L3:0=f"]}
    with pytest.raises(ContainerError, match="memory bandwidth schema is not enabled"):
        update.update(joined, {}, {"memBwSchema": "MB:0=50"})
    for resource in ("L3", "MB"):
        (tree / "info" / resource).mkdir(parents=True)
    change = {"l3CacheSchema": "L3:0=3", "memBwSchema": "MB:0=50"}
    update.update(joined, {}, change)
    assert (tree / name / "schemata").read_text() == "L3:0=3\nMB:0=50\n"
    unwritable = Path(joined.entry.path(".resources.json.new"))
    unwritable.mkdir()
    with pytest.raises(ContainerError, match="resources.json: is a directory"):
        update.update(joined, {"pids": {"limit": 5}}, {"l3CacheSchema": "L3:0=1"})
    # The kernel merges lines; this tree keeps what was written last.
    assert (tree / name / "schemata").read_text().startswith("L3:0=3\n")
    unwritable.rmdir()
    joined.delete(force=True)
    assert not (tree / name).exists()
    assert (tree / "tasks").read_text() == ""


def test_after_a_failure_nothing_is_left(box, tree):
    bundle = box.bundle("/bin/nosuch")
    bundle.linux["intelRdt"] = {}
    with pytest.raises(ContainerError, match="no such file"):
        Container.create(settings(box), box.id(), CreateOptions(bundle=str(bundle)))
    assert not (tree / box.id()).exists()


def test_a_named_group_that_is_missing(box, tree):
    bundle = box.bundle("/bin/true")
    bundle.linux["intelRdt"] = {"closID": "gold"}
    with pytest.raises(ConfigError, match="not there"):
        Container.create(settings(box), box.id(), CreateOptions(bundle=str(bundle)))
    assert list(tree.glob("gold")) == []


def test_refused_without_the_hardware(box):
    if resctrl_group.find_root():
        pytest.skip("this machine has it")
    bundle = box.bundle("/bin/true")
    bundle.linux["intelRdt"] = {"closID": "gold"}
    words = ("no resctrl file system is mounted", "from linux.intelRdt", "mount -t resctrl")
    box.run(bundle).fails(*words)
