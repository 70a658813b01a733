"""The front (csrc/launcher/front.c) and Python give the same answers, byte for byte, and do the
same.

Two copies of it: one hands over to the launcher script; `alone` has nobody to hand over to, and so
shows what the front does by itself.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import secrets
import stat
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pycontainer.tables.signals import NUMBERS
from tests.support.box import Box
from tests.support.runtimes import CHECKOUT, Done, Runtime

SCRIPT = CHECKOUT / "build" / "pycontainer"
FAST = CHECKOUT / "build" / "fast" / "pycontainer"
HANDED_OVER = "cannot be executed"
WAYS = ("front", "python", "installed")


def built_in(front: Path) -> str:
    """The directory of the installation whose front this is."""
    found = re.search(rb"(/[^\0]*)/ordinary/pycontainer\0", front.read_bytes())
    assert found
    return found[1].decode()


@contextlib.contextmanager
def front_of(directory: Path | None, output: Path) -> Iterator[Path]:
    """The built front, as that of an installation in `directory`; or of one that is not there.

    A link of the same length stands for the path that is built in: this needs no compiler.
    """
    built = built_in(FAST)
    assert len(built) > 10
    link = f"/tmp/{secrets.token_hex(len(built))}"[: len(built)]
    output.write_bytes(FAST.read_bytes().replace(built.encode(), link.encode()))
    output.chmod(0o755)
    if directory is None:
        yield output
        return
    os.symlink(directory, link)
    try:
        yield output
    finally:
        os.unlink(link)


Ways = dict[str, Runtime]


@pytest.fixture(scope="session")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Ways to answer: with both, with C only, with Python only, and as it is installed."""
    if not FAST.exists():
        pytest.skip("no front here: make build")
    directory = tmp_path_factory.mktemp("front")
    ordinary = directory / "ordinary" / "pycontainer"
    ordinary.parent.mkdir()
    text = SCRIPT.read_text().replace("import sys\n", "import sys\ndel sys.argv[0]\n", 1)
    ordinary.write_text(text)
    ordinary.chmod(0o755)
    with (
        front_of(directory, directory / "front") as front,
        front_of(None, directory / "alone") as alone,
    ):
        ways = {"installed": FAST, "front": front, "python": SCRIPT, "alone": alone}
        yield {name: str(path) for name, path in ways.items()}


@pytest.fixture
def ways(box: Box, programs: dict[str, str]) -> Ways:
    """The ways, all with the same state directory."""
    found = Ways()
    for name, program in programs.items():
        runtime = Runtime("pycontainer", box.pycontainer.directory)
        runtime.command = program
        runtime._count = 1000 * len(found)  # of its output files
        found[name] = runtime
    return found


def bring_to(pyc: Runtime, box: Box, name: str, status: str, change=lambda bundle: None) -> None:
    """A container in that status."""
    if status == "gone":
        return
    bundle = box.bundle("/bin/sleep", "1000")
    bundle.config["annotations"] = {"key": 'vä"l\n', "\x01": "𝄞"}
    change(bundle)
    pyc("create", "-b", bundle, name).ok()
    if status != "created":
        pyc("start", name).ok()
    if status == "paused":
        box.needs_a_cgroup()
        pyc("pause", name).ok()
    if status == "stopped":
        pyc("kill", name, "KILL").ok()
        pyc.wait_for(name, "stopped")


def plain(text: str, name: str) -> str:
    """What a command says, without what no two containers have in common."""
    text = text.replace(name, "ID")
    text = re.sub(r'"pid": [1-9]\d*', '"pid": PID', text)
    text = re.sub(r"bundle\d+", "BUNDLE", text)
    text = re.sub(r'"created": "\d[^"]*"', '"created": "THEN"', text)
    return re.sub(r"\d{4}-\d\d-\d\dT[\d:.]+(Z|[+-][\d:]+)", "NOW", text)


