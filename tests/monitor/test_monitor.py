"""stats, metrics, top, list --long, gc --idle: what they say is what the cgroup's files say."""

from __future__ import annotations

import http.client
import json
import os
import re
import select
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.support.box import Box
from tests.support.runtimes import eventually

BUSY = "while :; do :; done"


def directory(box: Box, name: str, controller: str) -> Path:
    """Of a container's cgroup."""
    state = json.loads((box.pycontainer.root / name / "state.json").read_text())
    paths = state["cgroup"]["paths"]
    return Path(paths[""] if state["cgroup"]["mode"] == "v2" else paths[controller])


def stats(box: Box, *words: str) -> dict[str, dict]:
    out = box.pycontainer("stats", "--format", "json", "--interval", "300ms", *words).ok().out
    return {row["id"]: row for row in json.loads(out)}


@pytest.fixture(autouse=True)
def _needs_cgroups(box: Box) -> None:
    box.needs_a_cgroup()


def limited(box: Box, script: str, memory: int = 64 << 20) -> str:
    """A container with limits that runs a script."""
    bundle = box.bundle().script(script)
    bundle.linux["resources"] |= {
        "memory": {"limit": memory},
        "pids": {"limit": 33},
        "cpu": {"quota": 5000, "period": 50000},  # little, so that a busy machine has it, too
    }
    name = box.id(f"limited{box._bundles}")
    box.pycontainer("run", "-d", "-b", bundle, name).ok()
    return name


def test_stats_are_those_of_the_cgroup(box: Box):
    name = limited(box, BUSY)
    row = stats(box)[name]
    assert (row["memory_limit"], row["pids_limit"], row["cpu_quota"]) == (64 << 20, 33, 0.1)
    assert row["status"] == "running" and row["owner"] == "root"
    pids = directory(box, name, "pids") / "pids.current"
    assert row["pids"] == int(pids.read_text())
    memory = directory(box, name, "memory")
    current = memory / "memory.current"
    if not current.exists():
        current = memory / "memory.usage_in_bytes"
    assert abs(row["memory"] - int(current.read_text())) < 2 << 20
    assert 5 < row["cpu_percent"] < 20 and row["throttled_percent"] > 50
    again = stats(box)[name]
    assert again["cpu_s"] > row["cpu_s"] and again["throttled_s"] > row["throttled_s"]


def test_stats_of_some(box: Box):
    names = [box.running() for _ in range(3)]
    assert set(stats(box)) == set(names)
    assert set(stats(box, names[1])) == {names[1]}
    assert set(stats(box, "--filter", f"id={names[2]}")) == {names[2]}
    box.pycontainer("stats", "nobody").fails("nobody does not exist")
    out = box.pycontainer("stats", "--columns", "id,pids", "-i", "50ms").ok().out
    assert out.splitlines()[0].split() == ["ID", "PIDS"]
    box.pycontainer("stats", "--columns", "nonsense").fails("no column nonsense", "memory")


def test_stats_stream(box: Box):
    name = box.running()
    words = ("stats", "--stream", "--format", "{{.id}}", "-i", "100ms")
    process = box.pycontainer.start_process(*words, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    assert [process.stdout.readline().decode().strip() for _ in range(3)] == [name] * 3
    box.pycontainer("delete", "--force", name).ok()
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=10)[1] == b"" and process.returncode == 130


def test_an_oom_kill_is_counted(box: Box):
    name = limited(box, "sleep 1; tail /dev/zero; sleep 1000", memory=16 << 20)
    eventually(lambda: stats(box)[name]["oom_kills"] >= 1, "an OOM kill")


def test_list_long(box: Box):
    name = limited(box, "sleep 1000")
    other = box.running()
    box.pycontainer("pause", other).ok()
    rows = box.pycontainer("list", "--long").ok().out.splitlines()
    assert rows[0].split()[:4] == ["ID", "STATUS", "AGE", "IDLE"] and len(rows) == 3
    assert " paused " in next(row for row in rows if row.startswith(other))
    out = box.pycontainer("list", "--filter", "limit>0", "--format", "{{.id}} {{.limit}}").ok().out
    assert out == f"{name} 64M\n"
    found = json.loads(box.pycontainer("list", "--long", "--format", "json").ok().out)
    assert {row["id"]: row["status"] for row in found} == {name: "running", other: "paused"}
    assert box.pycontainer("list", "--filter", "status=stopped", "-q").ok().out == ""


