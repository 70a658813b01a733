"""The foreground with a terminal: real pseudo terminals inside and outside, real processes."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

pytest.importorskip("pycontainer._shim")

ROOT = str(Path(__file__).resolve().parents[3])

# Plays the engine: a process on a new terminal, and Terminal on its master.
WRAPPER = f"""
import os, posix, sys
sys.path.insert(0, {ROOT!r})
from pycontainer.lifecycle import foreground
from pycontainer.cli import fill_standard_descriptors
from pycontainer.lifecycle.terminal import Terminal
fill_standard_descriptors()
signals = foreground.block_signals()
master, slave = os.openpty()
name = os.ttyname(slave)
terminal = Terminal(master)
pid = posix.posix_spawn(
    "/bin/sh", ["sh", "-c", sys.argv[1]], os.environ, setsigmask=(), setsigdef=range(1, 32),
    setsid=True, file_actions=[(os.POSIX_SPAWN_OPEN, 0, name, os.O_RDWR, 0)] + [
        (os.POSIX_SPAWN_DUP2, 0, 1), (os.POSIX_SPAWN_DUP2, 0, 2)])
os.close(slave)
os._exit(foreground.wait_foreground(pid, signals, terminal))
"""


def command(script: str) -> list[str]:
    return [sys.executable, "-c", WRAPPER, script]


def piped(script: str) -> subprocess.CompletedProcess:
    """Run with pipes outside, and no terminal to be found."""
    return subprocess.run(
        command(script), input=b"", capture_output=True, timeout=60, start_new_session=True
    )


class Outside:
    """A person's terminal, with the wrapper in its foreground."""

    def __init__(self, script: str, size: tuple[int, int] = (0, 0)) -> None:
        self.master, self.slave = pty.openpty()
        self.resize(*size)
        self.modes = termios.tcgetattr(self.slave)
        self.output = b""
        name = os.ttyname(self.slave)
        self.child = subprocess.Popen(
            ["sh", "-c", 'exec "$@" <> $0 >&0 2>&0', name, *command(script)],
            start_new_session=True,  # so that opening the terminal makes it the controlling one
        )

    def resize(self, rows: int, columns: int) -> None:
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("4H", rows, columns, 0, 0))

    def until(self, text: bytes) -> bytes:
        """Read until the text comes; everything before it."""
        deadline = time.monotonic() + 30
        while text not in self.output:
            assert time.monotonic() < deadline, self.output
            if select.select([self.master], [], [], 1)[0]:
                self.output += os.read(self.master, 65536)
        before, _, self.output = self.output.partition(text)
        return before

    def type(self, keys: bytes) -> None:
        os.write(self.master, keys)

    def raw(self) -> bool:
        return not termios.tcgetattr(self.slave)[3] & termios.ICANON

    def close(self) -> None:
        if self.child.poll() is None:
            os.killpg(self.child.pid, signal.SIGKILL)
            self.child.wait()
        os.close(self.master)
        os.close(self.slave)


@pytest.fixture
def outside() -> Iterator[Callable[..., Outside]]:
    opened: list[Outside] = []

    def make(*args) -> Outside:
        opened.append(Outside(*args))
        return opened[-1]

    yield make
    for terminal in opened:
        terminal.close()


# --- pipes outside ---


def test_no_byte_is_lost_at_the_end() -> None:
    expected = "".join(f"{n}\n" for n in range(1, 200_001)).encode()
    done = piped("seq 200000")
    assert done.stdout == expected  # and its newlines are plain
    assert done.returncode == 0


def test_short_output_and_an_immediate_end() -> None:
    for attempt in range(40):
        done = piped(f"printf {attempt}-hello; exit {attempt}")
        assert (done.stdout, done.returncode) == (f"{attempt}-hello".encode(), attempt)


def test_somebody_who_writes_on_for_ever() -> None:
    """The process has ended; who survives it on its terminal does not hold us up."""
    done = piped("trap '' HUP; yes & sleep 0.2; exit 6")
    assert done.returncode == 6
    assert done.stdout.startswith(b"y\n" * 100)


def test_it_is_a_terminal_inside() -> None:
    assert piped("tty; test -t 0 && test -t 1 && test -t 2").stdout.startswith(b"/dev/pts/")


