"""The words that runc has for a mistake, in front of ours: scripts and people search for them.

Enters a failure, leaves its line. Looked at only when something has failed. The texts are those of
runc's main branch; where 1.1 says it in other words, the part that both share is in them.
"""

from __future__ import annotations

import sys

from pycontainer.base.errors import CLIENT_TEXTS, ConfigError, ContainerError, StartError, cut
from pycontainer.base.settings import NAME
from pycontainer.cli.options import WrongCount
from pycontainer.diagnose.hints import field_and_keys
from pycontainer.plan.ops import CONTAINER, TABLE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_START = CLIENT_TEXTS["start_failed"] + ": "
_IN_INIT = "error during container init: "
_OWN_WORDS = ("find_program", "exec")  # whose messages are worded as runc's already
_BOTH_MAPPINGS = "id-mapped mounts must have both uid and gid mappings specified"
_OF_DEADLINE = "scheduler runtime/deadline/period can only be specified for SchedDeadline policy"

# "FIELD CODE": runc's words. In a field, [] stands for an index or a key, which the words have as
# {index} and {key}; in the words, {value} and others are params of the error, {name} is what a
# value has before its "=". "*" is any code; the namespace that is missing may follow a code.
CONFIG: dict[str, str] = {
    "process.args no-process": "process property must not be empty",
    "process.args required": "args must not be empty",
    "process.args empty": "args must not be empty",
    "process.cwd required": "Cwd property must not be empty",
    "process.cwd empty": "Cwd property must not be empty",
    "process.cwd not-absolute": "Cwd must be an absolute path",
    "process.env[] empty": "invalid environment variable: name cannot be empty",
    "process.env[] wrong-form": "invalid environment variable: missing '='",
    "process.env[] nul": 'invalid environment variable "{name}": contains nul byte (\\x00)',
    "process.rlimits[].type unknown": "wrong rlimit value: {value}",
    "process.rlimits[].type wrong-form": "wrong rlimit value: {value}",
    "process.user.additionalGids[] unmapped-id": (
        "unable to setup user: setgroups: invalid argument"
    ),
    "process.scheduler.policy required": "scheduler policy is required",
    "process.scheduler.policy not-one-of": "invalid scheduler policy: {value}",
    "process.scheduler.flags[] not-one-of": "invalid scheduler flag: {value}",
    "process.scheduler.nice out-of-range": "invalid scheduler.nice: {value}",
    "process.scheduler.priority wrong-policy": (
        "scheduler.priority can only be specified for SchedFIFO or SchedRR policy"
    ),
    "process.scheduler.runtime wrong-policy": _OF_DEADLINE,
    "process.scheduler.deadline wrong-policy": _OF_DEADLINE,
    "process.scheduler.period wrong-policy": _OF_DEADLINE,
    "process.ioPriority.priority out-of-range": "invalid ioPriority.Priority: {value}",
    "process.ioPriority.class not-one-of": 'invalid ioPriority.Class: "{value}"',
    "process.execCPUAffinity.initial *": "bad CPUAffinity.Initial",
    "process.execCPUAffinity.final *": "bad CPUAffinity.Final",
    "root required": "root must be specified",
    "linux.namespaces[].type not-one-of": 'namespace {{"{value}" ""}} does not exist',
    "linux.namespaces[].type duplicate": 'malformed spec file: duplicated ns {{"{value}" ""}}',
    "linux.timeOffsets joined-namespace": (
        "time namespace enabled, but both namespace path and time offsets specified"
        " -- you may only provide one"
    ),
    "linux.timeOffsets needs-namespace": (
        "time namespace offsets specified, but time namespace isn't enabled in the config"
    ),
    "linux.sysctl[] needs-namespace ipc": (
        'sysctl "{key}" is not allowed in the hosts ipc namespace'
    ),
    "linux.sysctl[] needs-namespace network": (
        'sysctl "{key}" not allowed in host network namespace'
    ),
    "linux.sysctl[] needs-namespace user": (
        "setting ucounts without a user namespace not allowed: {key}"
    ),
    "linux.sysctl[] exclusive": (
        'sysctl "{key}" is not allowed as it conflicts with the OCI "hostname" field'
    ),
    "linux.sysctl[] *": 'sysctl "{key}" is not in a separate kernel namespace',
    "linux.netDevices needs-namespace": ("unable to move network devices without a NET namespace"),
    "linux.netDevices[] wrong-name": 'invalid network device name "{value}"',
    "linux.netDevices[].name wrong-name": 'invalid network device name "{value}"',
    "linux.rootfsPropagation not-one-of": "rootfsPropagation={value} is not supported",
    "linux.personality.domain not-one-of": "invalid personality domain {value}",
    "linux.devices[].type wrong-form": 'invalid device type "{value}"',
    "linux.resources.devices[].type not-one-of": 'invalid cgroup device type "{value}"',
    "linux.resources.devices[].access empty": ("device access at {index} field cannot be empty"),
    "linux.seccomp.defaultAction not-allowed": ("SCMP_ACT_NOTIFY cannot be used as default action"),
    "linux.seccomp.syscalls[].names not-allowed": (
        "SCMP_ACT_NOTIFY cannot be used for the write syscall"
    ),
    "linux.seccomp.listenerPath required": "seccomp listenerPath is not set",
    "linux.seccomp.defaultAction not-one-of": ("string {value} is not a valid action for seccomp"),
    "linux.seccomp.syscalls[].action not-one-of": (
        "string {value} is not a valid action for seccomp"
    ),
    "linux.seccomp.architectures[] not-one-of": ("string {value} is not a valid arch for seccomp"),
    "linux.seccomp.syscalls[].args[].op not-one-of": (
        "string {value} is not a valid operator for seccomp"
    ),
    "linux.resources.memory.swap below-limit": "memory+swap limit should be >= memory limit",
    "linux.resources.unified no-cgroup-v2": (
        "invalid configuration: cannot use unified on cgroup v1"
    ),
    "linux.resources.unified[] wrong-name": (
        'unified resource "{key}" must be a file name (no slashes)'
    ),
    "linux.resources.unified[] wrong-form": (
        'unified resource "{key}" must be in the form CONTROLLER.PARAMETER'
    ),
    "linux.intelRdt.closID wrong-form": 'invalid intelRdt.ClosID "{value}"',
    "linux.memoryPolicy.mode not-one-of": 'invalid memory policy mode "{value}"',
    "linux.memoryPolicy.nodes wrong-form": 'invalid memory policy nodes "{value}"',
    "linux.memoryPolicy.nodes out-of-range": 'invalid memory policy nodes "{value}"',
    "linux.memoryPolicy.nodes empty": ("memory policy mode requires at least one node but got 0"),
    "linux.memoryPolicy.nodes not-empty": "memory policy mode requires 0 nodes",
    "linux.memoryPolicy.flags[] not-one-of": 'invalid memory policy flag "{value}"',
    "mounts[].options needs-bind": "id-mapped mounts are only supported for bind-mounts",
    "mounts[].options no-bind": "bind mounts cannot have any filesystem-specific options applied",
    "mounts[].options needs-mappings": _BOTH_MAPPINGS,
    "mounts[].uidMappings needs-mappings": _BOTH_MAPPINGS,
    "mounts[].gidMappings needs-mappings": _BOTH_MAPPINGS,
}
for _kind in ("uid", "gid"):
    CONFIG |= {
        f"process.user.{_kind} unmapped-id": (
            f"cannot set{_kind} to unmapped {_kind} {{value}} in user namespace"
        ),
        f"linux.{_kind}Mappings required": (
            f"user namespaces enabled, but no {_kind} mappings found"
        ),
        f"linux.{_kind}Mappings differs": (
            "user namespaces enabled, but both namespace path and non-matching mapping specified"
            " -- you may only provide one"
        ),
        f"linux.{_kind}Mappings needs-namespace": (
            "user namespace mappings specified, but user namespace isn't enabled in the config"
        ),
    }
