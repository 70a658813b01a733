"""What runc 1.1 and crun 1.8 do, and we do as well: faults that each stand for a kind.

A case changes the bundle, and runs a script with each runtime. What the script writes to stdout has
to be the same. Where the peers differ from each other, the case names the one that we follow.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

from tests.support.beside import peers, said
from tests.support.box import Box
from tests.support.bundles import Bundle
from tests.support.cgroups import V1

Change = Callable[[Bundle], Any]
RUN = "$RT run $ID; echo $?"
START = "$RT create $ID >log; $RT start $ID; sleep 0.3; cat log"
BACKGROUND = "$RT run -d $ID >log; echo $?; "
NOEXEC = 'mount --bind "$PWD" "$PWD"; mount -o remount,bind,noexec "$PWD"; cd "$PWD"; '
HARDENED = NOEXEC.replace("noexec", "noexec,nosuid,nodev,noatime")
DEV = (
    "mount -t tmpfs t /dev; mkdir /dev/pts; for d in zero,5 full,7 random,8 urandom,9; do "
    "mknod -m 666 /dev/${d%,*} c 1 ${d#*,}; done; mknod -m 666 /dev/tty c 5 0; "
    "exec </proc/version; "
)
ROOT_FLAGS = "grep -E ' / (ro|rw)' /proc/self/mountinfo | cut -d' ' -f5-6"
SLEEP = ("/bin/sleep", "1000")
BOTH, RUNC, CRUN = ("runc", "crun"), ("runc",), ("crun",)


class Case(NamedTuple):
    script: str
    args: tuple[str, ...]
    change: Change = lambda bundle: None
    with_: tuple[str, ...] = BOTH


def shell(text: str) -> tuple[str, ...]:
    return ("/bin/sh", "-c", text)


def user(bundle: Bundle) -> None:
    bundle.new_namespace("user")
    ids = [{"containerID": 0, "hostID": 100000, "size": 65534}]
    bundle.linux["uidMappings"] = bundle.linux["gidMappings"] = ids


def set_(**changes: Any) -> Change:
    """Members of linux, by name; "process", "root" and "hooks" are those of the config."""

    def change(bundle: Bundle) -> None:
        for name, value in changes.items():
            if name in ("process", "root"):
                bundle.config[name].update(value)
            else:
                (bundle.config if name == "hooks" else bundle.linux)[name] = value

    return change


def both(*changes: Change) -> Change:
    return lambda bundle: [change(bundle) for change in changes] and None


READONLY = set_(root={"readonly": True})
NO_LIMITS = set_(process={"rlimits": []})


def pids(limit: int) -> Change:
    return set_(resources={"pids": {"limit": limit}})


def host_pids(bundle: Bundle) -> None:
    bundle.drop_namespace("pid")


def capabilities(**sets: list[str]) -> Change:
    keep = ["CAP_KILL"]
    base = {"bounding": keep, "effective": keep, "permitted": keep}
    return set_(process={"capabilities": {**base, **sets}})


def masks(*paths: str) -> Change:
    return set_(maskedPaths=list(paths))


def script_hooks(text: str, *stages: str) -> Change:
    hook = {"path": "/bin/sh", "args": ["sh", "-c", text]}
    return set_(hooks={stage: [hook] for stage in stages})


STATUS = shell("grep Cap /proc/self/status")
LIMITS = shell("ulimit -n; ulimit -Hn; ulimit -s; ulimit -c")
LINKS = shell(
    "for f in /proc/self/fd/*; do readlink $f; done | grep -v pipe | sort; env | grep LISTEN_F"
)
EXEC = BACKGROUND + "$RT exec $ID echo inside; echo $?; $RT exec -u 5 $ID id -u; echo $?"

CASES: dict[str, Case] = {
    # A noexec bundle whose root is read-only.
    "noexec": Case(NOEXEC + RUN, ("/bin/echo", "ran"), READONLY),
    "noexec, create": Case(NOEXEC + START, ("/bin/echo", "ran"), READONLY),
    "noexec, no pivot": Case(
        NOEXEC + "$RT run --no-pivot $ID; echo $?", ("/bin/echo", "ran"), READONLY
    ),
    "noexec, host pids": Case(NOEXEC + RUN, ("/bin/echo", "ran"), both(READONLY, host_pids)),
    "noexec, exec": Case(NOEXEC + EXEC.partition("; $RT exec -u")[0], SLEEP, READONLY),
    "noexec, writable": Case(NOEXEC + RUN, ("/bin/echo", "ran"), with_=RUNC),
    "noexec, user": Case(NOEXEC + RUN, ("/bin/echo", "ran"), both(READONLY, user)),
    "noexec, user, writable": Case(NOEXEC + RUN, ("/bin/echo", "ran"), user),
    "flags": Case(HARDENED + RUN, shell(ROOT_FLAGS), READONLY),
    # The processes of a container are as many as it may have.
    **{
        f"exec beside {count}, {name}": Case(EXEC, SLEEP, both(pids(count), change), CRUN)
        for count in (1, 2)
        for name, change in (("", NO_LIMITS), ("user", user), ("host pids", host_pids))
    },
    "one process, user": Case(RUN, ("/bin/echo", "ran"), both(pids(1), user), CRUN),
    "one process, create": Case(START, ("/bin/echo", "ran"), both(pids(1), user), CRUN),
    # Limits of the caller.
    "limits": Case(RUN, LIMITS, NO_LIMITS),
    "soft limit": Case("ulimit -Sn 300; " + RUN, LIMITS, NO_LIMITS, CRUN),
    "soft limit, user": Case("ulimit -Sn 300; " + RUN, LIMITS, both(NO_LIMITS, user), CRUN),
    "hard limit": Case("ulimit -n 400; " + RUN, LIMITS, NO_LIMITS),
    "limits of the config": Case(
        "ulimit -Sn 300; " + RUN,
        LIMITS,
        set_(process={"rlimits": [{"type": "RLIMIT_NOFILE", "soft": 1024, "hard": 2048}]}),
    ),
    "soft limit, exec": Case(
        f"{BACKGROUND}ulimit -Sn 300; $RT exec $ID {LIMITS[0]} -c '{LIMITS[2]}'",
        SLEEP,
        NO_LIMITS,
        CRUN,
    ),
    # Descriptors with gaps, and none.
    "a gap": Case(
        "exec 4</etc/passwd 9</etc/group; $RT run --preserve-fds 2 $ID; echo $?", LINKS, with_=CRUN
    ),
    "a gap, user": Case(
        "exec 3</etc/passwd 5</etc/group; $RT run --preserve-fds 5 $ID; echo $?", LINKS, user, CRUN
    ),
    "no descriptors": Case("$RT run --preserve-fds 5 $ID; echo $?", LINKS, with_=CRUN),
    # Capabilities that cannot be had.
    "ambient, not permitted": Case(RUN, STATUS, capabilities(ambient=["CAP_NET_RAW"])),
    "ambient, not inheritable": Case(RUN, STATUS, capabilities(ambient=["CAP_KILL"])),
    "ambient, user": Case(RUN, STATUS, both(user, capabilities(ambient=["CAP_CHOWN"])), CRUN),
    "ambient": Case(
        RUN,
        STATUS,
        both(
            capabilities(ambient=["CAP_KILL"], inheritable=["CAP_KILL"]),
            set_(process={"user": {"uid": 1000, "gid": 1000}}),
        ),
    ),
    # Masks.
    "a mask through links": Case(
        RUN,
        shell("cat /tmp/m/f; ls /tmp/m; wc -c </link"),
        both(
            masks("/tmp/m", "/link", "/nosuch"),
            lambda b: (b.rootfs / "link").symlink_to("etc/passwd"),
        ),
    ),
    "read-only and masked": Case(
        RUN,
        shell("wc -c </proc/kcore; ls /proc/bus; touch /proc/bus/x; echo $?"),
        both(
            masks("/proc/bus", "/proc/kcore", "/proc/bus"),
            set_(readonlyPaths=["/proc/bus", "/proc/kcore", "/proc/bus"]),
        ),
    ),
    "relative masks": Case(
        RUN,
        shell("cat /etc/shadow; touch init.d/x; echo $?; wc -c </proc/keys; touch /proc/sys/x"),
        both(
            masks("etc/shadow", "proc/keys", "", "./../etc/nosuch"),
            set_(
                process={"cwd": "/etc"},
                readonlyPaths=["etc/init.d", "", "../../etc/../proc/sys", "nosuch"],
            ),
            lambda b: (b.rootfs / "etc/shadow").write_text("secret"),
            lambda b: (b.rootfs / "etc/init.d").mkdir(),
        ),
    ),
    # The host's null device, or what is in its place.
    **{
        f"null is {name}": Case(
            DEV + make + RUN,
            shell("stat -c %F.%t.%T.%a /dev/null; wc -c </proc/keys; echo x >/dev/null; echo $?"),
            masks("/proc/keys"),
            RUNC,
        )
        for name, make in (
            ("missing", ""),
            ("a file", "echo hi >/dev/null; "),
            ("a directory", "mkdir /dev/null; "),
            ("a link", "ln -s /etc/passwd /dev/null; "),
            ("another device", "mknod -m 666 /dev/null c 1 5; "),
            ("a fifo", "mkfifo /dev/null; "),
        )
    },
    # Hooks of each kind that fail.
    **{
        f"{stage} fails, {name}": Case(
            f"{command}; $RT state $ID >/dev/null; echo $?",
            ("/bin/true",),
            script_hooks("exit 3", stage),
            RUNC,
        )
        for stage in ("prestart", "createRuntime", "createContainer")
        for name, command in (("run", RUN), ("create", "$RT create $ID; echo $?"))
    },
    "poststop fails": Case(RUN, ("/bin/true",), script_hooks("exit 3", "poststop")),
    # No terminal.
    **{
        f"no terminal, {name}": Case(
            f"setsid $RT {command} $ID; echo $?",
            ("/bin/true",),
            set_(process={"terminal": True}),
        )
        for name, command in (("run", "run"), ("detached", "run -d"), ("create", "create"))
    },
}
if V1:
    OWN = "$(sed -n 's,.*pids:/,,p' /proc/$($RT state $ID | jq .pid)/cgroup)"
    PIDS_MAX = f"cat /sys/fs/cgroup/pids/{OWN}/pids.max"
    UPDATE = "$RT update --pids-limit $n $ID"
    CASES |= {
        f"pids limit {n}": Case(f"$RT create $ID >log; {PIDS_MAX}", SLEEP, pids(n), RUNC)
        for n in (-1, -2, -(2**53), 7)
    }
    CASES["pids limits later"] = Case(
        f"$RT create $ID >log; for n in -1 -7 5; do {UPDATE}; {PIDS_MAX}; done",
        SLEEP,
        with_=RUNC,
    )


@pytest.mark.parametrize("name", CASES)
def test_as_the_others(box: Box, name: str):
    case, answers = CASES[name], {}
    for runtime in ("pycontainer", *peers(*case.with_)):
        bundle = box.bundle(*case.args)
        bundle.config["ociVersion"] = "1.0.2"  # crun 1.8 knows none later
        case.change(bundle)
        answers[runtime] = said(box, runtime, bundle, case.script)
    assert len(set(answers.values())) == 1, str(answers)
