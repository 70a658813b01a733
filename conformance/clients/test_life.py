"""Podman and Docker: starting, stopping, looking at containers, and what they answer."""

from __future__ import annotations

import os
import time

import pytest

from conformance.clients.engine import IMAGE, Engine
from tests.support.runtimes import SLOWNESS, eventually

ENGINES = ("podman", "docker")
TRAP = "trap 'echo got it; exit 9' {}; echo ready; while :; do sleep 0.2; done"


@pytest.mark.quick
def test_run_prints(engine: Engine):
    done = engine.run("sh", "-c", "echo out; echo err >&2").ok()
    assert (done.out, done.err) == ("out\n", "err\n")


@pytest.mark.quick
def test_run_exit_status(engine: Engine):
    for status in (0, 7, 255):
        assert engine.run("sh", "-c", f"exit {status}").status == status
    assert engine.run("sh", "-c", "sleep 1000 & kill -9 $!; wait $!").status == 137


def test_run_not_found(engine: Engine):
    done = engine.run("no-such-program")
    assert done.status == 127, done
    assert "not found" in done.err


def test_run_not_executable(engine: Engine):
    done = engine.run("/etc/passwd")
    assert done.status == 126, done
    assert "permission denied" in done.err


@pytest.mark.quick
def test_exec(engine: Engine):
    box = engine.running("--env=A=1")
    done = engine("exec", box, "sh", "-c", "echo $A; echo err >&2; exit 3")
    assert (done.status, done.out, done.err) == (3, "1\n", "err\n")


def test_exec_options(engine: Engine):
    box = engine.running("--env=A=1")
    done = engine(
        "exec",
        "--env=B=2",
        "--user=1000:50",
        "--workdir=/tmp",
        box,
        "sh",
        "-c",
        "echo $A$B $(id -u):$(id -g) $(pwd)",
    ).ok()
    assert done.out == "12 1000:50 /tmp\n"


def test_exec_with_stdin(engine: Engine):
    box = engine.running()
    assert engine("exec", "-i", box, "cat", input=b"a line\n" * 9999).ok().out == "a line\n" * 9999


def test_exec_detached(engine: Engine):
    box = engine.running()
    engine("exec", "--detach", box, "sh", "-c", "echo there > /tmp/file; sleep 1000").ok()
    eventually(lambda: engine("exec", box, "cat", "/tmp/file").out == "there\n", "the file")
    assert "sleep 1000" in engine("top", box).ok().out


def test_exec_privileged(engine: Engine):
    box = engine.running("--cap-drop=ALL")
    count = "grep CapEff /proc/self/status"
    assert int(engine("exec", box, "sh", "-c", count).ok().out.split()[1], 16) == 0
    done = engine("exec", "--privileged", box, "sh", "-c", count).ok()
    assert int(done.out.split()[1], 16) & 1 << 21  # CAP_SYS_ADMIN


def test_exec_failure(engine: Engine):
    box = engine.running()
    done = engine("exec", box, "no-such-program")
    assert done.status == (126 if engine.name == "docker" else 127), done
    done = engine("exec", box, "/etc/passwd")
    assert done.status == 126, done


def test_exec_stopped(engine: Engine):
    box = engine.running("true")
    engine.wait_for(box, "exited")
    done = engine("exec", box, "true")
    assert done.status != 0
    assert "running" in done.err


@pytest.mark.quick
def test_stop_is_term_then_kill(engine: Engine):
    box = engine.running("sh", "-c", TRAP.format("TERM"))
    engine.wait_for_log(box, "ready")
    engine("stop", f"--time={int(10 * SLOWNESS)}", box).ok()
    assert engine.logs(box) == "ready\ngot it\n"
    assert engine.inspect(box)["State"]["ExitCode"] == 9
    box = engine.running("sh", "-c", "trap '' TERM; echo ready; sleep 1000; sleep 1000")
    engine.wait_for_log(box, "ready")
    engine("stop", "--time=1", box).ok()
    assert engine.inspect(box)["State"]["ExitCode"] == 137


