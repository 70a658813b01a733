"""What processes read and write: fifos, terminals, files, loggers."""

from __future__ import annotations

import fcntl
import os
import stat
import time
from pathlib import Path

import pytest

from tests.containerd.shim import (
    RUNNING,
    Refused,
    Shim,
    alive,
    fifo,
    message,
    read_to_end,
    wrap,
)
from tests.support.runtimes import COMMAND, eventually


def test_output_goes_to_the_fifos(shim: Shim):
    out, out_fd = fifo(shim.home / "out")
    err, err_fd = fifo(shim.home / "err")
    bundle = shim.box.bundle("/bin/sh", "-c", "echo out; echo err >&2")
    container = shim.create(bundle, stdout=out, stderr=err)
    shim.client("Start", id=container)
    assert (read_to_end(out_fd), read_to_end(err_fd)) == (b"out\n", b"err\n")
    shim.wait(container)
    shim.delete(container)


def test_input_and_its_end(shim: Shim):
    path = shim.home / "in"
    os.mkfifo(path)
    out, out_fd = fifo(shim.home / "out")
    container = shim.running("/bin/cat", stdin=str(path), stdout=out)
    with path.open("wb") as writer:
        writer.write(b"hello\n")
    eventually(lambda: _read(out_fd) == b"hello\n", "the line")
    assert shim.status(container) == RUNNING  # a client that went is not the end
    shim.client("CloseIO", id=container, stdin=True)
    assert shim.wait(container) == 0


def _read(fd: int) -> bytes:
    try:
        return os.read(fd, 65536)
    except BlockingIOError:
        return b""


def test_a_million_bytes_each_way(shim: Shim):
    path = shim.home / "in"
    os.mkfifo(path)
    out, out_fd = fifo(shim.home / "out")
    bundle = shim.box.bundle("/bin/cat")
    container = shim.create(bundle, stdin=str(path), stdout=out)
    data = os.urandom(1_000_000)
    shim.client("Start", id=container)
    if (child := os.fork()) == 0:
        try:
            with path.open("wb") as writer:
                writer.write(data)
        finally:
            os._exit(0)
    seen = b""
    os.set_blocking(out_fd, True)
    while len(seen) < len(data):
        seen += os.read(out_fd, 65536)
    os.waitpid(child, 0)
    assert seen == data
    shim.client("CloseIO", id=container, stdin=True)
    assert shim.wait(container) == 0


def test_slow_reader_stops_nobody_else(shim: Shim):
    full, full_fd = fifo(shim.home / "full")
    shim.running("/bin/sh", "-c", "yes", name="busy", stdout=full)
    time.sleep(0.2)
    out, out_fd = fifo(shim.home / "out")
    other = shim.running("/bin/sh", "-c", "echo here", name="other", stdout=out)
    assert read_to_end(out_fd) == b"here\n"
    assert shim.wait(other) == 0
    # It waits instead of turning in circles.
    before = _cpu(shim.pid)
    time.sleep(0.5)
    assert _cpu(shim.pid) - before < 0.1
    shim.client("Kill", id=shim.box.id("busy"), signal=9)
    assert read_to_end(full_fd).startswith(b"y\ny\n")


def _cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_reader_may_go_and_come(shim: Shim):
    out, out_fd = fifo(shim.home / "out")
    container = shim.running("/bin/sh", "-c", "while :; do echo x; sleep 0.05; done", stdout=out)
    os.close(out_fd)
    time.sleep(0.2)
    assert shim.status(container) == RUNNING
    again = os.open(out, os.O_RDONLY)
    assert os.read(again, 2) == b"x\n"
    os.close(again)


def test_delete_waits_for_the_last_output(shim: Shim):
    out, out_fd = fifo(shim.home / "out")
    bundle = shim.box.bundle("/bin/sh", "-c", "dd if=/dev/zero bs=1000 count=190 2>/dev/null")
    fcntl.fcntl(out_fd, fcntl.F_SETPIPE_SZ, 65536)
    container = shim.create(bundle, stdout=out)
    shim.client("Start", id=container)
    if (child := os.fork()) == 0:
        time.sleep(0.5)
        os._exit(len(read_to_end(out_fd)) != 190_000)
    os.close(out_fd)
    shim.wait(container)
    shim.delete(container)
    assert os.waitpid(child, 0)[1] == 0


