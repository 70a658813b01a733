"""The Python API in a program of somebody's: nothing of its process changes, whatever it does.

Each check is a program of its own, because it is about signal handlers, children and descriptors.
"""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import pytest

from tests.support.box import Box
from tests.support.runtimes import CHECKOUT, SLOWNESS

HEAD = """
import os, signal, subprocess, sys, threading, time
import pycontainer
from pycontainer import DEVNULL

ROOT, BUNDLE, TOKEN, SYSTEMD = sys.argv[1:]
runtime = pycontainer.Runtime(root=ROOT, systemd_cgroup=bool(SYSTEMD))
QUIET = {"stdin": DEVNULL, "stdout": DEVNULL, "stderr": DEVNULL}

def count():
    return len(os.listdir("/proc/self/fd"))

def life(name, check=True):
    with runtime.create(f"{TOKEN}-{name}", BUNDLE, **QUIET) as container:
        container.start()
        text = container.exec(["sh", "-c", f"echo {name}"], capture_output=True).text
        assert text == f"{name}\\n", text
        container.kill("KILL")
        status = container.wait(20)
        assert status == (137 if check else None), status

def side_by_side(threads, task):
    failed = []
    def work(number):
        try:
            task(number)
        except BaseException as error:
            failed.append(error)
            raise
    workers = [threading.Thread(target=work, args=(n,)) for n in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not failed, failed
"""


def program(box: Box, text: str, sweep: bool = False, **options: Any) -> str:
    """What the program prints; it has to succeed, and to leave nothing (after a `sweep`)."""
    bundle = box.bundle("/bin/sleep", "1000")
    arguments = [str(box.pycontainer.root), str(bundle), box.token, "1" if box.systemd else ""]
    command = [sys.executable, "-c", HEAD + text, *arguments]
    # What this interpreter finds, the other one has to find.
    path = os.pathsep.join([str(CHECKOUT), *filter(None, sys.path)])
    environ = {**os.environ, "PYTHONPATH": path, **options.pop("env", {})}
    options = {
        "capture_output": True,
        "text": True,
        "timeout": 100 * SLOWNESS,
        "env": environ,
        **options,
    }
    done = subprocess.run(command, **options)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    if sweep:
        box.pycontainer("gc", "--yes").ok()
    box.empty()
    return done.stdout


def test_threads_side_by_side(box: Box):
    program(box, "side_by_side(8, lambda n: [life(f'{n}.{i}') for i in range(4)])")


@pytest.mark.slow
def test_200_containers_leave_nothing_open(box: Box):
    program(
        box,
        """
before = count() + 1  # the executor, which is kept
side_by_side(8, lambda n: [life(f"{n}.{i}") for i in range(25)])
assert count() == before, os.listdir("/proc/self/fd")
try:
    os.waitpid(-1, os.WNOHANG)
    raise SystemExit("a child is left")
except ChildProcessError:
    pass
""",
    )


def test_nothing_of_the_process_changes(box: Box):
    """Not even for a moment: a thread looks all the time while hooks and failures happen."""
    program(
        box,
        """
def handler(number, frame):
    seen.append(number)

def snapshot():
    mask = os.umask(0o027)
    os.umask(mask)
    status = dict(line.split(":\\t", 1) for line in open("/proc/self/status").readlines())
    signals = {name: int(status[name], 16) for name in ("SigBlk", "SigIgn", "SigCgt")}
    for name in ("SigIgn", "SigCgt"):  # libc has two of its own once there are threads
        signals[name] &= (1 << 31) - 1
    return os.getcwd(), mask, dict(os.environ), signals, [
        signal.getsignal(n) for n in (1, 2, 13, 15, 17, 28)]

seen = []
os.umask(0o027)
os.chdir(os.path.dirname(BUNDLE))
for number in (signal.SIGHUP, signal.SIGTERM, signal.SIGWINCH):
    signal.signal(number, handler)
signal.signal(signal.SIGPIPE, signal.SIG_DFL)
before, wrong, over = snapshot(), [], []

config = runtime.explain(BUNDLE) and __import__("json").load(open(BUNDLE + "/config.json"))
hook = {"path": "/bin/sh", "args": ["sh", "-c", "exit 0"]}
config["hooks"] = {stage: [hook] for stage in ("createRuntime", "poststart", "poststop")}

def task(number):
    for i in range(4):
        name = f"{TOKEN}-{number}.{i}"
        with runtime.create(name, BUNDLE, config=config, **QUIET) as container:
            container.start()
            try:
                container.exec(["not there"], **QUIET)
                raise SystemExit("it was there")
            except pycontainer.OperationError:
                pass

def watch():
    while not over:
        if os.getcwd() != before[0]:
            wrong.append(os.getcwd())
watcher = threading.Thread(target=watch)
watcher.start()
try:
    side_by_side(4, task)
finally:
    over.append(True)
    watcher.join()
assert not wrong, wrong[:3]
assert snapshot() == before, (snapshot(), before)
os.kill(os.getpid(), signal.SIGHUP)
assert seen == [signal.SIGHUP]
""",
    )