def remains(box: Box, pyc: Runtime, name: str) -> dict[str, object]:
    """What there is of a container."""
    directory = pyc.root / name
    cgroups = [Path("/sys/fs/cgroup/freezer") / name, Path("/sys/fs/cgroup/unified") / name]
    return {
        "status": pyc.status(name),
        "files": sorted(os.listdir(directory)) if directory.exists() else None,
        "cgroups": [path.exists() for path in cgroups],
    }


COMMANDS = (
    ("state",),
    ("start",),
    ("kill",),
    ("kill", "KILL"),
    ("kill", "SIGKILL"),
    ("kill", "15"),
    ("kill", "0"),
    ("kill", "CONT"),
    ("kill", "NOSUCH"),
    ("kill", "--all"),
    ("delete",),
    ("delete", "--force"),
    ("delete", "-f"),
)
STATUSES = ("gone", "created", "running", "paused", "stopped")
# What needs no Python; in every other case it has to be asked.
ALONE = {
    *((("state",), status) for status in STATUSES[1:]),
    (("start",), "created"),
    *(((command), status) for command in COMMANDS[2:6] for status in ("created", "running")),
    *((("kill", "CONT"), status) for status in ("created", "running", "paused")),
    *((("kill",), status) for status in ("paused",)),
    *((("kill", "15"), status) for status in ("paused",)),
    *((command, "stopped") for command in COMMANDS[-3:]),
}


def argv(command: tuple[str, ...], name: str) -> list[str]:
    """The command with the container's id in its place: before the signal."""
    if command[0] == "kill" and command[1:] != ("--all",):
        return ["kill", name, *command[1:]]
    return [*command, name]


@pytest.mark.parametrize("status", STATUSES)
@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_both_ways_are_one(box: Box, pyc: Runtime, ways, command: tuple[str, ...], status: str):
    seen = {}
    for way in WAYS:
        name, log = box.id(way[0]), box.directory / f"{way}.log"
        bring_to(pyc, box, name, status)
        options = ("--log", log, "--log-format", "json")
        done = ways[way](*options, *argv(command, name))
        # A running init without handlers takes no other signal; one that waits takes TERM.
        ends = "KILL" in command[-1] or (status == "created" and command[-1] not in ("0", "CONT"))
        if command[0] == "kill" and not done.status and ends:
            pyc.wait_for(name, "stopped")
        said = [plain(text, name) for text in (done.out, done.err, log.read_text())]
        seen[way] = done.status, *said, remains(box, pyc, name)
    assert seen["front"] == seen["python"] == seen["installed"]


@pytest.mark.parametrize("status", STATUSES)
@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_what_the_front_does_alone(box: Box, pyc: Runtime, ways, command, status: str):
    name = box.id()
    bring_to(pyc, box, name, status)
    before = remains(box, pyc, name)
    done = ways["alone"](*argv(command, name))
    if (command, status) in ALONE:
        assert (done.status, done.err) == (0, "")
    else:
        assert (done.status, done.out) == (1, "") and HANDED_OVER in done.err
        assert remains(box, pyc, name) == before


# --- which command lines it understands ---

UNDERSTOOD = (
    [],
    ["--log", "LOG"],
    ["--log=LOG", "--log-format=json"],
    ["--log", "LOG", "--log-format", "text", "--systemd-cgroup"],
    ["--root", "/nowhere", "--root", "ROOT"],
)
NOT_UNDERSTOOD = (
    ["--debug"],
    ["-root", "ROOT"],
    ["--rootless", "true"],
    ["--log-format", "xml"],
    ["--log", "/nonexistent/log"],
    ["--log", "/tmp/../tmp/LOG"],
    ["--log", ""],
    ["--root", "/"],
    ["--root", ""],
    ["--root", "ROOT/../NAME"],
    ["--nosuch"],
    ["--log"],
    ["--"],
)


