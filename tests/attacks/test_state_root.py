"""Another user's state directory: its files could name any process, so nobody acts on them.

Each attack offers a container "x" whose init is a process outside of any container. The controls
show that the same files work for their owner, and where a directory is shared but safe.
"""

from __future__ import annotations

import os
import pwd
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pycontainer.linux.process import start_time
from pycontainer.state import fast_record
from pycontainer.state.state import Facts
from pycontainer.state.store import Store
from tests.support.box import Box
from tests.support.bundles import busybox_bundle
from tests.support.runtimes import CHECKOUT, Done

FAST = CHECKOUT / "build" / "fast" / "pycontainer"
SCRIPT = CHECKOUT / "build" / "pycontainer"
NOBODY = pwd.getpwnam("nobody")
AS_NOBODY = ["setpriv", f"--reuid={NOBODY.pw_uid}", f"--regid={NOBODY.pw_gid}", "--clear-groups"]

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="the attacked user is root")

COMMANDS = (
    "state x",
    "start x",
    "kill x KILL",
    "kill --all x KILL",
    "kill --regex . KILL",
    "delete x",
    "delete --force x",
    "delete --regex --force .",
    "exec x /bin/true",
    "pause x",
    "resume x",
    "ps x",
    "events --stats x",
    "update --pids-limit 10 x",
    "checkpoint x",
    "mounts add x MOUNTS",
    "list",
    "gc",
)


@pytest.fixture
def victim() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(["/bin/sleep", "1000"])
    yield process
    process.kill()
    process.wait()


@pytest.fixture(params=[FAST, SCRIPT], ids=["fast", "script"])
def command(request: pytest.FixtureRequest) -> str:
    """The front decides by itself first; the script is Python alone."""
    if not request.param.exists():
        pytest.skip(f"{request.param} is not built")
    return str(request.param)


def offer(root: Path, victim: subprocess.Popen[bytes]) -> Path:
    """A container "x" below `root` that is as it should be, but for its init."""
    root.mkdir(mode=0o711)
    facts = Facts(
        id="x",
        phase="created",
        pid=victim.pid,
        start_time=start_time(victim.pid),
        extra={"hooks": []},
    )
    with Store(str(root)).reserve("x") as entry:
        entry.write_config(b'{"ociVersion": "1.0.2"}')
        entry.write_facts(facts)
    return root / "x"


def give_away(*paths: Path) -> None:
    for path in paths:
        os.chown(path, NOBODY.pw_uid, NOBODY.pw_gid)


def everything(root: Path) -> None:
    give_away(root, root / "x", *(root / "x").iterdir())


def run(command: str, root: Path, words: str, as_user: list[str] | None = None) -> Done:
    argv = [*(as_user or []), command, "--root", str(root), *words.split()]
    done = subprocess.run(
        argv, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=30
    )
    return Done(argv, done.returncode, done.stdout, done.stderr)


def lives(process: subprocess.Popen[bytes]) -> bool:
    time.sleep(0.1)
    return process.poll() is None


@pytest.mark.parametrize("words", COMMANDS)
def test_no_command_uses_it(box: Box, victim, command: str, words: str):
    root = box.directory / "evil"
    offer(root, victim)
    everything(root)
    mounts = box.directory / "mounts.json"
    mounts.write_text('[{"destination": "/mnt", "source": "/mnt", "options": ["bind"]}]')
    words = words.replace("MOUNTS", str(mounts))
    status = 255 if words.startswith("exec") else 1
    refusal = f"use {root}: it belongs to user {NOBODY.pw_uid}"
    run(command, root, words).fails(refusal, status=status)
    assert lives(victim)
    assert (root / "x" / "state.json").exists()


@pytest.mark.parametrize("words", ["create", "run"])
def test_no_container_is_made_there(box: Box, command: str, words: str):
    root = box.directory / "evil"
    root.mkdir()
    give_away(root)
    bundle = box.bundle("/bin/true")
    run(command, root, f"{words} -b {bundle} {box.id()}").fails("it belongs to user")
    assert list(root.iterdir()) == []


# What is done to a root of the caller's own, and what the refusal names.
WRITABLE: dict[str, tuple[Callable[[Path], None], str]] = {
    "the root is another user's": (give_away, ""),
    "all may write to the root": (lambda root: root.chmod(0o777), ""),
    "a group may write to the root": (lambda root: root.chmod(0o775), ""),
    "another user's entry": (lambda root: give_away(root / "x"), "/x"),
    "a group may write to the entry": (lambda root: (root / "x").chmod(0o770), "/x"),
    "an entry in a sticky root": (
        lambda root: (root.chmod(0o1777), give_away(root / "x", *(root / "x").iterdir())),
        "/x",
    ),
    "another user's state file": (
        lambda root: give_away(root / "x" / "state.json"),
        "/x/state.json",
    ),
    "all may write to the state file": (
        lambda root: (root / "x" / "state.json").chmod(0o666),
        "/x/state.json",
    ),
}


@pytest.mark.parametrize("variant", WRITABLE)
@pytest.mark.parametrize("words", ["state x", "kill x KILL", "delete --force x"])
def test_each_part_is_looked_at(box: Box, victim, command: str, words: str, variant: str):
    root = box.directory / "mine"
    offer(root, victim)
    change, named = WRITABLE[variant]
    change(root)
    run(command, root, words).fails(f"use {root}{named}: ")
    assert lives(victim)


