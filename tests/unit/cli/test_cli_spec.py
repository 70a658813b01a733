"""`spec`: the example config, beside runc's, and its rootless form."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from pycontainer.spec import default_config


def normal(config: dict[str, Any]) -> dict[str, Any]:
    """Without what Debian's older runc does differently: version, name, ambient capabilities,
    and the masked paths that came later."""
    config["process"]["capabilities"].pop("ambient", None)
    config["process"]["capabilities"].pop("inheritable", None)
    masked = set(config["linux"].pop("maskedPaths"))
    assert masked >= {"/proc/acpi", "/proc/kcore", "/proc/keys", "/sys/firmware", "/proc/scsi"}
    return {**config, "ociVersion": "", "hostname": ""}


@pytest.mark.parametrize("rootless", [False, True])
def test_agrees_with_runc(pycontainer: Any, runc: Any, tmp_path: Path, rootless: bool) -> None:
    configs: list[dict[str, Any]] = []
    texts: list[str] = []
    for command in (pycontainer, runc):
        bundle = tmp_path / f"bundle{len(configs)}"
        bundle.mkdir()
        done = command("spec", "-b", str(bundle), *(["--rootless"] if rootless else []))
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
        texts.append((bundle / "config.json").read_text())
        configs.append(normal(json.loads(texts[-1])))
    assert configs[0] == configs[1]
    assert [text[:17] for text in texts] == ['{\n\t"ociVersion": '] * 2
    assert [text[-1] for text in texts] == ["}"] * 2


def test_is_for_spec_1_3(pycontainer: Any, tmp_path: Path) -> None:
    assert pycontainer("spec", cwd=tmp_path).returncode == 0
    config = json.loads((tmp_path / "config.json").read_text())
    assert config["ociVersion"] == "1.3.0"
    assert config == default_config.example()
    assert set(config["process"]["capabilities"]) == {"bounding", "effective", "permitted"}


def test_does_not_overwrite(pycontainer: Any, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("mine")
    for options in ([], ["--host"]):
        done = pycontainer("spec", *options, "-b", str(tmp_path))
        assert done.returncode == 1
        assert "File config.json exists. Remove it first" in done.stderr
    assert os.listdir(tmp_path).count("rootfs") == 0
    assert (tmp_path / "config.json").read_text() == "mine"


def test_needs_the_directory(pycontainer: Any, tmp_path: Path) -> None:
    done = pycontainer("spec", "-b", str(tmp_path / "missing"))
    assert done.returncode == 1
    assert f"chdir {tmp_path}/missing: no such file or directory" in done.stderr


@pytest.mark.parametrize("unified", [False, True])
def test_cgroup_namespace_only_with_cgroup_v2(unified: bool) -> None:
    types = [entry["type"] for entry in default_config.example(unified)["linux"]["namespaces"]]
    assert ("cgroup" in types) == unified


def test_rootless_leaves_its_argument_alone() -> None:
    config = default_config.example(False)
    before = json.dumps(config)
    rootless = default_config.rootless(config)
    assert json.dumps(config) == before
    assert "resources" not in rootless["linux"]
    assert rootless["linux"]["uidMappings"] == [
        {"containerID": 0, "hostID": os.geteuid(), "size": 1}
    ]
    options = [option for entry in rootless["mounts"] for option in entry.get("options", [])]
    assert not [option for option in options if option.startswith(("uid=", "gid="))]
