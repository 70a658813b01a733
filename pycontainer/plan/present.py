"""A plan for people: on a terminal, in short, for one field, and beside another plan."""

from __future__ import annotations

import difflib
import re
import textwrap

from pycontainer.base.errors import UsageError
from pycontainer.base.nearest import nearest
from pycontainer.plan.describe import line
from pycontainer.plan.ops import CONTAINER, TABLE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pycontainer.plan.builder import Plan
    from pycontainer.plan.ops import Op

_DIM, _BOLD, _RED, _GREEN, _CYAN, _YELLOW = "2", "1", "31", "32", "36", "33"
_STEP = re.compile(r"""\.?([A-Za-z_][A-Za-z0-9_]*)|\[(\d+)\]|\[(["'])(.*?)\3\]""")
_SHORT = 60  # characters of a value that stands beside its field


def text(plan: Plan, colour: bool = False, width: int = 0, only: list[int] | None = None) -> str:
    """A line for each operation, or for those of these numbers: who, what, and from which field.

    A value that the operation does not have as it stands in config.json is shown beside the
    field: it has been converted.
    """
    lines = []
    for number in only if only is not None else range(1, len(plan.ops) + 1):
        op = plan.ops[number - 1]
        side = "container" if TABLE[op.kind][0] == CONTAINER else "runtime"
        paint = _CYAN if side == "container" else _YELLOW
        head = f"{_painted(f'{number:4}', _DIM, colour)} {_painted(f'{side:9}', paint, colour)} "
        lines += _laid_out(head, line(op), _comment(plan.config, op), colour, width)
    return "\n".join(lines) + "\n" if lines else ""


def _laid_out(head: str, words: str, comment: str, colour: bool, width: int) -> list[str]:
    indent = " " * 15
    if not width or len(indent) + len(words) + len(comment) <= width:
        return [head + words + _painted(comment, _DIM, colour)]
    parts = textwrap.wrap(
        words, max(width - 15, 30), break_long_words=False, break_on_hyphens=False
    ) or [""]
    first, *rest = parts
    lines = [head + first, *(indent + part for part in rest)]
    if len(lines[-1]) + len(comment) <= width and rest:
        lines[-1] += _painted(comment, _DIM, colour)
    elif comment:
        lines.append(indent + _painted(comment.strip(), _DIM, colour))
    return lines


def _comment(config: dict[str, Any], op: Op) -> str:
    if not op.field:
        return ""
    value = _converted(config, op)
    return f"   # {op.field}{value and f' = {value}'}"


def _converted(config: dict[str, Any], op: Op) -> str:
    """The value of a cgroup's setting, where it is not what is written."""
    if op.kind not in ("cgroup_write", "oom_score_adj", "io_priority", "personality"):
        return ""
    try:
        value = find(config, op.field)
    except KeyError:
        return ""
    if isinstance(value, bool) or not isinstance(value, int | str):
        return ""
    shown = str(value)
    return "" if re.search(rf"(?<!\w){re.escape(shown)}(?!\w)", line(op)) else shown[:_SHORT]


def find(config: Any, field: str) -> Any:
    """The value at a JSON path (process.rlimits[0].type); KeyError when there is none."""
    at, value = 0, config
    while at < len(field):
        step = _STEP.match(field, at)
        if not step:
            raise KeyError(field)
        at = step.end()
        name, index, _, quoted = step.groups()
        try:
            value = value[int(index)] if index else value[quoted if name is None else name]
        except (IndexError, TypeError):
            raise KeyError(field) from None
    return value


def why(plan: Plan, field: str) -> list[int]:
    """The numbers of the operations that follow from a field, from what is in it or what it is in.

    UsageError when config.json does not have it.
    """
    field = field.removeprefix(".")
    below = [n for n, op in enumerate(plan.ops, 1) if _is_in(op.field, field)]
    if below:
        return below
    try:
        find(plan.config, field)
    except KeyError:
        known = {op.field for op in plan.ops if op.field}
        text = f"--why {field}: config.json has no such field"
        raise UsageError(text, "no-such-field", nearest=nearest(field, known)) from None
    return [n for n, op in enumerate(plan.ops, 1) if op.field and _is_in(field, op.field)]


def _is_in(field: str, outer: str) -> bool:
    return field == outer or field.startswith((outer + ".", outer + "["))


# -- in short ----------------------------------------------------------------------------------