@pytest.mark.parametrize("options", [*UNDERSTOOD, *NOT_UNDERSTOOD], ids=" ".join)
def test_global_options(box: Box, pyc: Runtime, ways, options: list[str], monkeypatch):
    name = box.id()
    monkeypatch.chdir(box.directory)  # --log without its value makes a file of the next word
    bring_to(pyc, box, name, "created")
    log = f"{box.directory}/log"
    words = {"ROOT": str(pyc.root), "NAME": pyc.root.name, "LOG": log}
    for word, value in words.items():
        options = [option.replace(word, value) for option in options]
    seen = {}
    for way, runtime in ways.items():
        Path(log).unlink(missing_ok=True)
        runtime.argv = lambda *rest, runtime=runtime: [runtime.command, *map(str, rest)]
        root = [] if any("root" in option[:6] for option in options) else ["--root", pyc.root]
        done = runtime(*root, *options, "state", name)
        mode = Path(log).stat().st_mode if Path(log).exists() else 0
        text = Path(log).read_text() if Path(log).exists() else ""
        said = [plain(text, name) for text in (done.out, done.err, text)]
        seen[way] = done.status, *said, stat.S_IMODE(mode)
    assert seen["front"] == seen["python"] == seen["installed"]
    alone = seen["alone"] if "alone" in ways else None
    known = any(option in " ".join(options) for option in ("--systemd", "=json", "/nowhere"))
    if alone is None:
        return
    if known or options in ([], ["--log", log]):
        assert alone == seen["python"]
    else:
        assert HANDED_OVER in alone[2]


@pytest.mark.parametrize("words", [[], ["a", "b"], [""], ["-"], ["--", "NAME"], ["--help"], ["é"]])
@pytest.mark.parametrize("command", ["state", "start", "delete"])
def test_words_that_are_not_one_container(box: Box, ways, command: str, words: list[str]):
    words = [box.id() if word == "NAME" else word for word in words]
    seen = []
    for way in ("front", "python"):
        done = ways[way](command, *words)
        error = done.err.replace(ways[way].command, "COMMAND")  # as each was called
        seen.append((done.status, done.out, plain(error, box.id())))
    assert seen[0] == seen[1]
    assert HANDED_OVER in ways["alone"](command, *words).err


@pytest.mark.parametrize("variables", [{}, {"XDG_RUNTIME_DIR": "OWN"}, {"HOME": "/"}])
def test_without_root_the_directory_is_the_same(box: Box, ways, variables: dict[str, str]):
    name, said, own = box.id(), [], str(box.directory)
    variables = {key: value.replace("OWN", own) for key, value in variables.items()}
    base = variables.get("XDG_RUNTIME_DIR", "/run") if os.geteuid() else "/run"
    environ = {k: v for k, v in os.environ.items() if k != "XDG_RUNTIME_DIR"} | variables
    for way in ("front", "python"):
        command = [ways[way].command, "state", name]
        trace = ["strace", "-f", "-e", "trace=open,openat", "-o", f"{box.directory}/{way}.strace"]
        done = subprocess.run([*trace, *command], capture_output=True, env=environ)
        opened = f"{box.directory}/{way}.strace"
        said.append((done.returncode, f"{base}/pycontainer/{name}" in Path(opened).read_text()))
    assert said == [(1, True)] * 2


@pytest.mark.parametrize("fd", [0, 1, 2])
def test_closed_standard_descriptors_are_left_to_python(box: Box, pyc: Runtime, ways, fd: int):
    name = box.id()
    bring_to(pyc, box, name, "created")
    words = subprocess.list2cmdline(ways["alone"].argv("state", name))
    done = subprocess.run(
        ["/bin/sh", "-c", f"exec {words} {fd}>&-"], capture_output=True, text=True
    )
    assert done.returncode == 1 and done.stdout == ""


def test_signals_mean_what_they_mean_in_python(box: Box, pyc: Runtime, ways):
    """strace answers in the kernel's place, so that nobody gets a signal."""
    name = box.id()
    bring_to(pyc, box, name, "created")
    trace = box.directory / "trace"
    strace = ["strace", "-o", trace, "-e", "inject=pidfd_send_signal:retval=0"]
    names = {number: text for text, number in NUMBERS.items()}
    for number in (*range(1, 32), *range(33, 65)):
        for word in {str(number), *({names[number], names[number][3:]} if number < 32 else ())}:
            subprocess.run([*strace, *ways["alone"].argv("kill", name, word)], check=True)
            sent = re.search(r"pidfd_send_signal\(\d+, (\w+),", trace.read_text())[1]
            assert sent == (names[number] if number < 32 else f"SIGRT_{number - 32}"), word