def test_a_broken_one_is_listed(box: Box):
    name = box.running()
    broken = box.pycontainer.root / box.id("broken")
    broken.mkdir(mode=0o711)
    (broken / "state.json").write_text("{")
    rows = json.loads(box.pycontainer("list", "--long", "--format", "json").ok().out)
    assert {row["id"]: row["status"] for row in rows} == {name: "running", broken.name: "broken"}
    out = box.pycontainer("gc", "--idle", "0s").ok().out
    assert f"broken {broken.name}" in out


# --- idle ---


def idle(box: Box, least: str = "2s") -> set[str]:
    found = json.loads(box.pycontainer("gc", "--idle", least, "--json").ok().out)
    return {entry["name"] for entry in found if entry["kind"] == "idle"}


def test_idle_by_facts(box: Box):
    sleeper, worker = box.running(), box.running("/bin/sh", "-c", BUSY)
    assert idle(box) == set()  # nobody has looked before
    time.sleep(2.5)
    assert idle(box) == {sleeper}
    box.pycontainer("exec", "-d", sleeper, "/bin/sleep", "1000").ok()
    assert idle(box) == set()
    time.sleep(2.5)
    out = box.pycontainer("gc", "--idle", "2s", "--yes").ok().out
    assert f"removed idle   {sleeper} (running, idle for" in out
    assert box.pycontainer.status(sleeper) == "gone"
    assert box.pycontainer.status(worker) == "running"


# --- metrics ---


def parsed(text: str) -> dict[str, dict[str, float]]:
    """name → container → value; every line is one of the format."""
    found: dict[str, dict[str, float]] = {}
    for line in text.splitlines():
        if line.startswith("#"):
            assert re.fullmatch(r"# (HELP|TYPE) [a-z_:]+ .+", line), line
            continue
        match = re.fullmatch(r'([a-z_:]+)\{((?:[a-z_]+="[^"]*",?)*)\} (-?[\d.e+-]+)', line)
        assert match, line
        name, labels, value = match.groups()
        container = re.search(r'(?:name|status)="([^"]*)"', labels)
        assert container
        found.setdefault(name, {})[container[1]] = float(value)
    return found


def test_metrics(box: Box):
    name = limited(box, BUSY)
    time.sleep(0.5)
    found = parsed(box.pycontainer("metrics").ok().out)
    row = stats(box)[name]
    assert 0 < found["container_cpu_usage_seconds_total"][name] <= row["cpu_s"]
    assert found["container_spec_memory_limit_bytes"][name] == 64 << 20
    assert found["container_threads_max"][name] == 33
    assert found["container_spec_cpu_quota"][name] == 5000
    assert found["container_spec_cpu_period"][name] == 50000
    assert found["container_cpu_cfs_throttled_periods_total"][name] > 0
    assert abs(found["container_start_time_seconds"][name] - time.time()) < 60
    assert found["pycontainer_containers"]["running"] == 1


@contextmanager
def served(box: Box, address: str) -> Iterator[subprocess.Popen[bytes]]:
    process = box.pycontainer.start_process("metrics", "--listen", address)
    try:
        yield process
    finally:
        process.terminate()
        assert process.wait(10) == 0


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def fetch(connection: http.client.HTTPConnection, path: str = "/metrics") -> tuple[int, str]:
    connection.request("GET", path)
    response = connection.getresponse()
    return response.status, response.read().decode()


def test_metrics_on_loopback(box: Box):
    name, port = box.running(), free_port()
    with served(box, f"127.0.0.1:{port}"):
        eventually(lambda: _answers(port), "an answer")
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        status, text = fetch(connection)
        assert status == 200 and name in parsed(text)["container_memory_usage_bytes"]
        assert fetch(http.client.HTTPConnection("127.0.0.1", port, timeout=10), "/x")[0] == 404


def _answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


def test_metrics_on_a_unix_socket(box: Box):
    name, path = box.running(), f"/tmp/{box.token}.sock"
    with served(box, f"unix:{path}"):
        eventually(lambda: os.path.exists(path), "the socket")
        assert os.stat(path).st_mode & 0o077 == 0
        connection = http.client.HTTPConnection("localhost")
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.connect(path)
        status, text = fetch(connection)
        assert status == 200 and name in text
        box.pycontainer("metrics", "--listen", f"unix:{path}").fails("already in use")
        long = f"unix:/tmp/{'x' * 200}"
        box.pycontainer("metrics", "--listen", long).fails(f"{long}: file name too long")
    assert not os.path.exists(path)


