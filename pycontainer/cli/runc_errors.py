"""The words that runc has for a mistake, in front of ours: scripts and people search for them.

Enters a failure, leaves its line. Looked at only when something has failed. The texts are those of
runc's main branch; where 1.1 says it in other words, the part that both share is in them.
"""

from __future__ import annotations

import re
import sys

from pycontainer.base.errors import CLIENT_TEXTS, ConfigError, ContainerError, OperationError
from pycontainer.base.settings import NAME
from pycontainer.cli.options import WrongCount
from pycontainer.plan.ops import CONTAINER, TABLE

_VALUE = r'is "(.*)",'
_V1 = r"cpuset|devices|memory|cpu|cpuacct|cpu,cpuacct|pids|blkio|hugetlb|freezer|rdma|systemd"
_START = CLIENT_TEXTS["start_failed"] + ": "
_IN_INIT = "error during container init: "
_OWN_WORDS = ("find_program", "exec", "hook")  # whose messages are worded as runc's already

# (field, part of our message, runc's words): of the groups that the two have matched, {0} is the
# first one.
Rows = tuple[tuple[str, str, str], ...]
CONFIG: Rows = (
    (r"process|process\.args", r"^is required$", "process property must not be empty"),
    (r"process\.args", r"is (?:required|empty)|must not be empty", "args must not be empty"),
    (r"process\.cwd", r'is required|is ""', "Cwd property must not be empty"),
    (r"process\.cwd", r"must be an absolute path", "Cwd must be an absolute path"),
    (
        r"process\.env\[\d+\]",
        r'is "=.*must be NAME=value',
        "invalid environment variable: name cannot be empty",
    ),
    (
        r"process\.env\[\d+\]",
        r"must be NAME=value",
        "invalid environment variable: missing '='",
    ),
    (
        r"process\.env\[\d+\]",
        r'is "([^=]*)=.*must not have NUL',
        'invalid environment variable "{0}": contains nul byte (\\x00)',
    ),
    (r"process\.rlimits\[\d+\]\.type", r'is "(.*)", (?:which|must)', "wrong rlimit value: {0}"),
    (
        r"process\.user\.(uid|gid)",
        r"is (\d+), which linux\..* does not map",
        "cannot set{0} to unmapped {0} {1} in user namespace",
    ),
    (
        r"process\.user\.additionalGids.*",
        r"which linux\..* does not map",
        "unable to setup user: setgroups: invalid argument",
    ),
    (r"process\.scheduler\.policy", r"is required", "scheduler policy is required"),
    (r"process\.scheduler\.policy", _VALUE, "invalid scheduler policy: {0}"),
    (r"process\.scheduler\.flags\[\d+\]", _VALUE, "invalid scheduler flag: {0}"),
    (r"process\.scheduler\.nice", r"is (-?\d+),", "invalid scheduler.nice: {0}"),
    (
        r"process\.scheduler\.priority",
        r"is only for",
        "scheduler.priority can only be specified for SchedFIFO or SchedRR policy",
    ),
    (
        r"process\.scheduler\.(?:runtime|deadline|period)",
        r"is only for",
        "scheduler runtime/deadline/period can only be specified for SchedDeadline policy",
    ),
    (r"process\.ioPriority\.priority", r"is (-?\d+),", "invalid ioPriority.Priority: {0}"),
    (r"process\.ioPriority\.class", _VALUE, 'invalid ioPriority.Class: "{0}"'),
    (r"process\.execCPUAffinity\.initial", r"", "bad CPUAffinity.Initial"),
    (r"process\.execCPUAffinity\.final", r"", "bad CPUAffinity.Final"),
    (r"root", r"is required", "root must be specified"),
    (
        r"(hostname|domainname)",
        r"needs a uts namespace",
        "unable to set {0} without a private UTS namespace",
    ),
    (
        r"linux\.(?:maskedPaths|readonlyPaths)",
        r"needs a mount namespace",
        "unable to restrict sys entries without a private MNT namespace",
    ),
    (
        r"linux\.namespaces\[\d+\]\.type",
        _VALUE + " must be one of",
        'namespace {{"{0}" ""}} does not exist',
    ),
    (
        r"linux\.namespaces\[\d+\]\.type",
        r"is (\w+) a second time",
        'malformed spec file: duplicated ns {{"{0}" ""}}',
    ),
    (
        r"linux\.([ug]id)Mappings",
        r"is required for a new user namespace",
        "user namespaces enabled, but no {0} mappings found",
    ),
    (
        r"linux\.[ug]idMappings",
        r"is not what",
        "user namespaces enabled, but both namespace path and non-matching mapping specified"
        " -- you may only provide one",
    ),
    (
        r"linux\.[ug]idMappings",
        r"needs a user namespace",
        "user namespace mappings specified, but user namespace isn't enabled in the config",
    ),
    (
        r"linux\.timeOffsets",
        r"a joined one",
        "time namespace enabled, but both namespace path and time offsets specified"
        " -- you may only provide one",
    ),
    (
        r"linux\.timeOffsets",
        r"no one",
        "time namespace offsets specified, but time namespace isn't enabled in the config",
    ),
    (
        r'linux\.sysctl\["(.*)"\]',
        r"needs an? ipc namespace|own ipc namespace",
        'sysctl "{0}" is not allowed in the hosts ipc namespace',
    ),
    (
        r'linux\.sysctl\["(.*)"\]',
        r"needs an? network namespace|own network namespace",
        'sysctl "{0}" not allowed in host network namespace',
    ),
    (
        r'linux\.sysctl\["(.*)"\]',
        r"is set by hostname",
        'sysctl "{0}" is not allowed as it conflicts with the OCI "hostname" field',
    ),
    (
        r'linux\.sysctl\["(user\..*)"\]',
        r"needs an? user namespace",
        "setting ucounts without a user namespace not allowed: {0}",
    ),
    (r'linux\.sysctl\["(.*)"\]', r"", 'sysctl "{0}" is not in a separate kernel namespace'),
    (
        r"linux\.netDevices",
        r"needs a network namespace",
        "unable to move network devices without a NET namespace",
    ),
    (r'linux\.netDevices\["(.*)"\]', r"no name", 'invalid network device name "{0}"'),
    (
        r"linux\.netDevices\[.*\]\.name",
        r'is "(.*)", no name',
        'invalid network device name "{0}"',
    ),
    (r"linux\.rootfsPropagation", _VALUE, "rootfsPropagation={0} is not supported"),
    (r"linux\.personality\.domain", _VALUE, "invalid personality domain {0}"),
    (r"linux\.devices\[\d+\]\.type", _VALUE, 'invalid device type "{0}"'),
    (r"linux\.resources\.devices\[\d+\]\.type", _VALUE, 'invalid cgroup device type "{0}"'),
    (
        r"linux\.resources\.devices\[(\d+)\]\.access",
        r'is ""',
        "device access at {0} field cannot be empty",
    ),
    (
        r"linux\.seccomp\.defaultAction",
        r"is SCMP_ACT_NOTIFY",
        "SCMP_ACT_NOTIFY cannot be used as default action",
    ),
    (
        r"linux\.seccomp\.syscalls\[\d+\]\.names",
        r"has write",
        "SCMP_ACT_NOTIFY cannot be used for the write syscall",
    ),
    (r"linux\.seccomp\.listenerPath", r"is required", "seccomp listenerPath is not set"),
    (
        r"linux\.seccomp\.(?:defaultAction|syscalls\[\d+\]\.action)",
        _VALUE,
        "string {0} is not a valid action for seccomp",
    ),
    (
        r"linux\.seccomp\.architectures\[\d+\]",
        _VALUE,
        "string {0} is not a valid arch for seccomp",
    ),
    (
        r"linux\.seccomp\.syscalls\[\d+\]\.args\[\d+\]\.op",
        _VALUE,
        "string {0} is not a valid operator for seccomp",
    ),
    (
        r"linux\.resources\.memory\.swap",
        r"below limit",
        "memory+swap limit should be >= memory limit",
    ),
    (
        r"linux\.resources\.unified",
        r"host has cgroup v1",
        "invalid configuration: cannot use unified on cgroup v1",
    ),
    (
        r"""linux\.resources\.unified\[["'](.*)["']\]""",
        r"no file of a cgroup|must be a file name",
        'unified resource "{0}" must be a file name (no slashes)',
    ),
    (
        r"""linux\.resources\.unified\[["'](.*)["']\]""",
        r"must be in the form",
        'unified resource "{0}" must be in the form CONTROLLER.PARAMETER',
    ),
    (r"linux\.intelRdt\.closID", r'is "(.*)",', 'invalid intelRdt.ClosID "{0}"'),
    (r"linux\.memoryPolicy\.mode", _VALUE, 'invalid memory policy mode "{0}"'),
    (r"linux\.memoryPolicy\.nodes", _VALUE, 'invalid memory policy nodes "{0}"'),
    (
        r"linux\.memoryPolicy\.nodes",
        r"must name a node",
        "memory policy mode requires at least one node but got 0",
    ),
    (r"linux\.memoryPolicy\.nodes", r"must be empty", "memory policy mode requires 0 nodes"),
    (r"linux\.memoryPolicy\.flags\[\d+\]", _VALUE, 'invalid memory policy flag "{0}"'),
    (
        r"mounts\[\d+\]\.options",
        r"idmap without bind",
        "id-mapped mounts are only supported for bind-mounts",
    ),
    (
        r"mounts\[\d+\]\.(?:[ug]idMappings|options)",
        r"beside the other mapping|but neither mappings",
        "id-mapped mounts must have both uid and gid mappings specified",
    ),
)

