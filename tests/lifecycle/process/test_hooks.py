"""The six hooks: when they run, where, with what on stdin, and what their failure does."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.support.box import Box
from tests.support.bundles import Bundle
from tests.support.runtimes import Runtime

STAGES = (
    "prestart",
    "createRuntime",
    "createContainer",
    "startContainer",
    "poststart",
    "poststop",
)
# What each hook reads as the status. startContainer's is "created", as with runc and runtime.md.
STATUSES = {
    "prestart": "creating",
    "createRuntime": "creating",
    "createContainer": "creating",
    "startContainer": "created",
    "poststart": "running",
    "poststop": "stopped",
}
BEFORE_START = STAGES[:3]


def hook(script: str, **more: Any) -> dict[str, Any]:
    return {"path": "/bin/sh", "args": ["sh", "-c", script], **more}


def noting_hooks(bundle: Bundle, log: Path) -> dict[str, list[dict[str, Any]]]:
    """Two hooks a stage, each of which notes that it ran, its state, and its namespaces.

    The log is reachable by the same path inside, through a bind mount.
    """
    inside = bundle.rootfs / str(log.parent).lstrip("/")
    inside.mkdir(parents=True)
    mount = {"destination": str(log.parent), "source": str(log.parent), "options": ["rbind"]}
    bundle.config["mounts"].append({**mount, "type": "none"})
    note = (
        "state=$(cat); space() { readlink /proc/self/ns/$1; };"
        ' printf "%s\\n%s\\n" "{stage} {index} $(space mnt) $(space pid) $(pwd) $MARK" "$state"'
        f" >> {log}"
    )
    return {
        stage: [
            hook(
                note.replace("{stage}", stage).replace("{index}", str(index)),
                env=["PATH=/bin:/usr/bin", f"MARK={stage}{index}"],
            )
            for index in range(2)
        ]
        for stage in STAGES
    }


class Note:
    """What one hook has noted."""

    def __init__(self, line: str, state: str) -> None:
        self.stage, self.index, self.mnt, self.pid, self.cwd, self.mark = line.split(" ")
        self.state = json.loads(state)


def notes(log: Path) -> list[Note]:
    lines = log.read_text().splitlines() if log.exists() else []
    return [Note(*pair) for pair in zip(lines[::2], lines[1::2], strict=True)]


@pytest.mark.parametrize("runtime_name", ["pycontainer", "runc"])
def test_a_life_with_hooks(box: Box, runtime_name: str):
    runtime, name = box.runtime(runtime_name), box.id()
    log = box.directory / "notes" / "log"
    log.parent.mkdir()
    bundle = box.bundle("/bin/sleep", "1000")
    bundle.config["annotations"] = {"a": "b"}
    bundle.config["hooks"] = noting_hooks(bundle, log)
    runtime("create", "-b", bundle, name).ok()
    pid = runtime.state(name)["pid"]
    if runtime_name == "pycontainer":
        assert [note.stage for note in notes(log)] == [s for s in BEFORE_START for _ in range(2)]
    runtime("start", name).ok()
    space = os.readlink(f"/proc/{pid}/ns/mnt")
    pid_space = os.readlink(f"/proc/{pid}/ns/pid")
    runtime("delete", "--force", name).ok()

    found = notes(log)
    order = [f"{note.stage}{note.index}" for note in found]
    expected = [f"{stage}{index}" for stage in STAGES for index in range(2)]
    if runtime_name == "runc":  # its create runs poststart already (its issue 5186)
        order.sort()
        expected.sort()
    assert order == expected
    host = os.readlink("/proc/self/ns/mnt")
    for note in found:
        inside = note.stage in ("createContainer", "startContainer")
        assert note.mark == f"{note.stage}{note.index}"  # its environment
        assert (note.mnt == space) == inside and (note.mnt == host) == (not inside)
        assert (note.pid == pid_space) == inside
        state = note.state
        assert (state["id"], state["bundle"]) == (name, str(bundle.path))
        assert state["annotations"] == {"a": "b"}
        if runtime_name == "pycontainer":
            assert state["status"] == STATUSES[note.stage]
            assert state.get("pid", 0) == {"poststop": 0}.get(note.stage, 1 if inside else pid)


def test_hooks_get_no_environment_of_ours(box: Box, pyc: Runtime):
    bundle, file = box.bundle(), box.directory / "env"
    bundle.config["hooks"] = {
        "createRuntime": [{"path": "/usr/bin/env", "args": ["env"], "env": ["ONLY=1"]}],
        "prestart": [hook(f"env > {file}; ls -l /proc/self/fd | wc -l >> {file}", env=["A=1"])],
    }
    box.run(bundle).ok()
    lines = file.read_text().splitlines()
    assert "A=1" in lines and not any(line.startswith("HOME") for line in lines)


SHELLS_OWN = {"SHLVL=1", "PWD=/", "PATH=/sbin:/usr/sbin:/bin:/usr/bin"}


@pytest.mark.parametrize("runtime", ["pycontainer", "runc"])
@pytest.mark.parametrize("env", [None, [], ["OWN=1"]])
def test_the_environment_of_a_start_container_hook(box: Box, runtime: str, env: list[str] | None):
    """Its own, or else the program's, HOME from passwd included."""
    if runtime == "runc" and env == []:
        pytest.skip("runc 1.1 takes an empty one for its own; later it does as we do")
    bundle = box.bundle("/bin/cat", "/tmp/env")
    bundle.process["env"] = ["PATH=/bin", "MARK=x", "HOME="]
    entry = {"path": "/bin/sh", "args": ["sh", "-c", "env > /tmp/env"]}
    bundle.config["hooks"] = {"startContainer": [entry if env is None else {**entry, "env": env}]}
    seen = set(box.run(bundle, runtime=runtime).ok().out.split()) - SHELLS_OWN
    if runtime == "runc":  # of Debian 12; later ones look HOME up before
        seen = {"HOME=/root" if entry.startswith("HOME=") else entry for entry in seen}
    assert seen == set(env or ["PATH=/bin", "MARK=x", "HOME=/root"])