for _name in ("hostname", "domainname"):
    CONFIG[f"{_name} needs-namespace"] = f"unable to set {_name} without a private UTS namespace"
for _name in ("maskedPaths", "readonlyPaths"):
    CONFIG[f"linux.{_name} needs-namespace"] = (
        "unable to restrict sys entries without a private MNT namespace"
    )

# The same of errors of other kinds; a field of "*" is any.
LIMITS: dict[str, str] = {
    "linux.resources.memory.limit limit-below-usage": (
        "rejecting memory limit {value} <= usage {usage}"
    ),
    "linux.resources.memory.swap limit-below-usage": (
        "rejecting memory+swap limit {value} <= usage {usage}"
    ),
    "linux.resources.unified[] no-controller": (
        'unified resource "{key}" can\'t be set: controller "{controller}" not available'
    ),
    "linux.resources no-cgroup": (
        "rootless needs no limits + no cgrouppath when no permission is granted for cgroups"
    ),
    "linux.cgroupsPath cgroup-invalid": (
        'cannot enter cgroupv2 "{path}" with domain controllers -- it is in an invalid state'
    ),
    "linux.cgroupsPath cgroup-threaded": (
        'cannot enter cgroupv2 "{path}" with domain controllers -- it is in {type} mode'
    ),
    "* no-systemd": ("systemd not running on this host, cannot use systemd cgroups manager"),
    "* no-hierarchy": ("cannot set {controller} limit: container could not join or create cgroup"),
    "* memory-in-use": (
        "unable to set memory limit to {value} (current usage: {usage}, peak usage: {peak})"
    ),
    "* write-refused": 'failed to write "{value}"',
    "* no-controller": 'failed to write "{value}"',
    "* no-agent": ("failed to connect with seccomp agent specified in the seccomp profile"),
    "process.apparmorProfile not-enabled": ("apparmor: config provided but apparmor not supported"),
    "process.selinuxLabel not-enabled": (
        "selinux label is specified in config, but selinux is disabled or not supported"
    ),
}