# Of failures of another kind: (kind of the operation, part of the message, runc's words).
OPERATIONS: Rows = (
    (
        r"mount",
        r"^mount (proc|sysfs) on (\S+?):? .*(?:not a directory|too many levels)",
        'error mounting "{0}" to rootfs at "{1}": '
        'filesystem "{0}" must be mounted on ordinary directory',
    ),
    (
        r"mount|bind|bind_host",
        r"^(?:mount|r?bind) (?:\S+ )?(\S+) on (\S+?):?(?: |$)",
        'error mounting "{0}" to rootfs at "{1}"',
    ),
    (r"remount", r"^remount (\S+)", 'error mounting "" to rootfs at "{0}"'),
    (r"mknod", r"", "error creating device nodes"),
    (
        r"chdir",
        r"^check working directory (.*?): ",
        'chdir to cwd ("{0}") set in config.json failed',
    ),
    (r"rlimit|raise_rlimit", r"", "error setting rlimits for ready process"),
    (r"open_namespace", r"^open \w+ namespace (\S+): no such", "namespace path: lstat {0}"),
    (r"open_namespace", r"", "invalid namespace path"),
    (r"rootfs", r"^use (\S+) as root: ", "invalid rootfs: {0}"),
    (r"capabilities|bounding", r"", "unable to apply caps"),
    (r"user", r"", "unable to setup user"),
    (r"seccomp", r"", "unable to init seccomp: error loading seccomp filter into kernel"),
    (r"scheduler", r"", "error setting scheduler"),
    (r"io_priority", r"", "failed to set io priority"),
    (r"self_write", r"apparmor", "unable to apply apparmor profile"),
    (r"keyring", r"", "unable to join session keyring"),
    (r"cgroup_\w+", r"", "unable to apply cgroup configuration"),
)
ANY: Rows = (
    (
        r"linux\.resources\.memory\.limit",
        r"^set memory limit (\d+): current usage is (\d+)",
        "rejecting memory limit {0} <= usage {1}",
    ),
    (
        r"linux\.resources\.memory\.swap",
        r"^set memory limit (\d+): current usage is (\d+)",
        "rejecting memory+swap limit {0} <= usage {1}",
    ),
    (
        r"linux\.resources\.unified\['(.*)'\]",
        r"controller '(\w+)' is not available",
        'unified resource "{0}" can\'t be set: controller "{1}" not available',
    ),
    (
        r"linux\.resources",
        rf"^set linux\.resources\.(\w+)\..*: cannot create \S*/cgroup/(?:{_V1})/",
        "cannot set {0} limit: container could not join or create cgroup",
    ),
    (
        r"linux\.resources",
        r"^set linux\.resources.*: cannot create \S*/cgroup/",
        "rootless needs no limits + no cgrouppath when no permission is granted for cgroups",
    ),
    (
        r"linux\.cgroupsPath",
        r"^enter cgroup (\S+): it is of type 'domain invalid'",
        'cannot enter cgroupv2 "{0}" with domain controllers -- it is in an invalid state',
    ),
    (
        r"linux\.cgroupsPath",
        r"^enter cgroup (\S+): it is of type '(.*?)'",
        'cannot enter cgroupv2 "{0}" with domain controllers -- it is in {1} mode',
    ),
    (
        r"",
        r"^use the systemd cgroup driver: systemd does not run here",
        "systemd not running on this host, cannot use systemd cgroups manager",
    ),
    (
        r"linux\.resources\..*",
        r"^set (\w+)\.\S+: cgroup v1 has no controller",
        "cannot set {0} limit: container could not join or create cgroup",
    ),
    (
        r".*",
        r"write '(\d+)' to \S+/memory\.(?:limit_in_bytes|max).*"
        r"current usage is (\d+) bytes, peak usage (\d+)",
        "unable to set memory limit to {0} (current usage: {1}, peak usage: {2})",
    ),
    (r".*", r"^write '(.*?)' to \S*/cgroup/", 'failed to write "{0}"'),
    (
        r".*",
        r"^connect to seccomp agent",
        "failed to connect with seccomp agent specified in the seccomp profile",
    ),
    (
        r"process\.apparmorProfile",
        r"not enabled",
        "apparmor: config provided but apparmor not supported",
    ),
    (
        r"process\.selinuxLabel",
        r"not enabled",
        "selinux label is specified in config, but selinux is disabled or not supported",
    ),
)


