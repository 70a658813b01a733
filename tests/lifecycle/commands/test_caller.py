"""What the caller lacks: an open stdout, an environment; and what outlives init."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from pycontainer.linux.process import alive, start_time
from tests.support.box import Box
from tests.support.runtimes import CHECKOUT, Runtime

FAST = CHECKOUT / "build" / "fast" / "pycontainer"
SCRIPT = CHECKOUT / "build" / "pycontainer"


PRINTING = (
    "state ID",
    "list",
    "list -q",
    "list --format json",
    "list --long",
    "ps ID",
    "events --stats ID",
    "stats",
    "metrics",
    "features",
    "info",
    "plan BUNDLE",
    "plan --json BUNDLE",
    "check BUNDLE",
    "help run",
    "--version",
    "--help",
    "spec --help",
)


@pytest.mark.parametrize("where", [">&-", ">/dev/full"])
@pytest.mark.parametrize("command", [FAST, SCRIPT], ids=["fast", "script"])
@pytest.mark.parametrize("words", PRINTING)
def test_output_that_cannot_be_written(box: Box, command: Path, words: str, where: str):
    name = box.running()
    words = words.replace("BUNDLE", str(box.bundle()))
    argv = [str(command), "--root", str(box.pycontainer.root), *words.replace("ID", name).split()]
    done = subprocess.run(
        ["sh", "-c", f'"$@" {where}', "sh", *argv], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 1 and "write to stdout: " in done.stderr, done


def test_an_ordinary_user_without_a_runtime_directory(box: Box):
    """After su or in cron: the error says what to set."""
    box.needs_root("become another user")
    bundle = box.bundle()
    for part in [*bundle.rootfs.parents, bundle.rootfs]:
        if str(part).startswith("/tmp/"):
            part.chmod(0o755)
    done = subprocess.run(
        ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "env", "-i", str(FAST),
         "run", "-b", str(bundle), box.id()],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 1 and "XDG_RUNTIME_DIR" in done.stderr and "--root" in done.stderr


def test_kill_reaches_what_has_outlived_init(box: Box, pyc: Runtime):
    """In the host's pid namespace nothing ends the others with init."""
    box.needs_a_cgroup()
    bundle = box.bundle("/bin/sleep", "1000")
    bundle.drop_namespace("pid")
    name, file = box.id(), box.directory / "pid"
    pyc("run", "-d", "-b", bundle, name).ok()
    pyc("exec", "-d", "--pid-file", file, name, "/bin/sleep", "1001").ok()
    other = int(file.read_text())
    started = start_time(other) or 0
    assert alive(other, started)
    os.kill(pyc.state(name)["pid"], 9)
    pyc.wait_for(name, "stopped")
    pyc("kill", name, "TERM").fails("container not running")
    pyc("kill", name, "KILL").ok()
    pyc("delete", name).ok()
    assert not alive(other, started)


@pytest.mark.parametrize(
    "field, value",
    [
        ("linux.memoryPolicy.nodes", {"mode": "MPOL_PREFERRED", "nodes": "1000000"}),
        ("linux.memoryPolicy.nodes", {"mode": "MPOL_BIND", "nodes": "0,3-999999999"}),
        ("process.execCPUAffinity.initial", {"initial": "0-999999999"}),
    ],
)
def test_numbers_beyond_any_machine(box: Box, field: str, value: dict[str, str]):
    """Nothing is computed on them."""
    bundle = box.bundle()
    owner, name, _ = field.split(".")
    bundle.config[owner][name] = value
    box.run(bundle, timeout=10).fails(f"{field}: is", "must be below")


# In a mount namespace of its own: /dev/null is a plain file, or not there.
WITHOUT_NULL = {
    "plain": "mount --bind $1/plain /dev/null",
    "absent": """
        mkdir $1/dev && mount -t tmpfs dev $1/dev && cd /dev
        for node in zero full random urandom tty; do
            touch $1/dev/$node && mount --bind $node $1/dev/$node
        done
        mount --move $1/dev /dev && cd /""",
}


@pytest.mark.parametrize("command", [FAST, SCRIPT], ids=["fast", "script"])
@pytest.mark.parametrize("null", WITHOUT_NULL)
def test_a_host_without_the_null_device(box: Box, null: str, command: Path):
    """Also where descriptors are closed, which /dev/null takes the place of."""
    box.needs_root("mounts")
    plain = box.directory / "plain"
    plain.write_text("host's")
    bundle = box.bundle().script("cat; echo out; echo err >&2; test -c /dev/null && sleep 1000")
    root, name = box.pycontainer.root, box.id()
    script = f"""
        set -e; {WITHOUT_NULL[null]}
        pyc="{command} --root {root}"; bundle={bundle.write()}
        $pyc run -d -b $bundle {name} <&- >&- 2>&-
        $pyc exec {name} sh -c 'cat; exit 7' <&- && exit 1 || test $? = 7
        $pyc exec {name} true <&- >&- 2>&-
        $pyc state {name}
        $pyc delete --force {name} <&- >&-
    """
    argv = ["unshare", "-m", "sh", "-c", script, "sh", str(box.directory)]
    done = subprocess.run(argv, stdin=subprocess.PIPE, capture_output=True, timeout=60, check=False)
    assert done.returncode == 0 and b'"running"' in done.stdout, done
    assert plain.read_text() == "host's"


@pytest.mark.parametrize("command", [FAST, SCRIPT], ids=["fast", "script"])
@pytest.mark.parametrize("limit", ["-s 32", "-f 1", "-Sn 20"])
def test_a_small_limit(box: Box, command: Path, limit: str):
    """It works, or the reason is told; no signal ends the command."""
    if command == SCRIPT and limit == "-s 32":
        pytest.skip("one in four starts of Python itself ends in SIGSEGV there")
    argv = [command, "--root", box.pycontainer.root, "run", "-b", box.bundle(), box.id()]
    # A quarter of the stack's limit is the kernel's for arguments and environment, execve(2).
    script = ["env", "-i", "sh", "-c", f'ulimit {limit}; exec "$@"', "sh", *map(str, argv)]
    done = subprocess.run(script, capture_output=True, text=True, timeout=60, check=False)
    if done.returncode:
        words = {"-f 1": "file too large", "-Sn 20": "too many open files"}[limit]
        assert done.returncode == 1 and words in done.stderr, done


@pytest.mark.parametrize("files", range(8, 28, 4))
def test_few_descriptors(box: Box, files: int):
    """Whatever cannot be opened: the reason and the remedy."""
    argv = [FAST, "--root", box.pycontainer.root, "exec", box.running(), "true"]
    script = ["sh", "-c", f'ulimit -Sn {files}; exec "$@"', "sh", *map(str, argv)]
    done = subprocess.run(script, capture_output=True, text=True, timeout=60, check=False)
    if done.returncode:
        assert done.returncode == 255 and "too many open files" in done.stderr, done
        assert "ulimit -n" in done.stderr, done


@pytest.mark.parametrize("command", [FAST, SCRIPT], ids=["fast", "script"])
def test_an_answer_that_the_file_size_limit_forbids(box: Box, command: Path):
    argv = [command, "--root", box.pycontainer.root, "state", box.running()]
    script = ["sh", "-c", f'ulimit -f 0; exec "$@" > {box.directory}/state', "sh", *map(str, argv)]
    done = subprocess.run(script, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1 and "file too large" in done.stderr, done
