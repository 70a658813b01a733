"""What the executor did, as strace saw it, is what `pycontainer plan` said: all, nothing else."""

from __future__ import annotations

import contextlib
import copy
import json
import os
import pty
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pycontainer.cgroups import layout
from pycontainer.lifecycle import exec
from pycontainer.linux.host import probe
from pycontainer.plan import describe
from pycontainer.plan.exec import EntryInputs, compile_exec
from pycontainer.seccomp import cache
from tests.executor import trace, verdict
from tests.executor.trace import Call
from tests.rootless.person import Person
from tests.support.box import Box
from tests.support.bundles import Bundle

pytestmark = pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace")

NAME = "container"  # what `plan` calls it; it names the session keyring


def default(bundle: Bundle) -> None:
    """runc's default spec."""
    bundle.config["root"]["readonly"] = True


def rich(bundle: Bundle) -> None:
    """Much of what a config can ask for."""
    Path(f"{bundle.path}/data").mkdir()
    Path(f"{bundle.path}/note").write_text("x")
    bundle.config["mounts"] += [
        {"destination": "/data", "source": f"{bundle.path}/data", "options": ["rbind", "ro"]},
        {"destination": "/etc/a/note", "source": "note", "options": ["bind", "nosuid", "rprivate"]},
        {"destination": "/tmp", "type": "tmpfs", "source": "tmpfs", "options": ["noexec"]},
        {"destination": "/tmp", "options": ["remount", "nodev"]},
    ]
    bundle.linux["devices"] = [
        {"type": "c", "path": "/dev/fuse", "major": 10, "minor": 229, "uid": 5, "gid": 6},
        {"type": "p", "path": "/dev/pipe", "fileMode": 0o600},
    ]
    bundle.linux["sysctl"] = {"net.ipv4.ip_forward": "1", "kernel.shmmax": "1000000"}
    bundle.linux["personality"] = {"domain": "LINUX32"}
    bundle.linux["rootfsPropagation"] = "private"
    bundle.config["domainname"] = "example.org"
    bundle.process["cwd"] = "/made/for/this"
    bundle.process["user"] = {"uid": 1000, "gid": 1001, "umask": 0o77, "additionalGids": [5, 6]}
    bundle.process["rlimits"] = [
        {"type": "RLIMIT_CORE", "soft": 0, "hard": 2**64 - 1},
        {"type": "RLIMIT_NOFILE", "soft": 100, "hard": 200},
    ]
    bundle.process["capabilities"]["inheritable"] = ["CAP_KILL"]
    bundle.process["capabilities"]["ambient"] = ["CAP_KILL"]
    bundle.linux["seccomp"] = {
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{"names": ["swapon"], "action": "SCMP_ACT_ERRNO"}],
    }


def hooks(bundle: Bundle) -> None:
    """Hooks inside and outside of the container."""
    stages = ("prestart", "createRuntime", "createContainer", "startContainer")
    bundle.config["hooks"] = {
        stage: [{"path": "/bin/busybox", "args": ["echo", stage, "a b"], "env": ["A=1"]}]
        for stage in stages
    }
    for stage in stages:
        bundle.config["hooks"][stage].append({"path": "/bin/true", "args": ["true", stage]})
    file = f"{bundle.path}/what-hooks-say"
    bundle.process["rlimits"] = [{"type": "RLIMIT_CORE", "soft": 0, "hard": 5}]
    bundle.linux["seccomp"] = {
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{"names": ["swapon"], "action": "SCMP_ACT_ERRNO"}],
    }
    bundle.config["annotations"] = {"k": 'v\n"\\', "run.oci.hooks.stdout": file}


def mapped(bundle: Bundle) -> None:
    """A user namespace: another order of everything, and a child that goes on."""
    for name, file in (("uidMappings", "uid"), ("gidMappings", "gid")):
        bundle.linux[name] = [{"containerID": 0, "hostID": 100000, "size": 65536}]
        assert file
    bundle.new_namespace("user")
    bundle.rootfs.chmod(0o755)


def joined(bundle: Bundle) -> None:
    """Namespaces of other processes; here simply the test's own."""
    bundle.drop_namespace("pid")
    bundle.join_namespace("network", "/proc/self/ns/net")
    bundle.new_namespace("cgroup")