@pytest.mark.parametrize("env", [None, []])
def test_the_environment_of_a_create_container_hook(box: Box, env: list[str] | None):
    """It is not the program's company, nor ours."""
    bundle = box.bundle("/bin/cat", "/tmp/env")
    (bundle.rootfs / "tmp/env").write_text("")
    file = bundle.rootfs / "tmp/env"
    entry = {"path": "/bin/sh", "args": ["sh", "-c", f"env > {file}"]}
    bundle.config["hooks"] = {"createContainer": [entry if env is None else {**entry, "env": env}]}
    seen = set(box.run(bundle).ok().out.split())
    assert {line.partition("=")[0] for line in seen} <= {"SHLVL", "PWD", "_", "OLDPWD", "PATH"}


@pytest.mark.parametrize("stage", BEFORE_START)
@pytest.mark.parametrize("command", ["create", "run"])
def test_a_failure_before_start_fails_create(box: Box, pyc: Runtime, stage: str, command: str):
    bundle, ran = box.bundle("true"), box.directory / "poststop"
    bundle.config["hooks"] = {
        stage: [hook("exit 0"), hook("echo to out; echo to err >&2; exit 3"), hook("exit 4")],
        "poststop": [hook(f"echo x >> {ran}")],
    }
    done = pyc(command, "-b", bundle, box.id())
    done.fails(f"{stage} hook #1", "exit status 3", "to out", "to err", f"hooks.{stage}")
    assert "did you mean" not in done.err  # the hook was found: nothing of process.args to blame
    assert ran.read_text() == "x\n"
    box.empty()


def test_a_failing_start_container_hook_fails_start(box: Box, pyc: Runtime):
    bundle, ran = box.bundle("sleep", "1000"), box.directory / "poststop"
    bundle.config["hooks"] = {
        "startContainer": [hook("echo no >&2; exit 5")],
        "poststop": [hook(f"echo x >> {ran}")],
    }
    pyc("create", "-b", bundle, box.id()).ok()
    done = pyc("start", box.id()).fails("startContainer hook #0", "exit status 5", "no")
    assert "did you mean" not in done.err
    assert ran.read_text() == "x\n"
    assert pyc.status(box.id()) in ("gone", "stopped")
    box.pycontainer("delete", "--force", box.id())
    box.empty()


@pytest.mark.parametrize("command", ["start", "run", "run -d"])
def test_a_failing_poststart_hook_ends_the_container(box: Box, pyc: Runtime, command: str):
    bundle = box.bundle("/bin/sleep", "1000")
    bundle.config["hooks"] = {"poststart": [hook("exit 6")]}
    if command == "start":
        pyc("create", "-b", bundle, box.id()).ok()
        done = pyc("start", box.id())
    else:
        done = pyc(*command.split(), "-b", bundle, box.id())
    done.fails("poststart hook #0", "exit status 6")
    assert "warning" not in done.err
    box.empty()


