"""Rules of config.md#process, for config.json and for the process.json of exec."""

from __future__ import annotations

from pycontainer.spec.rules.context import Subject, absolute, ranges, refuse, refuse_value
from pycontainer.tables import rlimits


def cwd(subject: Subject) -> None:
    """The working directory is absolute."""
    if subject.process:
        absolute("process.cwd", subject.process["cwd"])


def args(subject: Subject) -> None:
    """There is something to run."""
    if subject.process and not subject.process.get("args"):
        code, problem = "required", "is required but missing"
        if "args" in subject.process:
            code, problem = "empty", "is empty"
        refuse("process.args", code, f"{problem}, must name a program")


def env(subject: Subject) -> None:
    """Each entry is NAME=value; runc, too, refuses anything else."""
    for place, entry in enumerate(subject.process.get("env", ())):
        if entry.find("=") < 1:
            code = "wrong-form" if entry.find("=") else "empty"
            refuse_value(f"process.env[{place}]", code, entry, "must be NAME=value")


def console_size(subject: Subject) -> None:
    """The kernel's struct winsize has 16 bits for each; without a terminal it is not looked at."""
    size = subject.process.get("consoleSize")
    if size and subject.process.get("terminal"):
        for side in ("height", "width"):
            if size[side] > 0xFFFF:
                field, why = f"process.consoleSize.{side}", "must be at most 65535"
                refuse_value(field, "out-of-range", size[side], why)


def user(subject: Subject) -> None:
    """The umask has permission bits only."""
    entry = subject.process.get("user")
    if not entry:
        return
    if entry.get("umask", 0) > 0o777:
        why = "must be at most 511 (0777)"
        refuse_value("process.user.umask", "out-of-range", entry["umask"], why)


def resource_limits(subject: Subject) -> None:
    """Known types, each once, and no soft limit above its hard one."""
    seen = set()
    for place, limit in enumerate(subject.process.get("rlimits", ())):
        kind = limit["type"]
        field = f"process.rlimits[{place}]"
        if kind not in rlimits.NUMBERS:
            refuse_value(f"{field}.type", "unknown", kind, "which Linux does not have")
        if kind in seen:
            text = f"is {kind} a second time"
            refuse(f"{field}.type", "duplicate", text, value=kind)
        seen.add(kind)
        if limit["soft"] > limit["hard"]:
            why = f"above hard {limit['hard']}"
            refuse_value(f"{field}.soft", "out-of-range", limit["soft"], why)


def oom_score(subject: Subject) -> None:
    """The kernel takes -1000 to 1000."""
    score = subject.process.get("oomScoreAdj", 0)
    if not -1000 <= score <= 1000:
        why = "must be from -1000 to 1000"
        refuse_value("process.oomScoreAdj", "out-of-range", score, why)


def scheduler(subject: Subject) -> None:
    """Each policy has its own parameters, sched_setattr(2)."""
    entry = subject.process.get("scheduler")
    if not entry:
        return
    policy = entry["policy"]
    nice, priority = entry.get("nice", 0), entry.get("priority", 0)
    field = "process.scheduler"
    if policy == "SCHED_ISO":
        text = f"is {policy}, which Linux never had"
        refuse(f"{field}.policy", "unknown", text, value=policy)
    if policy in ("SCHED_OTHER", "SCHED_BATCH") and not -20 <= nice <= 19:
        refuse_value(f"{field}.nice", "out-of-range", nice, "must be from -20 to 19")
    if policy in ("SCHED_FIFO", "SCHED_RR"):
        if not 1 <= priority <= 99:
            why = f"must be from 1 to 99 with {policy}"
            refuse_value(f"{field}.priority", "out-of-range", priority, why)
    elif priority:
        text = f"is only for SCHED_FIFO and SCHED_RR, not {policy}"
        refuse(f"{field}.priority", "wrong-policy", text)
    if policy == "SCHED_DEADLINE":
        _deadline(entry)
        return
    for name in ("runtime", "deadline", "period"):
        if entry.get(name):
            text = f"is only for SCHED_DEADLINE, not {policy}"
            refuse(f"{field}.{name}", "wrong-policy", text)


def _deadline(entry: dict[str, int]) -> None:
    """sched(7): runtime <= deadline <= period, and a period of 0 is the deadline."""
    deadline = entry.get("deadline", 0)
    runtime, period = entry.get("runtime", 0), entry.get("period", 0) or deadline
    if not 0 < runtime <= deadline <= period:
        text = f"has runtime {runtime}, deadline {deadline}, period {period}; must not decrease"
        refuse("process.scheduler", "out-of-range", text)


def io_priority(subject: Subject) -> None:
    """Levels are 0 to 7."""
    level = subject.process.get("ioPriority", {}).get("priority", 0)
    if not 0 <= level <= 7:
        field = "process.ioPriority.priority"
        refuse_value(field, "out-of-range", level, "must be from 0 to 7")


_CPUS_MAX = 8192  # the most that any configuration of Linux allows


def affinity(subject: Subject) -> None:
    """Both are lists of CPUs; the schema knows only which characters they have."""
    for name, text in subject.process.get("execCPUAffinity", {}).items():
        if name not in ("initial", "final"):
            continue
        field, cpus = f"process.execCPUAffinity.{name}", ranges(text)
        if cpus is None:
            refuse_value(field, "wrong-form", text, "must be CPUs like 0-3,7")
        if any(high >= _CPUS_MAX for _, high in cpus):
            refuse_value(field, "out-of-range", text, f"must be below {_CPUS_MAX} (NR_CPUS)")


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
