"""Rules of config.md#process, for config.json and for the process.json of exec."""

from __future__ import annotations

from pycontainer.spec.rules.context import Subject, quote, ranges, refuse
from pycontainer.tables import rlimits

_CLAUSE = "config.md#process"
_POSIX = "config.md#posix-process"
_LINUX = "config.md#linux-process"
_USER = "config.md#posix-platform-user"
_NO_ID = 0xFFFFFFFF  # -1: setresuid(2) and its kin take it for "leave it as it is"


def cwd(subject: Subject) -> None:
    """The working directory is absolute."""
    if subject.process and not subject.process["cwd"].startswith("/"):
        path = quote(subject.process["cwd"])
        refuse("process.cwd", f"is {path}, must be an absolute path", _CLAUSE)


def args(subject: Subject) -> None:
    """There is something to run."""
    if subject.process and not subject.process.get("args"):
        problem = "is empty" if "args" in subject.process else "is required but missing"
        refuse("process.args", f"{problem}, must name a program", _CLAUSE)


def env(subject: Subject) -> None:
    """Each entry is NAME=value; runc, too, refuses anything else."""
    for place, entry in enumerate(subject.process.get("env", ())):
        if entry.find("=") < 1:
            refuse(f"process.env[{place}]", f"is {quote(entry)}, must be NAME=value", _CLAUSE)


def console_size(subject: Subject) -> None:
    """The kernel's struct winsize has 16 bits for each; without a terminal it is not looked at."""
    size = subject.process.get("consoleSize")
    if size and subject.process.get("terminal"):
        for side in ("height", "width"):
            if size[side] > 0xFFFF:
                field = f"process.consoleSize.{side}"
                refuse(field, f"is {size[side]}, must be at most 65535", _CLAUSE)


def user(subject: Subject) -> None:
    """Ids are ids, and the umask has permission bits only."""
    entry = subject.process.get("user")
    if not entry:
        return
    for name in ("uid", "gid"):
        if entry.get(name) == _NO_ID:
            refuse(f"process.user.{name}", f"is {_NO_ID}, which is no id", _USER)
    if _NO_ID in entry.get("additionalGids", ()):
        refuse("process.user.additionalGids", f"has {_NO_ID}, which is no id", _USER)
    if entry.get("umask", 0) > 0o777:
        refuse("process.user.umask", f"is {entry['umask']}, must be at most 511 (0777)", _USER)


def resource_limits(subject: Subject) -> None:
    """Known types, each once, and no soft limit above its hard one."""
    seen = set()
    for place, limit in enumerate(subject.process.get("rlimits", ())):
        kind = limit["type"]
        field = f"process.rlimits[{place}]"
        if kind not in rlimits.NUMBERS:
            refuse(f"{field}.type", f"is {quote(kind)}, which Linux does not have", _POSIX)
        if kind in seen:
            refuse(f"{field}.type", f"is {kind} a second time", _POSIX)
        seen.add(kind)
        if limit["soft"] > limit["hard"]:
            refuse(f"{field}.soft", f"is {limit['soft']}, above hard {limit['hard']}", _POSIX)


def oom_score(subject: Subject) -> None:
    """The kernel takes -1000 to 1000."""
    score = subject.process.get("oomScoreAdj", 0)
    if not -1000 <= score <= 1000:
        refuse("process.oomScoreAdj", f"is {score}, must be from -1000 to 1000", _LINUX)


def scheduler(subject: Subject) -> None:
    """Each policy has its own parameters, sched_setattr(2)."""
    entry = subject.process.get("scheduler")
    if not entry:
        return
    policy = entry["policy"]
    nice, priority = entry.get("nice", 0), entry.get("priority", 0)
    field = "process.scheduler"
    if policy == "SCHED_ISO":
        refuse(f"{field}.policy", "is SCHED_ISO, which Linux never had", _LINUX)
    if policy in ("SCHED_OTHER", "SCHED_BATCH") and not -20 <= nice <= 19:
        refuse(f"{field}.nice", f"is {nice}, must be from -20 to 19", _LINUX)
    if policy in ("SCHED_FIFO", "SCHED_RR"):
        if not 1 <= priority <= 99:
            message = f"is {priority}, must be from 1 to 99 with {policy}"
            refuse(f"{field}.priority", message, _LINUX)
    elif priority:
        refuse(f"{field}.priority", f"is only for SCHED_FIFO and SCHED_RR, not {policy}", _LINUX)
    if policy == "SCHED_DEADLINE":
        _deadline(entry)
        return
    for name in ("runtime", "deadline", "period"):
        if entry.get(name):
            refuse(f"{field}.{name}", f"is only for SCHED_DEADLINE, not {policy}", _LINUX)


def _deadline(entry: dict[str, int]) -> None:
    """sched(7): runtime <= deadline <= period, and a period of 0 is the deadline."""
    deadline = entry.get("deadline", 0)
    runtime, period = entry.get("runtime", 0), entry.get("period", 0) or deadline
    if not 0 < runtime <= deadline <= period:
        refuse(
            "process.scheduler",
            f"has runtime {runtime}, deadline {deadline}, period {period}; must not decrease",
            _LINUX,
        )


def io_priority(subject: Subject) -> None:
    """Levels are 0 to 7."""
    level = subject.process.get("ioPriority", {}).get("priority", 0)
    if not 0 <= level <= 7:
        refuse("process.ioPriority.priority", f"is {level}, must be from 0 to 7", _LINUX)


_CPUS_MAX = 8192  # the most that any configuration of Linux allows


def affinity(subject: Subject) -> None:
    """Both are lists of CPUs; the schema knows only which characters they have."""
    for name, text in subject.process.get("execCPUAffinity", {}).items():
        if name not in ("initial", "final"):
            continue
        field, cpus = f"process.execCPUAffinity.{name}", ranges(text)
        if cpus is None:
            refuse(field, f"is {quote(text)}, must be CPUs like 0-3,7", _LINUX)
        if any(high >= _CPUS_MAX for _, high in cpus):
            refuse(field, f"is {quote(text)}, must be below {_CPUS_MAX} (NR_CPUS)", _LINUX)


RULES = (
    cwd,
    args,
    env,
    console_size,
    user,
    resource_limits,
    oom_score,
    scheduler,
    io_priority,
    affinity,
)