def test_input_arrives(tmp_path: Path) -> None:
    data = bytes(range(256)) * 4096
    target = tmp_path / "got"
    child = subprocess.Popen(
        command(f"stty raw -echo; echo ready; head -c {len(data)} > {target}; exit 7"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert child.stdin
    assert child.stdout
    assert child.stdout.readline() == b"ready\n"
    child.stdin.write(data)
    child.stdin.close()
    assert child.wait(60) == 7
    child.stdout.close()
    assert target.read_bytes() == data


def test_a_reader_that_is_slow() -> None:
    """Ours waits with the process: neither lost bytes nor heaps of them."""
    child = subprocess.Popen(
        command("seq 500000"), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE
    )
    assert child.stdout
    time.sleep(0.5)
    memory = int(open(f"/proc/{child.pid}/statm").read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    assert memory < 64 << 20
    assert child.stdout.read() == "".join(f"{n}\n" for n in range(1, 500_001)).encode()
    assert child.wait(60) == 0
    child.stdout.close()


def test_a_reader_that_is_stuck_does_not_stop_signals() -> None:
    child = subprocess.Popen(
        command("trap 'exit 5' TERM; yes & wait"), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE
    )
    time.sleep(1)
    child.terminate()  # the process ends, what it wrote waits for the reader
    time.sleep(0.5)
    assert child.poll() is None
    child.terminate()  # impatience
    assert child.wait(60) == 5
    assert child.stdout
    child.stdout.close()


def test_a_reader_that_goes_away(tmp_path: Path) -> None:
    child = subprocess.Popen(
        command(f"sleep 0.2; seq 100000; echo went on > {tmp_path}/mark; exit 3"),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
    )
    assert child.stdout
    child.stdout.close()
    assert child.wait(60) == 3
    assert (tmp_path / "mark").exists()


@pytest.mark.parametrize("closed", ["<&-", ">&-", "<&- >&- 2>&-"])
def test_closed_descriptors(closed: str, tmp_path: Path) -> None:
    script = f"echo went on > {tmp_path}/mark; echo out; exit 3"
    done = subprocess.run(
        ["sh", "-c", f'"$@" {closed}', "sh", *command(script)], capture_output=True, timeout=60
    )
    assert done.returncode == 3
    assert (tmp_path / "mark").exists()


def test_output_to_a_file(tmp_path: Path) -> None:
    with open(tmp_path / "out", "wb") as out:
        subprocess.run(command("seq 50000"), stdin=subprocess.DEVNULL, stdout=out, check=True)
    assert (tmp_path / "out").read_text() == "".join(f"{n}\n" for n in range(1, 50_001))


def test_closed_inside_for_a_while() -> None:
    """Nobody has the other side open, then somebody opens it again; and no busy loop between."""
    script = (
        "t=$(tty); exec <&- >&- 2>&-; sleep 0.8; exec < $t > $t; echo back;"
        " awk '{ print $14 + $15 }' /proc/$PPID/stat"
    )
    out = piped(script).stdout.decode().split()
    assert out[0] == "back"
    assert int(out[1]) < 40  # ticks of 10 ms, the interpreter's start included


# --- a terminal outside ---


def test_raw_while_it_runs_and_restored(outside: Callable) -> None:
    terminal = outside("echo ready; read x; exit 3")
    terminal.until(b"ready\r\n")  # the outer terminal makes CR LF
    assert terminal.raw()
    terminal.type(b"\r")
    assert terminal.child.wait(60) == 3
    assert termios.tcgetattr(terminal.slave) == terminal.modes


def test_keys_are_the_containers(outside: Callable) -> None:
    # Not a child of the shell: dash loses the signal when it comes between its vfork and execve.
    terminal = outside("echo ready; exec sleep 60")
    terminal.until(b"ready")
    terminal.type(b"\x03")
    assert terminal.child.wait(60) == 128 + signal.SIGINT
    assert termios.tcgetattr(terminal.slave) == terminal.modes


def test_echo_comes_from_inside_once(outside: Callable) -> None:
    terminal = outside("echo ready; cat; echo end")
    terminal.until(b"ready\r\n")
    terminal.type(b"typed\r\x04")
    assert terminal.until(b"end") == b"typed\r\ntyped\r\n"
    assert terminal.child.wait(60) == 0


def test_the_size_is_there_from_the_start_and_follows(outside: Callable) -> None:
    terminal = outside("stty size; trap 'stty size' WINCH; echo ready; while :; do sleep 0.01;"
                       " done", (33, 111))  # fmt: skip
    assert terminal.until(b"ready") == b"33 111\r\n"
    terminal.resize(44, 99)
    terminal.until(b"44 99")


def test_an_unknown_size_is_not_copied(outside: Callable) -> None:
    terminal = outside("stty rows 5 cols 6; trap 'stty size' WINCH; echo ready;"
                       " while :; do sleep 0.01; done")  # fmt: skip
    terminal.until(b"ready")
    wrapper = terminal.child.pid
    os.kill(wrapper, signal.SIGWINCH)
    os.kill(wrapper, signal.SIGCONT)
    time.sleep(0.2)
    os.kill(wrapper, signal.SIGTERM)
    assert terminal.child.wait(60) == 128 + signal.SIGTERM
    assert b"0 0" not in terminal.output


def test_raw_again_after_it_was_stopped(outside: Callable) -> None:
    terminal = outside("echo ready; sleep 60")
    terminal.until(b"ready")
    wrapper = terminal.child.pid
    os.kill(wrapper, signal.SIGSTOP)
    termios.tcsetattr(terminal.slave, termios.TCSANOW, terminal.modes)  # what a shell does
    os.kill(wrapper, signal.SIGCONT)
    deadline = time.monotonic() + 30
    while not terminal.raw():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    terminal.type(b"\x03")
    terminal.child.wait(60)
    assert termios.tcgetattr(terminal.slave) == terminal.modes


def test_a_terminal_that_hangs_up(tmp_path: Path) -> None:
    """The window is closed: the process gets SIGHUP, and may end as it likes."""
    terminal = Outside(f"trap 'seq 100000; echo {{}} > {tmp_path}/mark; exit 3' HUP; echo ready;"
                       " while :; do sleep 0.01; done")  # fmt: skip
    try:
        terminal.until(b"ready")
        os.close(terminal.master)
        os.close(terminal.slave)
        assert terminal.child.wait(60) == 3
        assert (tmp_path / "mark").exists()
    finally:
        terminal.master, terminal.slave = os.pipe()
        terminal.close()


def test_not_a_terminal() -> None:
    from pycontainer.base.errors import OperationError
    from pycontainer.lifecycle.terminal import Terminal

    before = os.listdir("/proc/self/fd")
    reading, writing = os.pipe()
    with pytest.raises(OperationError, match="set up terminal: inappropriate ioctl for device"):
        Terminal(reading)
    os.close(writing)
    assert os.listdir("/proc/self/fd") == before  # it closes what it takes over
