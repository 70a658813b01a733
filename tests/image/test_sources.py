"""Every form of an image is recognized by what is in it, and the one that is meant is chosen."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from pycontainer.image import ImageError
from pycontainer.image.source import Image, host_platform, open_image
from tests.support.images import (
    INDEX,
    LAYER,
    Layout,
    docker_archive,
    entry,
    image,
    layer,
)

FIRST, SECOND = layer(entry("a", "1")), layer(entry("b", "2"))


def config_of(name: str | Path, platform: str = "") -> dict[str, Any]:
    """`config` of the image's config."""
    return open_image(str(name), platform).settings


def contents(found: Image) -> list[bytes]:
    """Of the layers, decompressed."""
    result = []
    for each in found.layers:
        with each.open() as file:
            data = file.read()
        result.append(gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data)
    return result


def test_a_layout(tmp_path: Path):
    made = image(tmp_path / "oci", FIRST, SECOND, config={"Cmd": ["x"]})
    found = open_image(str(made))
    assert contents(found) == [FIRST, SECOND] and found.settings == {"Cmd": ["x"]}


@pytest.mark.parametrize("compress", [False, True])
def test_a_layout_in_an_archive(tmp_path: Path, compress: bool):
    made = Layout(tmp_path / "oci")
    made.image(FIRST, SECOND)
    archive = made.tar(tmp_path / "oci.tar")
    if compress:
        archive.write_bytes(gzip.compress(archive.read_bytes()))
    assert contents(open_image(str(archive))) == [FIRST, SECOND]


def test_a_docker_archive(tmp_path: Path):
    made = docker_archive(tmp_path / "saved", [FIRST, SECOND], {"Cmd": ["x"]})
    assert contents(open_image(str(made))) == [FIRST, SECOND]
    assert contents(open_image(f"{made}:app:1")) == [FIRST, SECOND]
    with pytest.raises(ImageError, match="example.com/app:1"):
        open_image(f"{made}:other")


def test_what_it_is_called(tmp_path: Path):
    """By its longest name there, or else by its file's."""
    layout = Layout(tmp_path / "oci")
    layout.image(FIRST, name="1.2")
    assert open_image(str(layout.path)).reference == "1.2"
    full = {"org.opencontainers.image.ref.name": "1.2", "io.containerd.image.name": "host/app:1.2"}
    layout.manifests[0]["annotations"] = full
    layout.write()
    assert open_image(f"{layout.path}:app:1.2").reference == "host/app:1.2"
    saved = docker_archive(tmp_path / "saved", [FIRST], {})
    assert open_image(str(saved)).reference == "example.com/app:1"
    (tmp_path / "root.tar").write_bytes(FIRST)
    assert open_image(str(tmp_path / "root.tar")).reference == "root.tar"


def test_a_root_archive_and_a_root(tmp_path: Path):
    (tmp_path / "root.tar").write_bytes(FIRST)
    assert contents(open_image(str(tmp_path / "root.tar"))) == [FIRST]
    (tmp_path / "root").mkdir()
    assert open_image(str(tmp_path / "root")).root == str(tmp_path / "root")


def test_references(tmp_path: Path):
    made = Layout(tmp_path / "oci")
    made.image(FIRST, config={"Cmd": ["1"]}, name="host:5000/app:1")
    made.image(SECOND, config={"Cmd": ["2"]}, name="host:5000/app:2")
    for reference in ("host:5000/app:2", "app:2", "2"):
        assert config_of(f"{made.path}:{reference}") == {"Cmd": ["2"]}
    with pytest.raises(ImageError, match="several images there: host:5000/app:1, host:5000/app:2"):
        open_image(str(made.path))
    with pytest.raises(ImageError, match="no image 3 there"):
        open_image(f"{made.path}:3")


def platforms(path: Path, nested: bool) -> Layout:
    """One name for two architectures, and an attestation."""
    made = Layout(path)
    rows = [("amd64", ""), ("arm64", "v8"), ("unknown", "")]
    entries = []
    for architecture, variant in rows:
        platform = {"os": "linux", "architecture": architecture} | (
            {"variant": variant} if variant else {}
        )
        config = {"Cmd": [architecture]}
        name = "" if nested else "app"
        entries.append(made.image(FIRST, config=config, name=name, platform=platform))
    if nested:
        index = {"schemaVersion": 2, "manifests": entries}
        made.manifests = [made.blob(json.dumps(index).encode(), INDEX)]
        made.write()
    return made


@pytest.mark.parametrize("nested", [False, True])
def test_platforms(tmp_path: Path, nested: bool):
    made = platforms(tmp_path / "oci", nested)
    assert config_of(made.path, "linux/arm64") == {"Cmd": ["arm64"]}
    assert config_of(made.path, "linux/arm64/v8") == {"Cmd": ["arm64"]}
    assert config_of(made.path)["Cmd"] == [host_platform().split("/")[1]]
    with pytest.raises(ImageError, match="no image for linux/s390x there: linux/amd64, linux/arm"):
        config_of(made.path, "linux/s390x")