def line(error: ContainerError) -> str:
    """The message of a failure, runc's words first where it has other ones."""
    ours = str(error).replace(f"if {NAME} will", f"if {program()} will")
    if isinstance(error, WrongCount):
        return f"{called()}: {ours}"
    if isinstance(error, ConfigError):
        words = _find(CONFIG, error.field, error.message)
        return f"{words}: {ours}" if words else ours
    if isinstance(error, OperationError) and ours.startswith(_START):
        return _START + _of_operation(error, ours.removeprefix(_START))
    words = _find(ANY, error.field, ours)
    return f"{words}: {ours}" if words else ours


def _of_operation(error: OperationError, ours: str) -> str:
    if error.kind in _OWN_WORDS:
        return ours
    words = _find(OPERATIONS, error.kind, ours)
    if error.source:
        words = words.replace(" set in config.json", "")
    ours = f"{words}: {ours}" if words else ours
    side = TABLE[error.kind][0] if error.kind in TABLE else ""
    return _IN_INIT + ours if side == CONTAINER else ours


def _find(rows: Rows, field: str, message: str) -> str:
    for place, part, words in rows:
        there, said = re.fullmatch(place, field), re.search(part, message)
        if there and said:
            return words.format(*there.groups(), *said.groups())
    return ""


def called() -> str:
    """The command's path as it was called; our name where Python was told to run a module."""
    path = sys.argv[0]
    return NAME if path in ("", "-", "-c") or path.endswith("/__main__.py") else path


def program() -> str:
    """The name that we go by: runc for who calls us so, as its scripts do."""
    return "runc" if called().rpartition("/")[2] == "runc" else NAME
