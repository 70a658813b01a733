"""`exec`: its options, and what the process inherits from the container; beside runc's."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.support.box import Box, open_box
from tests.support.differences import EXEC_DIFFERENCES
from tests.support.runtimes import Runtime, eventually

# Everything that a process can tell about itself, but for numbers that differ by chance.
LOOK = """
id; pwd; umask; env | sort
grep -E '^(Cap|NoNewPrivs|Seccomp:|Groups|Uid|Gid|SigBlk|SigCgt)' /proc/self/status
cat /proc/self/oom_score_adj /proc/self/limits
"""
CASES: dict[str, list[str]] = {
    "nothing": [],
    "user": ["--user", "1000"],
    "user and group": ["--user", "1000:50"],
    "unknown user": ["-u", "4711:4712"],
    "cwd": ["--cwd", "/tmp"],
    "env": ["-e", "A=1", "-e", "B=x y", "-e", "PATH=/bin"],
    "env of user": ["-u", "1000", "-e", "HOME="],
    "cap": ["-c", "CAP_NET_RAW", "-c", "CAP_SYS_ADMIN"],
    "cap of a user": ["--user", "1000", "--cap", "CAP_NET_RAW"],
    "groups": ["-g", "50", "-g", "60"],
    "groups of a user": ["-u", "1000:1000", "--additional-gids", "50"],
    "no new privs": ["--no-new-privs"],
    "new privs": ["--no-new-privs=false"],
}


@pytest.fixture(scope="module")
def shared_box(tmp_path_factory: pytest.TempPathFactory):
    """A box for the whole file."""
    box = open_box(tmp_path_factory.mktemp("exec"))
    yield box
    box.close()


@pytest.fixture(scope="module")
def containers(shared_box: Box):
    """One running container of each runtime for the whole file."""
    both = shared_box.both()
    return {runtime: shared_box.running(runtime=runtime.name) for runtime in both}


@pytest.mark.parametrize("case", CASES)
def test_what_the_process_is_like(containers, shared_box: Box, case: str):
    if "user" in case or "groups" in case:
        shared_box.needs_ids()
    looks = {}
    for runtime, container in containers.items():
        done = runtime("exec", *CASES[case], container, "sh", "-c", LOOK).ok()
        looks[runtime.name] = done.out.splitlines()
    compare(case, looks)


def compare(case: str, looks: dict[str, list[str]]) -> None:
    ours = looks.pop("pycontainer")
    for theirs in looks.values():
        assert ours == [EXEC_DIFFERENCES.get((case, line), (line,))[0] for line in theirs]


PROCESS = {
    "args": ["sh", "-c", LOOK],
    "cwd": "/tmp",
    "env": ["PATH=/bin", "ONLY=this"],
    "user": {"uid": 1000, "gid": 50, "additionalGids": [60, 70], "umask": 63},
    "capabilities": {"bounding": ["CAP_KILL"], "permitted": ["CAP_KILL"]},
    "rlimits": [{"type": "RLIMIT_CORE", "soft": 0, "hard": 0}],
    "noNewPrivileges": False,
    "oomScoreAdj": 100,
}


def test_process_document(containers, shared_box: Box, tmp_path: Path):
    shared_box.needs_ids()
    file = tmp_path / "process.json"
    file.write_text(json.dumps(PROCESS))
    looks = {}
    for runtime, container in containers.items():
        looks[runtime.name] = runtime("exec", "--process", file, container).ok().out.splitlines()
        assert "ONLY=this" in looks[runtime.name]
    compare("process document", looks)


@pytest.mark.parametrize(
    "text, words",
    [
        ("", "process.json"),
        ("{", "process.json"),
        ("[]", "process.json"),
        ('{"cwd": "/"}', "args"),
        ('{"cwd": "/", "args": []}', "args"),
        ('{"cwd": "x", "args": ["true"]}', "cwd"),
        ('{"cwd": "/", "args": ["true"], "user": {"uid": -1}}', "uid"),
    ],
)
def test_bad_process_document(box: Box, pyc: Runtime, text: str, words: str):
    file, name = box.directory / "process.json", box.running()
    file.write_text(text)
    done = pyc("exec", "-p", file, name)
    done.fails(status=255)
    assert words in done.err or "JSON" in done.err
    assert len(done.err.splitlines()) == 1


@pytest.mark.parametrize("user", ["abc", "1:", ":1", "99999999999", "-1", "1x", "+5", "1:2:3"])
def test_bad_users(containers, user: str):
    runtime, container = next(iter(containers.items()))
    runtime("exec", f"--user={user}", container, "id").fails("id", status=255)


def test_options_end_at_the_container(containers):
    for runtime, container in containers.items():
        assert runtime("exec", container, "echo", "-t", "--cwd", "x").ok().out == "-t --cwd x\n"


def test_no_program(containers):
    for runtime, container in containers.items():
        done = runtime("exec", container)
        assert (done.status, bool(done.err)) == (255, True) or runtime.name == "runc"


def test_stdin_and_large_output(containers):
    runtime, container = next(iter(containers.items()))
    data = os.urandom(1 << 20).hex()
    assert runtime("exec", container, "cat", input=data.encode()).ok().out == data


def test_detached_exec_with_pid_file(box: Box, pyc: Runtime):
    name, pid_file = box.running(), box.directory / "exec.pid"
    pyc("exec", "--detach", "--pid-file", pid_file, name, "sleep", "1234").ok()
    pid = int(pid_file.read_text())
    assert Path(f"/proc/{pid}/cmdline").read_bytes() == b"sleep\x001234\x00"
    assert pid in json.loads(pyc("ps", "-f", "json", name).ok().out)
    own = Path(f"/proc/{pyc.state(name)['pid']}/ns/pid").readlink()
    assert Path(f"/proc/{pid}/ns/pid").readlink() == own


def test_exec_in_a_created_container(box: Box):
    results = []
    for runtime in box.both():
        name = box.id(runtime.name)
        runtime("create", "-b", box.bundle("/bin/sleep", "1000"), name).ok()
        done = runtime("exec", name, "sh", "-c", "echo in; exit 3")
        results.append((done.status, done.out, runtime.status(name)))
        runtime("start", name).ok()
        assert runtime.status(name) == "running"
    assert set(results) == {(3, "in\n", "created")}


def test_exec_ends_with_its_container(box: Box, pyc: Runtime):
    name = box.running()
    command = pyc.start_process("exec", name, "sleep", "1000")
    eventually(lambda: len(json.loads(pyc("ps", "-f", "json", name).out)) == 2, "exec")
    pyc("kill", name, "KILL").ok()
    assert command.wait(20) == 137


def test_ignore_paused(box: Box, pyc: Runtime):
    box.needs_a_cgroup()
    name = box.running()
    pyc("pause", name).ok()
    pyc("exec", name, "true").fails("paused", status=255)
    command = pyc.start_process("exec", "--ignore-paused", "--detach", name, "touch", "/tmp/done")
    done = box.directory / "bundle1" / "rootfs" / "tmp" / "done"
    pyc("resume", name).ok()
    assert command.wait(20) == 0
    eventually(done.exists, "the process has run")


def test_exec_into_a_sub_cgroup(box: Box, pyc: Runtime):
    box.needs_a_cgroup()
    name = box.running()
    path = cgroup_of(pyc.state(name)["pid"], "memory")
    inner = Path("/sys/fs/cgroup/memory" + path) / "inner"
    if not inner.parent.exists():
        pytest.skip("cgroup v1 only")
    inner.mkdir()
    show = "cat /proc/self/cgroup"
    for place in ("memory:inner", "memory:/inner"):
        out = pyc("exec", "--cgroup", place, name, "sh", "-c", show).ok().out
        found = {line.split(":")[1]: line.split(":")[2] for line in out.splitlines()}
        assert found["memory"].endswith("/inner") and not found["cpu"].endswith("/inner")
    for bad in ("memory:none", "memory:../..", "nosuch:inner", "memory:/../inner2"):
        pyc("exec", "--cgroup", bad, name, "true").fails(status=255)


def cgroup_of(pid: int, controller: str) -> str:
    for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines():
        _, names, path = line.split(":", 2)
        if controller in names.split(","):
            return path
    return ""


def test_the_process_enters_the_cgroup(box: Box, pyc: Runtime):
    name = box.running()
    init = Path(f"/proc/{pyc.state(name)['pid']}/cgroup").read_text()
    pid_file = box.directory / "pid"
    pyc("exec", "-d", "--pid-file", pid_file, name, "sleep", "1000").ok()
    assert Path(f"/proc/{pid_file.read_text()}/cgroup").read_text() == init


def test_caps_do_not_become_inheritable(containers):
    """CVE-2022-29162."""
    runtime, container = next(iter(containers.items()))
    show = ("grep", "CapInh", "/proc/self/status")
    out = runtime("exec", "--cap", "CAP_NET_RAW", container, *show).ok().out
    assert int(out.split()[1], 16) == 0


def test_many_execs_at_once(box: Box, pyc: Runtime):
    name = box.running()
    commands = [pyc.start_process("exec", name, "sh", "-c", f"exit {n}") for n in range(8)]
    assert [command.wait(30) for command in commands] == list(range(8))


def test_exec_in_the_debian_image(box: Box, pyc: Runtime):
    box.needs_ids()
    name = box.running(image="debian")
    out = pyc("exec", name, "cat", "/etc/os-release").ok().out
    assert "ID=debian" in out
    assert pyc("exec", "-u", "1:1", name, "sh", "-c", "echo $HOME; id -un").out == (
        "/usr/sbin\ndaemon\n"
    )


def test_a_container_that_ends_meanwhile(box: Box, pyc: Runtime):
    """Whenever that is: it is not running, and its files in /proc are nobody's business."""
    failed = 0
    for number in range(25):
        bundle, name = box.bundle().script(f"usleep {number * 1000}"), box.id(f"n{number}")
        pyc("run", "-d", "-b", bundle, name).ok()
        done = pyc("exec", name, "true")
        if done.status == 255:
            failed += 1
            assert "not running" in done.err and "/proc" not in done.err, done
    assert failed
