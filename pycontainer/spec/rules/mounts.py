"""Rules of config.md#mounts."""

from __future__ import annotations

from pycontainer.spec.rules.context import Subject, refuse, required
from pycontainer.tables import mount_options

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_BINDS = ("bind", "rbind")


def mounts(subject: Subject) -> None:
    """Each mount by itself: what it needs to be one."""
    for place, mount in enumerate(subject.config.get("mounts", ())):
        field = f"mounts[{place}]"
        destination = mount["destination"]
        if not destination:
            refuse(f"{field}.destination", "empty", "is empty, must be a path")
        if not destination.startswith("/"):
            subject.warn(f"{field}.destination", "is relative, which is deprecated; / is assumed")
        options = mount.get("options", ())
        if "bind" in options or "rbind" in options:
            _bind(mount, field)
        elif not mount.get("type"):
            if "remount" not in options:
                required(f"{field}.type")
        elif mount["type"] in _BINDS:
            text = f"is {mount['type']}, no filesystem"
            refuse(f"{field}.type", "wrong-value", text, value=mount["type"])
        if "uidMappings" in mount or "gidMappings" in mount or not _idmap_free(options):
            _idmap(subject, mount, field)


def _idmap_free(options: list[str]) -> bool:
    return "idmap" not in options and "ridmap" not in options


def _bind(mount: dict[str, Any], field: str) -> None:
    """A bind mount has a source, unless it changes one that is there; options of a file system
    belong to the whole of it, and the kernel ignores them here."""
    options = mount_options.parse(mount["options"])
    if not mount.get("source") and not options.remount:
        text = "is required for a bind mount but missing"
        refuse(f"{field}.source", "required", text)
    if options.data:
        text = f"has {', '.join(options.data)}, which a bind mount cannot have"
        refuse(f"{field}.options", "no-bind", text, value=options.data[0])


def _idmap(subject: Subject, mount: dict[str, Any], field: str) -> None:
    """Both mappings or none; none means the container's, which then must be there."""
    options = mount.get("options", ())
    uids, gids = mount.get("uidMappings"), mount.get("gidMappings")
    if bool(uids) != bool(gids):
        absent = "gidMappings" if uids else "uidMappings"
        text = "is required beside the other mapping but missing"
        refuse(f"{field}.{absent}", "needs-mappings", text)
    if not uids:
        if not _idmap_free(options) and "user" not in subject.namespaces:
            message = "has idmap, but neither mappings nor a user namespace"
            refuse(f"{field}.options", "needs-mappings", message)
        if _idmap_free(options):
            return
    elif _idmap_free(options):
        subject.warn(f"{field}.options", "should have idmap or ridmap beside the mappings")
    if "bind" not in options and "rbind" not in options:
        refuse(f"{field}.options", "needs-bind", "has idmap without bind or rbind")


RULES = (mounts,)
