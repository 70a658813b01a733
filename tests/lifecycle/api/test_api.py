"""The Python API: lives of containers, their processes and streams, in this very process."""

from __future__ import annotations

import copy
import json
import os
import select
import threading
import time
from typing import Any

import pytest

import pycontainer
from tests.support.box import Box
from tests.support.cgroups import SYSTEMD
from tests.support.runtimes import Runtime


@pytest.fixture
def runtime(box: Box) -> pycontainer.Runtime:
    return pycontainer.Runtime(root=box.pycontainer.root, systemd_cgroup=box.systemd)


@pytest.fixture(autouse=True)
def no_descriptor_is_left(runtime: pycontainer.Runtime):
    before = descriptors()
    yield
    kept = {fd: path for fd, path in descriptors().items() if before.get(fd) != path}
    # The executor is kept for all containers of this process.
    assert [path for path in kept.values() if "memfd:pycontainer " not in path] == []


def descriptors() -> dict[str, str]:
    found = {}
    for fd in os.listdir("/proc/self/fd"):
        try:
            found[fd] = os.readlink(f"/proc/self/fd/{fd}")
        except OSError:
            continue  # the one of listdir itself
    return found


QUIET: Any = {"stdin": pycontainer.DEVNULL, "stdout": pycontainer.DEVNULL}


def sleeping(box: Box, runtime: pycontainer.Runtime) -> pycontainer.Container:
    """A running container that a test deletes."""
    container = runtime.create(box.id(), str(box.bundle("/bin/sleep", "1000")), **QUIET)
    container.start()
    return container


# -- a life ----------------------------------------------------------------------------------------


def test_a_life(box: Box, runtime: pycontainer.Runtime, pyc: Runtime):
    box.needs_a_cgroup()
    bundle = str(box.bundle("/bin/sleep", "1000"))
    with runtime.create(box.id(), bundle, **QUIET) as container:
        assert container.status() == "created" == pyc.status(box.id())
        container.start()
        state = container.state()
        assert (state.id, state.status, state.bundle) == (box.id(), "running", bundle)
        assert state.pid == pyc.state(box.id())["pid"] and container.ps() == [state.pid]
        assert [one.id for one in runtime.list()] == [box.id()]
        container.pause()
        assert container.status() == "paused"
        container.resume()
        container.kill("KILL")
        assert container.wait(10) == 137 == container.exit_status
        assert container.status() == "stopped" and container.state().pid == 0
        with pytest.raises(pycontainer.StateError, match="container not running"):
            container.kill(0)
    with pytest.raises(pycontainer.StateError, match="does not exist"):
        container.status()
    assert runtime.list() == [] and container.wait() == 137
    box.empty()


def test_a_container_of_the_command(box: Box, runtime: pycontainer.Runtime, pyc: Runtime):
    container = runtime.load(box.running())
    assert container.exec(["echo", "hi"], capture_output=True).text == "hi\n"
    with pytest.raises(TimeoutError):
        container.wait(0.01)
    threading.Timer(0.1, container.kill, ["KILL"]).start()
    assert container.wait(10) is None
    pyc.wait_for(container.id, "stopped")
    container.delete()
    box.empty()


def test_the_command_deletes_what_the_api_made(
    box: Box, runtime: pycontainer.Runtime, pyc: Runtime
):
    container = sleeping(box, runtime)
    pyc("delete", "--force", container.id).ok()
    assert container.wait(10) == 137
    with pytest.raises(pycontainer.StateError, match="does not exist"):
        container.delete()
    runtime.delete(container.id, force=True)
    container.__exit__(None, None, None)
    box.empty()


def test_an_object_is_of_one_container_only(box: Box, runtime: pycontainer.Runtime):
    with sleeping(box, runtime) as first:
        first.delete(force=True)
        with sleeping(box, runtime):
            with pytest.raises(pycontainer.StateError, match="does not exist"):
                first.delete(force=True)


