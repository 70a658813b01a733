"""Images as the field builds and converts them: the same tree and process as Podman's container."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from conformance.clients.docker import Docker
from tests.image.podman import Podman, in_a_place_of_its_own
from tests.image.test_beside_podman import PROCESS
from tests.support.box import Box
from tests.support.images import busybox, entry, image, layer
from tests.support.trees import differences, listing

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root, see tests/rootless/test_images.py"),
    pytest.mark.skipif(shutil.which("podman") is None, reason="needs podman to compare with"),
]

# RUN makes what diffs of an overlay have: whiteouts, opaque directories, files moved and linked.
DOCKERFILE = """
FROM {base}
RUN mkdir -p /srv/old/deep /srv/gone && echo 1 > /srv/old/deep/file && echo 2 > /srv/gone/file \
 && echo 3 > /srv/linked && ln /srv/linked /srv/again && ln -s again /srv/soft && mkfifo /srv/pipe
RUN rm -r /srv/gone && rm -r /srv/old && mkdir /srv/old && echo 4 > /srv/old/new \
 && chmod 4711 /srv/again && chown 1000:50 /srv/old && mv /home/alice /home/moved
COPY --chown=1000:50 tree /app/
ADD more.tar /added/
ENV A="x y" B=2
LABEL a.b=c
EXPOSE 80
STOPSIGNAL SIGINT
VOLUME /volume /srv/old
WORKDIR /app/work
USER alice:staff
HEALTHCHECK CMD false
ONBUILD RUN false
ENTRYPOINT ["sh", "-c", "echo $A $B $HOME $0 $1; id -u; id -G; pwd; stat -c '%a %u %g' . /volume"]
CMD ["one", "two words"]
"""


@pytest.fixture(scope="module")
def podman() -> Iterator[Podman]:
    yield from in_a_place_of_its_own()


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the builders build from, and the layout of its base image."""
    directory = tmp_path_factory.mktemp("builders")
    (directory / "tree/inner").mkdir(parents=True)
    (directory / "tree/inner/program").write_text("#!/bin/sh\n")
    (directory / "tree/inner/program").chmod(0o755)
    os.setxattr(directory / "tree/inner/program", "user.note", b"x")
    (directory / "more.tar").write_bytes(layer(entry("a", "x", uid=7, mtime=9), entry("b/", uid=8)))
    image(directory / "base", busybox(), layer(entry("./", mode=0o755)))
    return directory


def call(*words: object) -> str:
    argv = [str(word) for word in words]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, f"{words}: {done.stderr[-1000:]}"
    return done.stdout.strip()


def same(box: Box, podman: Podman, source: Path | str, transport: str) -> None:
    """The tree and the process of our container and of Podman's."""
    name = podman("pull", "-q", f"{transport}:{source}").strip().splitlines()[-1]
    made = box.directory / "made"
    box.pycontainer("bundle", source, made).ok()
    # What the bundle adds for the container: its volumes, its working directory.
    theirs = listing(podman.tree(name))
    ours = {path: row for path, row in listing(made / "rootfs").items()
            if path in theirs or not path.startswith((b"volume", b"app/work"))}  # fmt: skip
    podman.release(name)
    assert len(ours) > 50 and not differences(ours, theirs)
    options = ("--layers", box.directory / "store", "--image", source)
    for words in ((), ("--entrypoint", "sh")):
        script = ("-c", PROCESS, "sh", "a") if words else ()
        done = box.pycontainer("run", *options, *words, box.id(), *script).ok()
        # Podman wants its options first.
        assert done.out == podman.run(*words, name, *script)
    podman("rmi", "-f", name)


@pytest.mark.skipif(shutil.which("buildah") is None, reason="needs buildah")
@pytest.mark.parametrize("form", ["oci", "docker"])
def test_buildah(box: Box, podman: Podman, context: Path, form: str):
    base = podman.load(context / "base")
    file = context / f"Dockerfile.{form}"
    file.write_text(DOCKERFILE.format(base=base))
    buildah = ["buildah", *podman.base[1:5], "--storage-driver", "vfs"]
    options = ["--isolation", "chroot", "--pull-never", "--format", form]
    name = call(*buildah, "bud", "-q", *options, "-f", file, context)
    source = box.directory / "built"
    transport = "oci" if form == "oci" else "docker-archive"
    call(*buildah, "push", "-q", name, f"{transport}:{source}")
    same(box, podman, source, transport)


@pytest.fixture(scope="module")
def docker() -> Iterator[Docker]:
    if missing := [program for program in Docker.needs if shutil.which(program) is None]:
        pytest.skip(f"needs {' and '.join(missing)}")
    engine = Docker("runc")
    yield engine
    engine.close()


def test_docker(box: Box, podman: Podman, context: Path, docker: Docker):
    """dockerd's own builder, and docker save."""
    base = box.directory / "base.tar"
    target = f"docker-archive:{base}:base:1"
    call("skopeo", "--insecure-policy", "copy", f"oci:{context}/base", target)
    docker("load", "-q", "-i", str(base)).ok()
    (context / "Dockerfile").write_text(DOCKERFILE.format(base="base:1"))
    docker("build", "-q", "--network", "none", "-t", "built:1", str(context)).ok()
    saved = box.directory / "saved.tar"
    docker("save", "-o", str(saved), "built:1").ok()
    same(box, podman, saved, "docker-archive")


@pytest.mark.skipif(shutil.which("umoci") is None, reason="needs umoci")
def test_umoci(box: Box, podman: Podman, context: Path):
    """An unpacked image, changed and packed again: umoci's own diffs."""
    layout, bundle = box.directory / "layout", box.directory / "bundle"
    shutil.copytree(context / "base", layout)
    call("umoci", "unpack", "--image", f"{layout}:app", bundle)
    root = bundle / "rootfs"
    shutil.rmtree(root / "home")
    (root / "home").mkdir()
    (root / "new").write_text("x")
    os.link(root / "new", root / "newer")
    os.chown(root / "new", 5, 6)
    (root / "etc/group").unlink()
    call("umoci", "repack", "--image", f"{layout}:new", bundle)
    call("umoci", "config", "--image", f"{layout}:new", "--config.user", "1000",
         "--config.env", "A=1", "--config.entrypoint", "id", "--config.cmd", "-G")  # fmt: skip
    same(box, podman, f"{layout}:new", "oci")


@pytest.mark.skipif(shutil.which("skopeo") is None, reason="needs skopeo")
@pytest.mark.parametrize("form", ["oci", "oci-archive", "docker-archive", "dir", "zstd"])
def test_skopeo(box: Box, podman: Podman, form: str):
    from tests.image.nasty import one_layer

    config = {"Cmd": ["id"], "WorkingDir": "/tmp"}
    made = image(box.directory / "made here", busybox(), *one_layer(), config=config)
    options = ["--dest-compress-format", "zstd", "--dest-compress"] if form == "zstd" else []
    transport = "dir" if form == "zstd" else form
    target = box.directory / "converted"
    reference = ":app:1" if form == "docker-archive" else ""
    call("skopeo", "--insecure-policy", "copy", *options, f"oci:{made}:app",
         f"{transport}:{target}{reference}")  # fmt: skip
    same(box, podman, target, transport)