# What operations amount to: title, kinds, and what is counted.
_TOPICS: tuple[tuple[str, tuple[str, ...], str], ...] = (
    ("cgroup limits", ("cgroup_write", "cgroup_devices"), ""),
    ("systemd", ("unit_start",), ""),
    ("namespaces", ("clone", "unshare", "respawn"), ""),
    ("joined", ("setns",), ""),
    ("ids", ("id_map",), ""),
    ("root", ("rootfs",), ""),
    ("mounts", ("mount", "bind", "bind_link", "bind_host"), "mount"),
    ("devices", ("mknod", "own_node"), "node"),
    ("hidden", ("mask",), "path"),
    ("read-only", ("readonly",), "path"),
    ("sysctls", ("sysctl",), ""),
    ("hooks", ("run_hooks", "hook"), ""),
    ("limits", ("rlimit",), ""),
    ("user", ("user",), ""),
    ("capabilities", ("bounding",), ""),
    ("privileges", ("no_new_privs", "self_write"), ""),
    ("seccomp", ("seccomp",), ""),
    ("program", ("exec",), ""),
)
_FEW = 12  # things that are told one by one


def summary(plan: Plan, colour: bool = False, width: int = 0) -> str:
    """What the container will be like, a line or a few for each topic."""
    indent = " " * 15
    lines = []
    for title, kinds, counted in _TOPICS:
        words = [_brief(op) for op in plan.ops if op.kind in kinds]
        words = [word for word in dict.fromkeys(words) if word]
        if not words:
            continue
        told = ", ".join(words[:_FEW]) + (", ..." if len(words) > _FEW else "")
        if counted:
            told = f"{len(words)} {counted}{'s' * (len(words) != 1)}: {told}"
        parts = textwrap.wrap(
            told, max(width or 100, 40) - 15, break_long_words=False, break_on_hyphens=False
        )
        lines.append(_painted(f"{title:14}", _BOLD, colour) + " " + parts[0])
        lines += [indent + part for part in parts[1:]]
    container = sum(op.side == CONTAINER for op in plan.ops)
    runtime = len(plan.ops) - container
    lines.append(
        f"{len(plan.ops)} operations: {container} of the container, {runtime} of the runtime"
    )
    return "\n".join(lines) + "\n"


def _brief(op: Op) -> str:
    """The operation in as few words as its topic leaves open."""
    for kinds, name in _NAMED:
        if op.kind in kinds:
            value: bytes = op[name]
            return value.decode("utf-8", "replace")
    if op.kind == "cgroup_write":
        return f"{op['file'].decode()} {op['value'].decode()}"
    if op.kind == "cgroup_devices":
        return f"{op['rules'].count(b';') + 1} device rules"
    words = line(op)
    for lead in _LEADS:
        words = words.removeprefix(lead)
    return "" if words == "none)" else words.removesuffix(", into its cgroup")


_NAMED = (
    (("mount", "bind", "bind_link", "bind_host"), "target"),
    (("mknod", "own_node", "mask", "readonly", "rootfs"), "path"),
)
_LEADS = (
    "clone init with new namespaces: ",
    "make new namespaces: ",
    "go on in a child (new namespaces: ",
    "join ",
    "set ",
    "become ",
    "bounding capabilities ",
    "load seccomp ",
    "exec ",
    "run ",
)


# -- beside another one ------------------------------------------------------------------------


def difference(old: Plan, new: Plan, colour: bool = False) -> str:
    """The operations that only one of two plans has, or that have other arguments; "" for none."""
    before, after = ([_for_diff(plan.config, op) for op in plan.ops] for plan in (old, new))
    lines = []
    matcher = difflib.SequenceMatcher(None, before, after, autojunk=False)
    for tag, first, last, begin, end in matcher.get_opcodes():
        if tag == "equal":
            continue
        lines += [_painted(f"- {words}", _RED, colour) for words in before[first:last]]
        lines += [_painted(f"+ {words}", _GREEN, colour) for words in after[begin:end]]
    return "\n".join(lines) + "\n" if lines else ""


def _for_diff(config: dict[str, Any], op: Op) -> str:
    # A number in the field is a place, which moves when something is put before it.
    return line(op) + re.sub(r"\[\d+\]", "[]", _comment(config, op))


def _painted(words: str, code: str, colour: bool) -> str:
    return f"\x1b[{code}m{words}\x1b[m" if colour and words else words
