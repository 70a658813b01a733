"""The process that `exec` starts: the container's own, changed by what the command line says.

A pure function from config.json's `process` and an ExecOptions to a new `process`; whether it is
valid is the spec's business, as for every other one.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pycontainer.lifecycle.container import ExecOptions

# --cap adds to these. Inheritable capabilities stay as they are: a program with file capabilities
# would turn them into permitted ones (CVE-2022-29162).
_CAPABILITY_SETS = ("bounding", "effective", "permitted")
_OVERRIDES = (
    ("cwd", "cwd"),
    ("apparmor", "apparmorProfile"),
    ("process_label", "selinuxLabel"),
)


def merged(process: dict[str, Any], options: ExecOptions) -> dict[str, Any]:
    """The process with the options' args, environment, user, capabilities ...

    The terminal is the option's alone: a container with one does not give one to every exec.
    """
    result = {**process, "args": list(options.args), "terminal": bool(options.tty)}
    for attribute, key in _OVERRIDES:
        if getattr(options, attribute):
            result[key] = getattr(options, attribute)
    if options.env:
        result["env"] = [*(process.get("env") or ()), *options.env]
    if options.no_new_privs is not None:
        result["noNewPrivileges"] = options.no_new_privs
    if options.caps:
        result["capabilities"] = _with_capabilities(process.get("capabilities"), options.caps)
    if options.user or options.additional_gids:
        result["user"] = _user(process.get("user") or {}, options)
    return result


def _with_capabilities(sets: dict[str, Any] | None, names: list[str]) -> dict[str, Any]:
    """Ambient ones come along only if something is inheritable: the kernel wants both."""
    sets = sets or {}
    keys = _CAPABILITY_SETS + (("ambient",) if sets.get("inheritable") is not None else ())
    return {**sets, **{key: [*(sets.get(key) or ()), *names] for key in keys}}


def _user(user: dict[str, Any], options: ExecOptions) -> dict[str, Any]:
    """`options.user` is "UID" or "UID:GID", already checked; without a GID it stays."""
    user = {"uid": 0, "gid": 0, **user}
    if options.user:
        uid, colon, gid = options.user.partition(":")
        user["uid"] = int(uid)
        if colon:
            user["gid"] = int(gid)
    if options.additional_gids:
        user["additionalGids"] = [*(user.get("additionalGids") or ()), *options.additional_gids]
    return user
