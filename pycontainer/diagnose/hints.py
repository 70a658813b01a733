"""What to do about an error: one sentence, made of its facts.

What raises an error gives it a code and facts, and no advice. The advice is in the tables of
remedies.py, or a function of this package makes it.
"""

from __future__ import annotations

import os
import sys
from errno import EACCES, ENOENT, ENOTDIR

from pycontainer.diagnose.remedies import FUNCTIONS, OPERATIONS, REMEDIES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pycontainer.base.errors import ContainerError
    from pycontainer.plan.ops import Op


def hint_of(error: ContainerError) -> str:
    """The sentence, or "": by field and code, by code, by operation and errno, by the path."""
    if "others" in error.params:
        return f"{error.params['others']} more like this"
    place, _ = field_and_keys(error.field)
    text = REMEDIES.get(f"{place} {error.code}") or REMEDIES.get(error.code)
    if text:
        try:
            return text.format_map({"field": error.field, **error.params})
        except KeyError:
            return ""
    if name := FUNCTIONS.get(error.code):
        module, _, function = f"{__package__}.{name}".rpartition(".")
        __import__(module)
        return str(getattr(sys.modules[module], function)(error))
    text = OPERATIONS.get((error.operation, error.errno)) or OPERATIONS.get(("", error.errno))
    return text or _path(error)


def field_and_keys(field: str) -> tuple[str, dict[str, str]]:
    """The field with [] for each index and key; the last of both."""
    place, bracket, rest = field.partition("[")
    facts = {"key": "", "index": ""}
    while bracket:
        quoted = rest[:1] in ("'", '"')
        if quoted:  # a key may hold anything
            facts["key"], _, rest = rest[1:].rpartition(rest[0] + "]")
        else:
            facts["index"], _, rest = rest.partition("]")
        head, bracket, rest = rest.partition("[")
        place += "[]" + head
    return place, facts


def _path(error: ContainerError) -> str:
    """The part of a path of the host that is missing, is a file, or may not be searched."""
    if error.category == "operation" or error.path[:1] != "/":
        return ""
    from pycontainer.diagnose import paths

    if error.errno in (ENOENT, ENOTDIR):
        return str(paths.obstacle(error.path))
    if error.errno == EACCES:
        closed = paths.unsearchable(error.path, (os.geteuid(), os.getegid()))
        return str(closed or "")
    return ""


def hint(op: Op, errno: int, detail: str) -> str:
    """The same of an operation of a plan, of whose failure `detail` has told more."""
    if op.kind in ("find_program", "hook") or (detail and errno != ENOENT):
        return ""
    return OPERATIONS.get((op.kind, errno)) or OPERATIONS.get(("", errno), "")


def cgroup_busy(error: ContainerError) -> str:
    """Who keeps a cgroup that is to be removed."""
    return "; ".join(error.params["processes"])


def cgroup_not_empty(error: ContainerError) -> str:
    """Who is in a cgroup that should be a new container's."""
    return f"in {error.path}: {' '.join(map(str, error.params['pids']))}"


def init_died(error: ContainerError) -> str:
    """Killed, most likely for its memory."""
    if "oom" in error.params:
        return "fix: raise linux.resources.memory.limit"
    if error.params.get("cgroup") == "removed":
        return "systemd has removed its cgroup; linux.resources.memory.limit may be too low"
    return ""


def field(error: ContainerError) -> str:
    """A field that config.json does not have."""
    near = error.params["nearest"]
    return f"did you mean {near[0]}?" if near else "a field is written like mounts[0].options"


def choices(error: ContainerError) -> str:
    """What the value may be: `choices`, of which there may be a `kind`."""
    if not (names := error.params.get("choices")):
        return ""
    kind = error.params.get("kind")
    first, last = ", ".join(names[:-1]), names[-1]
    return f"the {kind} are {first} and {last}" if kind else f"must be {first} or {last}"


def signal(error: ContainerError) -> str:
    """A misspelt signal."""
    from pycontainer.base.nearest import did_you_mean
    from pycontainer.tables.signals import NUMBERS

    name = error.params["value"].upper().removeprefix("SIG")
    near = did_you_mean(name, (known.removeprefix("SIG") for known in NUMBERS))
    return near or "fix: give a name like TERM, or a number"


def user_or_group(error: ContainerError) -> str:
    """A name, where a number is wanted."""
    name, value = error.params["name"], error.params["value"]
    if not value.isidentifier():
        return ""
    return f"fix: `exec CONTAINER id {'-u' if name == 'uid' else '-g'} {value}` prints it"


def console_socket(error: ContainerError) -> str:
    """One for a process that has no terminal, or is not detached."""
    more = "" if error.params["terminal"] else ", or set process.terminal"
    return f"fix: leave --console-socket out{more}"


def namespace(error: ContainerError) -> str:
    """A file of another type (`found`) than the namespace's (`file`)."""
    found = error.params["found"]
    what = f"it is a {found} namespace" if found else "it is not a namespace at all"
    return f"{what}; fix: give a path like /proc/PID/ns/{error.params['file']}"


def state(error: ContainerError) -> str:
    """What is possible in this state."""
    if not (status := error.params.get("status")):
        return ""
    remedies = {
        "running": "; `exec` runs one more program in it",
        "stopped": "; fix: delete it, and create it again",
    }
    return f"{error.params['id']} is {status}{remedies.get(status, '')}"