def test_deleted_also_after_an_exception(box: Box, runtime: pycontainer.Runtime):
    with pytest.raises(ZeroDivisionError), sleeping(box, runtime):
        _ = 1 / 0
    box.empty()


def test_many_dropped_containers_are_reaped(box: Box, runtime: pycontainer.Runtime, pyc: Runtime):
    pid = sleeping(box, runtime).state().pid  # nobody holds it any more
    pyc("delete", "--force", box.id()).ok()
    assert runtime.run(box.id("next"), str(box.bundle("/bin/true")), **QUIET).exit_status == 0
    assert not os.path.exists(f"/proc/{pid}")


# -- run, and what comes of a process --------------------------------------------------------------


def test_run(box: Box, runtime: pycontainer.Runtime):
    bundle = box.bundle().script("echo out; echo err >&2; exit 3")
    result = runtime.run(box.id(), str(bundle), capture_output=True)
    assert (result.exit_status, result.stdout, result.stderr) == (3, b"out\n", b"err\n")
    assert result.text == "out\n" and result.args[0] == "/bin/sh"
    with pytest.raises(pycontainer.ExitError, match="exit status 3") as caught:
        runtime.run(box.id(), str(bundle), capture_output=True, check=True)
    assert caught.value.result.stderr == b"err\n"
    bundle.script("kill -KILL $$; kill -USR1 $$; exec sleep 1")
    assert runtime.run(box.id(), str(bundle), **QUIET).exit_status == 0  # pid 1 cannot be killed
    box.empty()


def test_the_config_is_a_dict(box: Box, runtime: pycontainer.Runtime):
    bundle = box.bundle()
    config = pycontainer.default_config("cat", "/proc/1/comm", rootfs=bundle.rootfs)
    before = copy.deepcopy(config)
    result = runtime.run(box.id(), config=config, capture_output=True)
    assert result.text == "cat\n" and config == before
    assert not (bundle.path / "config.json").exists()
    result = runtime.run(box.id(), bundle.path, config=bundle.config, capture_output=True)
    assert result.exit_status == 0


def test_input_of_any_size(box: Box, runtime: pycontainer.Runtime):
    data = os.urandom(3_000_000)
    bundle = str(box.bundle().script("tee /dev/stderr"))
    result = runtime.run(box.id(), bundle, input=data, capture_output=True)
    assert result.stdout == data == result.stderr
    # A process that does not read it.
    bundle = str(box.bundle("/bin/true"))
    assert runtime.run(box.id(), bundle, input=data, capture_output=True).exit_status == 0


def test_streams(box: Box, runtime: pycontainer.Runtime, tmp_path):
    (tmp_path / "in").write_text("input\n")
    reading, writing = os.pipe()
    os.write(writing, b"through 3\n")
    os.close(writing)
    with sleeping(box, runtime) as container:
        with (tmp_path / "in").open() as stdin, (tmp_path / "out").open("w") as out:
            options: Any = {"stdin": stdin, "stdout": out, "stderr": pycontainer.STDOUT}
            script = "cat; cat <&3; echo err >&2; ls /proc/self/fd | wc -w"
            container.exec(["sh", "-c", script], pass_fds=[reading], **options).check()
        os.close(reading)
        # 0 to 3, and the directory that ls reads: nothing else of ours.
        assert (tmp_path / "out").read_text() == "input\nthrough 3\nerr\n5\n"
        with container.spawn(["cat"], stdin=pycontainer.PIPE, stdout=pycontainer.PIPE) as process:
            assert process.stdin is not None and process.stdout is not None
            process.stdin.write(b"a line\n")
            process.stdin.flush()
            assert process.stdout.readline() == b"a line\n"
            assert process.exit_status is None
        assert process.exit_status == 0


def test_pipes_of_a_created_container(box: Box, runtime: pycontainer.Runtime):
    pipes: Any = dict.fromkeys(("stdin", "stdout", "stderr"), pycontainer.PIPE)
    with runtime.create(box.id(), str(box.bundle("/bin/cat")), **pipes) as container:
        container.start()
        assert container.init is not None
        assert container.init.communicate(b"x" * 100_000, timeout=10) == (b"x" * 100_000, b"")
        assert container.wait() == 0


