"""An id of a container that is not there, is taken, or cannot be one."""

from __future__ import annotations

import os

from pycontainer.base.errors import AlreadyExists, InvalidId, NotFound, NotRunning, StateError
from pycontainer.base.nearest import did_you_mean

# Where runtimes keep their containers, ours and those whose callers may mix them up with ours.
_ROOTS = (
    "/run/pycontainer",
    "/run/user/*/pycontainer",
    "/run/containerd/runc/*",
    "/run/docker/runtime-*/*",
    "/var/run/docker/runtime-*/*",
    "/run/runc",
    "/run/crun",
)


def advice(error: StateError, root: str, container_id: str) -> str:
    """What to do about an error that the id of a command explains; "" for all others."""
    if isinstance(error, NotFound):
        return missing(root, container_id)
    if isinstance(error, AlreadyExists):
        return f"fix: choose another id than {container_id}, or delete that container"
    if isinstance(error, NotRunning):
        return f"`state {container_id}` says what it does"
    if isinstance(error, InvalidId):
        return f'fix: make "{container_id}" of letters, digits, _, +, - and . only'
    return ""


def missing(root: str, container_id: str) -> str:
    """Where it was looked for, and where it might be."""
    words = f'no "{container_id}" in {root}'
    own = _ids(root)
    if container_id in own:  # a directory that holds no container (any more)
        return words
    for other in (place for pattern in _ROOTS for place in _places(pattern)):
        if container_id in _ids(other) and os.path.realpath(other) != os.path.realpath(root):
            return f"{words}, but in {other}; fix: give --root {other}"
    if near := did_you_mean(container_id, own, 3):
        return f"{words}; {near}"
    if not os.access(root, os.R_OK) and os.path.exists(root):
        return f"{words}, which is another user's; fix: set $XDG_RUNTIME_DIR, or give --root"
    if not own:
        return f"{words}, which has no containers; fix: create it, or give another --root"
    return f"{words}; fix: take one that `list` shows, or give another --root"


def _places(pattern: str) -> list[str]:
    """What may be there, in order; a name of the pattern may end with a star. The module glob
    compiles regular expressions, which takes a fifth of such a command's time."""
    found = [""]
    for part in pattern.split("/")[1:]:
        start, star, _ = part.partition("*")
        names = ((place, sorted(_ids(place)) if star else [part]) for place in found)
        found = [f"{place}/{n}" for place, there in names for n in there if n.startswith(start)]
    return found


def _ids(root: str) -> list[str]:
    try:
        return [name for name in os.listdir(root) if name[0] != "~"]
    except OSError:
        return []
