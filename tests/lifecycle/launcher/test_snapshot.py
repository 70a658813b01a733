"""The snapshot (csrc/launcher/snapshot.h) is used, says the same, and holds nothing of the machine;
where it does not fit, Python starts in the usual way, and `info` says why."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import signal
import struct
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pycontainer.snapshot import make
from tests.lifecycle.launcher.test_front import built_in, front_of
from tests.support.box import Box
from tests.support.runtimes import CHECKOUT, SLOWNESS, Runtime

FAST = CHECKOUT / "build" / "fast"
SNAPSHOT = FAST / "snapshot" / "pycontainer"
STARTER = CHECKOUT / "pycontainer" / "snapshot" / "starter.bin"
ENVIRONMENT = {k: v for k, v in os.environ.items() if k != "PYCONTAINER_ORDINARY_START"}
FACTS = struct.Struct("<8s6Q12Q512s")  # struct snapshot
THREAD_POINTER, CANARY = 3, 5

pytestmark = [
    pytest.mark.skipif(not SNAPSHOT.exists(), reason="no snapshot here: make build says why"),
    pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace"),
]


def said(*argv: object, strace: Path | None = None, **options) -> tuple[int, str, str]:
    """Status, output and errors (without the time) of a command."""
    watch = ["strace", "-f", "-qq", "-o", str(strace)] if strace else []
    options = {"env": ENVIRONMENT, "timeout": 60 * SLOWNESS, "check": False, **options}
    done = subprocess.run([*watch, *map(str, argv)], capture_output=True, text=True, **options)
    return done.returncode, done.stdout, re.sub(r'time="[^"]*"', "", done.stderr)


def programs_started(trace: Path) -> list[str]:
    """By their paths without links."""
    found = re.findall(r'execve\("([^"]*)".* = 0$', trace.read_text(), re.MULTILINE)
    return list(map(os.path.realpath, found))


def start(command: Path, **options) -> dict[str, str]:
    """What `info` says of the start."""
    return json.loads(said(command, "info", "--json", **options)[1])["runtime"]["start"]


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[Path]:
    """An installation with a copy of the snapshot."""
    made = tmp_path / "own"
    shutil.copytree(FAST, made)
    ordinary = made / "ordinary" / "pycontainer"
    ordinary.write_text(ordinary.read_text().replace(str(FAST), str(made)))
    with front_of(made, made / "pycontainer"):
        yield made


@pytest.fixture
def command(directory: Path) -> Path:
    return directory / "pycontainer"


def test_it_is_used(command: Path, tmp_path: Path):
    status, _, error = said(command, "ps", "nobody", strace=tmp_path / "trace")
    assert status == 1 and "container does not exist" in error
    assert programs_started(tmp_path / "trace") == [
        str(command),
        str(command.parent / "snapshot" / "pycontainer"),
    ]
    assert start(command)["value"] == "snapshot" and "fix" not in start(command)


def test_every_kernel_reads_its_program_headers(command: Path):
    """Linux before 6.17 executes no program that has more than one page of them."""
    header = make.Executable(command.parent / "snapshot" / "pycontainer")
    assert len(header.headers) * make.SEGMENT.size <= make.PAGE


def test_parts_are_joined_until_they_fit(monkeypatch: pytest.MonkeyPatch):
    page, read, code = make.PAGE, make.READ, make.READ | make.EXECUTE
    data = make.READ | make.WRITE
    full = b"x" * page
    parts = [
        make.Segment(page, read, page, full),
        make.Segment(2 * page, code, page, full),
        make.Segment(3 * page, data, 2 * page, full),  # one page of zeros
        make.Segment(5 * page, data, page, full),
        make.Segment(7 * page, data, page, full),
    ]
    assert make.merged(parts) == parts
    joined = make.Segment(3 * page, data, 3 * page, full + bytes(page) + full)
    monkeypatch.setattr(make, "MOST", 4)
    assert make.merged(parts) == [*parts[:2], joined, parts[4]]
    monkeypatch.setattr(make, "MOST", 3)
    assert make.merged(parts) == [make.Segment(page, code, 2 * page, full * 2), joined, parts[4]]
    monkeypatch.setattr(make, "MOST", 2)
    with pytest.raises(make.CannotBeMade, match="3 parts"):
        make.merged(parts)


def test_a_switch_turns_it_off(command: Path, tmp_path: Path):
    off = {"env": {**ENVIRONMENT, "PYCONTAINER_ORDINARY_START": "1"}}
    said(command, "state", "nobody", strace=tmp_path / "trace", **off)
    assert str(SNAPSHOT.name) not in [
        Path(p).parent.name for p in programs_started(tmp_path / "trace")
    ]
    assert any(
        path.endswith("/ordinary/pycontainer") for path in programs_started(tmp_path / "trace")
    )
    assert start(command, **off)["value"] == "ordinary"
    assert "PYCONTAINER_ORDINARY_START is set" in start(command, **off)["meaning"]


# -- what is not as it was -----------------------------------------------------------------------


def changed(offset: int, data: bytes) -> Callable[[Path], None]:
    """What writes `data` at `offset` of a file."""

    def change(file: Path) -> None:
        with file.open("r+b") as stream:
            stream.seek(offset)
            stream.write(data)

    return change


def facts_at() -> int:
    return SNAPSHOT.read_bytes().index(b"pycsnap\0")


def other_processor(file: Path) -> None:
    changed(facts_at() + 7 * 8, b"\xff" * 8)(file)


def owned_by_another(file: Path) -> None:
    if os.geteuid():
        pytest.skip("only root can give a file away")
    os.chown(file, 65534, 65534)


DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "absent": (Path.unlink, "No such file"),
    "empty": (lambda file: os.truncate(file, 0), "damaged"),
    "only a header": (lambda file: os.truncate(file, 8192), "damaged"),
    "its end missing": (lambda file: os.truncate(file, file.stat().st_size - 64), "damaged"),
    "longer": (lambda file: os.truncate(file, file.stat().st_size + 4096), "damaged"),
    "of another kind": (changed(0, b"\x7fELG"), "damaged"),
    "of another processor": (other_processor, "another processor"),
    "writable for a group": (lambda file: file.chmod(0o775), "may write"),
    "writable for all": (lambda file: file.chmod(0o777), "may write"),
    "not executable": (lambda file: file.chmod(0o644), "not executable"),
    "of another owner": (owned_by_another, "may write"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_without_it_python_starts_in_the_usual_way(command: Path, tmp_path: Path, damage: str):
    expected = said(command, "ps", "nobody")
    do, reason = DAMAGES[damage]
    do(command.parent / "snapshot" / "pycontainer")
    assert said(command, "ps", "nobody", strace=tmp_path / "trace") == expected
    assert programs_started(tmp_path / "trace")[-1].endswith("/ordinary/pycontainer")
    assert start(command)["value"] == "ordinary" and reason in start(command)["meaning"]
    assert "make-snapshot" in start(command)["fix"]


@pytest.mark.parametrize("there", [0, 100, 0.5, 0.99])
def test_who_comes_while_it_is_written_waits(command: Path, tmp_path: Path, there: float):
    """As with `cp -r new/. PREFIX/`, which then goes on to the libraries of the ordinary start."""
    file = command.parent / "snapshot" / "pycontainer"
    data = file.read_bytes()
    first = int(there if there > 1 else there * len(data))
    os.utime(file, (0, 0))
    trace = tmp_path / "trace"
    with file.open("wb", buffering=0) as writer:
        writer.write(data[:first])
        argv = ["strace", "-f", "-qq", "-o", trace, command, "ps", "nobody"]
        with subprocess.Popen(argv, stderr=subprocess.PIPE, env=ENVIRONMENT) as process:
            time.sleep(0.3)
            writer.write(data[first:])
            writer.close()
            error = process.communicate(timeout=60 * SLOWNESS)[1]
    assert process.returncode == 1 and b"container does not exist" in error
    assert programs_started(trace)[-1] == str(file)


@pytest.mark.parametrize("limit", ["-d 20000", "-v 30000"])
def test_with_less_memory_than_it_takes(command: Path, limit: str):
    """It would be killed while the kernel maps it."""
    status, out, _ = said("sh", "-c", f"ulimit {limit}; exec {command} info --json")
    found = json.loads(out)["runtime"]["start"]
    assert status == 0 and found["value"] == "ordinary" and "limit" in found["meaning"]
    assert "ulimit" in found["fix"]


# -- how it is made -----------------------------------------------------------------------------


def making(directory: Path) -> list[str]:
    script = (FAST / "make-snapshot").read_text().replace(str(FAST), str(directory))
    (directory / "make-snapshot").write_text(script)
    return [str(directory / "make-snapshot")]


def test_two_make_it_at_the_same_time(command: Path, directory: Path):
    """A package's trigger, say, and an administrator."""
    snapshot, argv = directory / "snapshot" / "pycontainer", making(directory)
    before = sorted(os.listdir(snapshot.parent))
    snapshot.unlink()
    makers = [subprocess.Popen(argv, stderr=subprocess.PIPE) for _ in range(3)]
    assert [(maker.communicate()[1], maker.returncode) for maker in makers] == [(b"", 0)] * 3
    assert sorted(os.listdir(snapshot.parent)) == before
    assert start(command)["value"] == "snapshot"