def test_exec_options(box: Box, runtime: pycontainer.Runtime):
    box.needs_ids()
    with sleeping(box, runtime) as container:
        script = "id -u; id -g; pwd; echo $A $PATH; grep NoNewPrivs /proc/self/status"
        result = container.exec(
            ["sh", "-c", script],
            user=(1000, 50),
            cwd="/tmp",
            env={"A": "b"},
            no_new_privs=False,
            capture_output=True,
        )
        path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        assert result.text == f"1000\n50\n/tmp\nb {path}\nNoNewPrivs:\t0\n"
        process = {"args": ["pwd"], "cwd": "/etc", "user": {"uid": 0, "gid": 0}}
        assert container.exec([], process=process, capture_output=True).text == "/etc\n"
        assert container.exec(["sh", "-c", "exit 7"], **QUIET).exit_status == 7
        assert container.exec(["sh", "-c", "kill -TERM $$"], **QUIET).exit_status == 143


def test_a_timeout_ends_the_process(box: Box, runtime: pycontainer.Runtime):
    with sleeping(box, runtime) as container:
        before = container.ps()
        with pytest.raises(TimeoutError):
            container.exec(["sleep", "100"], timeout=0.1, capture_output=True)
        with pytest.raises(TimeoutError):
            container.exec(["sleep", "100"], timeout=0.1, **QUIET)
        assert container.ps() == before
        with pytest.raises(TimeoutError):
            container.wait(0.01)
    with pytest.raises(TimeoutError):
        runtime.run(box.id("run"), str(box.bundle("/bin/sleep", "100")), timeout=0.1, **QUIET)
    box.empty()


def test_a_terminal(box: Box, runtime: pycontainer.Runtime):
    bundle = box.bundle().script("tty; read line; stty size; echo got $line")
    bundle.process["terminal"] = True
    with runtime.create(box.id(), str(bundle)) as container:
        assert container.terminal is not None and container.init is not None
        container.init.resize(33, 77)
        container.start()
        os.write(container.terminal, b"hello\n")
        out, _ = container.init.communicate(timeout=10)
        assert b"/dev/console" in out or b"/dev/pts/0" in out
        assert b"33 77\r\n" in out and b"got hello\r\n" in out
        assert container.wait() == 0
    with sleeping(box, runtime) as container:
        result = container.exec(["tty"], tty=True, capture_output=True)
        assert result.stdout.strip() == b"/dev/pts/0"
        result = container.exec(
            ["sh", "-c", "read x; echo $x$x"], tty=True, input=b"ab\n", capture_output=True
        )
        assert b"abab" in result.stdout


# -- its end, seen by others -----------------------------------------------------------------------


def test_the_end_can_be_polled_for(box: Box, runtime: pycontainer.Runtime):
    with sleeping(box, runtime) as container:
        poller = select.poll()
        poller.register(container, select.POLLIN)
        assert poller.poll(20) == []
        threading.Timer(0.05, container.kill, ["KILL"]).start()
        assert len(poller.poll(10_000)) == 1
        assert container.wait(0) == 137


def test_an_event_loop_waits(box: Box, runtime: pycontainer.Runtime):
    import asyncio

    async def ended(container: pycontainer.Container) -> int | None:
        loop, end = asyncio.get_running_loop(), asyncio.Event()
        loop.add_reader(container.fileno(), end.set)
        try:
            await asyncio.wait_for(end.wait(), 10)
        finally:
            loop.remove_reader(container.fileno())
        return container.wait()

    with sleeping(box, runtime) as container:
        container.kill("KILL")
        assert asyncio.run(ended(container)) == 137


def test_many_threads_wait_for_one(box: Box, runtime: pycontainer.Runtime):
    found: list[int | None] = []
    with sleeping(box, runtime) as container:
        waiting = [
            threading.Thread(target=lambda: found.append(container.wait())) for _ in range(5)
        ]
        for thread in waiting:
            thread.start()
        time.sleep(0.05)
        container.delete(force=True)
        for thread in waiting:
            thread.join(10)
    assert found == [137] * 5


