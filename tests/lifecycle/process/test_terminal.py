"""Terminals: handed over through the console socket, or served in the foreground."""

from __future__ import annotations

import fcntl
import os
import pty
import signal
import struct
import subprocess
import termios
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.box import Box
from tests.support.bundles import Bundle
from tests.support.runtimes import Runtime, eventually
from tests.support.sockets import Receiver, read_until


@pytest.fixture
def receiver(box: Box) -> Iterator[Receiver]:
    made = Receiver(box.directory)
    yield made
    made.close()


def with_terminal(bundle: Bundle, rows: int = 0, columns: int = 0) -> Bundle:
    bundle.process["terminal"] = True
    if rows:
        bundle.process["consoleSize"] = {"height": rows, "width": columns}
    return bundle


LOOK = (
    "tty; test -t 0 -a -t 1 -a -t 2 && echo all; stat -c '%F %a %t' /dev/console; echo en''d; cat"
)


@pytest.mark.parametrize("runtime_name", ["pycontainer", "runc"])
@pytest.mark.parametrize("command", ["create", "run"])
def test_console_socket(box: Box, receiver: Receiver, runtime_name: str, command: str):
    runtime, name = box.runtime(runtime_name), box.id()
    bundle = with_terminal(box.bundle().script(LOOK))
    flags = ["-d"] if command == "run" else []
    runtime(command, *flags, "-b", bundle, "--console-socket", receiver.path, name).ok()
    master, message = receiver.take()
    assert message.rstrip(b"\0") == b"/dev/ptmx"
    if command == "create":
        runtime("start", name).ok()
    text = read_until(master, b"end")
    assert text.split(b"\n")[0].strip() == b"/dev/pts/0"
    assert b"all" in text and b"character special file" in text
    os.write(master, b"typed\n")
    read_until(master, b"typed")
    os.close(master)  # a hang-up ends the container
    runtime.wait_for(name, "stopped")


def test_console_size(box: Box, pyc: Runtime, receiver: Receiver):
    bundle = with_terminal(box.bundle().script("stty size; cat"), 33, 77)
    pyc("run", "-d", "-b", bundle, "--console-socket", receiver.path, box.id()).ok()
    master, _ = receiver.take()
    read_until(master, b"33 77")
    os.close(master)


def test_exec_with_a_console_socket(box: Box, pyc: Runtime, receiver: Receiver):
    name = box.running()
    flags = ("--detach", "--tty", "--console-socket", receiver.path)
    pyc("exec", *flags, name, "sh", "-c", "tty; ps; echo en''d; cat").ok()
    master, _ = receiver.take()
    assert b"/dev/pts/0" in read_until(master, b"end")
    os.close(master)


def test_a_terminal_of_another_user(box: Box, pyc: Runtime, receiver: Receiver):
    box.needs_ids()
    bundle = with_terminal(box.bundle().script("stat -c '%u %g %a' $(tty); echo x > $(tty); cat"))
    bundle.process["user"] = {"uid": 1000, "gid": 1000}
    pyc("run", "-d", "-b", bundle, "--console-socket", receiver.path, box.id()).ok()
    master, _ = receiver.take()
    assert b"1000" in read_until(master, b"x")
    os.close(master)


@pytest.mark.parametrize(
    "terminal, flags, words",
    [
        (True, ["-d"], "console socket"),
        (False, ["-d", "--console-socket", "SOCKET"], "console socket"),
        (True, ["--console-socket", "SOCKET"], "console socket"),
    ],
)
def test_terminals_that_cannot_be(
    box: Box, pyc: Runtime, receiver: Receiver, terminal: bool, flags: list[str], words: str
):
    bundle = box.bundle("/bin/true")
    bundle.process["terminal"] = terminal
    flags = [str(receiver.path) if flag == "SOCKET" else flag for flag in flags]
    pyc("run", *flags, "-b", bundle, box.id()).fails(words)
    box.empty()


# --- in the foreground ---


