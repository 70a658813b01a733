"""Containers of images from Python: `pycontainer.run(image, ["program"])`."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping, Sequence
from typing import Any, TypedDict, Unpack

from pycontainer.api.container import CaptureArguments
from pycontainer.api.process import Completed
from pycontainer.api.runtime import Runtime
from pycontainer.api.streams import StreamArguments
from pycontainer.image import bundle, convert
from pycontainer.image.streams import Budget


class ImageArguments(TypedDict, total=False):
    """How a container differs from its image, as the options of `pycontainer run --image`.

    `env` is added to the environment, `volumes` are SOURCE:TARGET[:ro]; `memory` is like "64M",
    `cpus` like "1.5"; `net` is "none" or "host"; `keep_layer` a directory for the writable layer;
    `layers` the one where shared layers are kept; `container_id` a name, made up without.
    """

    env: Mapping[str, str]
    volumes: Sequence[str]
    net: str
    memory: str
    cpus: str
    pids: int
    user: str
    workdir: str
    hostname: str
    entrypoint: str
    read_only: bool
    no_new_privs: bool
    cap_add: Sequence[str]
    cap_drop: Sequence[str]
    platform: str
    keep_layer: str
    layers: str
    container_id: str


class RunImageArguments(ImageArguments, StreamArguments, CaptureArguments, total=False):
    """The same, and where its streams go."""


def run_image(
    image: str | os.PathLike[str],
    args: Sequence[str] = (),
    runtime: Runtime | None = None,
    **options: Unpack[RunImageArguments],
) -> Completed:
    """A container of an image, until it ends; see RunImageArguments.

    `args` replaces the image's command. The writable layer goes with the container.
    """
    runtime = runtime or Runtime()
    given: dict[str, Any] = dict(options)
    name = given.pop("container_id", "") or f"run-{secrets.token_hex(6)}"
    where = {"platform": given.pop("platform", ""), "keep_in": given.pop("keep_layer", "")}
    store = given.pop("layers", "")
    wanted = image_options(args, given)
    made = bundle.for_container(
        os.fspath(image),
        (runtime.root, name),
        wanted,
        **where,
        store=store,
        budget=Budget(),
        warn=runtime.settings.log.warning,
    )
    given["layer"] = made.layer
    return runtime._run(name, made.bundle, given)


def image_options(args: Sequence[str], given: dict[str, Any]) -> convert.Options:
    """Take what is about the image out of the options."""
    known = {name: given.pop(name) for name in _WANTED if name in given}
    if "env" in known:
        known["env"] = [f"{name}={value}" for name, value in known["env"].items()]
    for name in ("volumes", "cap_add", "cap_drop"):
        if name in known:
            known[name] = list(known[name])
    return convert.Options(args=list(args), **known)


_WANTED = frozenset(convert.Options.__dataclass_fields__) - {"args", "tty"}
