"""Each container operation as the system calls that it means: see verdict.py."""

from __future__ import annotations

import os
import posixpath
import re

from tests.executor import expected_links as links
from tests.executor import expected_process as process
from tests.executor.steps import (
    ACCESS_TIME,
    BOTH_EMPTY,
    CLONED,
    EMPTY,
    HIDDEN,
    NEWUSER,
    NODEV,
    NOEXEC,
    NOFOLLOW,
    NOSUID,
    NOSYMFOLLOW,
    PRIVATE,
    RDONLY,
    RECURSIVE,
    attach,
    cloned,
    configured,
    directories,
    members,
    new_file,
    new_proc,
    parent_of,
    root,
    send,
    write_proc,
)
from tests.executor.trace import Call, strings
from tests.executor.verdict import Check, Fd, Walk

# -- namespaces --------------------------------------------------------------------------------


def cgroup_join(walk: Walk) -> None:
    walk.want("write", Fd(f"slot:{walk['slot']}"), "0", 1)


def setns(walk: Walk) -> None:
    walk.want("setns", Fd(f"slot:{walk['slot']}"), walk["nstype"])


def unshare(walk: Walk) -> None:
    if walk["flags"] & NEWUSER:
        walk.want("prctl", 4, 1)  # its id maps are written by its user
    walk.want("unshare", walk["flags"])


def respawn(walk: Walk) -> None:
    """The rest is the child's, in the same place of the plan."""
    clone_parent, clone_pidfd = 0x8000, 0x1000
    flags = walk["flags"] | clone_parent | clone_pidfd
    call = walk.want("clone", "child_stack=NULL".__eq__, cloned(flags))
    send(walk, 4)
    walk.proc = False
    walk.want("exit_group", 0)
    walk.go_on_in(call.result)


def become_root(walk: Walk) -> None:
    if walk["setgroups"]:
        walk.want("setgroups", 0, fails=("EPERM",) if walk["setgroups"] == 2 else ())
    walk.want("setresgid", *[walk["gid"]] * 3)
    walk.want("setresuid", *[walk["uid"]] * 3)
    walk.want("prctl", 4, walk["visible"])


def own_oom_score(walk: Walk) -> None:
    """Its own file is root's while it is not dumpable."""
    value = str(walk["value"])
    walk.want("prctl", 4, 1)
    walk.want("prctl", 4, 0)
    file = Fd("host:/proc/self/oom_score_adj")
    walk.want("write", file, value, len(value), fails=("EACCES", "EPERM"))


def open_time_offsets(walk: Walk) -> None:
    walk.want("prctl", 4, 1)
    walk.want("prctl", 4, 0)


def time_offsets(walk: Walk) -> None:
    lines = walk["lines"]
    walk.want("write", Fd("host:/proc/self/timens_offsets"), lines, len(lines))


def setsid(walk: Walk) -> None:
    walk.want("setsid", fails=("EPERM",))


def keyring(walk: Walk) -> None:
    # In a plan that is only shown, its name has no secret.
    name = f'"{walk["name"]}'
    ring = walk.want("keyctl", 1, lambda word: word.startswith(name),
                     fails=("ENOSYS", "EPERM"))  # fmt: skip
    if ring.ok and walk["fresh"]:
        walk.want("keyctl", 6, ring.result)
    if ring.ok:
        walk.want("keyctl", 5, ring.result, 0x3F1B0000)


def loopback_up(walk: Walk) -> None:
    walk.want("socket", 2)
    walk.want("ioctl", ..., 0x8914, '{ifr_name="lo", ifr_flags=0x1}'.__eq__)


def hostname(walk: Walk) -> None:
    walk.want("sethostname", walk["name"], len(walk["name"].encode()))


def domainname(walk: Walk) -> None:
    walk.want("setdomainname", walk["name"], len(walk["name"].encode()))


def sysctl(walk: Walk) -> None:
    write_proc(walk, walk["file"], walk["value"])


def self_write(walk: Walk) -> None:
    new_proc(walk)
    path = walk.want("openat2", Fd("tree:fs:proc"), ..., members(flags=0x80001, resolve=0xF))
    if (path.text(1) or "").partition("/")[2] != walk["file"]:
        raise walk.wrong(f"{path!r} is not {walk['file']}")
    walk.want("write", ..., walk["value"], len(walk["value"]))