def mapped_and_joined(bundle: Bundle) -> None:
    """A user namespace that does not own what is joined."""
    mapped(bundle)
    bundle.join_namespace("network", "/proc/self/ns/net")
    bundle.join_namespace("ipc", "/proc/self/ns/ipc")


def sharing(bundle: Bundle) -> None:
    """Other processes' pid namespace: the program appears there last."""
    bundle.join_namespace("pid", "/proc/self/ns/pid")
    bundle.process["noNewPrivileges"] = False
    bundle.linux["seccomp"] = {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": []}
    bundle.config["hooks"] = {"startContainer": [{"path": "/bin/true"}]}


def scheduled(bundle: Bundle) -> None:
    """When and where it runs."""
    bundle.process["scheduler"] = {"policy": "SCHED_BATCH", "nice": 3}
    bundle.process["ioPriority"] = {"class": "IOPRIO_CLASS_BE", "priority": 6}
    bundle.linux["memoryPolicy"] = {"mode": "MPOL_BIND", "nodes": "0"}


def scheduled_late(bundle: Bundle) -> None:
    """What no child inherits."""
    flags = ["SCHED_FLAG_RESET_ON_FORK"]
    bundle.process["scheduler"] = {"policy": "SCHED_OTHER", "nice": 3, "flags": flags}
    bundle.linux["memoryPolicy"] = {"mode": "MPOL_DEFAULT"}


def links(bundle: Bundle) -> None:
    """Symbolic links that are bound as they are."""
    (bundle.rootfs / "mnt").chmod(0o777)
    Path(f"{bundle.path}/link").symlink_to("note")
    Path(f"{bundle.path}/note").write_text("x")
    (bundle.rootfs / "mnt" / "there").symlink_to("nowhere")
    for target, *options in (
        ("/mnt/copy", "copy-symlink"),
        ("/mnt/file", "copy-symlink", "ro"),
        ("/mnt/new/link", "src-nofollow", "rprivate", "rnosuid"),
        ("/mnt/there", "dest-nofollow", "src-nofollow", "nodev"),
    ):
        source = "note" if target == "/mnt/file" else "link"
        mount = {"destination": target, "source": source, "options": ["bind", *options]}
        bundle.config["mounts"].append(mount)


def links_mapped(bundle: Bundle) -> None:
    """The same in a user namespace, where the sources are opened early."""
    links(bundle)
    mapped(bundle)


CONFIGS: list[Callable[[Bundle], None]] = [
    default, rich, hooks, mapped, joined, mapped_and_joined, sharing, scheduled, scheduled_late,
    links, links_mapped,
]  # fmt: skip


class Traced:
    """A container that ran under strace, and what `plan --json` says of its bundle."""

    def __init__(
        self, box: Box, change: Callable[[Bundle], None], gated: bool, *flags: str
    ) -> None:
        self.gated = gated
        bundle = box.bundle("/bin/true")
        bundle.linux["cgroupsPath"] = f"/{box.token}"
        change(bundle)
        self.plan = json.loads(box.pycontainer("plan", "--json", *flags, bundle).ok().out)
        command = "create" if gated else "run"
        argv = box.pycontainer.argv(command, *flags, "-b", bundle, NAME)
        with traced(argv, box.directory / "trace") as self.calls:
            if gated:
                box.pycontainer.wait_for(NAME, "created")
                box.pycontainer("start", NAME).ok()
        self.pid = trace.executor_of(self.calls)

    def check(self, plan: Any = None, calls: Any = None) -> list[str]:
        return list(verdict.follow(plan or self.plan, calls or self.calls, gated=self.gated))

    def differs(self, plan: Any = None, calls: Any = None) -> bool:
        try:
            self.check(plan, calls)
        except AssertionError:
            return True
        return False


@contextlib.contextmanager
def traced(
    argv: list[str], file: Path, stdin: int = subprocess.DEVNULL
) -> Iterator[dict[int, list[Call]]]:
    """Run a command under strace; its calls are there once the block is left."""
    calls: dict[int, list[Call]] = {}
    process = trace.record(argv, file, stdin)
    yield calls
    try:
        _, error = process.communicate(timeout=60)
    except subprocess.TimeoutExpired:
        process.kill()
        raise
    assert process.returncode == 0, error.decode()
    calls.update(trace.read(file))


@pytest.fixture(autouse=True)
def trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    """All annotations act: the plan has an operation for some of them."""
    monkeypatch.setenv("PYCONTAINER_TRUST_ANNOTATIONS", "1")


@pytest.fixture
def open_box(box: Box) -> Iterator[Box]:
    """A box that the root of a user namespace can get to: pytest's own directories are closed."""
    with tempfile.TemporaryDirectory(prefix=box.token) as name:
        Path(name).chmod(0o755)
        outer, box.directory = box.directory, Path(name)
        yield box
        for runtime in box.runtimes.values():
            runtime.sweep()
        box.empty()
        box.runtimes.clear()
        box.directory = outer


@pytest.mark.parametrize("change", CONFIGS, ids=lambda change: change.__name__)
def test_run_does_what_the_plan_says(open_box: Box, change: Callable[[Bundle], None]):
    traced = Traced(open_box, change, gated=False)
    kinds = traced.check()
    assert len(kinds) > 40 and kinds[-1] == "exec"


def test_create_and_start_do_what_the_plan_says(box: Box):
    traced = Traced(box, hooks, gated=True)
    assert {"await_start", "hook", "exec"} <= set(traced.check())


def test_without_pivot_root(box: Box):
    assert "move_root" in Traced(box, default, False, "--no-pivot").check()


def test_an_ordinary_users_container(person: Person):
    """Mounts that only the container's root may open; a score and offsets that it sets itself."""
    bundle = person.bundle("own", "true")
    bundle.config["mounts"].append(
        {"destination": "/mnt", "source": "/usr", "type": "bind", "options": ["rbind", "ro"]}
    )
    bundle.process["oomScoreAdj"] = 500
    bundle.new_namespace("time")
    bundle.linux["timeOffsets"] = {"boottime": {"secs": 1337}}
    person.own()
    plan = json.loads(person("plan", "--json", bundle).ok().out)
    argv = person.argv("run", "-b", bundle, NAME)
    with traced(argv, person.home / "trace") as calls:
        pass
    assert {"open_source", "own_oom_score", "time_offsets"} <= {
        *verdict.follow(plan, calls, gated=False)
    }


SETTINGS: dict[str, dict[str, Any]] = {
    "default": {},
    "CPUs": {"execCPUAffinity": {"initial": "0", "final": "0-1"}},
    "terminal": {"terminal": True, "consoleSize": {"height": 10, "width": 20}},
    "scheduler": {"scheduler": {"policy": "SCHED_OTHER", "flags": ["SCHED_FLAG_RESET_ON_FORK"]}},
    "user": {"user": {"uid": 1000, "gid": 1000, "additionalGids": [5]}, "cwd": "/tmp"},
}


@pytest.mark.parametrize("settings", SETTINGS)
@pytest.mark.parametrize("filtered", [False, True])
def test_exec_does_what_its_plan_says(box: Box, settings: str, filtered: bool):
    """There is no command that prints this plan: it is made here as `exec` makes it."""
    bundle = box.bundle("/bin/sleep", "1000")
    bundle.linux["cgroupsPath"] = f"/{box.token}"
    if filtered:
        rich(bundle)
        bundle.process["cwd"] = "/"
        bundle.process["noNewPrivileges"] = False
    bundle.process.update(SETTINGS[settings])
    wants_terminal = bundle.process.pop("terminal", False)
    box.pycontainer("run", "-d", "-b", bundle, NAME).ok()
    pid = box.pycontainer.state(NAME)["pid"]
    document = {**bundle.process, "args": ["/bin/true"], "terminal": wants_terminal}
    file = box.directory / "process.json"
    file.write_text(json.dumps(document))
    inputs = EntryInputs(
        probe(),
        exec._spaces(bundle.config, pid, {}),
        entrances=_entrances(pid, later="CPUs" in settings),
        into_cgroup="CPUs" not in settings,
        filter=cache.compile(bundle.linux["seccomp"]) if filtered else None,
    )
    plan = compile_exec({**bundle.config, "process": document}, inputs)
    argv = box.pycontainer.argv("exec", "--process", file, NAME)
    master, slave = pty.openpty()  # a terminal for who needs one
    try:
        stdin = slave if wants_terminal else subprocess.DEVNULL
        with traced(argv, box.directory / "trace", stdin) as calls:
            pass
    finally:
        os.close(master)
        os.close(slave)
    kinds = [*verdict.follow(describe.as_json(plan), calls, gated=False)]
    assert kinds.index("capabilities") < kinds.index("respawn") < kinds.index("setsid")
    assert (
        not filtered or settings == "scheduler" or kinds.index("seccomp") < kinds.index("respawn")
    )


def _entrances(pid: int, later: bool) -> tuple[str, ...]:
    """As many as the container has v1 cgroups, and the v2 one when it is not born there; their
    paths show in no call."""
    lines = Path(f"/proc/{pid}/cgroup").read_text().splitlines()
    if layout.probe().mode == "v2":  # v1 hierarchies may live on without a mount
        lines = [line for line in lines if line.startswith("0:")]
    return tuple(line for line in lines if later or not line.startswith("0:"))


# Operations that change nothing in this container: nothing shows that they are missing.
INVISIBLE = {"home", "find_program", "chown_stdio", "reopen_null", "await_start", "chdir",
             "seccomp_prepare"}  # fmt: skip


def test_a_doctored_plan_is_refused(box: Box):
    """An operation less, one more, two swapped, or another argument: each one is noticed."""
    traced = Traced(box, rich, gated=False)
    traced.check()
    container = [i for i, op in enumerate(traced.plan) if op["side"] == "container"]
    for index in container:
        op = traced.plan[index]
        if op["operation"] not in INVISIBLE and not _is_missing(op):
            assert traced.differs(traced.plan[:index] + traced.plan[index + 1 :]), op
            assert traced.differs([*traced.plan[:index], op, *traced.plan[index:]]), op
        for changed in _altered(op):
            assert traced.differs([*traced.plan[:index], changed, *traced.plan[index + 1 :]]), (
                changed
            )


def test_a_doctored_trace_is_refused(box: Box):
    """A call less, a call that no operation means, or another argument: each one is noticed."""
    traced = Traced(box, default, gated=False)
    traced.check()
    own = traced.calls[traced.pid]
    last = max(i for i, call in enumerate(own) if call.name == "execve")
    first = next(i for i, call in enumerate(own) if call.name == "execveat") + 1
    alien = Call("chmod", ['"/etc"', "0777"], 0, "")
    for at in range(first, last + 1):
        rest = {**traced.calls, traced.pid: [*own[:at], alien, *own[at:]]}
        assert traced.differs(calls=rest), own[at]
        if not verdict.harmless(own[at]) and not _optional(own[at]):
            fewer = {**traced.calls, traced.pid: own[:at] + own[at + 1 :]}
            assert traced.differs(calls=fewer), own[at]


def _optional(call: Call) -> bool:
    """Part of an operation that only happens when it has something to do."""
    return call.name in ("dup3", "fchown", "mkdirat", "prctl") and (
        call.name != "prctl" or bool(call.error)
    )


def _is_missing(op: dict[str, Any]) -> bool:
    """Masking what isn't there does nothing."""
    return op["operation"] in ("mask", "readonly")


UNSEEN = {
    ("setns", "path"),  # a slot stands for it
    ("cgroup_join", "path"),
    ("mknod", "source"),  # only a fallback
    ("mount", "ms_flags"),  # asks for another way to mount
    ("bind", "attr_clear"),  # its bit is among those of soft_clear
}


def _altered(op: dict[str, Any]) -> list[dict[str, Any]]:
    """The operation with one argument changed, for each argument that the kernel sees."""
    unseen = {
        "slot", "missing", "make", "plain_target", "copy_up", "what",
        "soft_clear", "type", "replace", "or_bind", "in_root", "ms_clear", "first", "count",
    }  # fmt: skip
    result = []
    for name, value in op["arguments"].items():
        if op["operation"] in INVISIBLE or name in unseen or isinstance(value, dict):
            continue
        fifo = op["operation"] == "mknod" and op["arguments"]["mode"] >> 12 == 1
        if (op["operation"], name) in UNSEEN or (fifo and name == "device"):
            continue
        changed = copy.deepcopy(op)
        changed["arguments"][name] = _another(value)
        result.append(changed)
    return result


def _another(value: Any) -> Any:
    if isinstance(value, list):
        return [*value, 7 if value and isinstance(value[0], int) else "x=y"]
    if isinstance(value, int):
        return 1 - value if value in (0, 1) else value + 1
    return f"{value}x"
