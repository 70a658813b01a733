"""What to do about an operation that failed: one sentence, where a cause is known."""

from __future__ import annotations

from errno import EACCES, ECONNREFUSED, EEXIST, EINVAL, ENODEV, ENOENT, ENOEXEC, ENOSYS, EPERM

from pycontainer.plan.ops import Op

# (kind, errno): sentence. A kind of "" stands for all.
_HINTS = {
    ("exec", ENOENT): "its interpreter or dynamic loader is not in the root file system",
    ("exec", ENOEXEC): "not a program for this machine, or a script without a #! line",
    ("mount", ENODEV): "fix: load the file system's kernel module",
    ("mount", EINVAL): "an option is not one of this file system",
    ("id_map", EPERM): "the mapping needs ranges in /etc/subuid and /etc/subgid",
    ("idmap_tree", EINVAL): (
        "its file system, or this kernel, has no id-mapped mounts; fix: leave its mappings out"
    ),
    ("idmap_tree", EPERM): "it takes root, and mappings that do not overlap",
    ("net_device", EEXIST): "a device of that name is there already; a name with %d is completed",
    ("net_device", EINVAL): (
        "this kind of device cannot leave its network namespace; fix: leave it out"
    ),
    ("net_device", ENODEV): "the device has to be in the runtime's own network namespace",
    ("clone", EPERM): "new namespaces need root, or a user namespace",
    ("clone", EINVAL): "the kernel lacks one of the namespaces",
    ("pivot_root", EINVAL): "fix: a root on initramfs needs --no-pivot",
    ("oom_score_adj", EACCES): (
        "lowering it needs CAP_SYS_RESOURCE; fix: raise process.oomScoreAdj, or run with it"
    ),
    ("scheduler", EPERM): "it needs CAP_SYS_NICE, or RLIMIT_RTPRIO",
    ("scheduler", EINVAL): (
        "the kernel takes none of these values; of SCHED_DEADLINE, runtime must be at least 1024, "
        "and deadline and period at least 100000 nanoseconds"
    ),
    ("hostname", EPERM): "needs a uts namespace",
    ("loopback_up", EPERM): "needs a network namespace of its own",
    ("user", EINVAL): "the id is not mapped into the user namespace",
    ("", ENOSYS): "the kernel is too old: Linux 5.12 is needed",
}


def hint(op: Op, errno: int, detail: str) -> str:
    """The sentence, or ""."""
    if op.kind in ("find_program", "hook") or (detail and errno != ENOENT):
        return ""
    return _HINTS.get((op.kind, errno)) or _HINTS.get(("", errno), "")


def unanswered(errno: int) -> str:
    """The sentence for a socket that cannot be connected to, or ""."""
    return "fix: start what listens there first" if errno in (ENOENT, ECONNREFUSED) else ""
