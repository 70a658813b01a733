"""What the pointers of a refused system call point to, where that is a string: /proc/PID/mem.

The call waits while we look. Another thread may write there meanwhile: a word for people, no fact.
"""

from __future__ import annotations

import posix

LENGTH = 256  # bytes of a string that are read
_PAGE = 4096
# Which arguments of a system call are strings.
_PLACES: dict[str, tuple[int, ...]] = {
    **dict.fromkeys(
        "access acct chdir chmod chown chroot creat execve getxattr lchown lgetxattr listxattr"
        " llistxattr lremovexattr lsetxattr lstat mkdir mknod memfd_create open readlink"
        " removexattr rmdir setxattr stat statfs swapoff swapon truncate umount umount2 unlink"
        " uselib utime utimes".split(),
        (0,),
    ),
    **dict.fromkeys(
        "delete_module fspick link mount_setattr mq_open mq_unlink pivot_root rename"
        " request_key symlink".split(),
        (0, 1),
    ),
    **dict.fromkeys(
        "execveat faccessat faccessat2 fchmodat fchmodat2 fchownat fsetxattr futimesat"
        " inotify_add_watch mkdirat mknodat name_to_handle_at newfstatat open_tree openat openat2"
        " readlinkat statx unlinkat utimensat".split(),
        (1,),
    ),
    **dict.fromkeys(("linkat", "renameat", "renameat2", "move_mount"), (1, 3)),
    "symlinkat": (0, 2),
    "mount": (0, 1, 2),
    "mount_setattr": (1,),
    "fspick": (1,),
    "fsopen": (0,),
    "fsconfig": (2,),
    "add_key": (0, 1),
    "delete_module": (0,),
    "mq_open": (0,),
    "mq_unlink": (0,),
    "quotactl": (1,),
    "sethostname": (0,),
    "setdomainname": (0,),
    "finit_module": (1,),
    "fanotify_mark": (4,),
}


def of_call(pid: int, syscall: str, arguments: list[int]) -> dict[int, str]:
    """The strings by the number of their argument; those that cannot be read are left out."""
    places = _PLACES.get(syscall, ())
    if not places:
        return {}
    try:
        memory = posix.open(f"/proc/{pid}/mem", posix.O_RDONLY | posix.O_CLOEXEC)
    except OSError:
        return {}
    try:
        found = {place: _read(memory, arguments[place]) for place in places}
    finally:
        posix.close(memory)
    return {place: text for place, text in found.items() if text is not None}


def _read(memory: int, address: int) -> str | None:
    data = b""
    while len(data) < LENGTH and b"\0" not in data:
        at = address + len(data)
        try:
            part = posix.pread(memory, min(LENGTH - len(data), _PAGE - at % _PAGE), at)
        except (OSError, OverflowError):
            return None
        if not part:
            return None
        data += part
    text = data.partition(b"\0")[0].decode("utf-8", "replace")
    return text + "..." if b"\0" not in data else text