@pytest.mark.parametrize("word", ["0", "65", "99", "SIG9", "kill", "9x", "+9", "RTMIN", ""])
def test_other_words_for_signals_are_left_to_python(box: Box, pyc: Runtime, ways, word: str):
    name = box.id()
    bring_to(pyc, box, name, "created")
    assert HANDED_OVER in ways["alone"]("kill", name, word).err
    assert pyc.status(name) == "created"


# --- the record ---


def test_a_record_that_does_not_fit_is_not_believed(box: Box, pyc: Runtime, ways):
    name = box.id()
    bring_to(pyc, box, name, "created")
    record = pyc.root / name / "record"
    good = record.read_bytes()
    assert ways["alone"]("state", name).ok()
    for damaged in damage(good):
        record.write_bytes(damaged)
        assert HANDED_OVER in ways["alone"]("state", name).err
    record.unlink()
    assert HANDED_OVER in ways["alone"]("state", name).err
    record.write_bytes(good)
    ways["alone"]("state", name).ok()
    facts = pyc.root / name / "state.json"
    facts.write_bytes(facts.read_bytes())  # an edit by hand: another time
    assert HANDED_OVER in ways["alone"]("state", name).err
    pyc("state", name).ok()


def damage(good: bytes) -> list[bytes]:
    """Records that are short, long, of another version, of another file, without an end."""
    head = 80
    return [
        b"",
        good[: head - 1],
        good[:-1],
        good + b"\0",
        good[:7] + b"\3" + good[8:],
        good[:16] + b"\0" * 8 + good[24:],
        good[:52] + b"\xff" * 4 + good[56:],
        good[:52] + b"\0" * 4 + good[56:],
        good[:head] + b"x" + good[head + 1 :],
        good[:-2] + b"xx",
    ]


HOOK = {"path": "/bin/true"}
SURPRISES = {
    "poststart": (lambda b: b.config.update(hooks={"poststart": [HOOK]}), "start"),
    "poststop": (lambda b: b.config.update(hooks={"poststop": [HOOK]}), "delete"),
    "no pid namespace": (lambda b: b.drop_namespace("pid"), "kill"),
}


@pytest.mark.parametrize("surprise", SURPRISES)
def test_surprises_are_left_to_python(box: Box, pyc: Runtime, ways, surprise: str):
    change, command = SURPRISES[surprise]
    name = box.id()
    status = {"start": "created", "delete": "stopped", "kill": "running"}[command]
    bring_to(pyc, box, name, status, change)
    words = [name, "KILL"] if command == "kill" else [name]
    before = remains(box, pyc, name)
    assert HANDED_OVER in ways["alone"](command, *words).err
    assert remains(box, pyc, name) == before
    ways["front"](command, *words).ok()


def test_the_hooks_of_create_and_the_container_change_nothing(box: Box, pyc: Runtime, ways):
    name = box.id()
    hooks = {stage: [HOOK] for stage in ("prestart", "createRuntime", "createContainer")}
    bring_to(pyc, box, name, "created", lambda b: b.config.update(hooks=hooks | {"poststop": []}))
    ways["alone"]("start", name).ok()
    ways["alone"]("kill", name, "KILL").ok()
    pyc.wait_for(name, "stopped")
    ways["alone"]("delete", name).ok()


def test_a_program_that_cannot_be_started(box: Box, pyc: Runtime, ways):
    seen = {}
    for way in WAYS:
        name = box.id(way[0])
        bundle = box.bundle("/bin/garbage")
        garbage = bundle.rootfs / "bin" / "garbage"
        garbage.write_bytes(b"\0garbage")
        garbage.chmod(0o755)
        pyc("create", "-b", bundle, name).ok()
        log = box.directory / f"{way}.log"
        done = ways[way]("--log", log, "--log-format", "json", "start", name).fails("exec")
        assert pyc.status(name) == "gone"
        seen[way] = done.status, done.err, plain(log.read_text(), name)
    assert seen["front"] == seen["python"] == seen["installed"]