def test_nothing_is_given(shim: Shim):
    container = shim.running("/bin/sh", "-c", "ls -l /proc/self/fd > /list; sleep 1000")
    file = shim.home / "bundle1/rootfs/list"
    eventually(lambda: file.exists() and "2 ->" in file.read_text(), "the list")
    assert file.read_text().count("/dev/null") == 2
    assert shim.status(container) == RUNNING


def test_file(shim: Shim):
    log = shim.home / "new" / "directory" / "a log"
    url = f"file://{str(log).replace(' ', '%20')}"
    bundle = shim.box.bundle("/bin/sh", "-c", "echo out; echo err >&2")
    container = shim.create(bundle, stdout=url, stderr=url)
    shim.client("Start", id=container)
    shim.wait(container)
    shim.delete(container)
    assert sorted(log.read_text().split()) == ["err", "out"]


LOGGER = """#!/bin/sh
echo "$CONTAINER_ID $CONTAINER_NAMESPACE $*" > {log}
{ready}
exec 5>&-
cat <&4 > {log}.err &
cat <&3 >> {log}
wait
sleep {linger}
echo end >> {log}
"""


def logger(shim: Shim, ready: str = "", linger: float = 0) -> tuple[str, Path]:
    program, log = shim.home / "logger", shim.home / "log"
    program.write_text(LOGGER.format(log=log, ready=ready, linger=linger))
    program.chmod(0o755)
    return str(program), log


@pytest.mark.parametrize("scheme, ready", [("binary", ""), ("binary-v2", "echo -n 1 >&5")])
def test_logger(shim: Shim, scheme: str, ready: str):
    program, log = logger(shim, ready, linger=0.3)
    bundle = shim.box.bundle("/bin/sh", "-c", "echo out; echo err >&2")
    container = shim.create(bundle, stdout=f"{scheme}://{program}?key=a%20b&only")
    shim.client("Start", id=container)
    shim.wait(container)
    shim.delete(container)
    assert log.read_text() == f"{container} test key a b only \nout\nend\n"
    assert Path(f"{log}.err").read_text() == "err\n"


def test_logger_that_is_never_ready(shim: Shim):
    program, _ = logger(shim)
    with pytest.raises(Refused, match="without having said that it is ready"):
        shim.create(shim.box.bundle(), stdout=f"binary-v2://{program}")


def test_logger_that_is_not_there(shim: Shim):
    with pytest.raises(Refused, match="start the logger /no/such: No such file"):
        shim.create(shim.box.bundle(), stdout="binary:///no/such")


@pytest.mark.slow
def test_logger_that_does_not_end(shim: Shim):
    """It gets SIGTERM after five seconds."""
    program, log = logger(shim)
    Path(program).write_text(f"#!/bin/sh\nexec 5>&-\necho > {log}\nexec sleep 1000\n")
    container = shim.create(shim.box.bundle(), stdout=f"binary://{program}")
    shim.client("Start", id=container)
    shim.wait(container)
    began = time.monotonic()
    shim.delete(container)
    assert 4 < time.monotonic() - began < 30


def test_log_that_cannot_be_opened(shim: Shim):
    with pytest.raises(Refused, match="open /no/such: No such file"):
        shim.create(shim.box.bundle(), stdout="/no/such")
    with pytest.raises(Refused, match="unknown scheme"):
        shim.create(shim.box.bundle(), stdout="gopher://x")


def test_terminal(shim: Shim):
    path = shim.home / "in"
    os.mkfifo(path)
    out, out_fd = fifo(shim.home / "out")
    bundle = shim.box.bundle("/bin/sh", "-c", "tty; read a; stty size; echo got $a; exit 5")
    bundle.process["terminal"] = True
    container = shim.create(bundle, stdin=str(path), stdout=out, terminal=True)
    shim.client("ResizePty", id=container, width=99, height=33)
    shim.client("Start", id=container)
    with path.open("wb") as writer:
        writer.write(b"word\n")
    seen = read_to_end(out_fd)
    assert b"/dev/pts/0" in seen and b"33 99" in seen and b"got word" in seen
    assert shim.wait(container) == 5
    shim.delete(container)
    assert not list(bundle.path.glob("pty*"))