@pytest.mark.parametrize("address", ["0.0.0.0:9", "[::]:9", "192.0.2.1:9", "x:9", "127.0.0.1:x"])
def test_metrics_are_for_this_machine(box: Box, address: str):
    box.pycontainer("metrics", "--listen", address).fails("loopback")


@pytest.mark.skipif(shutil.which("prometheus") is None, reason="needs Debian's prometheus")
def test_a_real_prometheus(box: Box):
    """It scrapes them, finds nothing wrong, and answers a query about them."""
    name, port, own = box.running("/bin/sh", "-c", BUSY), free_port(), free_port()
    config = box.directory / "prometheus.yml"
    scrape = {"job_name": "x", "scrape_interval": "1s",
              "static_configs": [{"targets": [f"127.0.0.1:{port}"]}]}  # fmt: skip
    config.write_text(json.dumps({"scrape_configs": [scrape]}))
    argv = ["prometheus", f"--config.file={config}", f"--storage.tsdb.path={box.directory}/data",
            f"--web.listen-address=127.0.0.1:{own}", "--log.level=error"]  # fmt: skip
    with served(box, f"127.0.0.1:{port}"):
        server = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:

            def value(query: str) -> float | None:
                """Its answer, None while it starts or knows nothing."""
                if not _answers(own):
                    return None
                connection = http.client.HTTPConnection("127.0.0.1", own, timeout=5)
                status, text = fetch(connection, f"/api/v1/query?query={quote(query)}")
                found = json.loads(text)["data"]["result"] if status == 200 else []
                return float(found[0]["value"][1]) if found else None

            usage = f'container_cpu_usage_seconds_total{{name="{name}"}}'
            eventually(lambda: value(usage), "a sample in Prometheus", 30)
            eventually(lambda: value(f"rate({usage}[10s])"), "a rate in Prometheus", 30)
            assert value("up") == 1
            assert value("pycontainer_containers{status='running'}") == 1
            lines = box.pycontainer("metrics").ok().out.splitlines()
            samples = sum(not line.startswith("#") for line in lines)
            assert value("scrape_samples_scraped") == pytest.approx(samples, abs=2)
            box.pycontainer("pause", name).ok()
            time.sleep(2.5)  # two scrapes
            cpu = parsed(box.pycontainer("metrics").ok().out)["container_cpu_usage_seconds_total"]
            assert value(usage) == pytest.approx(cpu[name])
        finally:
            server.terminate()
            server.wait(20)


# --- top ---


@pytest.mark.alone
@pytest.mark.parametrize("columns", [80, 200])
def test_top(box: Box, columns: int):
    import fcntl
    import pty
    import struct
    import termios

    name = box.running("/bin/sh", "-c", BUSY)
    pid, terminal = pty.fork()
    if pid == 0:
        argv = box.pycontainer.argv("top", "--interval", "300ms")
        os.execvpe(argv[0], argv, {**os.environ, "TERM": "xterm"})
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("4H", 24, columns, 0, 0))
    os.kill(pid, signal.SIGWINCH)
    try:
        seen = read_for(terminal, 2.0)
        assert b"containers: 1, running: 1" in seen and b"CPU%" in seen
        assert name[: max(12, columns // 3) - 2].encode() in seen
        assert (b"ENGINE" in seen) == (columns == 200)
        os.write(terminal, b"/nothing\n")
        assert b"filter id=*nothing*" in read_for(terminal, 1.5)
        os.write(terminal, b"q")
        read_for(terminal, 0.5)
    finally:
        for _ in range(100):
            done, status = os.waitpid(pid, os.WNOHANG)
            if done:
                break
            time.sleep(0.05)
        else:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        os.close(terminal)
    assert done and os.waitstatus_to_exitcode(status) == 0


def read_for(terminal: int, seconds: float) -> bytes:
    """All that comes in this time."""
    data, deadline = b"", time.monotonic() + seconds
    while (left := deadline - time.monotonic()) > 0:
        if select.select([terminal], [], [], left)[0]:
            try:
                data += os.read(terminal, 65536)
            except OSError:
                break
    return data


def test_top_needs_a_terminal(box: Box):
    box.pycontainer("top").fails("needs a terminal", "stats")