@pytest.mark.quick
def test_kill(engine: Engine):
    box = engine.running("sh", "-c", TRAP.format("USR1"))
    engine.wait_for_log(box, "ready")
    engine("kill", "--signal=USR1", box).ok()
    engine.wait_for(box, "exited")
    assert engine.inspect(box)["State"]["ExitCode"] == 9
    assert engine("kill", box).status != 0
    box = engine.running()
    engine("kill", box).ok()
    engine.wait_for(box, "exited")
    assert engine.inspect(box)["State"]["ExitCode"] == 137


@pytest.mark.quick
def test_remove(engine: Engine):
    box = engine.running()
    place = engine.cgroup(box, "memory")
    pid = engine.pid(box)
    assert place.is_dir()
    assert engine("rm", box).status != 0
    assert engine.status(box) == "running"
    engine("rm", "--force", *engine.at_once, box).ok()
    assert not place.exists()
    assert not os.path.exists(f"/proc/{pid}")
    assert engine.states() == []


def test_create_then_start(engine: Engine):
    box = engine.create("sh", "-c", "echo started")
    assert engine.status(box) == "created"
    engine("start", box).ok()
    engine.wait_for(box, "exited")
    assert engine.logs(box) == "started\n"
    assert engine("start", "--attach", box).ok().out == "started\n"


def test_restart(engine: Engine):
    box = engine.running("sh", "-c", "echo started; sleep 1000")
    before = engine.pid(box)
    engine("restart", "--time=0", box).ok()
    assert engine.pid(box) != before
    engine.wait_for_log(box, "started\nstarted\n")


def test_wait(engine: Engine):
    box = engine.running("sh", "-c", "sleep 0.5; exit 5")
    assert engine("wait", box).ok().out == "5\n"


def test_logs(engine: Engine):
    box = engine.running("sh", "-c", "seq 5; echo err >&2; sleep 0.5; echo end")
    done = engine("logs", "--follow", box).ok()
    assert done.out == "1\n2\n3\n4\n5\nend\n"
    assert done.err == "err\n"
    assert engine("logs", "--tail=1", box).ok().out == "end\n"


def test_attach(engine: Engine):
    box = engine.create("--interactive", "sh", "-c", "read line; echo got $line; exit 4")
    engine("start", box).ok()
    assert "got hello\n" in engine("attach", box, input=b"hello\n").out
    engine.wait_for(box, "exited")
    assert engine.inspect(box)["State"]["ExitCode"] == 4


def test_attach_terminal_and_detach(engine: Engine):
    box = engine.create("--interactive", "--tty", "sh")
    engine("start", box).ok()
    status, seen = engine.terminal("attach", box, keys=b"echo $((6 * 7))\n")
    assert (status, b"42\r\n" in seen) == (None, True), seen
    engine.terminal("attach", box, keys=b"\x10\x11")
    assert engine.status(box) == "running"


@pytest.mark.quick
def test_pause(engine: Engine):
    box = engine.running("sh", "-c", "while :; do date +%s%N > /tmp/beat; sleep 0.05; done")
    file = f"/proc/{engine.pid(box)}/root/tmp/beat"
    eventually(lambda: os.path.exists(file), "a beat")
    engine("pause", box).ok()
    assert engine.status(box) == "paused"
    time.sleep(0.1)
    before = open(file).read()
    time.sleep(0.3)
    assert open(file).read() == before
    assert engine("exec", box, "true").status != 0
    engine("unpause", box).ok()
    assert engine.status(box) == "running"
    eventually(lambda: open(file).read() != before, "the next beat")


def test_remove_paused(engine: Engine):
    box = engine.running()
    engine("pause", box).ok()
    engine("rm", "--force", *engine.at_once, box).ok()
    assert engine.states() == []


