"""What the root of a user namespace cannot make: devices, and what shows joined namespaces of
another one's. It is made before that user namespace is entered.

Loaded only for a config with a user namespace and one of these.
"""

from __future__ import annotations

from _stat import S_IFCHR

from pycontainer.base.settings import clean
from pycontainer.plan.builder import Sketch
from pycontainer.plan.devices import DEFAULT_DEVICES, dev_is_bound, node
from pycontainer.plan.mounts import CGROUPS, OWNED, Mounts, split_data
from pycontainer.plan.ops import joined
from pycontainer.tables.mount_options import parse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from pycontainer.plan.devices import Slots

CAP_MKNOD = 1 << 27


def make_nodes(sketch: Sketch) -> Slots:
    """The slots of the container's own device nodes. Those of the config have the ids that their
    owners have outside; the defaults are, as with runc, the host's root's. The file that masks
    others is made with them.

    Without privileges, or where an owner has no id, it will be the host's device of that path.
    """
    slots: Slots = {}
    linux, host = sketch.linux, sketch.host
    if not host.mounts or not host.permitted & CAP_MKNOD:
        return slots
    uids, gids = linux.get("uidMappings"), linux.get("gidMappings")
    sketch.add("own_files", label=linux.get("mountLabel") or "")
    if dev_is_bound(sketch):
        return slots
    for path, major, minor in DEFAULT_DEVICES:
        slots[path] = slot = sketch.own_slot()
        mode, number = S_IFCHR | 0o666, major << 32 | minor
        sketch.add("own_node", slot=slot, mode=mode, device=number, uid=0, gid=0, path=path)
    for index, device in enumerate(linux.get("devices") or ()):
        uid, gid = _outside(device.get("uid") or 0, uids), _outside(device.get("gid") or 0, gids)
        path = clean(device["path"])
        if device["type"] == "p" or uid < 0 or gid < 0 or path == "/dev/ptmx":
            continue
        slots[index] = slot = sketch.own_slot()
        field = f"linux.devices[{index}]"
        mode, number = node(device)
        ids = {"uid": uid, "gid": gid}
        sketch.add("own_node", slot=slot, mode=mode, device=number, **ids, path=path, field=field)
    return slots


def _outside(number: int, mappings: Sequence[dict[str, int]] | None) -> int:
    """The host's id of an id in the container; -1 for none."""
    for row in mappings or ():
        inside = number - row["containerID"]
        if 0 <= inside < row["size"]:
            return row["hostID"] + inside
    return -1


def open_joined(mounts: Mounts) -> None:
    """What shows a namespace that is joined is made while we have privileges over its owner, which
    need not be the container's user namespace."""
    sketch = mounts.sketch
    for index, mount in enumerate(sketch.config.get("mounts") or ()):
        fstype, options = mount.get("type") or "", parse(mount.get("options") or ())
        space = OWNED.get(fstype, ("", ""))[0]
        if fstype in CGROUPS and mounts.cgroup.layout.mode == "v2":
            fstype, space = "cgroup2", "cgroup"
        if space not in sketch.spaces.joined or options.bind or options.remount:
            continue
        data = mounts.pidns(fstype, split_data(options.data))
        mounts.opened[index] = slot = sketch.own_slot()
        sketch.add(
            "open_fs",
            slot=slot,
            attr_set=options.attr_set,
            fstype=fstype,
            source=mount.get("source") or "",
            options=joined(data),
            field=f"mounts[{index}]",
        )