class Person:
    """Somebody at a terminal, who runs a command in it."""

    def __init__(self, argv: list[str], rows: int = 24, columns: int = 80) -> None:
        self.master, slave = pty.openpty()
        self.slave = slave
        self.resize(rows, columns)
        self.modes = termios.tcgetattr(slave)
        self.process = subprocess.Popen(
            argv, stdin=slave, stdout=slave, stderr=slave, start_new_session=True
        )

    def resize(self, rows: int, columns: int) -> None:
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def types(self, text: str) -> None:
        os.write(self.master, text.encode())

    def sees(self, text: str) -> str:
        return read_until(self.master, text.encode()).decode()

    def leaves(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self.master)
        os.close(self.slave)


def test_run_in_the_foreground_of_a_terminal(box: Box, pyc: Runtime):
    bundle = with_terminal(box.bundle("/bin/sh"))
    bundle.process["env"] += ["PS1=ready> "]
    person = Person(pyc.argv("run", "-b", bundle, box.id()), 40, 100)
    try:
        person.sees("ready> ")
        person.types("stty size; tty; echo $((6*7))\n")
        assert "40 100" in person.sees("42\r\n")
        person.types("sleep 1000\n")
        person.sees("sleep 1000")
        eventually(lambda: "sleep" in pyc("ps", box.id()).out, "the shell runs it")
        person.types("\x03")  # Ctrl-C is for the shell's child, in the container
        person.sees("ready> ")
        person.resize(50, 120)
        os.kill(person.process.pid, signal.SIGWINCH)
        person.types("stty size; echo don''e\n")
        assert "50 120" in person.sees("done\r\n")
        person.types("exit 9\n")
        assert person.process.wait(20) == 9
        assert termios.tcgetattr(person.slave) == person.modes
    finally:
        person.leaves()
    box.empty()


def test_exec_in_the_foreground_of_a_terminal(box: Box, pyc: Runtime):
    name = box.running()
    person = Person(
        pyc.argv("exec", "-t", name, "sh", "-c", "stty size; read x; echo got $x; exit 4")
    )
    try:
        person.sees("24 80")
        person.types("word\n")
        person.sees("got word")
        assert person.process.wait(20) == 4
        assert termios.tcgetattr(person.slave) == person.modes
    finally:
        person.leaves()


def test_a_terminal_whose_output_is_a_pipe(box: Box, pyc: Runtime):
    bundle = with_terminal(box.bundle().script("seq 20000; exit 3"))
    master, slave = pty.openpty()
    try:
        done = box.run(bundle, stdin=slave)
    finally:
        os.close(master)
        os.close(slave)
    assert done.status == 3
    assert done.out.split() == [str(n) for n in range(1, 20001)]
    box.empty()


def test_a_terminal_that_nobody_has(box: Box):
    """Nothing could be typed, and no end of the input could be told: as runc, no container."""
    bundle = with_terminal(box.bundle("/bin/sh"))
    for runtime in box.both():
        done = runtime("run", "-b", bundle, box.id(), start_new_session=True)
        done.fails("open /dev/tty: no such device or address")
    box.empty()


# --- signals and descriptors in the foreground ---


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGUSR2, signal.SIGINT])
def test_signals_are_forwarded(box: Box, pyc: Runtime, number: int):
    out = box.directory / "out"
    script = f"trap 'echo caught; exit 6' {int(number)}; echo ready; while :; do sleep 0.05; done"
    with out.open("wb") as file:
        command = pyc.start_process("run", "-b", box.bundle().script(script), box.id(), stdout=file)
        eventually(lambda: "ready" in out.read_text(), "the trap is set")
        command.send_signal(number)
        assert command.wait(20) == 6
    assert out.read_text() == "ready\ncaught\n"
    box.empty()


def test_stdin_and_stdout_are_the_callers(box: Box, pyc: Runtime):
    data = os.urandom(300_000).hex()
    assert box.run(box.bundle("/bin/cat"), input=data.encode()).ok().out == data
    left, right = os.pipe()
    os.close(right)
    assert box.run(box.bundle("/bin/cat"), stdin=left).ok().out == ""
    os.close(left)