def test_top(engine: Engine):
    box = engine.running("sh", "-c", "sleep 1001 & sleep 1002")
    out = engine("top", box).ok().out
    assert "sleep 1001" in out and "sleep 1002" in out


def test_stats(engine: Engine):
    box = engine.running("sh", "-c", "sleep 1001 & sleep 1002")
    line = engine("stats", "--no-stream", "--format={{.PIDs}} {{.MemUsage}}", box).ok().out
    pids, used = line.split()[:2]
    assert int(pids) == 2
    assert used[0] not in "0-", line


def test_inspect(engine: Engine):
    box = engine.running("--label=a=b")
    found = engine.inspect(box)
    assert found["State"]["Running"] is True
    assert os.readlink(f"/proc/{found['State']['Pid']}/root")
    assert found["Config"]["Labels"]["a"] == "b"
    engine("stop", "--time=0", box).ok()
    state = engine.inspect(box)["State"]
    assert (state["Running"], state["Pid"], state["ExitCode"]) == (False, 0, 137)


def test_events(engine: Engine):
    box = engine.running("sh", "-c", "exit 3")
    engine.wait_for(box, "exited")

    def told() -> bool:
        span = (f"--since={int(time.time() - 60 * SLOWNESS)}", f"--until={int(time.time()) + 1}")
        out = engine("events", *span, f"--filter=container={box}").ok().out
        return "start" in out and "die" in out

    eventually(told, "start and die among the events", 30)


def test_healthcheck(engine: Engine):
    box = engine.running(
        "--health-cmd=test -e /tmp/well", "--health-interval=1s", "--health-retries=1"
    )
    engine("exec", box, "touch", "/tmp/well").ok()
    assert engine.healthy(box)
    engine("exec", box, "rm", "/tmp/well").ok()
    eventually(lambda: not engine.healthy(box), "unhealthy", 20)


def test_restart_policy(engine: Engine):
    box = engine.running("--restart=on-failure:2", "sh", "-c", "echo run; exit 1")
    eventually(lambda: engine.logs(box) == "run\n" * 3, "three runs", 30)
    engine.wait_for(box, "exited")
    assert engine.inspect(box)["RestartCount"] == 2


def test_rename_and_labels(engine: Engine):
    box = engine.running()
    engine("rename", box, f"{engine.token}-new").ok()
    assert engine.inspect(f"{engine.token}-new")["Id"] == box


def test_copy(engine: Engine):
    box = engine.running()
    source, back = engine.home / "source", engine.home / "back"
    source.write_text("content\n")
    engine("cp", source, f"{box}:/tmp/file").ok()
    assert engine.sh(box, "cat /tmp/file") == "content\n"
    engine("cp", f"{box}:/tmp/file", back).ok()
    assert back.read_text() == "content\n"


def test_commit(engine: Engine):
    box = engine.running()
    engine.sh(box, "echo kept > /etc/kept")
    engine("commit", box, "localhost/committed").ok()
    done = engine("run", "--rm", *engine.flags(), "localhost/committed", "cat", "/etc/kept").ok()
    assert done.out == "kept\n"
    engine("rmi", "localhost/committed").ok()


def test_build_and_run(engine: Engine):
    context = engine.home / "context"
    context.mkdir(exist_ok=True)
    (context / "Dockerfile").write_text(
        f"FROM {IMAGE}\nRUN echo ran > /etc/ran\nUSER 1000\nWORKDIR /tmp\nENV A=built\n"
        'ENTRYPOINT ["sh", "-c", "cat /etc/ran; echo $A $(id -u) $(pwd) $0"]\nCMD ["default"]\n'
    )
    engine("build", "--network=none", "--tag=localhost/built", context).ok()
    done = engine("run", "--rm", *engine.flags(), "localhost/built", "given").ok()
    assert done.out == "ran\nbuilt 1000 /tmp given\n"
    engine("rmi", "localhost/built").ok()