# -- limits, statistics, events --------------------------------------------------------------------


def test_limits_and_statistics(box: Box, runtime: pycontainer.Runtime):
    box.needs_a_cgroup()
    with sleeping(box, runtime) as container:
        stats = container.stats()
        assert stats.pids.current == 1
        assert box.systemd or stats.pids.limit is None  # systemd has a limit of its own
        assert stats.memory.usage > 0 and stats.memory.limit is None
        container.update({"pids": {"limit": 17}, "memory": {"limit": 64 << 20}})
        stats = container.stats()
        assert (stats.pids.limit, stats.memory.limit) == (17, 64 << 20)
        with pytest.raises(pycontainer.ConfigError) as caught:
            container.update({"pids": {"limit": "many"}})
        assert caught.value.field == "linux.resources.pids.limit"


def test_events(box: Box, runtime: pycontainer.Runtime):
    box.needs_a_cgroup()
    with sleeping(box, runtime) as container:
        events = container.events(interval=0.02)
        first = next(events)
        assert first.type == "stats" and first.stats is not None
        assert first.stats.pids.current == 1 and first.id == container.id
        container.kill("KILL")
        *others, last = events
        assert all(event.type == "stats" for event in others) and last.type == "exit"
        assert last.exit_status in (137, None)  # None before Linux 6.15
    with pytest.raises(pycontainer.StateError):
        next(container.events())


def test_out_of_memory(box: Box, runtime: pycontainer.Runtime):
    box.needs_a_cgroup()
    bundle = box.bundle("/bin/tail", "/dev/zero")
    bundle.linux["resources"]["memory"] = {"limit": 16 << 20, "swap": 16 << 20}
    result = runtime.run(box.id(), str(bundle), **QUIET)
    assert result.exit_status == 137
    if not box.systemd:  # it may have removed the cgroup before we could look
        assert result.oom is not None and result.oom.limit == 16 << 20


@pytest.mark.skipif(not SYSTEMD, reason="needs systemd")
def test_side_by_side_in_scopes(box: Box):
    box.needs_a_cgroup()
    runtime = pycontainer.Runtime(root=box.pycontainer.root, systemd_cgroup=True)
    bundle, failed = str(box.bundle("/bin/sleep", "1000")), []

    def life(number: int) -> None:
        try:
            with runtime.create(box.id(f"c{number}"), bundle, **QUIET) as container:
                container.start()
                assert container.exec(["echo", "hi"], capture_output=True).text == "hi\n"
                assert len(container.ps()) == 1
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=life, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    box.empty()


# -- the plan --------------------------------------------------------------------------------------


def test_the_plan_is_the_commands(box: Box, runtime: pycontainer.Runtime, pyc: Runtime):
    bundle = box.bundle("/bin/true")
    plan = runtime.explain(str(bundle))
    assert str(plan) == pyc("plan", bundle).ok().out
    printed = json.loads(pyc("plan", "--json", bundle).ok().out)
    assert [op.kind for op in plan.operations] == [entry["operation"] for entry in printed]
    last = plan.operations[-1]
    assert (last.kind, last.side, last.text) == ("exec", "container", "exec /bin/true")
    assert last.number == len(plan.operations) and last.field == "process.args"
    box.empty()


def test_the_host_bundle(box: Box, runtime: pycontainer.Runtime):
    path = box.directory / "host"
    config = pycontainer.make_host_bundle(path, "/bin/sh", "-c", "echo $$")
    assert config["process"]["args"][0] == "/bin/sh"
    assert runtime.run(box.id(), path, capture_output=True).text == "1\n"
    with pytest.raises(pycontainer.HostError, match="not empty"):
        pycontainer.make_host_bundle(path)


# -- errors ----------------------------------------------------------------------------------------


