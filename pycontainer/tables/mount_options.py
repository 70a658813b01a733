"""Mount options of config.json to kernel flags, for both mount APIs.

`parse` takes the strings of `mounts[].options` and gives a ParsedOptions. The same options are
expressed twice: as MS_* for mount(2), and as MOUNT_ATTR_* plus superblock flags for
fsmount(2)/mount_setattr(2)/fsconfig(2), so that a plan may use either and mean the same.
The table is config.md#linux-mount-options of runtime-spec 1.3, complete, and what crun adds.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

MS_RDONLY = 0x1
MS_NOSUID = 0x2
MS_NODEV = 0x4
MS_NOEXEC = 0x8
MS_SYNCHRONOUS = 0x10
MS_REMOUNT = 0x20
MS_MANDLOCK = 0x40
MS_DIRSYNC = 0x80
MS_NOSYMFOLLOW = 0x100  # Linux 5.10
MS_NOATIME = 0x400
MS_NODIRATIME = 0x800
MS_BIND = 0x1000
MS_REC = 0x4000
MS_SILENT = 0x8000
MS_UNBINDABLE = 0x20000
MS_PRIVATE = 0x40000
MS_SLAVE = 0x80000
MS_SHARED = 0x100000
MS_RELATIME = 0x200000
MS_I_VERSION = 0x800000
MS_STRICTATIME = 0x1000000
MS_LAZYTIME = 0x2000000

# mount_setattr(2) and fsmount(2). The three access time settings are one number in a field of
# bits, not three flags: the field is cleared as a whole, RELATIME is its 0.
ATTR_RDONLY = 0x1
ATTR_NOSUID = 0x2
ATTR_NODEV = 0x4
ATTR_NOEXEC = 0x8
ATTR_ATIME = 0x70  # the mask
ATTR_RELATIME = 0x0
ATTR_NOATIME = 0x10
ATTR_STRICTATIME = 0x20
ATTR_NODIRATIME = 0x80
ATTR_NOSYMFOLLOW = 0x200000  # Linux 5.14

# ParsedOptions.bind
NO_BIND = 0
BIND = 1
RBIND = 2

# Flags that set a bit, and flags that clear one; "defaults" is all zeroes, which nothing changes.
SETS = {
    "bind": MS_BIND,
    "dirsync": MS_DIRSYNC,
    "iversion": MS_I_VERSION,
    "lazytime": MS_LAZYTIME,
    "mand": MS_MANDLOCK,
    "noatime": MS_NOATIME,
    "nodev": MS_NODEV,
    "nodiratime": MS_NODIRATIME,
    "noexec": MS_NOEXEC,
    "nosuid": MS_NOSUID,
    "nosymfollow": MS_NOSYMFOLLOW,
    "rbind": MS_BIND | MS_REC,
    "relatime": MS_RELATIME,
    "remount": MS_REMOUNT,
    "ro": MS_RDONLY,
    "silent": MS_SILENT,
    "strictatime": MS_STRICTATIME,
    "sync": MS_SYNCHRONOUS,
}
CLEARS = {
    "async": MS_SYNCHRONOUS,
    "atime": MS_NOATIME,
    "defaults": 0,
    "dev": MS_NODEV,
    "diratime": MS_NODIRATIME,
    "exec": MS_NOEXEC,
    "loud": MS_SILENT,
    "noiversion": MS_I_VERSION,
    "nolazytime": MS_LAZYTIME,
    "nomand": MS_MANDLOCK,
    "norelatime": MS_RELATIME,
    "nostrictatime": MS_STRICTATIME,
    "rw": MS_RDONLY,
    "suid": MS_NOSUID,
    "symfollow": MS_NOSYMFOLLOW,
}
PROPAGATION = {
    "private": MS_PRIVATE,
    "rprivate": MS_PRIVATE | MS_REC,
    "rshared": MS_SHARED | MS_REC,
    "rslave": MS_SLAVE | MS_REC,
    "runbindable": MS_UNBINDABLE | MS_REC,
    "shared": MS_SHARED,
    "slave": MS_SLAVE,
    "unbindable": MS_UNBINDABLE,
}
# mount_setattr(AT_RECURSIVE), Linux 5.12: (bits to clear, bits to set). Going back from an access
# time setting means the kernel's default, which is relatime.
RECURSIVE = {
    "ratime": (ATTR_ATIME, ATTR_RELATIME),
    "rdev": (ATTR_NODEV, 0),
    "rdiratime": (ATTR_NODIRATIME, 0),
    "rexec": (ATTR_NOEXEC, 0),
    "rnoatime": (ATTR_ATIME, ATTR_NOATIME),
    "rnodev": (0, ATTR_NODEV),
    "rnodiratime": (0, ATTR_NODIRATIME),
    "rnoexec": (0, ATTR_NOEXEC),
    "rnorelatime": (ATTR_ATIME, ATTR_RELATIME),
    "rnostrictatime": (ATTR_ATIME, ATTR_RELATIME),
    "rnosuid": (0, ATTR_NOSUID),
    "rnosymfollow": (0, ATTR_NOSYMFOLLOW),
    "rrelatime": (ATTR_ATIME, ATTR_RELATIME),
    "rro": (0, ATTR_RDONLY),
    "rrw": (ATTR_RDONLY, 0),
    "rstrictatime": (ATTR_ATIME, ATTR_STRICTATIME),
    "rsuid": (ATTR_NOSUID, 0),
    "rsymfollow": (ATTR_NOSYMFOLLOW, 0),
}
IDMAP = ("idmap", "ridmap")
_MAPPED = ("idmap=", "ridmap=")
TMPCOPYUP = "tmpcopyup"
# crun's, for bind mounts whose source or destination may be a symbolic link.
SRC_NOFOLLOW, DEST_NOFOLLOW, COPY_SYMLINK = 1, 2, 4
LINKS = {
    "copy-symlink": COPY_SYMLINK,
    "dest-nofollow": DEST_NOFOLLOW,
    "src-nofollow": SRC_NOFOLLOW,
}
# What the man page says of the mount options that mount(8) does not have.
EXTENSIONS = (
    ("tmpcopyup", "tmpfs: begin with a copy of what the image has at the destination"),
    ("copy-symlink", "bind: a source that is a symbolic link becomes one in the container"),
    ("src-nofollow", "bind: mount a source that is a symbolic link, not its target"),
    ("dest-nofollow", "bind: mount on a destination that is a symbolic link"),
    (
        "idmap=uids=C-H-N#...;gids=...",
        "bind: map N ids from C in the container to H on the host; @C-H-N counts H as the"
        " container's user namespace does",
    ),
    ("ridmap=...", "the same, for the mounts below it, too"),
)
# mount(8) keeps these to itself, and config.md wants it followed: no filesystem ever sees them.
USERSPACE = frozenset(
    ("_netdev", "auto", "noauto", "nofail", "nogroup", "noowner", "nouser", "nousers")
)
USERSPACE_PREFIXES = ("x-", "X-", "comment=")

_SAME_BITS = MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC  # as MS_* and as MOUNT_ATTR_*
# MS_* to fsconfig(2)'s flag names, for what belongs to the superblock. "ro" is in both worlds, as
# in mount(2).
_SUPERBLOCK_NAMES = (
    (MS_RDONLY, "ro"),
    (MS_SYNCHRONOUS, "sync"),
    (MS_DIRSYNC, "dirsync"),
    (MS_MANDLOCK, "mand"),
    (MS_LAZYTIME, "lazytime"),
)
_SUPERBLOCK_BITS = MS_RDONLY | MS_SYNCHRONOUS | MS_DIRSYNC | MS_MANDLOCK | MS_LAZYTIME
# fsconfig(2) has no word for these: a filesystem that is to have them needs mount(2).
_CLASSIC_ONLY = MS_I_VERSION | MS_SILENT

# The options of file systems that containers have, without their values (Linux 6.18).
OF_FILESYSTEMS = {
    "tmpfs": "gid grpquota huge inode32 inode64 mode mpol noswap nr_blocks nr_inodes quota size "
    "uid usrquota usrquota_block_hardlimit usrquota_inode_hardlimit grpquota_block_hardlimit "
    "grpquota_inode_hardlimit casefold strict_encoding context",
    "proc": "gid hidepid pidns subset",
    "sysfs": "",
    "mqueue": "context",
    "devpts": "gid max mode newinstance ptmxmode uid context",
    "cgroup2": "favordynmods memory_hugetlb_accounting memory_localevents memory_recursiveprot "
    "nsdelegate pids_localevents",
}


# What says nothing of a bind mount's attributes; the words for access times; what a remount resets.
_NO_FLAGS = MS_BIND | MS_REC | MS_REMOUNT
_MS_TIMES = MS_NOATIME | MS_NODIRATIME | MS_RELATIME | MS_STRICTATIME
_ATTR_TIMES = ATTR_ATIME | ATTR_NODIRATIME
_RESET = ATTR_RDONLY | ATTR_NOSUID | ATTR_NODEV | ATTR_NOEXEC | ATTR_NOSYMFOLLOW


class ParsedOptions:
    """What the options of one mount ask for; a value that does not change after `parse`.

    - `ms_set`, `ms_clear`: MS_* bits, MS_BIND, MS_REC and MS_REMOUNT included; never overlapping.
    - `attr_set`, `attr_clr`: MOUNT_ATTR_* for this mount only, as mount_setattr(2) takes them.
      fsmount(2) takes `attr_set` alone.
    - `rec_attr_set`, `rec_attr_clr`: the same for mount_setattr(AT_RECURSIVE).
    - `sb_set`: flag names for fsconfig(FSCONFIG_SET_FLAG).
    - `classic`: MS_* bits that only mount(2) can express.
    - `propagation`: MS_SHARED and its siblings, with MS_REC where recursive, in order.
    - `bind`: NO_BIND, BIND or RBIND. `idmap`: "", "idmap" or "ridmap"; `mappings` is what stands
      behind it (idmap=...), crun's form. `links`: bits of LINKS.
    - `data`: the options that are the filesystem's own, in order.
    """

    __slots__ = (
        "attr_clr",
        "attr_set",
        "bind",
        "classic",
        "data",
        "idmap",
        "links",
        "mappings",
        "ms_clear",
        "ms_set",
        "propagation",
        "rec_attr_clr",
        "rec_attr_set",
        "remount",
        "sb_set",
        "tmpcopyup",
    )

    attr_clr: int
    attr_set: int
    bind: int
    classic: int
    data: tuple[str, ...]
    idmap: str
    links: int
    mappings: str
    ms_clear: int
    ms_set: int
    propagation: tuple[int, ...]
    rec_attr_clr: int
    rec_attr_set: int
    remount: bool
    sb_set: tuple[str, ...]
    tmpcopyup: bool

    def __repr__(self) -> str:
        inner = ", ".join(f"{name}={getattr(self, name)!r}" for name in self.__slots__)
        return f"ParsedOptions({inner})"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ParsedOptions):
            return NotImplemented
        return all(getattr(self, name) == getattr(other, name) for name in self.__slots__)

    __hash__ = None  # type: ignore[assignment]


def parse(options: Iterable[str]) -> ParsedOptions:
    """Translate `mounts[].options`; a later option overrides an earlier one of the same kind.

    Unknown options are the filesystem's (config.md#linux-mount-options); this never fails.
    """
    ms_set = ms_clear = rec_set = rec_clr = 0
    propagation: list[int] = []
    data: list[str] = []
    parsed = ParsedOptions()
    parsed.idmap = parsed.mappings = ""
    parsed.links = 0
    parsed.tmpcopyup = False
    for option in options:
        if option in SETS:
            bits = SETS[option]
            ms_set |= bits
            ms_clear &= ~bits
        elif option in CLEARS:
            bits = CLEARS[option]
            ms_set &= ~bits
            ms_clear |= bits
        elif option in PROPAGATION:
            propagation.append(PROPAGATION[option])
        elif option in RECURSIVE:
            clear, bits = RECURSIVE[option]
            rec_set = rec_set & ~clear | bits
            # The access time field must be cleared to be set, mount_setattr(2); a flag must not.
            rec_clr = rec_clr & ~bits | clear
        elif (
            not _is_ours(parsed, option)
            and option not in USERSPACE
            and not option.startswith(USERSPACE_PREFIXES)
        ):
            data.append(option)
    parsed.propagation = tuple(propagation)
    parsed.data = tuple(data)
    parsed.rec_attr_set = rec_set
    parsed.rec_attr_clr = rec_clr
    _spread(parsed, ms_set, ms_clear)
    return parsed


def _is_ours(parsed: ParsedOptions, option: str) -> bool:
    """Take note of what is neither the kernel's nor a filesystem's."""
    if option in IDMAP or option.startswith(_MAPPED):
        parsed.idmap, _, parsed.mappings = option.partition("=")
    elif option == TMPCOPYUP:
        parsed.tmpcopyup = True
    elif option in LINKS:
        parsed.links |= LINKS[option]
    else:
        return False
    return True


def _spread(parsed: ParsedOptions, ms_set: int, ms_clear: int) -> None:
    """Fill in everything that follows from the MS_* bits."""
    parsed.ms_set = ms_set
    parsed.ms_clear = ms_clear
    parsed.bind = (RBIND if ms_set & MS_REC else BIND) if ms_set & MS_BIND else NO_BIND
    parsed.remount = bool(ms_set & MS_REMOUNT)
    parsed.classic = ms_set & _CLASSIC_ONLY
    attr_set, attr_clr = _access_time(ms_set, ms_clear)
    parsed.attr_set = attr_set | _attributes(ms_set)
    parsed.attr_clr = attr_clr | _attributes(ms_clear)
    parsed.sb_set = ()
    if ms_set & _SUPERBLOCK_BITS:
        parsed.sb_set = tuple([name for bit, name in _SUPERBLOCK_NAMES if ms_set & bit])


def _attributes(bits: int) -> int:
    """MS_* to MOUNT_ATTR_*, for what belongs to the mount."""
    found = bits & _SAME_BITS
    if bits & MS_NODIRATIME:
        found |= ATTR_NODIRATIME
    if bits & MS_NOSYMFOLLOW:
        found |= ATTR_NOSYMFOLLOW
    return found


def _access_time(ms_set: int, ms_clear: int) -> tuple[int, int]:
    """The access time field as (set, clear), resolving contradictions as mount(2) does.

    The kernel's path_mount() lets strictatime win over noatime, and noatime over relatime.
    norelatime alone says nothing: a mount has relatime by default.
    """
    if ms_set & MS_STRICTATIME:
        return ATTR_STRICTATIME, ATTR_ATIME
    if ms_set & MS_NOATIME:
        return ATTR_NOATIME, ATTR_ATIME
    if ms_set & MS_RELATIME or ms_clear & (MS_NOATIME | MS_STRICTATIME):
        return ATTR_RELATIME, ATTR_ATIME
    return 0, 0


def of_bind(options: ParsedOptions) -> tuple[int, int, int]:
    """The attributes of a bind mount: to set, to clear, and to clear if not locked.

    As with mount(2), which remounts it when any flag is named: then exactly the named ones are set.
    How access times are noted stays as it is, unless a word names a way; that one holds alone.
    """
    if not options.ms_set & ~_NO_FLAGS and not options.ms_clear:
        return 0, 0, 0
    attr_set, attr_clear = options.attr_set & ~_ATTR_TIMES, options.attr_clr & ~_ATTR_TIMES
    if options.ms_set & _MS_TIMES:
        attr_set |= options.attr_set & _ATTR_TIMES
        attr_clear |= _ATTR_TIMES & ~(attr_set & ATTR_NODIRATIME)
    return attr_set, attr_clear, _RESET & ~(attr_set | attr_clear)


def known_options() -> list[str]:
    """Every option with a meaning of its own, sorted: `mountOptions` of features.md."""
    names = [*SETS, *CLEARS, *PROPAGATION, *RECURSIVE, *IDMAP, *LINKS, TMPCOPYUP]
    return sorted(names)