def test_other_children_are_not_ours(box: Box):
    program(
        box,
        """
ended = subprocess.Popen(["sh", "-c", "exit 7"])
running = subprocess.Popen(["sleep", "100"])
time.sleep(0.1)
life("a")
assert runtime.run(f"{TOKEN}-b", BUNDLE, config={
    **__import__("json").load(open(BUNDLE + "/config.json")),
    "process": {"args": ["/bin/true"], "cwd": "/"}}, **QUIET).exit_status == 0
assert running.poll() is None
running.kill()
assert (ended.wait(), running.wait()) == (7, -9)
""",
    )


@pytest.mark.parametrize("handler", ["SIG_IGN", "reaper"])
def test_a_process_that_reaps_everything(box: Box, handler: str):
    """The statuses are lost, of course; nothing else is."""
    program(
        box,
        f"""
def reaper(*_):
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass
signal.signal(signal.SIGCHLD, {"reaper" if handler == "reaper" else "signal.SIG_IGN"})
for i in range(3):
    with runtime.create(f"{{TOKEN}}-{{i}}", BUNDLE, **QUIET) as container:
        container.start()
        assert container.exec(["echo", "hi"], capture_output=True).text == "hi\\n"
        container.kill("KILL")
        known = tuple(map(int, os.uname().release.split("-")[0].split(".")[:2])) >= (6, 15)
        assert container.wait(20) in ((137,) if known else (None, 137))
assert runtime.list() == []
""",
    )


@pytest.mark.parametrize("stage", ["createRuntime", "poststart"])
def test_hooks_where_statuses_are_lost(box: Box, stage: str):
    """What is not known is no success; newer kernels know it."""
    program(
        box,
        f"""
import json
config = json.load(open(BUNDLE + "/config.json"))
config["hooks"] = {{"{stage}": [{{"path": "/bin/true"}}]}}
json.dump(config, open(BUNDLE + "/config.json", "w"))
life("a")
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
known = tuple(map(int, os.uname().release.split("-")[0].split(".")[:2])) >= (6, 15)
def fails(name, words):
    try:
        life(name)
    except pycontainer.ContainerError as error:
        assert "{stage} hook #0: " + words in str(error), error
    else:
        sys.exit("it succeeded")
def hook(script):
    entry = config["hooks"]["{stage}"][0]
    entry.update(path="/bin/sh", args=["sh", "-c", "sleep 0.3; " + script])
    json.dump(config, open(BUNDLE + "/config.json", "w"))
hook("exit 0")
life("b") if known else fails("b", "exit status unknown")
hook("exit 3")
fails("c", "exit status 3" if known else "exit status unknown")
""",
    )


def test_a_process_without_stdio(box: Box):
    program(
        box,
        """
for fd in (0, 1, 2):
    os.close(fd)
with runtime.create(f"{TOKEN}-a", BUNDLE) as container:
    container.start()
    text = container.exec(["echo", "hi"], capture_output=True).text
    ok = text == "hi\\n"
    container.kill("KILL")
    container.wait()
os._exit(0 if ok else 1)
""",
    )