def test_a_lock_is_waited_for_by_python(box: Box, pyc: Runtime, ways):
    name = box.id()
    bring_to(pyc, box, name, "stopped")
    holder = os.open(pyc.root / name, os.O_RDONLY)
    try:
        fcntl.flock(holder, fcntl.LOCK_EX)
        assert HANDED_OVER in ways["alone"]("delete", name).err
        waiting = ways["front"].start_process("delete", name)
        time.sleep(0.2)
        assert waiting.poll() is None
    finally:
        os.close(holder)
    assert waiting.wait(20) == 0
    assert pyc.status(name) == "gone"


def test_processes_in_the_cgroup_are_left_to_python(box: Box, pyc: Runtime, ways):
    box.needs_a_cgroup()
    name = box.id()

    def two(bundle):
        bundle.script("sleep 1001 & exit 0")
        bundle.drop_namespace("pid")

    bring_to(pyc, box, name, "running", two)
    pyc.wait_for(name, "stopped")
    assert HANDED_OVER in ways["alone"]("delete", name).err
    ways["front"]("delete", name).ok()
    box.empty()


def test_state_to_a_terminal_and_to_nobody(box: Box, pyc: Runtime, ways):
    name = box.id()
    bring_to(pyc, box, name, "created")
    assert to_terminal(ways["front"].argv("state", name)) == to_terminal(
        ways["python"].argv("state", name)
    )
    for way in ("front", "python"):
        reader, writer = os.pipe()
        os.close(reader)
        done = subprocess.run(
            ways[way].argv("state", name), stdout=writer, stderr=subprocess.PIPE, check=False
        )
        os.close(writer)
        assert (done.returncode, done.stderr) == (141, b"")
        with open("/dev/full", "w") as full:
            full_disk = ways[way]("state", name, stdout=full)
        assert full_disk.status == 1 and "no space left" in full_disk.err


def to_terminal(command: list[str]) -> bytes:
    """What a command writes to a terminal."""
    import pty

    master, slave = pty.openpty()
    try:
        subprocess.run(command, stdout=slave, check=True)
        return os.read(master, 65536)
    finally:
        os.close(master)
        os.close(slave)


def test_big_annotations_have_no_record(box: Box, pyc: Runtime, ways):
    seen: list[Done] = []
    for size in (60_000, 70_000):
        name = box.id(str(size))
        big = {"big": "x" * size}
        bring_to(pyc, box, name, "created", lambda b, big=big: b.config.update(annotations=big))
        seen.append(ways["alone"]("state", name))
        assert json.loads(ways["front"]("state", name).ok().out)["annotations"] == big
    assert seen[0].status == 0 and HANDED_OVER in seen[1].err


def test_who_died_for_lack_of_memory_is_left_to_python(box: Box, pyc: Runtime, ways):
    box.needs_a_cgroup()
    bundle, name = box.bundle("/bin/tail", "/dev/zero"), box.id()
    bundle.linux["resources"]["memory"] = {"limit": 8 << 20, "swap": 8 << 20}
    pyc("create", "-b", bundle, name).ok()
    ways["alone"]("start", name).ok()
    pyc.wait_for(name, "stopped", 30)
    assert HANDED_OVER in ways["alone"]("state", name).err
    assert ways["front"]("state", name).out == pyc("state", name).out


def test_without_its_config_a_container_is_left_to_python(box: Box, pyc: Runtime, ways):
    name = box.id()
    bring_to(pyc, box, name, "created")
    (pyc.root / name / "config.json").unlink()
    assert HANDED_OVER in ways["alone"]("start", name).err
    assert pyc.status(name) == "created"
    ways["alone"]("kill", name, "KILL").ok()
    pyc.wait_for(name, "stopped")
    assert HANDED_OVER in ways["alone"]("delete", name).err