def test_errors_say_where(box: Box, runtime: pycontainer.Runtime):
    bundle = box.bundle("/bin/true")
    bundle.process["cwd"] = 5
    with pytest.raises(pycontainer.ConfigError) as config:
        runtime.create(box.id(), str(bundle))
    assert config.value.field == "process.cwd" and config.value.code == "wrong-type"
    bundle = box.bundle("/bin/true")
    bundle.config["mounts"].append(
        {"destination": "/mnt", "source": "/nowhere", "type": "none", "options": ["bind"]}
    )
    with pytest.raises(pycontainer.OperationError) as operation:
        runtime.create(box.id(), str(bundle), stdin=pycontainer.PIPE)
    error = operation.value
    assert error.field == f"mounts[{len(bundle.config['mounts']) - 1}]"
    assert 0 < error.step <= error.total and error.errno == 2
    assert f"operation {error.step} of {error.total}" in str(error)
    with pytest.raises(pycontainer.ContainerError, match="nowhere"):
        runtime.create(box.id(), "/nowhere")
    with pytest.raises(pycontainer.ConfigError, match="no JSON form"):
        runtime.create(box.id(), config={"process": object()})
    box.empty()


def test_errors_of_a_state(box: Box, runtime: pycontainer.Runtime):
    with sleeping(box, runtime) as container:
        with pytest.raises(pycontainer.StateError, match="already exists"):
            sleeping(box, runtime)
        with pytest.raises(pycontainer.StateError, match="already running"):
            container.start()
        with pytest.raises(pycontainer.StateError, match="not stopped"):
            container.delete()
        with pytest.raises(pycontainer.OperationError) as caught:
            container.exec(["nothing-like-this"], capture_output=True)
        assert caught.value.field == "process.args[0]"
        with pytest.raises(pycontainer.UsageError, match="unknown signal"):
            container.kill("NOTHING")
        container.kill("KILL")
        container.wait()
        for action in (container.start, container.stats, lambda: container.exec(["true"])):
            with pytest.raises(pycontainer.StateError):
                action()


def test_wrong_arguments(box: Box, runtime: pycontainer.Runtime):
    bundle: Any = str(box.bundle("/bin/true"))
    wrong: Any = [{"no_such": 1}, {"stdin": -7}, {"input": b"", "stdin": None}]
    for options in wrong:
        with pytest.raises((TypeError, pycontainer.UsageError)):
            runtime.run(box.id(), bundle, **options)
    with sleeping(box, runtime) as container:
        with pytest.raises(pycontainer.UsageError, match="must be a list"):
            container.exec("ls -l")
        with pytest.raises(TypeError):
            container.exec(["ls"], no_such=1)  # type: ignore[call-arg]


def test_a_damaged_state(box: Box, runtime: pycontainer.Runtime, pyc: Runtime):
    with sleeping(box, runtime) as container:
        file = pyc.root / container.id / "state.json"
        file.write_bytes(b"{" + file.read_bytes()[:200])
        assert [state.status for state in runtime.list()] == ["broken"]
        with pytest.raises(pycontainer.DamagedState):
            runtime.delete(container.id)
        pid = container.init.pid if container.init else 0
        os.kill(pid, 9)
        runtime.delete(container.id, force=True)
    box.empty()


def test_a_failing_hook_leaves_nothing(box: Box, runtime: pycontainer.Runtime):
    for stage in ("createRuntime", "poststart"):
        bundle = box.bundle("/bin/sleep", "1000")
        hook = {"path": "/bin/sh", "args": ["sh", "-c", "cat >/dev/null; pwd; exit 5"]}
        bundle.config["hooks"] = {stage: [hook]}
        for call in (runtime.run, lambda *a, **o: runtime.create(*a, **o).start()):
            with pytest.raises(pycontainer.OperationError) as caught:
                call(box.id(), str(bundle), **QUIET)
            assert f"hooks.{stage}[0]" in str(caught.value)
            assert f"stdout: {bundle.path}" in str(caught.value)
        box.empty()