@pytest.mark.parametrize(
    "offered, platform, chosen",
    [
        (["amd64/v3", "amd64"], "linux/amd64", "amd64"),
        (["amd64/v3", "amd64/v1"], "linux/amd64", "amd64/v1"),
        (["amd64/v3", "amd64"], "linux/amd64/v2", "amd64"),
        (["amd64/v3", "amd64"], "linux/amd64/v4", "amd64/v3"),
        (["amd64/v3"], "linux/amd64", None),
        (["arm/v5", "arm/v6", "arm/v7"], "linux/arm", "arm/v7"),
        (["arm/v5", "arm/v7", "arm/v6"], "linux/arm/v6", "arm/v6"),
        (["arm/v5", "arm/v6"], "linux/arm/v7", "arm/v6"),
        (["arm/v7"], "linux/arm/v6", None),
        (["arm64"], "linux/arm64/v8", "arm64"),
        (["arm64/v9"], "linux/arm64", None),
    ],
)
def test_variants(tmp_path: Path, offered: list[str], platform: str, chosen: str | None):
    """The best that runs there, whatever the order, and never what may not."""
    layout = Layout(tmp_path / "oci")
    for name in offered:
        architecture, _, variant = name.partition("/")
        described = {"os": "linux", "architecture": architecture, "variant": variant}
        layout.image(FIRST, config={"Cmd": [name]}, platform=described)
    if chosen:
        assert config_of(layout.path, platform) == {"Cmd": [chosen]}
        return
    with pytest.raises(ImageError, match=f"no image for {platform} there"):
        config_of(layout.path, platform)


def test_indexes_in_a_circle_end(tmp_path: Path):
    made = Layout(tmp_path / "oci")
    below: dict[str, Any] = made.image(FIRST, name="")
    for _ in range(6):
        index = json.dumps({"schemaVersion": 2, "manifests": [below]}).encode()
        below = made.blob(index, INDEX)
    made.manifests = [below]
    made.write()
    with pytest.raises(ImageError, match="indexes within each other"):
        open_image(str(made.path))


def test_an_artifact(tmp_path: Path):
    made = Layout(tmp_path / "oci")
    manifest = {
        "schemaVersion": 2,
        "config": made.blob(b"{}", "application/vnd.oci.empty.v1+json"),
        "layers": [made.blob(b"x", "text/plain")],
    }
    made.manifests = [made.blob(json.dumps(manifest).encode(), "application/x")]
    made.write()
    with pytest.raises(ImageError, match="artifact of type"):
        open_image(str(made.path))


@pytest.mark.parametrize(
    "index",
    ["[]", "{", '{"manifests": 3}', '{"manifests": [{"digest": 3}]}', '{"manifests": [[]]}', "{}"],
)
def test_nonsense(tmp_path: Path, index: str):
    made = Layout(tmp_path / "oci")
    (made.path / "index.json").write_text(index)
    with pytest.raises(ImageError):
        open_image(str(made.path))


@pytest.mark.parametrize(
    "change",
    [
        {"layers": [3]},
        {"layers": [{"digest": "sha256:" + "0" * 64}]},
        {"config": {"mediaType": "application/vnd.oci.image.config.v1+json"}},
    ],
)
def test_a_manifest_of_nonsense(tmp_path: Path, change: dict[str, Any]):
    made = Layout(tmp_path / "oci")
    descriptor = made.image(FIRST)
    path = made.path / "blobs" / descriptor["digest"].replace(":", "/")
    data = json.dumps({**json.loads(path.read_text()), **change}).encode()
    made.manifests = [made.blob(data, LAYER)]
    made.write()
    with pytest.raises(ImageError):
        contents(open_image(str(made.path)))


def test_what_is_no_image(tmp_path: Path):
    (tmp_path / "text").write_text("hello\n" * 500)
    with pytest.raises(ImageError, match="give a tar archive"):
        open_image(str(tmp_path / "text"))
    with pytest.raises(ImageError, match="no such file"):
        open_image(str(tmp_path / "nothing"))
    for name in ("docker://docker.io/library/alpine", "alpine", "host:5000/app:1"):
        with pytest.raises(ImageError, match="skopeo copy"):
            open_image(name)
    with pytest.raises(ImageError) as caught:
        open_image("./alpine.tar")
    assert "skopeo" not in str(caught.value)


def test_a_blob_that_is_a_pipe(tmp_path: Path):
    """Nothing waits for somebody to write to it."""
    made = Layout(tmp_path / "oci")
    descriptor = made.image(FIRST)
    path = made.path / "blobs" / descriptor["digest"].replace(":", "/")
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(ImageError, match="not a regular file"):
        open_image(str(made.path))


@pytest.mark.skipif(shutil.which("skopeo") is None, reason="needs skopeo to convert images")
@pytest.mark.parametrize("form", ["oci", "oci-archive", "docker-archive", "dir"])
def test_what_skopeo_makes(tmp_path: Path, form: str):
    from pycontainer.image.streams import Budget, Decompressed

    made = image(tmp_path / "oci", FIRST, SECOND, config={"Cmd": ["x"]}, compress="")
    name = "example.com/app:1" if form == "docker-archive" else "app" if form != "dir" else ""
    target = f"{form}:{tmp_path / 'converted'}" + (f":{name}" if name else "")
    command = ["skopeo", "--insecure-policy", "copy", f"oci:{made}:app", target]
    subprocess.run(command, capture_output=True, check=True)
    found = open_image(str(tmp_path / "converted"))
    assert found.settings["Cmd"] == ["x"]
    for each, expected in zip(found.layers, (FIRST, SECOND), strict=True):
        with each.open() as file:
            blob = Decompressed(file, each.digest, each.diff_id, Budget())
            assert blob.read() == expected
            blob.finish()