# -- mounts ------------------------------------------------------------------------------------


def propagation(walk: Walk) -> None:
    walk.want("mount", None, walk["path"], None, walk["flags"], None)


def rootfs(walk: Walk) -> None:
    path = tried = "/" if walk["over_root"] else walk["path"]
    if walk["parent"] == 0 and walk["slot"] < 0:
        walk.fds.names[walk.take().result] = "root:/"  # the host's mounts: only a chroot
        return
    if walk["parent"] == 1:
        while not walk.want("mount", None, tried, None, 1 << 18, None, fails=("EINVAL",)).ok:
            tried = posixpath.dirname(tried)
    if walk["slot"] < 0:
        walk.want("open_tree", -100, path, CLONED | RECURSIVE)
        walk.want("move_mount", Fd(f"tree:{path}"), "", -100, path, 0x14)
    else:
        walk.want("move_mount", Fd(f"slot:{walk['slot']}"), "", -100, path, 0x14)
        if walk["parent"] != 2:
            private(walk, root("/"))
    if walk.next_is("move_mount", "tree:fs:tmpfs"):
        _open_own_files(walk)


def private(walk: Walk, tree: Fd, recursive: bool = False, **attributes: int) -> None:
    flags = EMPTY | (RECURSIVE if recursive else 0)
    walk.want("mount_setattr", tree, "", flags, members(propagation=PRIVATE, **attributes))


def own_files(walk: Walk) -> None:
    walk.label = walk["label"]
    _tmpfs(walk, walk.label, "", NOSUID | NOEXEC)
    walk.want("umask", 0)
    made = walk.want("mknodat", Fd("tree:fs:tmpfs"), "mask", 0o20666, 0x103, fails=("EPERM",))
    walk.want("umask", 0o22)
    if not made.ok:
        walk.want("openat", Fd("tree:fs:tmpfs"), "mask", ..., 0o444)


def own_node(walk: Walk) -> None:
    name, device = str(walk["slot"]), walk["device"]
    number = (device >> 32) << 8 | device & 0xFFFFFFFF
    walk.want("umask", 0)
    walk.want("mknodat", Fd("tree:fs:tmpfs"), name, walk["mode"], number)
    walk.want("umask", 0o22)
    if walk["uid"] or walk["gid"]:
        walk.want("fchownat", Fd("tree:fs:tmpfs"), name, walk["uid"], walk["gid"], 0x100)


def _open_own_files(walk: Walk) -> None:
    """Each file as a mount of its own; that of all of them goes again."""
    attach(walk, "fs:tmpfs", "/")
    while walk.next_is("open_tree", "tree:fs:tmpfs"):
        tree = walk.want("open_tree", Fd("tree:fs:tmpfs"), ..., CLONED)
        name = tree.text(1) or ""
        walk.fds.names[tree.result] = "tree:mask" if name == "mask" else f"slot:{name}"
    private(walk, Fd("tree:mask"), attr_set=RDONLY)
    walk.want("umount2", ..., 2)


def open_source(walk: Walk) -> None:
    flags = CLONED | (RECURSIVE if walk["recursive"] else 0)
    flags |= NOFOLLOW if walk["nofollow"] else 0
    tree = walk.want("open_tree", -100, walk["path"], flags)
    walk.fds.names[tree.result] = f"slot:{walk['slot']}"


def open_fs(walk: Walk) -> None:
    context = f"fs:{walk['fstype']}"
    walk.want("fsopen", walk["fstype"], 1)
    if walk["source"]:
        walk.want("fsconfig", Fd(context), 1, "source", walk["source"], 0)
    configured(walk, context, walk["options"])
    made = walk.want("fsmount", Fd(context), 1, walk["attr_set"])
    walk.fds.names[made.result] = f"slot:{walk['slot']}"


def mount(walk: Walk) -> None:
    target, fstype = walk["target"], walk["fstype"]
    directories(walk, target)
    if walk["ms_flags"]:
        data = ",".join(walk["options"])
        call = walk.want("mount", walk["source"], ..., fstype, walk["ms_flags"], data)
        _through(walk, call, root(target).name)
        return
    walk.want("fsopen", fstype, 1)
    _configure(walk, f"fs:{fstype}")
    walk.want("fsmount", Fd(f"fs:{fstype}"), 1, walk["attr_set"])
    attach(walk, f"fs:{fstype}", target)