for _name in ("prestart", "createRuntime"):
    LIMITS[f"hooks.{_name}[] *"] = f"{_START}{_IN_INIT}".removesuffix(": ")

_MOUNTING = 'error mounting "{source}" to rootfs at "{target}"'
_NO_RLIMITS = "error setting rlimits for ready process"
_NO_CAPABILITIES = "unable to apply caps"

# (kind of the operation, and a code, an errno or a field): words. "option" stands for a field that
# an option of the command line has set.
OPERATIONS: dict[tuple[str, str | int], str] = {
    ("mount", "no-plain-directory"): (
        f'{_MOUNTING}: filesystem "{{fstype}}" must be mounted on ordinary directory'
    ),
    ("mount", "*"): _MOUNTING,
    ("bind", "*"): _MOUNTING,
    ("bind_host", "*"): _MOUNTING,
    ("remount", "*"): 'error mounting "" to rootfs at "{target}"',
    ("mknod", "*"): "error creating device nodes",
    ("chdir", "option"): 'chdir to cwd ("{path}") failed',
    ("chdir", "*"): 'chdir to cwd ("{path}") set in config.json failed',
    ("rlimit", "*"): _NO_RLIMITS,
    ("raise_rlimit", "*"): _NO_RLIMITS,
    ("open_namespace", 2): "namespace path: lstat {path}",
    ("open_namespace", "*"): "invalid namespace path",
    ("rootfs", "*"): "invalid rootfs: {path}",
    ("capabilities", "*"): _NO_CAPABILITIES,
    ("bounding", "*"): _NO_CAPABILITIES,
    ("user", "*"): "unable to setup user",
    ("seccomp", "*"): "unable to init seccomp: error loading seccomp filter into kernel",
    ("scheduler", "*"): "error setting scheduler",
    ("io_priority", "*"): "failed to set io priority",
    ("self_write", "process.apparmorProfile"): "unable to apply apparmor profile",
    ("keyring", "*"): "unable to join session keyring",
    **{(kind, "*"): "unable to apply cgroup configuration" for kind in TABLE if "cgroup_" in kind},
}


def line(error: ContainerError) -> str:
    """The message of a failure, runc's words first where it has other ones."""
    ours = str(error).replace(f"if {NAME} will", f"if {program()} will")
    if isinstance(error, WrongCount):
        return f"{called()}: {ours}"
    if isinstance(error, StartError):
        return _START + _of_operation(error, ours[len(_START) :])
    place, facts = field_and_keys(error.field)
    facts = {name: _printable(text) for name, text in facts.items()}
    code = error.code
    table = CONFIG if isinstance(error, ConfigError) else LIMITS
    more = f"{place} {code} {error.params.get('namespace')}"
    keys = (more, f"{place} {code}", f"{place} *", f"* {code}")
    words = next((table[key] for key in keys if key in table), "")
    return f"{words.format_map(_facts(error) | facts)}: {ours}" if words else ours


def _of_operation(error: StartError, ours: str) -> str:
    kind = error.operation
    if kind in _OWN_WORDS:
        return ours
    field = "option" if error.source else error.field
    keys = ((kind, key) for key in (error.code, error.errno, field, "*"))
    words = next((OPERATIONS[key] for key in keys if key in OPERATIONS), "")
    ours = f"{words.format_map(_facts(error))}: {ours}" if words else ours
    return _IN_INIT + ours if kind in TABLE and TABLE[kind][0] == CONTAINER else ours


def _facts(error: ContainerError) -> dict[str, Any]:
    """What the words may name: on one line, and not too long."""
    facts = {"path": error.path, **error.params}
    shown = {key: _printable(v) if type(v) is str else v for key, v in facts.items()}
    return {**shown, "name": str(shown.get("value", "")).partition("=")[0]}


def _printable(text: str) -> str:
    return "".join([c if c.isprintable() else ascii(c)[1:-1] for c in cut(text, 4096)])


def called() -> str:
    """The command's path as it was called; our name where Python was told to run a module."""
    path = sys.argv[0]
    return NAME if path in ("", "-", "-c") or path.endswith("/__main__.py") else path


def program() -> str:
    """The name that we go by: runc for who calls us so, as its scripts do."""
    return "runc" if called().rpartition("/")[2] == "runc" else NAME
