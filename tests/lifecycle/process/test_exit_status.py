"""What a program's end, or its failure to begin, looks like from outside; as runc tells it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.box import Box
from tests.support.bundles import Bundle
from tests.support.differences import FAILURE_DIFFERENCES
from tests.support.runtimes import Done, Runtime, eventually

ENDS = {
    "zero": ("exit 0", 0),
    "one": ("exit 1", 1),
    "255": ("exit 255", 255),
    "126": ("exit 126", 126),
    "TERM": ("kill -TERM $$", 143),
    "KILL": ("sleep 1000 & kill -KILL $!; wait $!", 137),
    "SEGV": ("sh -c 'kill -SEGV $$'; exit $?", 139),
}


@pytest.mark.parametrize("name", ENDS)
@pytest.mark.parametrize("own_pids", [True, False])
def test_the_exit_status_is_the_programs(box: Box, name: str, own_pids: bool):
    script, status = ENDS[name]
    if own_pids and name == "TERM":
        pytest.skip("the first process of a pid namespace does not die of its own signal")
    for runtime in box.both():
        bundle = box.bundle().script(script)
        if not own_pids:
            bundle.drop_namespace("pid")
        assert box.run(bundle, runtime=runtime.name).status == status
    box.empty()


@pytest.mark.parametrize("name", ENDS)
def test_the_exit_status_of_exec(box: Box, name: str):
    script, status = ENDS[name]
    container = box.running()
    assert box.pycontainer("exec", container, "sh", "-c", script).status == status


def test_a_signal_from_outside(box: Box, pyc: Runtime, image: str):
    for number in (9, 15):
        bundle, name = box.bundle("/bin/sleep", "1000", image=image), box.id(str(number))
        bundle.drop_namespace("pid")  # where init has no protection from signals
        command = pyc.start_process("run", "-b", bundle, name)
        pyc.wait_for(name, "running")
        eventually(lambda name=name: program_of(pyc.state(name)["pid"]) == "sleep", "exec")
        pyc("kill", name, number).ok()
        assert command.wait(20) == 128 + number


def program_of(pid: int) -> str:
    return Path(f"/proc/{pid}/comm").read_text().strip()


# --- programs that cannot be run ---


def not_executable(bundle: Bundle) -> str:
    (bundle.rootfs / "bin" / "text").write_text("#!/bin/sh\n")
    return "/bin/text"


def in_path_not_executable(bundle: Bundle) -> str:
    not_executable(bundle)
    return "text"


def bad_format(bundle: Bundle) -> str:
    file = bundle.rootfs / "bin" / "garbage"
    file.write_bytes(b"\x7fELF" + b"\xff" * 100)
    file.chmod(0o755)
    return "/bin/garbage"


def no_interpreter(bundle: Bundle) -> str:
    file = bundle.rootfs / "bin" / "script"
    file.write_text("#!/no/such/interpreter\n")
    file.chmod(0o755)
    return "/bin/script"


def loop_of_links(bundle: Bundle) -> str:
    (bundle.rootfs / "bin" / "loop").symlink_to("loop")
    return "/bin/loop"


PROGRAMS: dict[str, tuple[Any, str]] = {
    "missing": (lambda _: "nosuchprogram", "executable file not found in $PATH"),
    "missing path": (lambda _: "/no/such/program", "no such file or directory"),
    "relative": (lambda _: "./nosuchprogram", "no such file or directory"),
    "empty": (lambda _: "", "executable file not found in $PATH"),
    "directory": (lambda _: "/bin", "is a directory"),
    "not executable": (not_executable, "permission denied"),
    "in PATH, not executable": (in_path_not_executable, "executable file not found in $PATH"),
    "exec format error": (bad_format, "exec format error"),
    "no interpreter": (no_interpreter, "no such file or directory"),
    "file as directory": (lambda _: "/bin/sh/x", "not a directory"),
    "link loop": (loop_of_links, "too many levels of symbolic links"),
}


def check_failure(command: str, case: str, ours: Done, theirs: Done | None) -> None:
    words = PROGRAMS[case][1]
    ours.fails("unable to start container process", words, status=255 if command == "exec" else 1)
    assert len(ours.err.splitlines()) == 1
    if theirs is None:
        return
    status, text, _ = FAILURE_DIFFERENCES.get((command, case), (ours.status, words, ""))
    there = any(words in theirs.err for words in text.split("|"))
    assert (theirs.status, there) == (status, True), f"{ours!r}\n{theirs!r}"


@pytest.mark.parametrize("case", PROGRAMS)
def test_run_of_what_is_no_program(box: Box, case: str):
    results = {}
    for runtime in box.both():
        bundle = box.bundle()
        bundle.process["args"] = [PROGRAMS[case][0](bundle), "argument"]
        results[runtime.name] = box.run(bundle, runtime=runtime.name)
    check_failure("run", case, results["pycontainer"], results.get("runc"))
    assert "process.args" in results["pycontainer"].err
    box.empty()


@pytest.mark.parametrize("case", PROGRAMS)
def test_exec_of_what_is_no_program(box: Box, case: str):
    results = {}
    for runtime in box.both():
        bundle, name = box.bundle("/bin/sleep", "1000"), box.id(runtime.name)
        program = PROGRAMS[case][0](bundle)
        runtime("run", "-d", "-b", bundle, name).ok()
        results[runtime.name] = runtime("exec", name, program, "argument")
        assert runtime.status(name) == "running"
    check_failure("exec", case, results["pycontainer"], results.get("runc"))


def test_a_missing_program_fails_create_not_start(box: Box, pyc: Runtime):
    pyc("create", "-b", box.bundle("nosuchprogram"), box.id()).fails(
        "pycontainer create failed: unable to start container process",
        "executable file not found in $PATH",
    )
    box.empty()


def test_what_only_execve_can_tell_fails_start(box: Box, pyc: Runtime):
    bundle = box.bundle()
    bundle.process["args"] = [bad_format(bundle)]
    pyc("create", "-b", bundle, box.id()).ok()
    done = pyc("start", box.id()).fails("unable to start container process", "exec format error")
    assert "process.args" in done.err
    assert pyc.status(box.id()) in ("stopped", "gone")


# --- the log ---


@pytest.mark.parametrize("log_format", ["text", "json"])
@pytest.mark.parametrize("command", ["create", "run", "exec", "start", "kill", "delete"])
def test_one_error_record_for_a_failure(box: Box, pyc: Runtime, command: str, log_format: str):
    log, name = box.directory / "log", box.id()
    bundle = box.bundle("nosuchprogram")
    flags = ("--log", log, "--log-format", log_format)
    words = {"create": ("-b", bundle, name), "run": ("-b", bundle, name)}.get(command, (name,))
    done = pyc(*flags, command, *words, *(["true"] if command == "exec" else []))
    assert done.status == (255 if command == "exec" else 1)
    (line,) = log.read_text().splitlines()
    if log_format == "json":
        record = json.loads(line)
        assert record["level"] == "error"
        message = record["msg"]
        assert {"msg", "level", "time"} <= record.keys()
    else:
        assert "level=error" in line
        message = line.partition('msg="')[2].rpartition('"')[0].replace('\\"', '"')
    assert message.splitlines() == done.err.splitlines()


def test_the_record_names_operation_and_field(box: Box, pyc: Runtime):
    log, bundle = box.directory / "log", box.bundle()
    bundle.linux["sysctl"] = {"kernel.msgmax": "nonsense"}
    pyc("--log", log, "--log-format", "json", "run", "-b", bundle, box.id()).fails("sysctl")
    record = json.loads(log.read_text())
    assert record["field"] == "linux.sysctl.kernel.msgmax"
    assert record["code"] == "operation" and record["step"] > 0 and record["errno"] == 22
    assert record["category"] == record["code"] and record["operation"] == "sysctl"
    box.empty()


def test_the_record_has_the_facts_of_the_executor(box: Box, pyc: Runtime):
    log, bundle = box.directory / "log", box.bundle()
    entry = {"destination": "/bin/busybox", "source": "/tmp", "options": ["bind"]}
    bundle.config["mounts"].append(entry)
    pyc("--log", log, "--log-format", "json", "run", "-b", bundle, box.id()).fails("is a file")
    record = json.loads(log.read_text())
    assert (record["code"], record["path"]) == ("target-is-file", "/bin/busybox")
    assert record["params"] == {"source": "/tmp", "target": "/bin/busybox"}


@pytest.mark.parametrize("stage", ["createRuntime", "createContainer"])
@pytest.mark.parametrize(
    ("script", "code"),
    [("exit 3", "hook-exit"), ("kill -9 $$", "hook-signal"), ("sleep 9", "hook-timeout")],
)
def test_the_record_has_the_facts_of_a_hook(
    box: Box, pyc: Runtime, stage: str, script: str, code: str
):
    log, bundle = box.directory / "log", box.bundle()
    hook = {"path": "/bin/sh", "args": ["sh", "-c", script], "timeout": 1}
    bundle.config["hooks"] = {stage: [hook]}
    pyc("--log", log, "--log-format", "json", "run", "-b", bundle, box.id()).fails("hook #0")
    record = json.loads(log.read_text())
    assert (record["code"], record["path"]) == (code, "/bin/sh")
    assert record["operation"] == "hook" and record["field"] == f"hooks.{stage}[0]"
