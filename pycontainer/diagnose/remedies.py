"""What to do about an error, where its field, code, operation and errno say all: tables.

Loaded after a failure. A sentence that depends on more is made by a function of this package
(FUNCTIONS). hints.py has the rules by which one is chosen.
"""

from __future__ import annotations

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

MORE_FILES = "raise the caller's limit: ulimit -n"
_RANGE = '{{"containerID": 0, "hostID": 100000, "size": 65536}}'

# "FIELD CODE", or "CODE" of any field: the sentence. In a field, [] stands for an index or a key.
# In the sentence, {} names a fact of the error, or `field`; without that fact there is none.
REMEDIES = {
    "ociVersion required": 'fix: add "ociVersion": "1.2.0"',
    "ociVersion too-new": "fix: set ociVersion to 1.3.0",
    "root required": 'fix: add "root": {{"path": "rootfs"}}',
    "process required": 'fix: add "process" with "args" and "cwd", as `spec` writes it',
    "process.args no-process": 'fix: add "process" with "args" and "cwd", as `spec` writes it',
    "process.args required": 'fix: add "args": ["PROGRAM", "ARGUMENT"]',
    "process.args empty": 'fix: name the program, e.g. "args": ["sh"]',
    "process.cwd required": 'fix: add "cwd": "/"',
    "process.user.uid unmapped-id": (
        "fix: add it to linux.uidMappings, or take an id that is mapped"
    ),
    "process.user.gid unmapped-id": (
        "fix: add it to linux.gidMappings, or take an id that is mapped"
    ),
    "process.user.additionalGids[] unmapped-id": "fix: add it to linux.gidMappings, or remove it",
    "process.capabilities.effective not-allowed": (
        "fix: add them to process.capabilities.permitted, too"
    ),
    "process.rlimits[].type duplicate": "fix: remove one of the two",
    "process.scheduler out-of-range": "fix: choose runtime <= deadline <= period, in nanoseconds",
    "linux.namespaces[].type duplicate": "fix: remove one of the two",
    "linux.uidMappings required": f"fix: add one, e.g. {_RANGE}, or remove the user namespace",
    "linux.gidMappings required": f"fix: add one, e.g. {_RANGE}, or remove the user namespace",
    "linux.uidMappings differs": (
        "fix: leave uidMappings out: the namespace that is joined has its own"
    ),
    "linux.gidMappings differs": (
        "fix: leave gidMappings out: the namespace that is joined has its own"
    ),
    "linux.timeOffsets joined-namespace": (
        "fix: remove path of the time namespace, or remove linux.timeOffsets"
    ),
    "linux.sysctl[] exclusive": "fix: remove it, and set hostname",
    "linux.sysctl[] wrong-name": "fix: correct the name: `sysctl -a` lists those that there are",
    "linux.sysctl[] of-the-host": "fix: set it on the host with `sysctl -w`, and remove it here",
    "linux.devices[].major required": "fix: `ls -l` of the device shows its major and minor number",
    "linux.devices[].minor required": "fix: `ls -l` of the device shows its major and minor number",
    "linux.seccomp.defaultAction not-allowed": (
        "fix: take SCMP_ACT_ERRNO or SCMP_ACT_ALLOW, and SCMP_ACT_NOTIFY for calls in syscalls"
    ),
    "linux.seccomp.syscalls[].names not-allowed": "fix: remove write from names",
    "linux.seccomp.listenerPath required": (
        "fix: name the agent's socket there, or take another action"
    ),
    "linux.resources.memory.swap below-limit": (
        "fix: set it, which counts memory plus swap, to at least memory.limit, or -1 for no limit"
    ),
    "linux.resources.unified no-cgroup-v2": (
        "fix: use linux.resources.memory and the like, or boot with "
        "systemd.unified_cgroup_hierarchy=1"
    ),
    "linux.resources.memory.limit limit-below-usage": (
        "fix: give a higher limit, or free memory first"
    ),
    "mounts[].destination required": 'fix: add "destination", its path in the container',
    "mounts[].destination not-mountable": "fix: choose another destination",
    "mounts[].options needs-mappings": "fix: add uidMappings and gidMappings, or remove idmap",
    "hostname too-large": "fix: shorten it",
    "domainname too-large": "fix: shorten it",
    "linux.uidMappings[] out-of-range": "fix: lower size",
    "linux.gidMappings[] out-of-range": "fix: lower size",
    "hook-exit": "fix: see what the hook complains of, or remove it",
    "hook-signal": "fix: find out who has killed the hook, or remove it",
    "overlap": "fix: change the ranges so that each id is in one of them",
    "needs-namespace": 'fix: add {{"type": "{namespace}"}} to linux.namespaces, or remove {field}',
    "nul": "fix: remove the NUL byte (\\u0000)",
    "not-absolute": "fix: begin it with /",
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
FUNCTIONS = {
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
    "no-bind": "values.not_of_a_bind",
    "out-of-range": "values.out_of_range",
    "unknown": "values.limit_name",
    "wrong-form": "values.limit_name",
    "wrong-type": "values.wrong_type",
}

# (operation, errno): sentence. An operation of "" stands for all.
OPERATIONS = {
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
