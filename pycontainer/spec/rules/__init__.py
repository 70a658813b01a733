"""The rules between properties that the schemas cannot say: a list of functions, run in order.

Enters a configuration that the schemas accept, leaves a list of warnings, or a ConfigError. What
depends on the host (a path that exists, a kernel that knows) is not looked at here.
"""

from __future__ import annotations

from pycontainer.base.jsonfast import dumps
from pycontainer.spec.rules import linux, mounts, namespaces
from pycontainer.spec.rules import process as process_rules
from pycontainer.spec.rules.context import Subject, absolute, quote, refuse, refuse_value, required

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    Rule = Callable[[Subject], None]

_SPEC_MAJOR, _SPEC_MINOR = 1, 3
_HOOKS = (
    "prestart",
    "createRuntime",
    "createContainer",
    "startContainer",
    "poststart",
    "poststop",
)
OTHER_PLATFORMS = ("solaris", "windows", "vm", "zos", "freebsd")
_ASCII_DIGITS = "0123456789"
_ASCII_WORD = _ASCII_DIGITS + "-abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
# The members whose strings end up in system calls. Annotations are only passed on.
_KERNEL_MEMBERS = ("process", "root", "hostname", "domainname", "mounts", "hooks", "linux")
_OPAQUE = ("listenerMetadata",)
_VALUES = "config.md#valid-values"


def check(config: dict[str, Any], raw: bytes | None = None) -> list[str]:
    """Run all rules over a configuration and return the warnings; ConfigError for the first no.

    JSON has NUL only as an escape, so when `raw` has none, no string needs to be looked at.
    """
    subject = Subject(config)
    if raw is None or b"\\u0000" in raw:
        no_nul(subject)
    for rule in RULES:
        rule(subject)
    return subject.warnings


def check_process(process: dict[str, Any]) -> list[str]:
    """The rules for a process alone (process.json of exec)."""
    subject = Subject({"process": process})
    if "\\u0000" in dumps(process):  # written in C, faster than a search here
        no_nul(subject)
    for rule in process_rules.RULES:
        rule(subject)
    return subject.warnings


def check_resources(resources: dict[str, Any]) -> list[str]:
    """The rules for cgroup resources alone (update --resources)."""
    from pycontainer.spec.rules import resources as resource_rules

    subject = Subject({"linux": {"resources": resources}})
    no_nul(subject)
    for rule in resource_rules.RULES:
        rule(subject)
    return subject.warnings


def version(subject: Subject) -> None:
    """ociVersion is SemVer 2.0.0 and of no later major version than ours."""
    text = subject.config["ociVersion"]
    numbers = semantic_version(text)
    if numbers is None:
        refuse_value("ociVersion", "wrong-form", text, "must be a SemVer version like 1.3.0")
    if numbers[0] > _SPEC_MAJOR:
        why = f"is {text}, supported is {_SPEC_MAJOR}.x"
        refuse("ociVersion", "too-new", why, value=text)
    if numbers[0] < _SPEC_MAJOR or numbers[1] > _SPEC_MINOR:
        # runc looks at no version; crun no longer refuses newer minor ones: it broke upgrades.
        subject.warn("ociVersion", f"{text} is read as {_SPEC_MAJOR}.{_SPEC_MINOR}")


def semantic_version(text: str) -> tuple[int, int, int] | None:
    """Major, minor and patch of a SemVer 2.0.0 version; None when it is not one."""
    rest, plus, build = text.partition("+")
    core, dash, pre = rest.partition("-")
    numbers = core.split(".")
    if len(numbers) != 3 or not all(_numeric(part) for part in numbers):
        return None
    if plus and not all(part and not part.strip(_ASCII_WORD) for part in build.split(".")):
        return None
    if dash:
        for part in pre.split("."):
            if not part or part.strip(_ASCII_WORD):
                return None
            if not part.strip(_ASCII_DIGITS) and not _numeric(part):
                return None  # a number with a leading zero
    return int(numbers[0]), int(numbers[1]), int(numbers[2])


def _numeric(text: str) -> bool:
    return bool(text) and not text.strip(_ASCII_DIGITS) and (text[0] != "0" or text == "0")


def root(subject: Subject) -> None:
    """Linux needs a root filesystem."""
    entry = subject.config.get("root")
    if entry is None:
        required("root")
    if not entry["path"]:
        refuse("root.path", "empty", "is empty, must be a directory")


def platforms(subject: Subject) -> None:
    """Sections for other platforms do nothing here."""
    for name in OTHER_PLATFORMS:
        if name in subject.config:
            subject.warn(name, "is not for Linux and not used")


def hooks(subject: Subject) -> None:
    """Hook paths are absolute."""
    sections = subject.config.get("hooks")
    if not sections:
        return
    for kind in _HOOKS:
        for place, hook in enumerate(sections.get(kind, ())):
            field = f"hooks.{kind}[{place}].path"
            absolute(field, hook["path"])


def annotation_keys(subject: Subject) -> None:
    """Keys are not empty; the schema overlooks the values of keys without a visible character."""
    entries = subject.config.get("annotations")
    if not entries:
        return
    if "" in entries:
        refuse("annotations", "empty", "has an empty key")
    for key, value in entries.items():
        if type(value) is not str:
            text = f"value of {quote(key)} is no string"
            refuse("annotations", "wrong-type", text, key=key)


def no_nul(subject: Subject) -> None:
    """No string that goes to the kernel has a NUL byte, which would silently end it there."""
    for name in _KERNEL_MEMBERS:
        if name in subject.config:
            _search_nul(subject.config[name], name)


def _search_nul(value: Any, field: str) -> None:
    pending = [(value, field)]
    while pending:
        value, field = pending.pop()
        members: Iterable[tuple[Any, str]] = ()
        if type(value) is str:
            if "\0" in value:
                refuse_value(field, "nul", value, "must not have NUL", clause=_VALUES)
        elif type(value) is list:
            members = [(item, f"{field}[{place}]") for place, item in enumerate(value)]
        elif type(value) is dict:
            if any("\0" in key for key in value):
                refuse(field, "nul", "has a key with NUL", clause=_VALUES)
            members = [(v, f"{field}.{key}") for key, v in value.items() if key not in _OPAQUE]
        pending += reversed(list(members))


RULES: tuple[Rule, ...] = (
    version,
    root,
    platforms,
    *namespaces.RULES,
    *process_rules.RULES,
    *mounts.RULES,
    hooks,
    annotation_keys,
    *linux.RULES,
)
