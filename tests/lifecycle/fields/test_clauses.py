"""Clauses of the specification that no other file is about."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

SCHEMAS = Path(__file__).resolve().parents[3] / "oci-spec"


@pytest.mark.parametrize("command", ["create", "start", "state", "kill", "delete", "run"])
def test_commands_need_an_id(box, command):
    """runtime.md: an error without the container's id, and nothing happens."""
    bundle = box.bundle()
    flags = ("-b", bundle) if command in ("create", "run") else ()
    box.pycontainer(command, *flags).fails("argument")
    box.empty()


def test_state_satisfies_the_schema(box):
    """runtime.md#state, in every status."""
    box.needs_a_cgroup()
    jsonschema = pytest.importorskip("jsonschema")
    validator = jsonschema.Draft202012Validator(
        json.loads((SCHEMAS / "state.schema.json").read_text()), registry=_registry()
    )
    bundle = box.bundle("/bin/sleep", "1000")
    bundle.config["annotations"] = {"org.example.a": "b"}
    pyc, name = box.pycontainer, box.id()
    pyc("create", "-b", bundle, name).ok()
    for command in (("start",), ("pause",), ("resume",), ("kill", "KILL")):
        validator.validate(pyc.state(name))
        pyc(command[0], name, *command[1:]).ok()
    pyc.wait_for(name, "stopped")
    validator.validate(pyc.state(name))


def _registry():
    referencing = pytest.importorskip("referencing")
    documents = {path.name: json.loads(path.read_text()) for path in SCHEMAS.glob("*.json")}
    return referencing.Registry().with_resources(
        (name, referencing.Resource.from_contents(document)) for name, document in documents.items()
    )


def test_relative_destination(box):
    """config.md#mounts: relative to the root."""
    bundle = box.bundle().script("stat -f -c %T /opt/below")
    entry = {"destination": "opt/below", "type": "tmpfs", "source": "tmpfs"}
    bundle.config["mounts"].append(entry)
    assert box.run(bundle).ok().out == "tmpfs\n"


def test_console_size_without_terminal(box):
    """config.md#process: ignored, however large."""
    bundle = box.bundle("/bin/true")
    bundle.process["consoleSize"] = {"height": 70000, "width": 0}
    box.run(bundle).ok()


@pytest.mark.parametrize("score", [0, 123])
def test_oom_score_is_inherited(box, score):
    """config.md#linux-process: without the field, the runtime does not touch it."""
    bundle = box.bundle("/bin/cat", "/proc/self/oom_score_adj")
    bundle.process.pop("oomScoreAdj", None)
    own = Path("/proc/self/oom_score_adj")
    before = own.read_text()
    try:
        own.write_text(str(score))
        assert box.run(bundle).ok().out == f"{score}\n"
    finally:
        own.write_text(before)


def test_annotations_are_in_the_state(box):
    """config.md#annotations: any key, and the state has them all."""
    bundle = box.bundle()
    annotations = {"org.example.unknown": "1", "plain": "", "org.opencontainers.image.os": "linux"}
    bundle.config["annotations"] = annotations
    box.pycontainer("create", "-b", bundle, box.id()).ok()
    assert box.pycontainer.state(box.id())["annotations"] == annotations


@pytest.mark.parametrize("kind", ["network", "mount", "pid", "user"])
def test_namespace_of_another_type(box, kind):
    """config-linux.md#namespaces: the path must be one of that type."""
    bundle = box.bundle()
    bundle.join_namespace(kind, "/proc/self/ns/uts")
    box.run(bundle).fails("/proc/self/ns/uts", f"not a {kind} namespace")
    box.empty()


def test_mappings_change_no_owner(box):
    """config-linux.md#user-namespace-mappings: the files of the root stay as they are."""
    box.needs_root("maps ids that are nobody's")
    bundle = box.bundle("/bin/true")
    for parent in (box.directory, *box.directory.parents[:3]):
        if parent.owner() == "root" and str(parent).startswith("/tmp/"):
            os.chmod(parent, 0o755)
    mapping = [{"containerID": 0, "hostID": 100000, "size": 65536}]
    bundle.new_namespace("user")
    bundle.linux.update(uidMappings=mapping, gidMappings=mapping)
    for name in ("dev", "proc", "sys"):
        os.chown(bundle.rootfs / name, 100000, 100000)
    before = owners(bundle.rootfs)
    box.run(bundle).ok()
    assert owners(bundle.rootfs) == before


def owners(root: Path) -> dict[str, tuple[int, int]]:
    found = {}
    for path in (root, *root.rglob("*")):
        facts = path.lstat()
        found[str(path)] = (facts.st_uid, facts.st_gid)
    return found


def test_no_resctrl_operation(box):
    """config-linux.md#intelrdt: without the field, nothing of it is in the plan."""
    out = box.pycontainer("plan", "--json", box.bundle()).ok().out
    assert "resctrl" not in {step["operation"] for step in json.loads(out)}
