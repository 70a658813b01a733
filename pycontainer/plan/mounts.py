"""`mounts` of config.json: in the listed order, each as the operations that the kernel needs."""

from __future__ import annotations

from pycontainer.base.errors import ConfigError, HostError
from pycontainer.base.settings import clean
from pycontainer.plan import mount_checks
from pycontainer.plan.builder import Sketch
from pycontainer.tables.mount_options import (
    ATTR_RDONLY,
    COPY_SYMLINK,
    MS_RDONLY,
    MS_REMOUNT,
    RBIND,
    SRC_NOFOLLOW,
    ParsedOptions,
    of_bind,
    parse,
)
from pycontainer.tables.namespaces import FLAGS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

CGROUPS = ("cgroup", "cgroup2")
_HIDDEN = 2  # `missing` of bind_host, as csrc/executor/mount.c has it
_PLAIN_DIRECTORY = ("proc", "sysfs")
_OF_CHILDREN = "/proc/self/ns/pid_for_children"  # as in csrc/executor/mount.c
# File systems that show a namespace, whose owner must be the mounter's user namespace; and where
# the one that shows the host's is.
OWNED = {
    "proc": ("pid", "/proc"),
    "sysfs": ("network", "/sys"),
    "mqueue": ("ipc", "/dev/mqueue"),
}


