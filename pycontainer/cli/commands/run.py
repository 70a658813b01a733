"""`run`: create, start, wait, delete; the exit status is the container's."""

from __future__ import annotations

from pycontainer.cli.create_options import IMAGE_OPTIONS, LAYERS, create_options, seccomp_watch
from pycontainer.cli.create_options import OPTIONS as _CREATE_OPTIONS
from pycontainer.cli.options import ENDED, FLAG, NO_LIMIT, SECCOMP, TEXT, check_words

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pycontainer.base.settings import Settings
    from pycontainer.cli.options import Arguments
    from pycontainer.lifecycle.options import CreateOptions

SUMMARY = "create and run a container"
USAGE = "run [options] CONTAINER [COMMAND...]"
WORDS = (1, NO_LIMIT)
FAILURE = ("pycontainer run failed: ", 1)
SHOWN_BY = "bundle"
OPTIONS = (
    *_CREATE_OPTIONS,
    ("detach", "d", FLAG, "", "run in the background: do not wait"),
    ("keep", "", FLAG, "", "do not delete the container when it ends"),
    ("no-subreaper", "", FLAG, "", "do not adopt the container's orphaned processes"),
    *SECCOMP,
    ("image", "", TEXT, "IMAGE", "a container of this image (see bundle), with a layer of its own"),
    ("overlay", "", FLAG, "", "write to a layer of its own, not to the bundle's root"),
    ("keep-layer", "", TEXT, "DIR", "keep that layer in DIR, and go on with what is there"),
    LAYERS,
    ENDED,
    *((*option[:4], "") for option in IMAGE_OPTIONS),
)
HELP = """\
In the foreground the container is deleted when its program ends. With --image, the options of
"bundle" for images (-e, -v, -m ...) may be given as well.

   pycontainer run -b mybundle mybox             in the foreground
   pycontainer run -d -b mybundle mybox          in the background
   pycontainer run --image app.tar mybox ls -l   from an image
   pycontainer run --overlay -b mybundle mybox   on top of the bundle
   pycontainer run --seccomp-report - -b mybundle mybox
"""


def STOP(arguments: Arguments) -> int:
    """What follows the container is an image's command, with its own options."""
    return 1 if "image" in arguments else 2


def run(settings: Settings, arguments: Arguments) -> int:
    from pycontainer.cli import named
    from pycontainer.lifecycle.container import Container

    if arguments["ended"]:
        from pycontainer.lifecycle.ended import finish_run

        return finish_run(settings, named(arguments), arguments["ended"])
    if "image" not in arguments:
        check_words("run", arguments.words, (1, 1), "(a COMMAND needs --image)")
    options = create_options(arguments)
    options.detach = arguments["detach"]
    options.keep = arguments["keep"]
    options.no_subreaper = arguments["no-subreaper"]
    if arguments.values.keys() & _LAYERED:
        _prepare(settings, arguments, options)
    if not (arguments["seccomp-report"] or arguments["seccomp-patch"]):
        return Container.run(settings, named(arguments), options)
    with seccomp_watch(arguments) as options.watch:
        return Container.run(settings, named(arguments), options)


_LAYERED = {option[0] for option in OPTIONS[OPTIONS.index(LAYERS) - 3 :]}


def _prepare(settings: Settings, arguments: Arguments, options: CreateOptions) -> None:
    """A bundle for this container alone, of an image or over a bundle."""
    from pycontainer.cli.layered import prepare

    prepare(settings, arguments, options)
