"""Sources of bind mounts that are opened, and id-mapped, before the container's root is at work."""

from __future__ import annotations

from pycontainer.base.errors import ConfigError, HostError
from pycontainer.tables.mount_options import (
    COPY_SYMLINK,
    RBIND,
    SRC_NOFOLLOW,
    ParsedOptions,
    parse,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from pycontainer.plan.builder import Sketch
    from pycontainer.plan.mounts import Mounts


def open_sources(
    mounts: Mounts, kind: str, new_slot: Callable[[], int], every: bool = False, user: str = ""
) -> None:
    """Bind sources that the container's root cannot reach are opened before it is root, and
    those whose ids are to be mapped, which takes privileges over their file system; or `every`
    one. `user` is the user namespace of open_locked."""
    sketch = mounts.sketch
    for index, mount in enumerate(sketch.config.get("mounts") or ()):
        options = parse(mount.get("options") or ())
        mapped = bool(options.idmap or mount.get("uidMappings"))
        if not options.bind or options.remount:
            continue
        if not (mapped or every or sketch.spaces.user):
            continue
        if mounts.in_root(index, mount, options):
            continue
        slot = new_slot()
        field = f"mounts[{index}]"
        source = mounts.source(mount, field)
        nofollow = int(bool(options.links & (SRC_NOFOLLOW | COPY_SYMLINK)))
        recursive = int(options.bind == RBIND)
        if kind != "open_source" and mapped and not recursive:
            # As with runc: in a user namespace, what is mounted below would have to come along.
            sketch.add(
                "open_tree",
                slot=slot,
                recursive=recursive,
                nofollow=nofollow,
                path=source,
                field=field,
            )
            mounts.unlocked.add(index)
        else:
            texts = {"path": source, "user": user} if user else {"path": source}
            sketch.add(
                kind, slot=slot, recursive=recursive, nofollow=nofollow, **texts, field=field
            )
        mounts.opened[index] = slot
        if mapped:
            _map_ids(sketch, slot, mount, options, source, field)


def _map_ids(
    sketch: Sketch,
    slot: int,
    mount: dict[str, Any],
    options: ParsedOptions,
    source: str,
    field: str,
) -> None:
    """The mount's own mappings, or those of the container's user namespace."""
    if not sketch.host.mounts:
        text = "id-mapped mounts take privileges over the host"
        raise HostError(text, "not-allowed", field=field)
    owner, path, own = mount, "", bool(mount.get("uidMappings"))
    if not own and not options.mappings:
        owner = sketch.linux
        path = sketch.spaces.joined.get("user", ("", ""))[0]
    uids, gids = map_lines(owner.get("uidMappings")), map_lines(owner.get("gidMappings"))
    if not own and options.mappings:
        from pycontainer.plan.bind_options import mapping_lines

        uids, gids = mapping_lines(options.mappings, sketch.linux, f"{field}.options")
    if not path and not (uids and gids):
        raise ConfigError(
            "idmap needs mappings, of the mount or of a user namespace",
            "needs-mappings",
            f"{field}.options",
        )
    field = f"{field}.uidMappings" if own else f"{field}.options"
    sketch.add(
        "idmap_tree",
        slot=slot,
        recursive=int(options.idmap == "ridmap"),
        uids=uids,
        gids=gids,
        namespace=path,
        path=source,
        field=field,
    )


def map_lines(mappings: list[dict[str, int]] | None) -> str:
    """Mappings as the lines of uid_map and gid_map, user_namespaces(7)."""
    return "".join(f"{m['containerID']} {m['hostID']} {m['size']}\n" for m in mappings or ())
