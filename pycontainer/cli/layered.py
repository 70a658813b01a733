"""`run` of an image, or over a bundle: with a writable layer of the container's own."""

from __future__ import annotations

from pycontainer import spec
from pycontainer.base.errors import UsageError
from pycontainer.base.settings import absolute
from pycontainer.cli.commands.bundle import budget, image_options
from pycontainer.cli.create_options import IMAGE_OPTIONS
from pycontainer.image.bundle import for_container, over_bundle

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pycontainer.base.settings import Settings
    from pycontainer.cli.options import Arguments
    from pycontainer.lifecycle.options import CreateOptions


def prepare(settings: Settings, arguments: Arguments, options: CreateOptions) -> None:
    """Make the layer, and let `options` say what the container is made of."""
    container = (settings.root, arguments.words[0])
    keep, store = arguments["keep-layer"], arguments["layers"]
    if "image" in arguments:
        _refuse(arguments, ("bundle", "config", "overlay"), "--{} is not for --image")
        made = for_container(
            arguments["image"],
            container,
            image_options(arguments, arguments.words[1:]),
            platform=arguments["platform"],
            keep_in=keep,
            store=store,
            budget=budget(arguments),
            warn=settings.log.warning,
        )
        options.bundle, options.config = made.bundle, None
    else:
        _refuse(arguments, [option[0] for option in IMAGE_OPTIONS], "--{} needs --image")
        if not (arguments["overlay"] or keep):
            raise UsageError("--layers needs --image, --overlay or --keep-layer", "exclusive")
        bundle = absolute(options.bundle)
        config, _ = spec.load_config(options.config or f"{bundle}/config.json")
        spec.validate(config, b"")
        root = config["root"]["path"]
        rootfs = absolute(root if root.startswith("/") else f"{bundle}/{root}")
        made = over_bundle(config, rootfs, container, keep_in=keep, store=store)
        options.config = f"{made.bundle}/config.json"
    options.layer = made.layer


def _refuse(arguments: Arguments, names: tuple[str, ...] | list[str], words: str) -> None:
    for name in names:
        if name in arguments:
            raise UsageError(words.format(name), "exclusive")
