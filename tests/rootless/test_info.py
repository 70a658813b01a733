"""`info` tells what fails, before it does."""

from __future__ import annotations

import json
import os

from tests.rootless.person import COUNT, FIRST, NAME, Person

SECTIONS = [
    "runtime", "kernel", "namespaces", "user namespaces", "cgroups", "security", "programs",
]  # fmt: skip


def test_document(person: Person):
    document = json.loads(person("info", "--json").ok().out)
    assert list(document) == SECTIONS
    for items in document.values():
        for item in items.values():
            assert item["meaning"] and "\n" not in item["meaning"]
    assert document["kernel"]["release"]["value"] == os.uname().release
    assert document["runtime"]["user"]["value"] == person.uid
    assert document["namespaces"]["user"]["value"] is True


def test_text_has_the_same(person: Person):
    document = json.loads(person("info", "--json").ok().out)
    text = person("info").ok().out
    for section, items in document.items():
        assert f"\n{section}\n" in f"\n{text}"
        for key, item in items.items():
            assert f"  {key} " in text
            assert item["meaning"] in text


def test_ranges(obstructed: Person):
    ids = json.loads(obstructed("info", "--json").ok().out)["user namespaces"]
    assert ids["subuid"]["value"] == f"{FIRST}-{FIRST + COUNT - 1}"
    assert "fix" not in ids["subuid"] and "fix" not in ids["newuidmap"]
    (obstructed.etc / "subuid").write_text("")
    ids = json.loads(obstructed("info", "--json").ok().out)["user namespaces"]
    assert ids["subuid"]["value"] == "none"
    assert ids["subuid"]["fix"].endswith(f" {NAME}")


def test_a_missing_helper(obstructed: Person):
    obstructed.obstacles = ["mount --bind /dev/null /usr/bin/newgidmap"]
    ids = json.loads(obstructed("info", "--json").ok().out)["user namespaces"]
    assert ids["newgidmap"]["value"] == ""
    assert "install" in ids["newgidmap"]["fix"]
    assert "fix" not in ids["newuidmap"]


def test_cgroups(person: Person):
    cgroups = json.loads(person("info", "--json").ok().out)["cgroups"]
    unified = os.path.exists("/sys/fs/cgroup/cgroup.controllers")
    assert (cgroups["mode"]["value"] == "v2") == unified
    assert cgroups["controllers"]["value"]


def test_it_changes_nothing(person: Person):
    person("info").ok()
    assert not person.root.exists()
