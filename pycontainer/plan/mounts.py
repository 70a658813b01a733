"""`mounts` of config.json: in the listed order, each as the operations that the kernel needs."""

from __future__ import annotations

from pycontainer.base.errors import ConfigError
from pycontainer.base.settings import clean
from pycontainer.plan import mount_checks
from pycontainer.plan.builder import Sketch
from pycontainer.plan.ops import (
    COPY_UP,
    COPY_UP_OWNER,
    MISSING_FAILS,
    MISSING_HIDDEN,
    PIDNS_OF_CHILDREN,
    joined,
)
from pycontainer.tables.mount_options import (
    ATTR_RDONLY,
    MS_RDONLY,
    MS_REMOUNT,
    RBIND,
    ParsedOptions,
    of_bind,
    parse,
)
from pycontainer.tables.namespaces import FLAGS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

CGROUPS = ("cgroup", "cgroup2")
_PLAIN_DIRECTORY = ("proc", "sysfs")
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
            self.sketch.make_read_only(target, field)
        self._recursive(target, options, field)

    def finish(self) -> None:
        """A /dev or a tmpfs that is to be read-only becomes so once all is there that it holds:
        devices, and the mount points of others."""
        mounts = self.sketch.config.get("mounts") or ()
        for index, target, field in self.late:
            above = [m for m in mounts[index + 1 :] if "remount" not in (m.get("options") or ())]
            if all(clean(mount["destination"]) != target for mount in above):
                self.sketch.make_read_only(target, field)

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
            changes = {"ms_flags": flags, "ms_clear": options.ms_clear}
            self.sketch.add("remount", **changes, target=target, data=data, field=field)
        elif self.for_systemd and target == clean(self.for_systemd):
            self.cgroup.mount_for_systemd(self.sketch, target, options, index)
        elif options.links:
            self._bind_link(index, mount, target, options)
            return
        elif options.bind:
            self._bind(index, mount, target, options)
        elif index in self.opened:  # it shows a namespace of another owner's
            self._bind_host(self.opened[index], 0, mount["type"], mount["type"], target, field)
        elif self._is_cgroup(mount.get("type")):
            self.cgroup.mount(self.sketch, target, options, index)
        else:
            self._file_system(mount, target, options, field)
        if mount.get("type") == "mqueue" and not options.bind:
            self._label_after(target)
        for flags in options.propagation:
            self.sketch.add(
                "mount_propagation", flags=flags, target=target, field=f"{field}.options"
            )
        self._recursive(target, options, field)

    def _recursive(self, target: str, options: ParsedOptions, field: str) -> None:
        """Options like rro: for what is below, too."""
        if options.rec_attr_set or options.rec_attr_clr:
            rec_set, rec_clr = options.rec_attr_set, options.rec_attr_clr
            self.sketch.add(
                "mount_attr",
                recursive=1,
                attr_set=rec_set,
                attr_clear=rec_clr,
                target=target,
                field=f"{field}.options",
            )

    def _label_after(self, target: str) -> None:
        if self.sketch.linux.get("mountLabel"):
            from pycontainer.plan import labels

            labels.after_mount(self.sketch, target)

    def source(self, mount: dict[str, Any], field: str) -> str:
        """The path of a bind mount's source on the host."""
        source = mount.get("source") or ""
        if not source:
            raise ConfigError("a bind mount needs a source", "required", f"{field}.source")
        return source if source.startswith("/") else f"{self.bundle}/{source}"

    def _bind(self, index: int, mount: dict[str, Any], target: str, options: ParsedOptions) -> None:
        field = f"mounts[{index}]"
        if target.startswith("/dev/"):
            self.on_dev.add(target)
        inside = self.in_root(index, mount, options)
        self.sketch.add(
            "bind",
            slot=self.opened.get(index, -1),
            recursive=int(options.bind == RBIND),
            **self._flags(index, options),
            in_root=int(bool(inside)),
            source=inside or self.source(mount, field),
            target=target,
            field=field,
        )

    def _flags(self, index: int, options: ParsedOptions) -> dict[str, int]:
        """In a user namespace, what is not named stays as the host has it."""
        attr_set, attr_clear, soft = of_bind(options)
        if self.sketch.spaces.user and index in self.unlocked:
            soft = 0
        return {"attr_set": attr_set, "attr_clear": attr_clear, "soft_clear": soft}

    def in_root(self, index: int, mount: dict[str, Any], options: ParsedOptions) -> str:
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
            slot=self.opened.get(index, -1),
            recursive=int(options.bind == RBIND),
            **self._flags(index, options),
            links=options.links,
            source=self.source(mount, field),
            target=target,
            changes=bind_options.changes(options),
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
        if space and self.sketch.spaces.user and not self.sketch.spaces.has(space):
            self._bind_host(-1, options.attr_set, fstype, path, target, field)
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
            ms_flags=classic,
            attr_set=attributes,
            plain_target=int(fstype in _PLAIN_DIRECTORY),
            copy_up=_copy_up(data) if options.tmpcopyup else 0,
            keep_mode=int(fstype == "tmpfs" and not _has_mode(data)),
            or_bind=int(self._may_be_foreign(fstype, space)),
            fstype=fstype,
            source=mount.get("source") or "",
            target=target,
            options=joined(data),
            sb_flags=joined(sb_flags),
            field=field,
        )

    def pidns(self, fstype: str, data: list[str]) -> list[str]:
        """The options of a procfs that is mounted from outside of its pid namespace."""
        if fstype == "proc" and self.sketch.spaces.outside:
            return [*data, f"pidns={PIDNS_OF_CHILDREN}"]
        return data

    def _bind_host(
        self, slot: int, attr_set: int, fstype: str, source: str, target: str, field: str
    ) -> None:
        """What the host shows, or one that has been opened, in place of a new file system."""
        # A host may have a mqueue nowhere.
        missing = MISSING_HIDDEN if fstype == "mqueue" and slot < 0 else MISSING_FAILS
        self.sketch.add(
            "bind_host",
            slot=slot,
            attr_set=attr_set,
            plain_target=int(fstype in _PLAIN_DIRECTORY),
            missing=missing,
            source=source,
            target=target,
            field=field,
        )

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
    """With the owner of the directory, unless the options name one."""
    named = any(option.startswith(("uid=", "gid=")) for option in data)
    return COPY_UP if named else COPY_UP_OWNER


def _has_mode(data: list[str]) -> bool:
    return any(option.startswith("mode=") for option in data)


def _is_mapped(gid: int, mappings: Sequence[dict[str, int]]) -> bool:
    return any(m["containerID"] <= gid < m["containerID"] + m["size"] for m in mappings)


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