def test_what_a_service_manager_passes_is_not_the_containers(box: Box):
    """$LISTEN_FDS and $NOTIFY_SOCKET are the program's own, as is all else that crun reads."""
    program(
        box,
        """
os.environ["LISTEN_PID"] = str(os.getpid())
import json
config = json.load(open(BUNDLE + "/config.json"))
config["linux"]["seccomp"] = {"defaultAction": "SCMP_ACT_ALLOW"}
json.dump(config, open(BUNDLE + "/config.json", "w"))
life("a")
with runtime.create(f"{TOKEN}-b", BUNDLE, **QUIET) as container:
    container.start()
    environ = open(f"/proc/{container.state().pid}/environ").read()
    assert "LISTEN" not in environ and "NOTIFY" not in environ
    assert len(os.listdir(f"/proc/{container.state().pid}/fd")) == 3
""",
        env={
            "NOTIFY_SOCKET": "/nowhere/notify",
            "LISTEN_FDS": "2",
            "LISTEN_PID": "1",
            "RUN_OCI_SECCOMP_RECEIVER": "no-path",
        },
    )


def test_a_program_that_closes_all_descriptors(box: Box):
    """The kept executor is gone then, and its number may be another file's."""
    program(
        box,
        """
life("a")
os.closerange(3, 1000)
files = [open("/bin/true") for _ in range(20)]
life("b")
""",
    )


def test_a_fork_and_its_parent(box: Box):
    program(
        box,
        """
container = runtime.create(f"{TOKEN}-a", BUNDLE, **QUIET)
child = os.fork()
if not child:
    container.start()
    container.exec(["true"], **QUIET).check()
    life("b")
    container.kill("KILL")
    os._exit(0 if container.wait(20) is None else 1)
assert os.waitpid(child, 0)[1] == 0
assert container.wait(20) == 137
container.delete()
""",
    )


def test_interrupted_while_it_creates(box: Box):
    """Ctrl-C at any moment: no process is left, and the next one works.

    Python itself can lose what a system call has done that is interrupted: then a descriptor, an
    empty cgroup or the status of one that has ended stays. But no process that lives.
    """
    program(
        box,
        """
signal.signal(signal.SIGALRM, signal.default_int_handler)
interrupted = 0
for i in range(40):
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.0005 * (i + 1))
        try:
            life(f"c{i}")
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
    except KeyboardInterrupt:
        interrupted += 1
    for state in runtime.list():
        runtime.delete(state.id, force=True)
assert interrupted > 5
life("last")
while True:
    try:
        pid, _ = os.waitpid(-1, os.WNOHANG)
    except ChildProcessError:
        break
    assert pid, "a child is left, and lives"
import glob
for directory in glob.glob(f"/sys/fs/cgroup/**/{TOKEN}-c*", recursive=True):
    os.rmdir(directory)
""",
        sweep=True,
    )


def test_processes_that_nobody_waits_for(box: Box):
    """The kernel ends an init after all in its pid namespace have been reaped, which are ours."""
    program(
        box,
        """
def soon(action):
    start = time.monotonic()
    result = action()
    assert time.monotonic() - start < 8, "it waited for its own children"
    return result

def begun(name, config=None):
    container = runtime.create(f"{TOKEN}-{name}", BUNDLE, config=config, **QUIET)
    container.start()
    return container

container = begun("a")
process = container.spawn(["sleep", "1000"], **QUIET)
container.kill("KILL")
assert soon(lambda: container.wait(20)) == 137
assert process.exit_status == process.wait(1) == 137
container.delete()

container = begun("b")
container.spawn(["sleep", "1000"], **QUIET)
container.spawn(["sleep", "1000"], **QUIET).close()
soon(lambda: container.delete(force=True))

container = begun("c")
process = container.spawn(["sh", "-c", "exit 3"], **QUIET)
process.fileno()
container.kill("KILL")
soon(lambda: runtime.load(container.id).wait(20))
assert process.wait(1) in (3, 137)
container.delete(force=True)

import json
first = begun("d")
config = json.load(open(BUNDLE + "/config.json"))
spaces = config["linux"]["namespaces"]
[space] = [space for space in spaces if space["type"] == "pid"]
space["path"] = f"/proc/{first.state().pid}/ns/pid"
second = begun("e", config)
first.kill("KILL")
assert soon(lambda: first.wait(20)) == 137
assert second.wait(1) == 137
first.delete()
second.delete()
stranger = subprocess.Popen(["true"])
life("last")
assert stranger.wait(10) == 0
""",
    )