@pytest.mark.parametrize(
    ("how", "words", "status"), [("size=10m", "no fast start", 0), ("ro", "no new snapshot", 1)]
)
def test_where_it_cannot_be_written(directory: Path, how: str, words: str, status: int):
    """Nothing is left of it, and one sentence says why."""
    if os.geteuid():
        pytest.skip("needs root")
    there = directory / "snapshot"
    script = f"mount -t tmpfs -o {how} none {there}; {making(directory)[0]}; echo $?; ls {there}"
    _, out, error = said("unshare", "-m", "sh", "-c", script)
    assert error.startswith(words) and error.count("\n") == 1, error
    assert out == f"{status}\n"


def populated(box: Box, command: Path, *words: str) -> int:
    """How often a command has pages copied before it writes them."""
    trace = box.directory / "pages.trace"
    root = ["--root", box.pycontainer.root]
    argv = ["strace", "-qq", "-e", "trace=madvise", "-o", trace, command, *root, *words]
    subprocess.run(argv, check=False, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    return len(re.findall(r"(?:MADV_POPULATE_WRITE|0x17\b.*)\) += 0$", trace.read_text(), re.M))


def test_it_knows_which_pages_are_written(box: Box, pyc: Runtime, directory: Path, tmp_path: Path):
    """Seen in a rehearsal, which leaves nothing behind; without one it works as well."""
    if os.geteuid():
        pytest.skip("needs root")
    stage = tmp_path / "stage"
    stage.mkdir()
    subprocess.run(making(directory), check=True, env={**ENVIRONMENT, "TMPDIR": str(stage)})
    assert not list(stage.iterdir())
    name, command = box.id(), directory / "pycontainer"
    pyc("create", "-b", box.bundle("/bin/sleep", "1000"), name).ok()
    pyc("start", name).ok()
    assert populated(box, command, "exec", name, "/bin/true") > 50
    assert populated(box, command, "run", "-b", str(box.bundle("/bin/true")), box.id("r")) > 50
    assert populated(box, command, "list") == 0
    traced = said("strace", "-f", "-qq", "-o", "/dev/null", *making(directory))
    assert traced == (0, "", "")  # strace has what the rehearsal needs
    assert populated(box, command, "exec", name, "/bin/true") == 0


# -- what it is independent of ------------------------------------------------------------------


def in_a_root_of_its_own(directory: Path, root: Path, *binds: Path) -> list[object]:
    """What runs a command where only an installation's fast start is: no Python, no C library."""
    if os.geteuid():
        pytest.skip("needs root")
    (root / "run").mkdir(parents=True)
    (root / "tmp").mkdir()
    os.symlink(directory, f"{root}{built_in(directory / 'pycontainer')}")
    places = [directory / "pycontainer", directory / "snapshot", *binds]
    places += map(Path, ("/proc", "/sys", "/dev"))
    lines = [f"mount --bind {root} {root}"]
    for place in places:
        there = Path(f"{root}{place}")
        there.parent.mkdir(parents=True, exist_ok=True)
        there.mkdir() if place.is_dir() else there.touch()
        lines.append(f"mount --rbind {place} {there}")
    return ["unshare", "-m", "sh", "-ec", "; ".join([*lines, 'exec chroot "$@"']), "sh", root]


def test_it_needs_no_file_of_the_system(box: Box, directory: Path, tmp_path: Path):
    """As after an upgrade of everything: what the snapshot was made of is not looked at."""
    bundle = box.bundle("/bin/echo", "alive")
    bundle.write()
    alone = in_a_root_of_its_own(directory, tmp_path / "root", box.directory)
    command = [*alone, directory / "pycontainer", "--root", box.pycontainer.root]
    assert said(*command, "run", "-b", bundle.path, box.id()) == (0, "alive\n", "")
    status, _, error = said(*command, "ps", "nobody")
    assert status == 1 and "container does not exist" in error


WORDS = ["--version", "--help", "info", "features", "list", "plan {}", "spec -b {}"]


@pytest.mark.parametrize("words", WORDS)
def test_few_commands_need_one(box: Box, directory: Path, tmp_path: Path, words: str):
    """What a function imports, or opens with an encoding, is in it."""
    bundle = box.bundle("/bin/true")
    bundle.write()
    if words.startswith("spec"):
        (bundle.path / "config.json").unlink()
    alone = in_a_root_of_its_own(directory, tmp_path / "root", box.directory)
    command = [*alone, directory / "pycontainer", "--root", box.pycontainer.root]
    status, _, error = said(*command, *words.format(bundle.path).split())
    assert (status, error) == (0, "")


def test_a_module_that_is_not_in_it_says_what_to_do(box: Box, directory: Path, tmp_path: Path):
    bundle = box.bundle("/bin/true")
    bundle.linux["netDevices"] = {"lo": {}}
    bundle.write()
    alone = in_a_root_of_its_own(directory, tmp_path / "root", box.directory)
    command = [*alone, directory / "pycontainer", "--root", box.pycontainer.root]
    status, _, error = said(*command, "run", "-b", bundle.path, box.id())
    assert status == 1 and len(error.splitlines()) == 1
    assert "has changed since" in error and "install pycontainer anew" in error  # no Python there


def test_nobody_replaces_it_under_a_running_command(box: Box, command: Path):
    snapshot = command.parent / "snapshot" / "pycontainer"
    words = ["run", "--keep", "-b", box.bundle("/bin/cat"), box.id()]  # no attendant
    argv = [command, "--root", box.pycontainer.root, *words]
    with subprocess.Popen(
        list(map(str, argv)), stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=ENVIRONMENT
    ) as runtime:
        box.pycontainer.wait_for(box.id(), "running")
        with pytest.raises(OSError) as refused:
            os.truncate(snapshot, 4096)
        assert refused.value.errno == errno.ETXTBSY
        assert runtime.communicate(b"hello", timeout=60 * SLOWNESS)[0] == b"hello"
        assert runtime.returncode == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
@pytest.mark.parametrize("program", ["pycontainer", "snapshot/pycontainer"])
def test_with_the_setuid_bit_it_refuses(directory: Path, program: str):
    place = Path("/tmp", directory.parent.name + "-setuid")
    shutil.copy(directory / program, place)
    try:
        place.chmod(0o4755)
        user = {"user": 65534, "group": 65534, "extra_groups": []}
        status, out, error = said(place, "list", cwd="/", **user)
    finally:
        place.unlink()
    assert (status, out) == (1, "") and "must not be installed setuid" in error


# -- what is in it ------------------------------------------------------------------------------

# What a start asks the kernel before it is written; an answer to anything else could grow old.
# (readlinkat: by the loader of glibc 2.43; sched_getaffinity: by Python 3.14, as it begins.)
ASKED = set(
    """execve personality openat read pread64 close brk access newfstatat fstat fstatfs mmap munmap
    mprotect arch_prctl set_tid_address set_robust_list prlimit64 getrandom clock_gettime gettid
    getpid geteuid getuid getgid getegid readlink sysinfo time lseek futex prctl write dup fcntl
    epoll_create1 getdents64 getcwd ioctl rt_sigaction rt_sigprocmask statx stat open
    readlinkat sched_getaffinity exit_group""".split()
)


def test_it_holds_nothing_of_the_machine(directory: Path, tmp_path: Path):
    """Files are read that belong to it, and nothing else is asked."""
    trace = tmp_path / "trace"
    make = said("strace", "-f", "-qq", "-o", trace, *making(directory))
    assert make == (0, "", "")
    text = trace.read_text()
    pid = re.search(rf'^(\d+) +execve\("{STARTER}"', text, re.MULTILINE)
    assert pid
    lines = re.findall(rf"^{pid[1]} +(\w+)\((.*)", text, re.MULTILINE)
    started = next(n for n, line in enumerate(lines) if str(STARTER) in line[1])
    assert {name for name, _ in lines[started:]} <= ASKED
    opened = [
        re.search(r'"([^"]*)"', rest)
        for name, rest in lines[started:]
        if name in ("open", "openat")
    ]
    paths = {found[1] for found in opened if found}
    assert {path for path in paths if path.startswith(("/proc", "/sys", "/run", "/dev"))} <= {
        "/proc/self/maps",
        "/proc/sys/vm/overcommit_memory",  # of an allocator that Python 3.13 has, but does not use
    }
    assert not re.findall(r"/etc/(?!ld\.so\.cache|localtime)\S+", " ".join(paths))


def test_the_environment_is_the_callers(box: Box, command: Path):
    bundle = box.bundle("/bin/env")
    words = ["--root", box.pycontainer.root, "run", "-b", bundle, box.id()]
    script = 'exec 3</dev/null; LISTEN_PID=$$ LISTEN_FDS=1 exec "$@"'
    status, out, error = said("sh", "-c", script, "sh", command, *words)
    assert (status, error) == (0, "") and "LISTEN_FDS=1" in out.split()


def test_each_start_has_another_stack_protector(box: Box, command: Path):
    """The kernel gives random bytes to each process; the snapshot's own must not be used."""
    address = FACTS.unpack_from(SNAPSHOT.read_bytes(), facts_at())[CANARY]
    found = set()
    for number in range(2):
        name = box.id(f"c{number}")
        words = ["run", "--keep", "-b", box.bundle("/bin/cat"), name]  # no attendant
        argv = [command, "--root", box.pycontainer.root, *words]
        with subprocess.Popen(
            list(map(str, argv)), stdin=subprocess.PIPE, env=ENVIRONMENT
        ) as runtime:
            box.pycontainer.wait_for(name, "running")
            with open(f"/proc/{runtime.pid}/mem", "rb") as memory:
                memory.seek(address)
                found.add(memory.read(8))
            runtime.communicate(timeout=60 * SLOWNESS)
    assert len(found) == 2 and all(value[0] == 0 for value in found)


def test_an_interrupt_is_an_exception_unless_it_is_ignored(box: Box, command: Path):
    """As at an ordinary start of Python."""
    for ignored in (False, True):
        name = box.id("i" if ignored else "h")
        words = [command, "--root", box.pycontainer.root, "events", "--interval", "1s", name]
        box.pycontainer("create", "-b", box.bundle("/bin/sleep", "100"), name).ok()
        box.pycontainer("start", name).ok()
        with subprocess.Popen(
            ["env", f"--{'ignore' if ignored else 'default'}-signal=INT", *map(str, words)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=ENVIRONMENT,
        ) as events:
            assert events.stdout and events.stdout.readline()
            events.send_signal(signal.SIGINT)
            if ignored:
                assert events.stdout.readline()
                events.kill()
            else:
                assert events.wait(60 * SLOWNESS) == 130


def test_a_deeply_nested_document_is_an_error(box: Box, command: Path):
    """Python knows the bounds of the stack that it runs on."""
    bundle = box.bundle("/bin/true")
    bundle.write()
    (bundle.path / "config.json").write_text("[" * 200_000)
    status, _, error = said(command, "--root", box.pycontainer.root, "run", "-b", bundle.path, "x")
    assert status == 1 and len(error.splitlines()) == 1