def _configure(walk: Walk, context: str) -> None:
    if walk["source"]:
        walk.want("fsconfig", Fd(context), 1, "source", walk["source"], 0)
    if walk["keep_mode"]:
        walk.want("fsconfig", Fd(context), 1, "mode", re.compile(r'"[0-7]{4}"').fullmatch, 0)
    configured(walk, context, [*walk["options"], *walk["sb_flags"]])


def _through(walk: Walk, call: Call, name: str) -> None:
    """mount(2) gets a descriptor's own path."""
    path = call.text(1) or ""
    fd = int(path.removeprefix("/proc/self/fd/"))
    if walk.fds[fd] != name:
        raise walk.wrong(f"{path} is {walk.fds[fd]}, not {name}")


def bind(walk: Walk) -> None:
    source, slot = walk["source"], walk["slot"]
    tree = f"tree:{source}" if slot < 0 else f"slot:{slot}"
    if slot < 0:
        flags = CLONED | (RECURSIVE if walk["recursive"] else 0)
        walk.want("open_tree", -100, source, flags)
    first, clear = walk["attr_set"], walk["attr_clear"] | walk["soft_clear"]
    if first or clear:
        attributes = members(attr_set=first, attr_clr=clear)
        done = walk.want("mount_setattr", Fd(tree), "", EMPTY, attributes, fails=("EPERM",))
        first, clear = first & ~ACCESS_TIME, clear & NOSYMFOLLOW
        if not done.ok and (first or clear):
            attributes = members(attr_set=first, attr_clr=clear)
            walk.want("mount_setattr", Fd(tree), "", EMPTY, attributes)
    directories(walk, walk["target"])
    new_file(walk, walk["target"])
    walk.want("move_mount", Fd(tree), "", root(walk["target"]), "", BOTH_EMPTY)


def bind_host(walk: Walk) -> None:
    source, target, slot = walk["source"], walk["target"], walk["slot"]
    tree = Fd(f"tree:{source}" if slot < 0 else f"slot:{slot}")
    if slot < 0:
        missing = ("ENOENT",) if walk["missing"] else ()
        if not walk.want("open_tree", -100, source, CLONED | RECURSIVE, fails=missing).ok:
            if walk["missing"] == HIDDEN:
                directories(walk, target)
                hide(walk, target)
            return
        kept = walk["attr_set"] & (RDONLY | NOSUID | NODEV | NOEXEC | NOSYMFOLLOW)
        private(walk, tree, True, attr_set=kept | RDONLY)
        if not kept & RDONLY and not os.statvfs(source).f_flag & os.ST_RDONLY:
            walk.want("mount_setattr", tree, "", EMPTY, members(attr_clr=RDONLY))
    directories(walk, target)
    walk.want("move_mount", tree, "", root(target), "", BOTH_EMPTY)


def mount_attr(walk: Walk) -> None:
    flags = EMPTY | (RECURSIVE if walk["recursive"] else 0)
    attributes = members(attr_set=walk["attr_set"], attr_clr=walk["attr_clear"])
    walk.want("mount_setattr", root(walk["target"]), "", flags, attributes)


def mount_propagation(walk: Walk) -> None:
    recursive = 0x4000  # MS_REC
    flags = EMPTY | (RECURSIVE if walk["flags"] & recursive else 0)
    attributes = members(propagation=walk["flags"] & ~recursive)
    walk.want("mount_setattr", root(walk["target"]), "", flags, attributes)


def remount(walk: Walk) -> None:
    walk.want("fchdir", root(walk["target"]))
    walk.want("mount", None, ".", None, walk["ms_flags"], walk["data"] or None)
    walk.want("fchdir", ...)


def readonly(walk: Walk) -> None:
    path = walk["path"]
    if not walk.resolves(path).ok:
        return
    walk.want("open_tree", root(path), "", CLONED | RECURSIVE | EMPTY)
    private(walk, Fd(f"tree:root:{path}"), True)
    walk.want("mount_setattr", Fd(f"tree:root:{path}"), "", EMPTY, members(attr_set=1))
    attach(walk, f"root:{path}", path)