def test_closed_stdio(box: Box, pyc: Runtime):
    bundle, file = box.bundle().script("ls -l /proc/self/fd > /tmp/fds; exit 2"), box.id()
    argv = " ".join(pyc.argv("run", "-b", bundle, file))
    done = subprocess.run(f"exec {argv} 0<&- 1>&- 2>&-", shell=True, check=False)
    assert done.returncode == 2
    lines = (bundle.rootfs / "tmp" / "fds").read_text()
    assert lines.count("/dev/null") == 2


def test_no_descriptor_of_the_caller_or_ours_gets_in(box: Box):
    for runtime in box.both():
        name = box.id(runtime.name)
        fds = [os.open("/dev/zero", os.O_RDONLY) for _ in range(3)]
        for fd in fds:
            os.set_inheritable(fd, True)
        show = "for f in /proc/self/fd/*; do echo ${f##*/}; done | grep -c ."
        bundle = box.bundle().script(f"{show}; exec sleep 1000")
        runtime("run", "-d", "-b", bundle, name, close_fds=False).ok()
        assert sorted(os.listdir(f"/proc/{runtime.state(name)['pid']}/fd")) == ["0", "1", "2"]
        pid_file = box.directory / f"{name}.pid"
        flags = ("-d", "--pid-file", pid_file)
        runtime("exec", *flags, name, "sleep", "1000", close_fds=False).ok()
        process = Path(f"/proc/{pid_file.read_text()}")
        if runtime.name == "runc":  # does not wait until the program is executed
            eventually(lambda at=process: (at / "comm").read_text() == "sleep\n", "sleep runs")
        assert sorted(os.listdir(process / "fd")) == ["0", "1", "2"]
        for fd in fds:
            os.close(fd)


def test_preserved_descriptors(box: Box):
    script = "cat <&3; cat <&4; [ -e /proc/$$/fd/5 ] || echo no 5; cat <&5"
    looks = []
    for runtime in box.both():
        bundle, name = box.bundle().script(script), box.id(runtime.name)
        argv = " ".join(runtime.argv("run", "--preserve-fds", 2, "-b", bundle, name))
        for number in (3, 4, 5):
            (box.directory / str(number)).write_text(f"file {number}\n")
        shell = f"cd {box.directory}; exec 3<3 4<4 5<5; exec {argv}"
        done = subprocess.run(shell, shell=True, capture_output=True, text=True, check=False)
        looks.append((done.returncode != 0, done.stdout))
    assert looks[0] == looks[-1] == (True, "file 3\nfile 4\nno 5\n")


@pytest.mark.parametrize("command", ["run", "exec"])
@pytest.mark.parametrize(
    "how", ["--preserve-fds 4", "--preserve-fds 4000000", "LISTEN_FDS=4", "LISTEN_FDS=4000000"]
)
def test_preserved_descriptors_with_gaps(box: Box, pyc: Runtime, command: str, how: str):
    """What is open is passed, as crun does it (runc refuses); nothing of ours takes the gaps."""
    (box.directory / "file").write_text("")
    script = "for n in 3 4 5 6 7; do readlink /proc/$$/fd/$n || echo none; done"
    words = ["run", "-b", str(box.bundle().script(script)), box.id()]
    if command == "exec":
        words = ["exec", box.running(), "/bin/sh", "-c", script]
    options, activation = how.split(), ""
    if how.startswith("LISTEN_FDS"):
        options, activation = [], f"export {how}; LISTEN_PID=$$"
    shell = f'exec 3<&- 4<file 5<&- 6<file; {activation} exec "$@"'
    argv = ["sh", "-c", shell, "sh", *pyc.argv(words[0], *options, *words[1:])]
    done = subprocess.run(argv, cwd=box.directory, capture_output=True, text=True, check=False)
    name = str(box.directory / "file")
    assert done.stdout.split() == ["none", name, "none", name, "none"], done