@pytest.mark.parametrize("whose", ["link", "target"])
def test_a_link_of_another_user(box: Box, victim, command: str, whose: str):
    root, link = box.directory / "target", box.directory / "link"
    offer(root, victim)
    link.symlink_to(root)
    if whose == "link":
        os.lchown(link, NOBODY.pw_uid, NOBODY.pw_gid)
    else:
        everything(root)
    run(command, link, "kill x KILL").fails(f"use {link}: it belongs to user")
    assert lives(victim)


def test_an_entry_that_is_a_link(box: Box, victim, command: str):
    offer(box.directory / "other", victim)
    root = box.directory / "mine"
    root.mkdir()
    (root / "x").symlink_to(box.directory / "other" / "x")
    assert run(command, root, "kill x KILL").status == 1
    assert lives(victim)


@pytest.mark.parametrize("words", ["state x", "kill x KILL", "delete --force x"])
@pytest.mark.parametrize("name", ["state.json", "record"])
def test_a_fifo_in_place_of_a_file(box: Box, victim, command: str, words: str, name: str):
    """Nobody waits for what never comes."""
    root = box.directory / "mine"
    entry = offer(root, victim)
    (entry / name).unlink(missing_ok=True)
    os.mkfifo(entry / name, 0o600)
    done = run(command, root, words)
    if name == "state.json":
        done.fails(f"use {root}/x/state.json: it is not a regular file")
        assert lives(victim)
    else:
        done.ok()


def test_a_record_of_another_user(box: Box, victim, command: str):
    """The record is for the front alone; the container's own init is what is killed then."""
    root = box.directory / "mine"
    init = subprocess.Popen(["/bin/sleep", "1000"])
    try:
        entry = offer(root, init)
        facts = Facts(id="x", phase="created", pid=victim.pid, start_time=start_time(victim.pid))
        data = fast_record.pack(facts, (entry / "state.json").stat())
        (entry / "record").write_bytes(data)
        give_away(entry / "record")
        run(command, root, "kill x KILL").ok()
        assert init.wait(5) == -9
        assert lives(victim)
    finally:
        init.kill()
        init.wait()


# -- what must go on working --------------------------------------------------------------------


def test_the_same_files_work_for_their_owner(box: Box, victim, command: str):
    root = box.directory / "mine"
    offer(root, victim)
    assert '"status": "running"' in run(command, root, "state x").ok().out
    run(command, root, "kill x KILL").ok()
    assert victim.wait(5) == -9


@pytest.mark.parametrize("how", ["sticky", "link"])
def test_a_shared_directory_of_root(box: Box, victim, command: str, how: str):
    root = box.directory / "mine"
    offer(root, victim)
    if how == "sticky":
        root.chmod(0o1777)
    else:
        root.rename(box.directory / "there")
        root.symlink_to(box.directory / "there")
    run(command, root, "kill x KILL").ok()
    assert victim.wait(5) == -9


@pytest.mark.parametrize("mode", [0o700, 0o755, 0o775])
@pytest.mark.parametrize("inside", [[], ["unshare", "--map-root-user"]], ids=["user", "mapped"])
def test_an_ordinary_user(box: Box, tmp_path: Path, command: str, mode: int, inside: list[str]):
    """In a directory of the user's, whose umask may be 002; also as root of a user namespace."""
    reachable(box.directory)
    root = box.directory / "theirs"
    root.mkdir()
    give_away(root)
    root.chmod(mode)
    life(box, command, root, inside)


def test_an_ordinary_user_in_tmp(box: Box, command: str):
    """A sticky directory of root's; in a user namespace the owner is one that it does not map."""
    reachable(box.directory)
    root = box.directory / "shared"
    root.mkdir()
    root.chmod(0o1777)
    life(box, command, root, ["unshare", "--map-root-user"])


def reachable(path: Path) -> None:
    """Let an ordinary user pass to the test's directory."""
    while path != path.parent and path.stat().st_uid == 0 and path.name != "tmp":
        path.chmod(path.stat().st_mode | 0o011)
        path = path.parent


def life(box: Box, command: str, root: Path, inside: list[str]) -> None:
    """Create, look at, kill and delete a container as nobody."""
    bundle = busybox_bundle(box.directory / "theirbundle", "/bin/sleep", "1000")
    uid, gid = (0, 0) if inside else (NOBODY.pw_uid, NOBODY.pw_gid)
    bundle.new_namespace("user")
    for name, own in (("uidMappings", uid), ("gidMappings", gid)):
        bundle.linux[name] = [{"containerID": 0, "hostID": own, "size": 1}]
    bundle.linux.pop("resources", None)
    who = [*AS_NOBODY, *inside]
    name = box.id()
    output = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "timeout": 30}
    subprocess.run(
        [*who, command, "--root", root, "run", "-d", "-b", str(bundle), name], check=True, **output
    )
    try:
        assert '"status": "running"' in run(command, root, f"state {name}", who).ok().out
        assert run(command, root, "list -q", who).ok().out == f"{name}\n"
        if not inside:  # each command makes a user namespace, which cannot enter the other one's
            run(command, root, f"exec {name} /bin/true", who).ok()
        run(command, root, f"state {name}").fails("it belongs to user")
    finally:
        run(command, root, f"delete --force {name}", who).ok()
