"""`spec`: a config.json to start from, or with --host a bundle that runs as it is."""

from __future__ import annotations

from pycontainer.cli.options import FLAG, TEXT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pycontainer.base.settings import Settings
    from pycontainer.cli.options import Arguments

SUMMARY = "write a config.json to start from, or a whole bundle"
USAGE = "spec [options]"
WORDS = (0, 0)
STATE = False
OPTIONS = (
    ("bundle", "b", TEXT, "DIR", "write to DIR (default: the current directory)"),
    ("file", "f", TEXT, "PATH", "write to PATH, which may exist, instead of DIR/config.json"),
    ("host", "", FLAG, "", "make a bundle of this machine's own programs; no image is needed"),
    ("rootless", "", FLAG, "", "for a container that an unprivileged user runs"),
)
HELP = """\
Without --host the config expects a root filesystem in DIR/rootfs and runs "sh" in it: edit it.
With --host, DIR is made, and its root filesystem is this machine's /usr and the harmless part of
/etc, read-only, with an empty /home, /run and /tmp.

   pycontainer spec --host -b demo && pycontainer run -b demo mybox
"""

CONFIG = "config.json"


def run(settings: Settings, arguments: Arguments) -> int:
    import os

    from pycontainer.base import jsonfast
    from pycontainer.base.errors import HostError

    directory = arguments["bundle"] or "."
    path = os.path.join(directory, arguments["file"] or CONFIG)
    try:
        if arguments["host"]:
            os.makedirs(directory, exist_ok=True)
        os.stat(directory)
    except OSError as error:
        raise HostError.of("chdir", directory, error) from None
    if not arguments["file"] and os.path.lexists(path):
        raise HostError(f"File {CONFIG} exists. Remove it first", "file-exists")
    if arguments["host"]:
        config = _host_bundle(directory, arguments["rootless"] or os.geteuid() != 0)
    else:
        config = _example(arguments["rootless"])
    try:
        with open(path, "w" if arguments["file"] else "x", encoding="utf-8") as file:
            file.write(jsonfast.dumps(config, "\t"))
    except OSError as error:
        raise HostError.of("write", path, error) from None
    if arguments["host"] and os.isatty(1):
        from pycontainer.cli.output import emit

        emit(f"Wrote {path}. Next: pycontainer run -b {directory} demo\n")
    return 0


def _example(rootless: bool) -> dict[str, Any]:
    from pycontainer.spec import default_config

    config = default_config.example()
    return default_config.rootless(config) if rootless else config


def _host_bundle(directory: str, rootless: bool) -> dict[str, Any]:
    import os

    from pycontainer.spec import host_bundle

    try:
        terminal = os.isatty(0)
    except OSError:
        terminal = False
    bundle = host_bundle.plan(terminal=terminal, rootless=rootless)
    host_bundle.write(bundle, directory)
    return bundle.config
