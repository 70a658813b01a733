"""createContainer and startContainer hooks, which the executor runs: input, output, time, end."""

from __future__ import annotations

import time
from errno import ECANCELED

import pytest

from pycontainer.plan.ops import Op, joined
from tests.executor.lab import NEWNS, NEWUTS, SPACES, Lab, make, mount

HEAD, TAIL = '{"id":"x","pid":', ',"status":"created"}'


def hook(script: str, timeout_ms: int = 0, tail: str = TAIL, env: tuple[str, ...] = ()) -> Op:
    """A hook that is a shell script."""
    return make(
        "hook",
        index=3,
        timeout_ms=timeout_ms,
        as_program=1,
        path="/bin/sh",
        args=joined(["sh", "-c", script, "hook"]),
        env=joined(["PATH=/bin", *env]),
        state_head=HEAD,
        state_tail=tail,
    )


def test_a_hook_reads_the_state_and_has_its_own_environment(lab: Lab):
    step = hook("cat > /tmp/state; env > /tmp/env; echo $0 > /tmp/name", env=("A=b",))
    out = lab.inside(step, script="cat /tmp/state; echo; cat /tmp/env /tmp/name").ok()
    state, _, rest = out.partition("\n")
    assert state == f"{HEAD}1{TAIL}"  # our pid, as the container counts
    assert "A=b\n" in rest and rest.endswith("hook\n") and "HOME" not in rest


def test_the_hooks_of_a_plan_run_in_order(lab: Lab):
    steps = [hook(f"echo {n} >> /tmp/order") for n in range(5)]
    assert lab.inside(*steps, script="cat /tmp/order").ok().split() == list("01234")


@pytest.mark.parametrize(
    "script, words",
    [
        ("exit 7", "#3: exit status 7, stdout: , stderr: "),
        ("echo out; echo err >&2; exit 1", "exit status 1, stdout: out\n, stderr: err\n"),
        ("kill -9 $$", "#3: signal: killed"),
        ("kill -15 $$", "#3: signal: terminated"),
    ],
)
def test_a_failure_says_how(lab: Lab, script: str, words: str):
    lab.inside(hook(script)).fails("hook", ECANCELED, words=words)


def test_a_hook_that_cannot_run(lab: Lab):
    step = make("hook", as_program=1, path="/bin/nothing", args=joined(["x"]), env=b"")
    assert lab.inside(step).fails("hook", 2) == "#0: fork/exec /bin/nothing"
    (lab.root / "bin/text").write_text("")
    step = make("hook", as_program=1, path="/bin/text", args=joined(["x"]), env=b"")
    lab.inside(step).fails("hook", 13)


def test_the_end_of_a_huge_output_is_kept(lab: Lab):
    """Megabytes on both streams block nobody, and only the last part is told."""
    script = (
        "yes o | head -c 5000000; yes e | head -c 5000000 >&2; echo last; echo LAST >&2; exit 1"
    )
    detail = lab.inside(hook(script)).fails("hook", ECANCELED)
    assert len(detail) < 1024 and "last\n" in detail and detail.endswith("LAST\n")
    assert lab.inside(hook(script.replace("exit 1", "exit 0"))).status == 0


def test_a_timeout_kills(lab: Lab):
    began = time.monotonic()
    lab.inside(hook("sleep 60", 300)).fails(
        "hook", ECANCELED, words="past specified timeout of 0.3s"
    )
    lab.inside(hook("yes", 300)).fails("hook", ECANCELED, words="past specified timeout")
    assert 0.6 <= time.monotonic() - began < 5
    assert lab.inside(hook("exit 0", 5000)).status == 0


def test_grandchildren_that_keep_the_pipes_hold_nobody_up(lab: Lab):
    began = time.monotonic()
    assert lab.inside(hook("sleep 60 & exit 0")).status == 0
    step = hook("(sleep 60; echo never) & echo done; exit 1")
    lab.inside(step).fails("hook", ECANCELED, words="done")
    assert time.monotonic() - began < 5


@pytest.mark.parametrize("flags", [SPACES, NEWNS | NEWUTS], ids=["pid 1", "in the host's pids"])
def test_a_hook_that_does_not_read_its_input(lab: Lab, flags: int):
    """A broken pipe is the hook's own business; outside of a pid namespace its signal would kill
    the executor."""
    big = TAIL + " " * 300_000
    assert lab.inside(hook("exit 0", tail=big), flags=flags).status == 0
    assert lab.inside(hook("exec 0<&-; sleep 0.2", tail=big), flags=flags).status == 0
    lab.inside(hook("exit 5", tail=big), flags=flags).fails("hook", ECANCELED, words="status 5")


def test_a_large_state_arrives_whole(lab: Lab):
    big = TAIL + "x" * 300_000
    out = lab.inside(hook("sleep 0.1; busybox wc -c > /tmp/n", tail=big), script="cat /tmp/n").ok()
    assert int(out) == len(HEAD) + 1 + len(big)


def test_signals_of_a_hook_are_the_usual_ones(lab: Lab):
    plan = lab.tree(mount("proc", "/proc"))
    step = hook("exec cat /proc/self/status > /tmp/s")
    out = lab.run([*plan[:4], step, *lab.tree(script="cat /tmp/s")[-2:]]).ok()
    facts = dict(line.split(":\t", 1) for line in out.splitlines() if ":\t" in line)
    assert facts["SigCgt"] == "0" * 16 and int(facts["SigIgn"], 16) & 1 << 12 == 0  # SIGPIPE


def test_a_hook_gets_no_descriptor_of_ours(lab: Lab):
    plan = lab.tree(mount("proc", "/proc"), make("mask", path="/etc"))
    step = hook("ls /proc/self/fd > /tmp/fds")
    out = lab.run([*plan[:-2], step, *lab.tree(script="cat /tmp/fds")[-2:]]).ok()
    assert sorted(out.split())[:3] == ["0", "1", "2"] and len(out.split()) == 4
