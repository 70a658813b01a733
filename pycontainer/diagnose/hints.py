"""What to do about an error: one sentence, made of its facts.

What raises an error gives it a code and facts, and no advice. The advice is here: by the code
(`_BY_CODE`), or by operation and errno (`_HINTS`). What has to be looked at on the host is in the
other files of this package.
"""

from __future__ import annotations

import sys
from errno import (
    EACCES,
    ECONNREFUSED,
    EEXIST,
    EINVAL,
    EMFILE,
    ENODEV,
    ENOENT,
    ENOEXEC,
    ENOSYS,
    EPERM,
)

from pycontainer.diagnose import remedies

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pycontainer.base.errors import ContainerError
    from pycontainer.plan.ops import Op

MORE_FILES = "raise the caller's limit: ulimit -n"

# (operation, errno): sentence. An operation of "" stands for all.
_HINTS = {
    ("exec", ENOENT): "its interpreter or dynamic loader is not in the root file system",
    ("exec", ENOEXEC): "not a program for this machine, or a script without a #! line",
    ("mount", ENODEV): "fix: load the file system's kernel module",
    ("mount", EINVAL): "the file system, or a kernel of this age, does not know one of the options",
    ("id_map", EPERM): "the mapping needs ranges in /etc/subuid and /etc/subgid",
    ("idmap_tree", EINVAL): (
        "its file system, or this kernel, has no id-mapped mounts; fix: leave its mappings out"
    ),
    ("idmap_tree", EPERM): "it takes root, and mappings that do not overlap",
    ("net_device", EEXIST): "a device of that name is there already; a name with %d is completed",
    ("net_device", EINVAL): (
        "this kind of device cannot leave its network namespace; fix: remove it"
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
    ("cgroup_kill", EPERM): "it belongs to another user",
    ("connect", ECONNREFUSED): "fix: start what listens there first",
    ("connect", ENOENT): "fix: start what listens there first",
    ("device_filter", EPERM): (
        "device rules of cgroup v2 need CAP_SYS_ADMIN, or CAP_BPF and CAP_NET_ADMIN"
    ),
    ("", EMFILE): MORE_FILES,
    ("", ENOSYS): "the kernel is too old: Linux 5.12 is needed",
}

# "CODE", or "FIELD CODE" (in a field, [] stands for an index or a key): the sentence, in which {}
# name facts of the error. One with a fact that the error does not have is left out.
_BY_CODE = {
    "mounts[].type required": (
        "fix: add type, e.g. tmpfs, or for a bind mount the option bind or rbind"
    ),
    "mounts[].type wrong-value": ("fix: add the option bind or rbind, which makes a bind mount"),
    "linux.seccomp.syscalls unknown": "{annotation} does not let them be passed over",
    "annotations[] not-allowed": "linux.cgroupsPath says where the unit is",
    "cgroup-invalid": "fix: choose a path that is not below a cgroup with processes of its own",
    "cgroup-threaded": "fix: choose a path that is not below a cgroup with processes of its own",
    "criu": "more is in {log}",
    "damaged-state": "fix: delete --force removes the container",
    "directory-not-empty": "fix: remove it first",
    "exit-unknown": "it needs Linux 6.15, or --record-exit of create or run",
    "job-failed": "see: journalctl -u {unit}",
    "memory-in-use": "fix: give more than {usage} bytes, which are in use, or end what uses them",
    "needs-console-socket": "fix: set process.terminal to false, or give --console-socket",
    "needs-terminal": "stats prints the same",
    "no-config": "fix: name the bundle with --bundle, or have `spec` write the file",
    "no-command": "fix: name a command after the container, like: exec mybox ls -l",
    "no-criu": "fix: install CRIU",
    "no-duration": "fix: give a number with a unit, like 30s, 10m, 36h, 2d",
    "no-id-map": "pycontainer info says what an ordinary user needs",
    "no-layer-store": "fix: choose a directory of yours with --layers DIR",
    "no-libseccomp": "fix: install libseccomp2, 2.5 or newer",
    "no-memory-controller": "events --stats needs none",
    "no-platform": "--platform chooses another one",
    "no-ps": "--format json needs no ps",
    "no-resctrl": "fix: mount -t resctrl resctrl /sys/fs/resctrl, where CPU and kernel have it",
    "no-size": "fix: give bytes, or a number with k, m or g: 512m",
    "no-freezer": "`pycontainer info` says how it gets one; fix: send SIGSTOP instead",
    "no-such-image": "IMAGE is PATH:REFERENCE",
    "no-systemd": "fix: leave out --systemd-cgroup and give linux.cgroupsPath as a path",
    "no-user-bus": "is the D-Bus user session there (Debian: dbus-user-session)?",
    "no-user-systemd": (
        "fix: leave out --systemd-cgroup, or boot with systemd.unified_cgroup_hierarchy=1"
    ),
    "not-a-list": '["sh", "-c", text]',
    "not-an-archive": "fix: give a tar archive, or a directory",
    "not-authorized": (
        "fix: run as root, or without --systemd-cgroup, or use the user's own manager"
    ),
    "not-built": "fix: run make",
    "not-enabled": "fix: remove the field, or boot with {module}",
    "not-installed": "fix: install it for {interpreter}, or reinstall",
    "not-loopback": "a proxy in front of it may authenticate those from outside",
    "not-ours": "another user could have put a container there; choose another --root",
    "not-paused": "{id} is {status}: nothing to do",
    "not-running": "{id} is {status}",
    "not-stopped": "fix: kill it first, or use --force",
    "not-trusted": "--trust-annotations allows any",
    "remote-image": "an image is a file or directory here; fix: bring it with `skopeo copy`",
    "stdio-no-terminal": (
        "process.terminal is true, and neither stdin, stdout nor stderr is a terminal; "
        "fix: start it at a terminal, or set process.terminal to false (no -t)"
    ),
    "hook-timeout": "fix: raise its timeout, or find out what it waits for",
    "image-too-large": "--max-size raises the limit",
    "unit-exists": "another container, or a service, has it; delete that one or change cgroupsPath",
    "unknown-network": "other networks are made by the caller: docs/images.md",
    "unmapped-owner": "are uid {uid} and gid {gid} in the range of /etc/subuid?",
}
# CODE: the function of this package that makes the sentence.
_FUNCTIONS = {
    "cgroup-busy": "hints.cgroup_busy",
    "cgroup-not-empty": "hints.cgroup_not_empty",
    "init-died": "hints.init_died",
    "no-cgroup": "cgroups.not_made",
    "no-controller": "cgroups.no_controller",
    "no-controller-v2": "cgroups.not_made",
    "no-hierarchy": "cgroups.not_made",
    "no-runtime-directory": "paths.runtime_directory",
    "no-such-field": "hints.field",
    "not-an-id": "hints.user_or_group",
    "not-mounted": "cgroups.not_made",
    "not-one-of": "hints.choices",
    "state-directory": "paths.state_directory",
    "unknown-signal": "hints.signal",
    "unneeded-console-socket": "hints.console_socket",
    "wrong-namespace": "hints.namespace",
    "wrong-state": "hints.state",
    "write-refused": "cgroups.write_refused",
}


def hint_of(error: ContainerError) -> str:
    """The sentence, or ""."""
    if "others" in error.params:
        return f"{error.params['others']} more like this"
    if name := _FUNCTIONS.get(error.code):
        module, _, function = f"{__package__}.{name}".rpartition(".")
        __import__(module)
        return str(getattr(sys.modules[module], function)(error))
    key = f"{remedies.field_and_keys(error.field)[0]} {error.code}"
    text = _BY_CODE.get(key) or _BY_CODE.get(error.code)
    if text:
        try:
            return text.format_map(error.params)
        except KeyError:
            return ""
    text = _HINTS.get((error.operation, error.errno)) or _HINTS.get(("", error.errno))
    return text or remedies.of(error)


def hint(op: Op, errno: int, detail: str) -> str:
    """The same of an operation of a plan, of whose failure `detail` has told more."""
    if op.kind in ("find_program", "hook") or (detail and errno != ENOENT):
        return ""
    return _HINTS.get((op.kind, errno)) or _HINTS.get(("", errno), "")


def cgroup_busy(error: ContainerError) -> str:
    """Who keeps a cgroup that is to be removed."""
    return "; ".join(error.params["processes"])


def cgroup_not_empty(error: ContainerError) -> str:
    """Who is in a cgroup that should be a new container's."""
    return f"in {error.path}: {' '.join(map(str, error.params['pids']))}"


def init_died(error: ContainerError) -> str:
    """Killed, most likely for its memory."""
    if "oom" in error.params:
        return "fix: raise linux.resources.memory.limit"
    if error.params.get("cgroup") == "removed":
        return "systemd has removed its cgroup; linux.resources.memory.limit may be too low"
    return ""


def field(error: ContainerError) -> str:
    """A field that config.json does not have."""
    near = error.params["nearest"]
    return f"did you mean {near[0]}?" if near else "a field is written like mounts[0].options"


def choices(error: ContainerError) -> str:
    """What the value may be: `choices`, of which there may be a `kind`."""
    if not (names := error.params.get("choices")):
        return ""
    kind = error.params.get("kind")
    first, last = ", ".join(names[:-1]), names[-1]
    return f"the {kind} are {first} and {last}" if kind else f"must be {first} or {last}"


def signal(error: ContainerError) -> str:
    """A misspelt signal."""
    from pycontainer.base.nearest import did_you_mean
    from pycontainer.tables.signals import NUMBERS

    name = error.params["value"].upper().removeprefix("SIG")
    near = did_you_mean(name, (known.removeprefix("SIG") for known in NUMBERS))
    return near or "fix: give a name like TERM, or a number"


def user_or_group(error: ContainerError) -> str:
    """A name, where a number is wanted."""
    name, value = error.params["name"], error.params["value"]
    if not value.isidentifier():
        return ""
    return f"fix: `exec CONTAINER id {'-u' if name == 'uid' else '-g'} {value}` prints it"


def console_socket(error: ContainerError) -> str:
    """One for a process that has no terminal, or is not detached."""
    more = "" if error.params["terminal"] else ", or set process.terminal"
    return f"fix: leave --console-socket out{more}"


def namespace(error: ContainerError) -> str:
    """A file of another type (`found`) than the namespace's (`file`)."""
    found = error.params["found"]
    what = f"it is a {found} namespace" if found else "it is not a namespace at all"
    return f"{what}; fix: give a path like /proc/PID/ns/{error.params['file']}"


def state(error: ContainerError) -> str:
    """What is possible in this state."""
    if not (status := error.params.get("status")):
        return ""
    remedies = {
        "running": "; `exec` runs one more program in it",
        "stopped": "; fix: delete it, and create it again",
    }
    return f"{error.params['id']} is {status}{remedies.get(status, '')}"
