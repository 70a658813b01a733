"""The operations that make the program of the process: see expected.py."""

from __future__ import annotations

from pycontainer.tables.scheduling import POLICIES
from tests.executor.steps import CAPABILITIES, directories, members, new_proc, root
from tests.executor.trace import strings
from tests.executor.verdict import Check, Walk


def umask(walk: Walk) -> None:
    walk.want("umask", walk["mask"])


def enter_cwd(walk: Walk) -> None:
    walk.cwd = "entered"
    if not walk.want("chdir", walk["path"], fails=("ENOENT", "EACCES")).ok:
        walk.cwd = ""
        if walk["make"]:
            directories(walk, walk["path"])
            walk.want("fchdir", root(walk["path"]))
            walk.cwd = "entered"


def chdir(walk: Walk) -> None:
    if not walk.cwd:
        walk.want("chdir", walk["path"])


def no_new_privs(walk: Walk) -> None:
    walk.want("prctl", 38, 1, 0, 0, 0)


def personality(walk: Walk) -> None:
    walk.want("personality", walk["domain"])


def scheduler(walk: Walk) -> None:
    """The plan's JSON has the structure's length, and all that is in it in words."""
    call = walk.want("sched_setattr", 0, ..., 0)
    names = [name for name, number in POLICIES.items() if number == call.member(1, "sched_policy")]
    if call.member(1, "size") != walk["attr"]["bytes"] or names[0] not in walk.op["text"]:
        raise walk.wrong(f"{call!r} is not to {walk.op['text']}")


def io_priority(walk: Walk) -> None:
    walk.want("ioprio_set", 1, 0, walk["value"])


def memory_policy(walk: Walk) -> None:
    size = walk["nodes"]["bytes"]
    nodes = "NULL".__eq__ if not size else ...
    walk.want("set_mempolicy", walk["mode"], nodes, size * 8 + bool(size))


def cpu_affinity(walk: Walk) -> None:
    size = walk["cpus"]["bytes"]  # none: all that a kernel can have
    walk.want("sched_setaffinity", 0, size or 8192 // 8, ...)


def rlimit(walk: Walk) -> None:
    unsigned = [walk[name] & (1 << 64) - 1 for name in ("soft", "hard")]
    limits = f"{{rlim_cur={unsigned[0]}, rlim_max={unsigned[1]}}}"
    walk.want("prlimit64", 0, walk["resource"], limits.__eq__, ...)


def bounding(walk: Walk) -> None:
    for cap in range(CAPABILITIES):
        if not walk["mask"] >> cap & 1:
            walk.want("prctl", 24, cap)
    if walk.next_is("prctl") and (call := walk.peek()) and call.error == "EINVAL":
        walk.want("prctl", 24, CAPABILITIES, fails=("EINVAL",))


def chown_stdio(walk: Walk) -> None:
    while walk.next_is("fchown"):
        walk.want("fchown", lambda word: int(word) < 3, walk["uid"], ..., fails=("EPERM", "EROFS"))


def user(walk: Walk) -> None:
    if not walk["groups_kept"]:
        groups = walk["groups"]
        walk.want("setgroups", len(groups), str(groups).__eq__ if groups else ...)
    walk.want("prctl", 8, 1)
    walk.want("setresgid", *[walk["gid"]] * 3)
    walk.want("setresuid", *[walk["uid"]] * 3)
    walk.want("prctl", 8, 0)


def capabilities(walk: Walk) -> None:
    walk.want("prctl", 0x2F, 4)
    sets = {name: walk[name] for name in ("effective", "permitted", "inheritable")}
    walk.want("capset", ..., members(**sets))
    for cap in range(CAPABILITIES):
        if walk["ambient"] >> cap & 1:
            walk.want("prctl", 0x2F, 2, cap)


def home(walk: Walk) -> None:
    """Changes nothing. The file is opened again through a procfs, if need be of its own."""
    if walk.next_is("fsopen"):
        new_proc(walk)


def only_looks(walk: Walk) -> None:
    """`find_program` and `seccomp_prepare` change nothing."""


def seccomp(walk: Walk) -> None:
    length = walk["filter"]["bytes"] // 8
    walk.want("seccomp", 1, walk["flags"], lambda word: f"len={length}," in word)


def execute(walk: Walk) -> None:
    call = walk.want("execve", ..., lambda word: strings(word) == walk["args"])
    env = strings(call.args[2])
    extra = [entry for entry in env if entry not in walk["env"]]
    names = [entry.partition("=")[0] for entry in extra if not entry.startswith("HOME=")]
    if names != ["LISTEN_PID"] * walk["listen_pid"] or any(
        entry not in env for entry in walk["env"]
    ):
        raise walk.wrong(f"the environment is {env}")


EXPECTED: dict[str, Check] = {
    "exec": execute,
    "home": home,
    "find_program": only_looks,
    "seccomp_prepare": only_looks,
    **{
        check.__name__: check
        for check in (
            umask, enter_cwd, chdir, no_new_privs, personality, scheduler, io_priority,
            memory_policy, cpu_affinity, rlimit, bounding, chown_stdio, user, capabilities, seccomp,
        )
    },
}  # fmt: skip
