"""`bundle`: a bundle from an image."""

from __future__ import annotations

from pycontainer.cli.create_options import IMAGE_OPTIONS, LAYERS
from pycontainer.cli.options import FLAG, NO_LIMIT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pycontainer.base.settings import Settings
    from pycontainer.cli.options import Arguments
    from pycontainer.image.convert import Options
    from pycontainer.image.streams import Budget

SUMMARY = "make a bundle from an image"
USAGE = "bundle [options] IMAGE DIR [COMMAND...]"
WORDS = (2, NO_LIMIT)
STOP = 3
STATE = False
OPTIONS = (
    *IMAGE_OPTIONS,
    ("overlay", "", FLAG, "", "do not copy: an overlay of shared layers, and DIR/upper"),
    LAYERS,
)
HELP = """\
IMAGE is an OCI layout (a directory or a tar archive), an archive of docker save or podman save, a
root directory, or a tar archive of one; PATH:REFERENCE chooses one of several. DIR gets config.json
and rootfs, with the image's settings, a seccomp profile and few capabilities. Nothing is fetched:

   skopeo copy docker://docker.io/library/alpine oci:alpine
   pycontainer bundle alpine mybundle
   pycontainer run -b mybundle mybox
"""


def run(settings: Settings, arguments: Arguments) -> int:
    from pycontainer.image.bundle import make_bundle

    image, directory, *command = arguments.words
    make_bundle(
        image,
        directory,
        image_options(arguments, command),
        platform=arguments["platform"],
        shared=arguments["overlay"],
        store=arguments["layers"],
        budget=budget(arguments),
        warn=settings.log.warning,
    )
    return 0


def image_options(arguments: Arguments, command: list[str]) -> Options:
    """The options of the command line as a value."""
    from pycontainer.image.convert import Options

    return Options(
        args=command,
        entrypoint=arguments["entrypoint"] if "entrypoint" in arguments else None,
        env=arguments["env"],
        volumes=arguments["volume"],
        net=arguments["net"] or "none",
        memory=arguments["memory"],
        cpus=arguments["cpus"],
        pids=arguments["pids"] if "pids" in arguments else None,
        user=arguments["user"],
        workdir=arguments["workdir"],
        hostname=arguments["hostname"],
        read_only=arguments["read-only"],
        tty=arguments["tty"],
        no_new_privs=arguments["no-new-privs"],
        cap_add=arguments["cap-add"],
        cap_drop=arguments["cap-drop"],
    )


def budget(arguments: Arguments) -> Budget:
    """What the image may unpack to."""
    from pycontainer.image.bundle import progress
    from pycontainer.image.streams import Budget
    from pycontainer.monitor.units import size

    return Budget(size(arguments["max-size"] or "32G"), progress=progress())