def mask(walk: Walk) -> None:
    if walk.resolves(walk["path"]).ok:
        hide(walk, walk["path"])


def hide(walk: Walk, path: str) -> None:
    """By the one file or the one directory that hides all others."""
    tree = "mask"
    if walk.next_is("fsopen"):
        tree = "fs:tmpfs"
        _tmpfs(walk, walk.label, "1", RDONLY)
    elif walk.next_is("open_tree"):
        call = walk.want("open_tree", ..., "", CLONED | EMPTY)
        tree = walk.fds[call.number(0)].removeprefix("tree:")
        if tree not in ("mask", "fs:tmpfs"):
            raise walk.wrong(f"{tree} hides {path}")
    attach(walk, tree, path)
    private(walk, Fd(f"tree:{tree}"))


def _tmpfs(walk: Walk, label: str, inodes: str, attributes: int) -> None:
    walk.want("fsopen", "tmpfs", 1)
    options = ["nr_blocks=1", *[f"nr_inodes={inodes}"] * bool(inodes)]
    configured(walk, "fs:tmpfs", options + [f"context={label}"] * bool(label))
    walk.want("fsmount", Fd("fs:tmpfs"), 1, attributes)


def label_file(walk: Walk) -> None:
    label = walk["label"]
    walk.want("fsetxattr", root(walk["path"]), "security.selinux", label, len(label) + 1, 0)


def pivot_root(walk: Walk) -> None:
    walk.want("fchdir", root("/"))
    walk.want("pivot_root", ".", ".")
    walk.want("fchdir", Fd("host:/"))  # there is no other name for the old root now
    walk.want("mount", None, ".", None, 0x84000, None)  # MS_SLAVE | MS_REC
    walk.want("umount2", ".", 2)
    walk.want("chdir", "/")


def hide_host(walk: Walk) -> None:
    """Whatever there is of it on this machine, and nothing else."""
    while walk.next_is("mount") and (call := walk.peek()) and call.text(0) is None:
        point = walk.want("mount", None, ..., None, 0x84000, None).text(1)
        if walk.want("umount2", point, 2 | 8, fails=("EINVAL", "EPERM")).ok:
            continue
        place = {fd for fd, name in walk.fds.names.items() if name == f"host:{point}"}
        walk.fds.names.update(dict.fromkeys(place, f"root:{point}"))
        hide(walk, point or "")


def move_root(walk: Walk) -> None:
    walk.want("fchdir", root("/"))
    walk.want("mount", ".", "/", None, 0x2000, None)  # MS_MOVE
    walk.want("chroot", ".")
    walk.want("chdir", "/")


def chroot(walk: Walk) -> None:
    walk.want("fchdir", root("/"))
    walk.want("chroot", ".")
    walk.want("chdir", "/")


# -- devices -----------------------------------------------------------------------------------


def mkdir(walk: Walk) -> None:
    directories(walk, walk["path"])


def mknod(walk: Walk) -> None:
    parent, name = parent_of(walk, walk["path"])
    if walk["bind"]:
        tree = f"slot:{walk['slot']}"
        if walk["slot"] < 0:
            tree = f"tree:{walk['source']}"
            walk.want("open_tree", -100, walk["source"], CLONED)
            private(walk, Fd(tree), attr_set=RDONLY | NOSUID | NOEXEC)
        new_file(walk, walk["path"])
        walk.want("move_mount", Fd(tree), "", root(walk["path"]), "", BOTH_EMPTY)
        return
    major, minor = walk["device"] >> 32, walk["device"] & 0xFFFFFFFF
    device = () if walk["mode"] & 0o170000 == 0o010000 else ((major << 8) | minor,)
    walk.want("umask", 0)
    made = walk.want("mknodat", parent, name, walk["mode"], *device, fails=("EEXIST",))
    walk.want("umask", 0o22)
    if made.ok and (walk["uid"] or walk["gid"]):
        walk.want("fchownat", root(walk["path"]), "", walk["uid"], walk["gid"], EMPTY)


def symlink(walk: Walk) -> None:
    parent, name = parent_of(walk, walk["path"])
    done = walk.want("symlinkat", walk["target"], parent, name, fails=("EEXIST",))
    if not done.ok and walk["replace"]:
        walk.want("unlinkat", parent, name, 0)
        walk.want("symlinkat", walk["target"], parent, name)