@pytest.mark.parametrize("said", [True, False, None])
def test_terminal_of_an_exec(shim: Shim, said: bool | None):
    """What the call says counts, not the process's own JSON."""
    container = shim.running()
    out, out_fd = fifo(shim.home / "out")
    process = {} if said is None else {"terminal": said}
    shim.exec(container, "/bin/sh", "-c", "tty; exit 6", stdout=out, terminal=True, process=process)
    assert read_to_end(out_fd).strip() == b"/dev/pts/0"
    assert shim.wait(container, "e") == 6
    shim.client("Delete", id=container, exec_id="e")
    shim.exec(container, "/bin/sh", "-c", "tty; exit 7", process={"terminal": True})
    assert shim.wait(container, "e") == 7


def test_terminal_that_a_background_job_keeps(shim: Shim):
    container = shim.running()
    out, out_fd = fifo(shim.home / "out")
    shim.exec(
        container,
        "/bin/sh",
        "-c",
        "trap '' HUP; sleep 1000 & echo last; sleep 0.3",
        stdout=out,
        terminal=True,
    )
    assert shim.wait(container, "e") == 0
    assert read_to_end(out_fd).strip() == b"last"
    began = time.monotonic()
    shim.client("Delete", id=container, exec_id="e")
    assert time.monotonic() - began < 8  # it waits for ten seconds where output is to come


def test_pipes_belong_to_the_user_that_is_asked_for(shim: Shim):
    out, _ = fifo(shim.home / "out")
    options = {"binary_name": str(COMMAND), "root": str(shim.state)}
    value = message("options", **options, io_uid=1234, io_gid=1235)
    container = shim.create(
        shim.box.bundle("/bin/sleep", "1000"),
        stdout=out,
        options=wrap("containerd.runc.v1.Options", value),
    )
    pid = shim.client("State", id=container)["pid"]
    found = os.stat(f"/proc/{pid}/fd/1")
    assert stat.S_ISFIFO(found.st_mode) and found.st_uid in (0, 1234)


def test_descriptors_are_closed(shim: Shim):
    """A hundred execs leave the shim with what it had."""
    container = shim.running()
    before = sorted(os.listdir(f"/proc/{shim.pid}/fd"))
    for number in range(30):
        out, fd = fifo(shim.home / f"out{number}")
        shim.exec(container, "/bin/true", exec_id=f"e{number}", stdout=out, stdin="")
        shim.wait(container, f"e{number}")
        shim.client("Delete", id=container, exec_id=f"e{number}")
        os.close(fd)
    assert sorted(os.listdir(f"/proc/{shim.pid}/fd")) == before
    inside = shim.client("State", id=container)["pid"]
    assert alive(inside) and len(os.listdir(f"/proc/{inside}/fd")) == 3


def test_programs_get_no_other_descriptors(shim: Shim):
    """Neither a logger nor the runtime has the shim's sockets."""
    found = shim.home / "found"
    found.mkdir()
    for name, rest in (("runtime", f'exec {COMMAND} "$@"'), ("logger", "exec 5>&-; cat <&3")):
        # A shell has its script open, too: as 10 or 255.
        list_them = f"for fd in /proc/$$/fd/?; do readlink $fd; done > {found}/{name}.$1"
        (shim.home / name).write_text(f"#!/bin/sh\n{list_them}\n{rest}\n")
        (shim.home / name).chmod(0o755)
    value = message("options", binary_name=f"{shim.home}/runtime", root=str(shim.state))
    container = shim.running(
        stdout=f"binary://{shim.home}/logger?a=b",
        options=wrap("containerd.runc.v1.Options", value),
    )
    shim.exec(container, "/bin/true")
    shim.wait(container, "e")
    files = {file.name: file.read_text().split() for file in found.iterdir()}
    assert len(files) == 2
    for name, names in files.items():
        kinds = [text.partition(":")[0] for text in names if text != f"{found}/{name}"]
        assert set(kinds) <= {"/dev/null", "pipe"}, files
        assert len(kinds) <= (3 if "runtime" in name else 6), files
