"""--regex of `kill` and `delete`: one command for all containers whose id matches."""

from __future__ import annotations

from pycontainer.cli.options import Arguments

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from pycontainer.base.settings import Settings

# POSIX's classes, regex(7), as far as ids go.
_CLASSES = {
    "alnum": "a-zA-Z0-9",
    "alpha": "a-zA-Z",
    "digit": "0-9",
    "lower": "a-z",
    "punct": "_+.\\-",
    "upper": "A-Z",
    "xdigit": "0-9a-fA-F",
}


def each(
    settings: Settings, arguments: Arguments, command: Callable[[Settings, Arguments], None]
) -> int:
    """Carry `command` out for each; as with crun a failure is a warning, and the others follow.

    The expression may match anywhere in an id. UsageError for one that is none.
    """
    import re

    from pycontainer.base.errors import ContainerError, UsageError
    from pycontainer.state.store import Store

    text = pattern = arguments.words[0]
    for name, characters in _CLASSES.items():
        pattern = pattern.replace(f"[:{name}:]", characters)
    try:
        if "[[" in pattern:
            raise re.error("a class of characters that no id has")
        expression = re.compile(pattern)
    except re.error as error:
        raise UsageError(f"invalid regular expression {text}: {error}", "wrong-form") from None
    store = Store(settings.root)
    for name in store.ids():
        if not expression.search(name):
            continue
        one = Arguments(arguments.table)
        one.values = arguments.values
        one.words = [name, *arguments.words[1:]]
        try:
            command(settings, one)
        except ContainerError as error:
            if store.has(name):  # and has not been deleted since
                settings.log.warning(f"{name}: {error}")
    return 0