def console(walk: Walk) -> None:
    walk.want("ioctl", Fd("root:/dev/pts/ptmx"), 0x40045431)  # TIOCSPTLCK
    if walk["rows"] or walk["columns"]:
        size = f"{{ws_row={walk['rows']}, ws_col={walk['columns']}, ws_xpixel=0, ws_ypixel=0}}"
        walk.want("ioctl", Fd("root:/dev/pts/ptmx"), 0x5414, size.__eq__)
    if walk["mount"]:
        walk.want("open_tree", Fd("slave"), "", CLONED | EMPTY)
        private(walk, Fd("tree:slave"))
        new_file(walk, "/dev/console")
        attach(walk, "slave", "/dev/console")
    send(walk, 5)
    if walk["uid"]:
        walk.want("fchownat", Fd("slave"), "", walk["uid"], ..., EMPTY)
    for fd in range(3):
        walk.want("dup3", Fd("slave"), fd, 0)


def control_terminal(walk: Walk) -> None:
    walk.want("ioctl", 0, 0x540E)  # TIOCSCTTY


def reopen_null(walk: Walk) -> None:
    while walk.next_is("dup3"):
        walk.want("dup3", Fd("root:/dev/null"), lambda word: int(word) < 3, 0)


# -- hooks and meetings ------------------------------------------------------------------------


def sync(walk: Walk) -> None:
    send(walk, 2)


def receive(walk: Walk) -> None:
    """Slots that come with the answer."""
    send(walk, 2)
    walk.fds.coming = walk["first"] - (walk["first"] > walk.gate)


def hook(walk: Walk) -> None:
    shares = 0x100 | 0x4000 | 0x1000  # VM, VFORK, PIDFD
    child = walk.want("clone", ..., cloned(shares | 17))
    state = re.escape(walk["state_head"]) + r"\d+" + re.escape(walk["state_tail"])
    call = walk.want("write", Fd("pipe"), ..., fails=("EPIPE",))
    if not re.fullmatch(state, call.text(1) or ""):
        raise walk.wrong(f"the state is {call.text(1)}")
    names = ["dup3", "dup3", "dup3", "close_range", *_before_a_hook(walk), "execve"]
    calls = _process_of_hook(walk)[: len(names)]
    if not child.ok or [c.name for c in calls] != names:
        raise walk.wrong(f"the hook's process did {calls}")


def _before_a_hook(walk: Walk) -> list[str]:
    """What restricts the program restricts a startContainer hook, too."""
    if not walk["as_program"]:
        return ["fchdir"]
    calls = {"rlimit": "prlimit64", "seccomp": "seccomp"}
    later = [op["operation"] for op in walk.plan if op["step"] > walk.op["step"]]
    return [calls[kind] for kind in later if kind in calls]


def _process_of_hook(walk: Walk) -> list[Call]:
    """strace knows it by the host's number: it is the one that ran the hook's program."""
    for pid, calls in walk.calls.items():
        for call in calls:
            if call.name != "execve" or pid == walk.pid or call.text(0) != walk["path"]:
                continue
            env = strings(call.args[2])
            if walk["with_home"] and env and env[-1].startswith("HOME="):
                env.pop()
            if strings(call.args[1]) == walk["args"] and env == walk["env"]:
                return calls
    raise walk.wrong("no process has run the hook")


def await_start(walk: Walk) -> None:
    """Waits with no call that changes anything; the signal handlers are seen as harmless."""


EXPECTED: dict[str, Check] = {
    **process.EXPECTED,
    **links.EXPECTED,
    **{
        check.__name__: check
        for check in (
            cgroup_join, setns, unshare, respawn, become_root, own_oom_score, open_time_offsets,
            time_offsets, setsid, keyring, loopback_up, hostname, domainname, sysctl, self_write,
            propagation, rootfs, own_files, own_node, open_source, open_fs, mount, bind,
            bind_host, mount_attr, mount_propagation, remount, readonly, mask, label_file,
            pivot_root, hide_host, move_root, chroot, mkdir, mknod, symlink, console,
            control_terminal, reopen_null, sync, receive, hook, await_start,
        )
    },
}  # fmt: skip