class Mounts:
    """The compiler of `mounts`; remembers what has to be done after the devices are made."""

    __slots__ = (
        "bundle",
        "cgroup",
        "for_systemd",
        "late",
        "on_dev",
        "opened",
        "rootfs",
        "sketch",
        "unlocked",
    )

    def __init__(self, sketch: Sketch, bundle: str, cgroup: Any, rootfs: str = "") -> None:
        self.sketch = sketch
        self.bundle = bundle
        self.rootfs = rootfs
        self.cgroup = cgroup  # compiles mounts of type cgroup
        self.late: list[tuple[int, str, str]] = []  # (mount number, target, field): read-only
        self.opened: dict[int, int] = {}  # mount number: slot of its source
        self.unlocked: set[int] = set()  # whose flags the kernel has not locked
        self.on_dev: set[str] = set()  # what is bound to places in /dev
        annotations = sketch.config.get("annotations") or {}
        # Where crun's annotation wants a cgroup v1 for an old systemd.
        self.for_systemd = annotations.get("run.oci.systemd.force_cgroup_v1", "")

    def open_sources(
        self, kind: str, new_slot: Callable[[], int], every: bool = False, user: str = ""
    ) -> None:
        """Bind sources that the container's root cannot reach are opened before it is root, and
        those whose ids are to be mapped, which takes privileges over their file system; or `every`
        one. `user` is the user namespace of open_locked."""
        for index, mount in enumerate(self.sketch.config.get("mounts") or ()):
            options = parse(mount.get("options") or ())
            mapped = bool(options.idmap or mount.get("uidMappings"))
            if not options.bind or options.remount:
                continue
            if not (mapped or every or self.sketch.spaces.user):
                continue
            if self._in_root(index, mount, options):
                continue
            slot = new_slot()
            field = f"mounts[{index}]"
            source = self._source(mount, field)
            nofollow = int(bool(options.links & (SRC_NOFOLLOW | COPY_SYMLINK)))
            recursive = int(options.bind == RBIND)
            if kind != "open_source" and mapped and not recursive:
                # As with runc: in a user namespace, what is mounted below would have to come along.
                self.sketch.add("open_tree", slot, recursive, nofollow, source, field=field)
                self.unlocked.add(index)
            else:
                texts = (source, user) if user else (source,)
                self.sketch.add(kind, slot, recursive, nofollow, *texts, field=field)
            self.opened[index] = slot
            if mapped:
                self._map_ids(slot, mount, options, source, field)

    def _map_ids(
        self, slot: int, mount: dict[str, Any], options: ParsedOptions, source: str, field: str
    ) -> None:
        """The mount's own mappings, or those of the container's user namespace."""
        if not self.sketch.host.mounts:
            raise HostError("id-mapped mounts take privileges over the host", field=field)
        owner, path, own = mount, "", bool(mount.get("uidMappings"))
        if not own and not options.mappings:
            owner = self.sketch.linux
            path = self.sketch.spaces.joined.get("user", ("", ""))[0]
        uids, gids = map_lines(owner.get("uidMappings")), map_lines(owner.get("gidMappings"))
        if not own and options.mappings:
            from pycontainer.plan.bind_options import mapping_lines

            uids, gids = mapping_lines(options.mappings, self.sketch.linux, f"{field}.options")
        if not path and not (uids and gids):
            raise ConfigError(
                "idmap needs mappings, of the mount or of a user namespace",
                "needs-mappings",
                f"{field}.options",
                "config.md#linux-mount-options",
            )
        recursive = int(options.idmap == "ridmap")
        field = f"{field}.uidMappings" if own else f"{field}.options"
        self.sketch.add("idmap_tree", slot, recursive, uids, gids, path, source, field=field)

    def compile(self) -> None:
        """All mounts, in order."""
        for index, mount in enumerate(self.sketch.config.get("mounts") or ()):
            self._mount(index, mount)

    def add_live(
        self, index: int, mount: dict[str, Any], target: str, options: ParsedOptions
    ) -> None:
        """One mount for a container that runs (live_mounts.py)."""
        field = f"mounts[{index}]"
        mount_checks.proc(mount, target, options.bind, field)
        mount_checks.options(mount, options, f"{field}.options")
        if options.bind:
            self._bind_link(index, mount, target, options)
            return
        self._file_system(mount, target, options, field)
        if self._is_late(mount, target, options):
            self.sketch.add("mount_attr", 0, ATTR_RDONLY, 0, target, field=field)
        self._recursive(target, options, field)

    def finish(self) -> None:
        """A /dev or a tmpfs that is to be read-only becomes so once all is there that it holds:
        devices, and the mount points of others."""
        mounts = self.sketch.config.get("mounts") or ()
        for index, target, field in self.late:
            above = [m for m in mounts[index + 1 :] if "remount" not in (m.get("options") or ())]
            if all(clean(mount["destination"]) != target for mount in above):
                self.sketch.add("mount_attr", 0, ATTR_RDONLY, 0, target, field=field)

    def _is_late(self, mount: dict[str, Any], target: str, options: ParsedOptions) -> bool:
        """Whether read-only comes later; as with runc, then for the mount, not the file system."""
        return bool(options.attr_set & ATTR_RDONLY) and (
            target == "/dev" or mount.get("type") == "tmpfs"
        )

    def _mount(self, index: int, mount: dict[str, Any]) -> None:
        field = f"mounts[{index}]"
        target = clean(mount["destination"])
        options = parse(mount.get("options") or ())
        if target.startswith("/proc") and not options.remount:
            mount_checks.proc(mount, target, options.bind, field)
        mount_checks.options(mount, options, f"{field}.options")
        late = not options.bind and self._is_late(mount, target, options)
        if late:
            self.late.append((index, target, field))
        if options.remount:
            data = ",".join(options.data)
            flags = options.ms_set & ~(MS_RDONLY * late) | MS_REMOUNT
            self.sketch.add("remount", flags, options.ms_clear, target, data, field=field)
        elif self.for_systemd and target == clean(self.for_systemd):
            self.cgroup.mount_for_systemd(self.sketch, target, options, index)
        elif options.links:
            self._bind_link(index, mount, target, options)
            return
        elif options.bind:
            self._bind(index, mount, target, options)
        elif index in self.opened:  # it shows a namespace of another owner's
            plain = int(mount["type"] in _PLAIN_DIRECTORY)
            values = (self.opened[index], 0, plain, 0, mount["type"], target)
            self.sketch.add("bind_host", *values, field=field)
        elif self._is_cgroup(mount.get("type")):
            self.cgroup.mount(self.sketch, target, options, index)
        else:
            self._file_system(mount, target, options, field)
        if mount.get("type") == "mqueue" and not options.bind:
            self._label_after(target)
        for flags in options.propagation:
            self.sketch.add("mount_propagation", flags, target, field=f"{field}.options")
        self._recursive(target, options, field)

    def _recursive(self, target: str, options: ParsedOptions, field: str) -> None:
        """Options like rro: for what is below, too."""
        if options.rec_attr_set or options.rec_attr_clr:
            rec_set, rec_clr = options.rec_attr_set, options.rec_attr_clr
            self.sketch.add("mount_attr", 1, rec_set, rec_clr, target, field=f"{field}.options")

    def _label_after(self, target: str) -> None:
        if self.sketch.linux.get("mountLabel"):
            from pycontainer.plan import labels

            labels.after_mount(self.sketch, target)

    def _source(self, mount: dict[str, Any], field: str) -> str:
        source = mount.get("source") or ""
        if not source:
            raise ConfigError("a bind mount needs a source", "required", f"{field}.source")
        return source if source.startswith("/") else f"{self.bundle}/{source}"

    def _bind(self, index: int, mount: dict[str, Any], target: str, options: ParsedOptions) -> None:
        field = f"mounts[{index}]"
        if target.startswith("/dev/"):
            self.on_dev.add(target)
        inside = self._in_root(index, mount, options)
        self.sketch.add(
            "bind",
            self.opened.get(index, -1),
            int(options.bind == RBIND),
            *self._flags(index, options),
            int(bool(inside)),
            inside or self._source(mount, field),
            target,
            field=field,
        )

    def _flags(self, index: int, options: ParsedOptions) -> tuple[int, int, int]:
        """In a user namespace, what is not named stays as the host has it."""
        attr_set, attr_clear, soft = of_bind(options)
        kept = self.sketch.spaces.user and index in self.unlocked
        return attr_set, attr_clear, 0 if kept else soft

    def _in_root(self, index: int, mount: dict[str, Any], options: ParsedOptions) -> str:
        """The path, in the container's root, of a source on an earlier mount of the container. The
        host's path leads there only when the root lies where the host has it."""
        source, root = clean(mount.get("source") or ""), self.rootfs.rstrip("/")
        mapped = options.idmap or mount.get("uidMappings")
        if not self.sketch.spaces.user or options.links or mapped:
            return ""
        if not root or not source.startswith(f"{root}/"):
            return ""
        inside = source[len(root) :]
        for earlier in self.sketch.config["mounts"][:index]:
            if f"{inside}/".startswith(clean(earlier["destination"]).rstrip("/") + "/"):
                return inside
        return ""

    def _bind_link(
        self, index: int, mount: dict[str, Any], target: str, options: ParsedOptions
    ) -> None:
        from pycontainer.plan import bind_options

        field = f"mounts[{index}]"
        if target.startswith("/dev/"):
            self.on_dev.add(target)
        if options.links:
            bind_options.check(options, target, f"{field}.options")
        self.sketch.add(
            "bind_link",
            self.opened.get(index, -1),
            int(options.bind == RBIND),
            *self._flags(index, options),
            options.links,
            self._source(mount, field),
            target,
            bind_options.changes(options),
            field=field,
        )

    def _label(self, fstype: str, data: list[str], quoted: bool) -> list[str]:
        if not self.sketch.linux.get("mountLabel"):
            return []
        from pycontainer.plan import labels

        return labels.of_mount(self.sketch, fstype, data, quoted)

    def _is_cgroup(self, fstype: str | None) -> bool:
        """Without cgroup v2, only "cgroup" stands for what there is; the other is itself."""
        return fstype == "cgroup" or (fstype == "cgroup2" and self.cgroup.layout.mode == "v2")

    def _file_system(
        self, mount: dict[str, Any], target: str, options: ParsedOptions, field: str
    ) -> None:
        fstype = mount_checks.fstype(mount, field)
        space, path = OWNED.get(fstype, ("", ""))
        plain = int(fstype in _PLAIN_DIRECTORY)
        if space and self.sketch.spaces.user and not self.sketch.spaces.has(space):
            missing = _HIDDEN if fstype == "mqueue" else 0  # a host may have it nowhere
            values = (-1, options.attr_set, plain, missing, path, target)
            self.sketch.add("bind_host", *values, field=field)
            return
        attributes, sb_flags = options.attr_set, options.sb_set
        classic = options.ms_set if options.classic else 0
        if self._is_late(mount, target, options):
            attributes &= ~ATTR_RDONLY
            classic &= ~MS_RDONLY
            sb_flags = tuple([name for name in sb_flags if name != "ro"])
        data = self._mapped_only(fstype, split_data(options.data))
        data += self._label(fstype, data, bool(options.classic))
        data = self.pidns(fstype, data)
        self.sketch.add(
            "mount",
            classic,
            attributes,
            plain,
            _copy_up(data) if options.tmpcopyup else 0,
            int(fstype == "tmpfs" and not _has_mode(data)),
            int(self._may_be_foreign(fstype, space)),
            fstype,
            mount.get("source") or "",
            target,
            listed(data),
            listed(sb_flags),
            field=field,
        )

    def pidns(self, fstype: str, data: list[str]) -> list[str]:
        """The options of a procfs that is mounted from outside of its pid namespace."""
        if fstype == "proc" and self.sketch.spaces.outside:
            return [*data, f"pidns={_OF_CHILDREN}"]
        return data

    def _may_be_foreign(self, fstype: str, space: str) -> bool:
        """A namespace that is joined may have another owner; an outer container may have covered
        parts of its /sys, and then none that is whole can be mounted."""
        spaces = self.sketch.spaces
        if not space or not (spaces.user or self.sketch.host.rootless):
            return False
        return fstype == "sysfs" or not spaces.new & FLAGS[space]

    def _mapped_only(self, fstype: str, data: list[str]) -> list[str]:
        """devpts without the usual gid=5 (tty) where the user namespace has no such group."""
        linux = self.sketch.linux
        if fstype != "devpts" or "user" in self.sketch.spaces.joined:
            return data
        mapped = linux.get("gidMappings") or () if self.sketch.spaces.user else None
        return [o for o in data if mapped is None or o != "gid=5" or _is_mapped(5, mapped)]


def _copy_up(data: list[str]) -> int:
    """2 when the new root gets the owner of the directory too, 1 when the options name one."""
    return 1 if any(option.startswith(("uid=", "gid=")) for option in data) else 2


def _has_mode(data: list[str]) -> bool:
    return any(option.startswith("mode=") for option in data)


def _is_mapped(gid: int, mappings: Sequence[dict[str, int]]) -> bool:
    return any(m["containerID"] <= gid < m["containerID"] + m["size"] for m in mappings)


def map_lines(mappings: list[dict[str, int]] | None) -> str:
    """Mappings as the lines of uid_map and gid_map, user_namespaces(7)."""
    return "".join(f"{m['containerID']} {m['hostID']} {m['size']}\n" for m in mappings or ())


def split_data(options: tuple[str, ...]) -> list[str]:
    """Options for the file system, one by one: mount(2) would split them at commas too, but not
    inside of quotes, which SELinux contexts need."""
    result: list[str] = []
    for option in options:
        if '"' in option or "\\" in option:
            result.append(option)
        else:
            result += [part for part in option.split(",") if part]
    return result


def listed(strings: tuple[str, ...] | list[str]) -> bytes:
    return b"".join([s.encode("utf-8", "surrogateescape") + b"\0" for s in strings])
