"""`plan`: what create would do, operation by operation; nothing is touched."""

from __future__ import annotations

from pycontainer.cli.options import FLAG, TEXT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pycontainer.base.settings import Settings
    from pycontainer.cli.options import Arguments
    from pycontainer.plan.builder import Plan

SUMMARY = "show every step that a bundle means, and run none"
USAGE = "plan [options] [BUNDLE]"
WORDS = (0, 1)
STATE = False
OPTIONS = (
    ("config", "f", TEXT, "FILE", "read FILE instead of the bundle's config.json"),
    ("summary", "", FLAG, "", "show what the container will be like, in a few lines"),
    ("why", "", TEXT, "FIELD", "only what follows from this field of config.json"),
    ("diff", "", TEXT, "OTHER", "only what differs from the plan of OTHER (-)"),
    ("json", "", FLAG, "", "print JSON: one object for each operation"),
    ("no-pivot", "", FLAG, "", "the plan of create --no-pivot"),
    ("no-new-keyring", "", FLAG, "", "the plan of create --no-new-keyring"),
)
HELP = """\
Each line is one operation of the kernel, in order, with the field of config.json it comes from,
and the value of that field where it has been converted. An error of "create" or "run" names the
operation by the same number. OTHER is a bundle, a config.json, or the id of a container.

   pycontainer plan mybundle
   pycontainer plan --why linux.resources mybundle
   pycontainer plan --diff mybox mybundle
"""


def run(settings: Settings, arguments: Arguments) -> int:
    from pycontainer.base.errors import UsageError
    from pycontainer.cli.output import emit, looks
    from pycontainer.lifecycle import container
    from pycontainer.plan import present

    chosen = [name for name in ("summary", "diff", "json") if arguments[name]]
    if len(chosen) > 1 or (arguments["why"] and chosen not in ([], ["json"])):
        names = [f"--{name}" for name in (*chosen, *(("why",) if arguments["why"] else ()))]
        raise UsageError(f"{' and '.join(names)} cannot be used together", "exclusive")
    options = container.CreateOptions(
        bundle=arguments.words[0] if arguments.words else ".",
        config=arguments["config"] or None,
        no_pivot=arguments["no-pivot"],
        no_new_keyring=arguments["no-new-keyring"],
    )
    plan = container.plan_of(settings, options)
    colour, width = looks()
    only = present.why(plan, arguments["why"]) if arguments["why"] else None
    if arguments["diff"]:
        emit(present.difference(_other(settings, arguments), plan, colour))
    elif arguments["summary"]:
        emit(present.summary(plan, colour, width))
    elif arguments["json"]:
        from pycontainer.base import jsonfast
        from pycontainer.plan import describe

        entries = describe.as_json(plan)
        emit(jsonfast.dumps([e for e in entries if only is None or e["step"] in only], 2) + "\n")
    else:
        emit(present.text(plan, colour, width, only))
    return 0


def _other(settings: Settings, arguments: Arguments) -> Plan:
    """The plan of a bundle, of a config beside the same bundle, or of a container."""
    import os

    from pycontainer.base.errors import StateError, UsageError
    from pycontainer.lifecycle import container

    other = arguments["diff"]
    options = container.CreateOptions(
        bundle=other, no_pivot=arguments["no-pivot"], no_new_keyring=arguments["no-new-keyring"]
    )
    if os.path.isfile(other):
        options.bundle = arguments.words[0] if arguments.words else "."
        options.config = other
    elif not os.path.isdir(other):
        try:
            found = container.Container.load(settings, other)
        except StateError:
            reason = "is neither a bundle, nor a file, nor a container"
            raise UsageError(f"--diff {other}: {reason} in {settings.root}", "not-found") from None
        options.bundle = found.facts.bundle
        options.document = found.config(), found.entry.read_config()
    return container.plan_of(settings, options)