def test_a_failing_poststop_hook_is_a_warning(box: Box, pyc: Runtime):
    bundle, ran = box.bundle(), box.directory / "second"
    bundle.config["hooks"] = {"poststop": [hook("exit 7"), hook(f"touch {ran}")]}
    done = box.run(bundle).ok()
    assert "level=warning" in done.err and "exit status 7" in done.err
    assert ran.exists()
    box.empty()


@pytest.mark.parametrize("way", ["run", "failed create", "delete", "bundle gone"])
def test_poststop_hooks_run_in_the_bundle(box: Box, pyc: Runtime, way: str):
    """Like the others of the runtime, as long as it is there."""
    bundle, file = box.bundle("/bin/sleep", "1000"), box.directory / "where"
    bundle.config["hooks"] = {"poststop": [hook(f"pwd > {file}")]}
    if way == "run":
        bundle.script("exit 0")
        box.run(bundle).ok()
    elif way == "failed create":
        bundle.config["hooks"]["createRuntime"] = [hook("exit 1")]
        pyc("create", "-b", bundle, box.id()).fails("createRuntime")
    else:
        pyc("create", "-b", bundle, box.id()).ok()
        if way == "bundle gone":
            bundle.path.rename(box.directory / "bundle-elsewhere")
        pyc("delete", "--force", box.id()).ok()
    gone = way == "bundle gone"
    assert file.read_text().strip() == (os.getcwd() if gone else str(bundle.path))


@pytest.mark.parametrize("stage", STAGES[:5])
def test_a_hook_that_takes_too_long(box: Box, pyc: Runtime, stage: str):
    bundle = box.bundle("/bin/sleep", "1000")
    bundle.config["hooks"] = {stage: [hook("sleep 999", timeout=1)]}
    pyc("run", "-d", "-b", bundle, box.id()).fails(stage, "time")
    pyc("delete", "--force", box.id())
    box.empty()


@pytest.mark.parametrize("stage", STAGES[:5])
def test_a_hook_that_is_not_there(box: Box, pyc: Runtime, stage: str):
    bundle = box.bundle("/bin/sleep", "1000")
    bundle.config["hooks"] = {stage: [{"path": "/no/such/hook"}]}
    done = pyc("run", "-d", "-b", bundle, box.id())
    done.fails(stage, "/no/such/hook", "no such file or directory", f"hooks.{stage}")
    pyc("delete", "--force", box.id())
    box.empty()


def test_poststart_runs_after_the_program_has_begun(box: Box, pyc: Runtime):
    bundle, file = box.bundle("/bin/sleep", "1000"), box.directory / "comm"
    bundle.config["hooks"] = {
        "poststart": [
            hook(f"pid=$(sed 's/.*\"pid\":\\([0-9]*\\).*/\\1/'); cat /proc/$pid/comm > {file}")
        ]
    }
    pyc("run", "-d", "-b", bundle, box.id()).ok()
    assert file.read_text() == "sleep\n"


def test_create_runtime_hooks_may_look_at_the_state(box: Box, pyc: Runtime):
    bundle, file = box.bundle("/bin/sleep", "1000"), box.directory / "state"
    argv = " ".join(pyc.argv("state", box.id()))
    bundle.config["hooks"] = {"createRuntime": [hook(f"{argv} > {file} 2>&1")]}
    pyc("create", "-b", bundle, box.id()).ok()
    assert json.loads(file.read_text())["status"] == "creating"


def test_no_hook_has_the_callers_descriptors(box: Box, pyc: Runtime):
    """Neither those that a caller has left open, nor those that the program is given."""
    notes = box.directory / "notes"
    notes.mkdir()
    script = f"for f in /proc/self/fd/*; do readlink $f; done >> {notes}/fds; true"
    bundle = box.bundle().script("for f in /proc/self/fd/[3-9]; do readlink $f; done; true")
    bundle.config["mounts"].append(
        {"destination": str(notes), "source": str(notes), "options": ["rbind"], "type": "none"}
    )
    look = hook(script, env=["PATH=/bin:/usr/bin"])
    bundle.config["hooks"] = {stage: [look] for stage in STAGES}
    argv = " ".join(pyc.argv("run", "--preserve-fds", 1, "-b", bundle.write(), box.id()))
    command = f"exec {argv} 3</etc 4</usr 9</var"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "/etc" in done.stdout and "/usr" not in done.stdout
    found = (notes / "fds").read_text().splitlines()
    assert len(found) >= 3 * len(STAGES)
    assert not {"/etc", "/usr", "/var"} & set(found)