def test_listen_fds(box: Box):
    looks = []
    for runtime in box.both():
        bundle = box.bundle().script(
            "echo $LISTEN_FDS $LISTEN_PID $LISTEN_FDNAMES; cat <&3; cat <&4"
        )
        argv = " ".join(
            runtime.argv("run", "--preserve-fds", 1, "-b", bundle, box.id(runtime.name))
        )
        for number in (3, 4):
            (box.directory / str(number)).write_text(f"file {number}\n")
        shell = (
            f"cd {box.directory}; exec 3<3 4<4; export LISTEN_FDS=1 LISTEN_FDNAMES=x;"
            f" LISTEN_PID=$$ exec {argv}"
        )
        done = subprocess.run(["sh", "-c", shell], capture_output=True, text=True, check=False)
        looks.append(done.stdout)
    assert looks[0] == "1 1 x\nfile 3\nfile 4\n"
    assert looks[-1].split("\n", 1)[1] == looks[0].split("\n", 1)[1]


def test_listen_fds_without_listen_pid(box: Box, pyc: Runtime):
    """As with crun; where LISTEN_PID is another process, nothing is passed."""
    bundle = box.bundle().script("echo $LISTEN_FDS $LISTEN_PID; cat <&3")
    (box.directory / "file").write_text("passed\n")
    looks = []
    for more in ("", "LISTEN_PID=1 "):
        argv = ["sh", "-c", f'exec 3<file; {more}LISTEN_FDS=1 exec "$@"', "sh"]
        argv += pyc.argv("run", "-b", str(bundle), box.id())
        env = {name: text for name, text in os.environ.items() if name != "LISTEN_PID"}
        done = subprocess.run(
            argv, cwd=box.directory, env=env, capture_output=True, text=True, check=False
        )
        looks.append(done.stdout)
    assert looks == ["1 1\npassed\n", "\n"]


def test_pidfd_socket(box: Box, pyc: Runtime, receiver: Receiver):
    name = box.id()
    flags = ("--pidfd-socket", receiver.path)
    pyc("create", *flags, "-b", box.bundle("/bin/sleep", "1000"), name).ok()
    pidfd, message = receiver.take()
    assert message == b"standard"
    text = Path(f"/proc/self/fdinfo/{pidfd}").read_text()
    assert f"Pid:\t{pyc.state(name)['pid']}\n" in text
    pyc("start", name).ok()
    for how in ((), ("--detach",)):  # the process has ended long before its pidfd is looked at
        pyc("exec", *how, *flags, name, "/bin/true").ok()
        ended, message = receiver.take()
        assert message == b"setns"
        assert os.readlink(f"/proc/self/fd/{ended}") == "anon_inode:[pidfd]"
        os.close(ended)
    signal.pidfd_send_signal(pidfd, signal.SIGKILL)
    pyc.wait_for(name, "stopped")
    os.close(pidfd)


def test_pid_files_are_whole_and_new(box: Box, pyc: Runtime):
    bundle, file = box.bundle("/bin/sleep", "1000"), box.directory / "pid"
    file.write_text("old")
    before = file.stat().st_ino
    pyc("create", "-b", bundle, "--pid-file", file, box.id()).ok()
    assert file.read_text() == str(pyc.state(box.id())["pid"])
    assert file.stat().st_ino != before  # replaced, not overwritten
    assert [p.name for p in box.directory.iterdir() if p.name.startswith(".")] == []
    pyc("delete", "--force", box.id()).ok()
    pyc("create", "-b", bundle, "--pid-file", "relative", box.id(), cwd=box.directory).ok()
    assert (box.directory / "relative").read_text().isdigit()


def test_orphans_are_adopted_unless_no_subreaper(box: Box, pyc: Runtime):
    for flags in ([], ["--no-subreaper"]):
        bundle = box.bundle().script("(sleep 0.2; exit 3) & exit 7")
        bundle.drop_namespace("pid")
        assert box.run(bundle, *flags).status == 7
        box.empty()
