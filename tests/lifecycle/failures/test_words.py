"""Failures made for real: each line names what is wrong, where, and what to do about it.

Those of programs that are not found or executed are in test_program.py.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from typing import Any

import pytest

from tests.support.box import Box
from tests.support.bundles import Bundle
from tests.support.runtimes import Done

Change = Callable[[Bundle], Any]


def config(**members: Any) -> Change:
    return lambda bundle: bundle.config.update(members)


def process(**members: Any) -> Change:
    return lambda bundle: bundle.process.update(members)


def linux(**members: Any) -> Change:
    return lambda bundle: bundle.linux.update(members)


def resources(**members: Any) -> Change:
    return lambda bundle: bundle.linux.update(resources=members)


def mount(**entry: Any) -> Change:
    entry = {"destination": "/mnt", "type": "tmpfs", "source": "tmpfs", **entry}
    return lambda bundle: bundle.config["mounts"].append(entry)


def bind(source: str, destination: str = "/mnt") -> Change:
    return mount(source=source, destination=destination, options=["bind"])


def files(limit: int) -> Change:
    return process(rlimits=[{"type": "RLIMIT_NOFILE", "soft": limit, "hard": limit}])


def root_is_a_file(bundle: Bundle) -> None:
    shutil.rmtree(bundle.rootfs)
    bundle.rootfs.touch()


def root_is_missing(bundle: Bundle) -> None:
    bundle.config["root"]["path"] = "rotfs"


def file_in_the_way(change: Change) -> Change:
    def both(bundle: Bundle) -> None:
        (bundle.rootfs / "mnt" / "file").touch()
        change(bundle)

    return both


def namespace(kind: str, path: str) -> Change:
    return lambda bundle: bundle.join_namespace(kind, path)


def hook(stage: str, **entry: Any) -> Change:
    return config(hooks={stage: [entry]})


def no_mappings(bundle: Bundle) -> None:
    bundle.new_namespace("user")


def text(change: Callable[[str], str]) -> Change:
    """Changes the file itself."""
    return lambda bundle: (bundle.path / "config.json").write_text(
        change(json.dumps(bundle.config))
    )


MISSING = "no such file or directory"
DEVICE = {"path": "/mnt/file/x", "type": "c", "major": 1, "minor": 3}
AGENT = {
    "defaultAction": "SCMP_ACT_ALLOW",
    "listenerPath": "/no/agent",
    "syscalls": [{"names": ["mkdir"], "action": "SCMP_ACT_NOTIFY"}],
}

# What is wrong with a bundle: (how, words of the line of `run`)
OF_A_BUNDLE: dict[str, tuple[Change, tuple[str, ...]]] = {
    "root is missing": (
        root_is_missing,
        (MISSING, "from root.path", "has no rotfs, but rootfs", "correct the path"),
    ),
    "root is a file": (
        root_is_a_file,
        ("from root.path", "rootfs is a file, not a directory", "unpack an image there"),
    ),
    "source is missing": (
        bind("/etc/hostnam"),
        (MISSING, "mounts[7]", "/etc has no hostnam, but hostname", "create it"),
    ),
    "source below a file": (
        bind("/etc/hostname/x"),
        ("mounts[7]", "/etc/hostname is a file, not a directory; fix: correct mounts[7].source"),
    ),
    "file on a directory": (
        bind("/etc/hostname"),
        ("mounts[7]", "source is a file, the target is a directory", "e.g. /mnt/hostname"),
    ),
    "directory on a file": (
        bind("/tmp", "/bin/busybox"),
        ("mounts[7]", "the target is a file", "name a directory as mounts[7].destination"),
    ),
    "target below a file": (
        file_in_the_way(bind("/tmp", "/mnt/file/x")),
        (
            "prepare the mount point /mnt/file/x",
            "below /mnt/file, which is a file in the image; fix: change mounts[7].destination",
        ),
    ),
    "device below a file": (
        file_in_the_way(linux(devices=[DEVICE])),
        ("below /mnt/file, which is a file in the image; fix: change linux.devices[0].path",),
    ),
    "type of a mount": (mount(type="tmfps"), ("mounts[7]", "no such device", "mean tmpfs?")),
    "option of a mount": (
        mount(options=["siez=1m"]),
        ("mounts[7]", "Unknown parameter 'siez'", "mean size?"),
    ),
    "value of an option": (
        mount(options=["size=1Q"]),
        ("Bad value for 'size'", "give it in mounts[7].options as bytes"),
    ),
    "layer of an overlay": (
        mount(type="overlay", source="overlay", options=["lowerdir=/no/such"]),
        (
            "lowerdir: /no/such does not exist: the directory /no does not exist",
            "correct mounts[7].options",
        ),
    ),
    "mount inside /proc": (
        bind("/tmp", "/proc/foo"),
        ("mounts[7]", "because it is inside /proc", "choose another destination"),
    ),
    "value of a sysctl": (
        linux(sysctl={"net.ipv4.ip_forward": "on"}),
        ("linux.sysctl.net.ipv4.ip_forward", "give one like that of the host, which is"),
    ),
    "name of a sysctl": (
        linux(sysctl={"net.ipv4.ip_forwad": "1"}),
        ("the kernel has no such setting", "did you mean ip_forward?"),
    ),
    "sysctl of the host": (
        linux(sysctl={"vm.swappiness": "1"}),
        ("would change the host", "set it on the host with"),
    ),
    "working directory is a file": (
        process(cwd="/bin/sh/x"),
        ("process.cwd", "/bin/busybox is a file, not a directory"),
    ),
    "limit above ours": (
        files(1 << 30),
        ("process.rlimits[0]", "this host allows", f"or sudo sysctl -w fs.nr_open={1 << 30}"),
    ),
    "limit above any kernel's": (files(1 << 40), ("this host allows", "set soft and hard to at")),
    "AppArmor that is not there": (
        process(apparmorProfile="nosuch"),
        ("process.apparmorProfile", "remove the field"),
    ),
    "SELinux that is not there": (
        process(selinuxLabel="a:b:c:s0"),
        ("process.selinuxLabel", "remove the field"),
    ),
    "file of a namespace": (
        namespace("network", "/run/nosuch/net"),
        (
            "/run/nosuch/net",
            "].path",
            "the directory /run/nosuch does not exist",
            "start its owner first",
        ),
    ),
    "namespace of nobody": (
        namespace("network", "/proc/4194304/ns/net"),
        ("].path", "the process 4194304 has ended"),
    ),
    "namespace of another type": (
        namespace("network", "/proc/self/ns/mnt"),
        ("mnt is not a network namespace", "it is a mount namespace", "/proc/PID/ns/net"),
    ),
    "memory limit": (
        resources(memory={"limit": 4096}),
        ("out of memory (limit 4096 bytes", "raise linux.resources.memory.limit"),
    ),
    "hook fails": (
        hook("createRuntime", path="/bin/sh", args=["sh", "-c", "echo oops >&2; exit 3"]),
        ("hooks.createRuntime[0]", "exit status 3", "stderr: oops"),
    ),
    "hook is missing": (
        hook("createRuntime", path="/bin/no-such-hook"),
        (MISSING, "hooks.createRuntime[0]", "/usr/bin has no no-such-hook", "on this host"),
    ),
    "hook is no program": (
        hook("createRuntime", path="/etc/hostname"),
        (
            "hooks.createRuntime[0]",
            "without a #! line; fix: correct the hook's path, or if it is a script, add #!/bin/sh",
        ),
    ),
    "hook of the image is missing": (
        hook("startContainer", path="/hooks/start"),
        (MISSING, "hooks.startContainer[0]", "/ has no hooks", "in the root file system"),
    ),
    "hook takes too long": (
        hook("createRuntime", path="/bin/sleep", args=["sleep", "9"], timeout=1),
        ("hooks.createRuntime[0]", "ran past specified timeout of 1.0s", "raise its timeout"),
    ),
    "seccomp action": (
        linux(seccomp={"defaultAction": "SCMP_ACT_ALOW"}),
        ("linux.seccomp.defaultAction", "did you mean SCMP_ACT_ALLOW?"),
    ),
    "seccomp agent": (
        linux(seccomp=AGENT),
        ("connect to seccomp agent /no/agent", "start what listens there"),
    ),
    "no mappings": (no_mappings, ("linux.uidMappings", "add one, e.g.")),
    "network device": (
        linux(netDevices={"nosuch0": {}}),
        ('linux.netDevices["nosuch0"]', "runtime's own network namespace has no nosuch0"),
    ),
    "memory node": (
        linux(memoryPolicy={"mode": "MPOL_BIND", "nodes": "77"}),
        ("linux.memoryPolicy", "has the memory nodes 0", "name some of these"),
    ),
    "host name": (
        lambda bundle: bundle.drop_namespace("uts"),
        ("hostname", 'add {"type": "uts"}'),
    ),
    "no terminal": (
        process(terminal=True),
        ("process.terminal is true", "set process.terminal to false"),
    ),
    "no JSON": (text(lambda json: json[:-1]), ("config.json: ", "line 1 column")),
    "no object": (text(lambda json: "[]"), ("holds an array, must be an object",)),
}

# Of a command line with a running container, %ID: (words, words of the line, exit status)
OF_A_COMMAND: dict[str, tuple[str, tuple[str, ...], int]] = {
    "unknown flag": ("state --jsn %ID", ("not defined: -jsn", '"pycontainer state --help"'), 1),
    "misspelt flag": ("run --bundel . %NEW", ("-bundel; did you mean --bundle?",), 1),
    "misspelt global flag": ("--rot /x list", ("-rot; did you mean --root?", "--help"), 1),
    "flag without value": ("run --bundle", ("flag needs an argument: --bundle",), 1),
    "flag with a bad value": ("exec --preserve-fds x %ID ls", ('"x"', "a whole number"), 1),
    "too few words": ("kill", ("requires a minimum of 1", "usage: pycontainer kill"), 1),
    "too many words": ("state %ID %ID", ("exactly 1", "usage: pycontainer state CONTAINER"), 1),
    "misspelt command": ("creat %ID", ("'creat'; did you mean create?",), 3),
    "command of another tool": ("rm %ID", ("'rm'; did you mean delete?",), 3),
    "id that is none": ("state a/b", ("invalid container ID format", '"a/b"'), 1),
    "container that is not there": (
        "state nosuch",
        ("does not exist", 'no "nosuch" in %ROOT', "one that `list` shows"),
        1,
    ),
    "misspelt container": ("state %IDx", ("does not exist", "did you mean %ID?"), 1),
    "container that is there": (
        "create -b %BUNDLE %ID",
        ("already exists", "than %ID"),
        1,
    ),
    "running when deleted": ("delete %ID", ("not stopped: running", "use --force"), 1),
    "running when started": (
        "start %ID",
        ("already running", "%ID is running", "`exec` runs one more program"),
        1,
    ),
    "running when resumed": ("resume %ID", ("container not paused", "running: nothing to do"), 1),
    "unknown signal": ("kill %ID TREM", ('unknown signal "TREM"', "did you mean TERM?"), 1),
    "exec without command": ("exec %ID", ("args cannot be empty", "after the container"), 255),
    "exec in a directory": ("exec --cwd /nosuch %ID ls", (MISSING, "from --cwd", "/ has no"), 255),
    "exec in a relative one": ("exec --cwd tmp %ID ls", ("--cwd: is", "absolute"), 255),
    "exec with a variable": ("exec --env FOO %ID ls", ("--env: is", "must be NAME=value"), 255),
    "exec as a name": (
        "exec --user alice %ID ls",
        ('bad uid "alice"', "`exec CONTAINER id -u alice`"),
        255,
    ),
    "exec of a file": (
        "exec --process /no/such %ID",
        (MISSING, "from --process", "the directory /no does not exist"),
        255,
    ),
    "update to nonsense": ("update --memory 64Q %ID", ("for memory", '"64Q"', "with k, m or g"), 1),
    "update to absent CPUs": (
        "update --cpuset-cpus 4000 %ID",
        ("4000", "parent cgroup allows", "some of these"),
        1,
    ),
    "format": ("list --format yaml", ("the formats are table and json",), 1),
    "log format": ("--log-format xml list", ("log-format: xml", "must be text or json"), 1),
    "log": (
        "--log /no/such/log list",
        ("/no/such/log", MISSING, "--log", "the directory /no does not exist"),
        1,
    ),
    "state directory": ("--root /etc/hostname run -b %BUNDLE %NEW", ("/etc/hostname", "--root"), 1),
    "state directory in /proc": (
        "--root /proc/x/y run -b %BUNDLE %NEW",
        ("create /proc/x", MISSING, "/proc/x does not exist"),
        1,
    ),
    "exec in no cgroup": (
        "exec --cgroup x %ID ls",
        ("enter cgroup x", "fix: mkdir -p /sys/fs/cgroup/", "give --cgroup"),
        255,
    ),
    "report": (
        "exec --seccomp-report /no/such %ID ls",
        ("open /no/such", "from --seccomp-report", "the directory /no does not exist"),
        255,
    ),
    "image": (
        "bundle /no/such /tmp/%NEW",
        ("open /no/such", "the directory /no does not exist"),
        1,
    ),
    "pid file": (
        "create -b %BUNDLE --pid-file /no/pid %NEW",
        ("pid file /no/pid", "the directory /no does not exist", "create it"),
        1,
    ),
    "bundle": ("run -b /no/such %NEW", ("chdir /no/such", MISSING, "/no does not exist; fix:"), 1),
    "bundle without config": (
        "run -b %ROOT %NEW",
        ("config.json not found (in %ROOT)", "with --bundle"),
        1,
    ),
}


def one_line(done: Done, words: tuple[str, ...], status: int = 1) -> str:
    done.fails(status=status)
    assert len(done.err.splitlines()) == 1, done.err
    line = done.err.replace('\\"', '"').replace("\\\\", "\\")
    for word in words:
        assert word in line
    # Said once: a line is read by somebody in a hurry.
    assert "Incorrect Usage" not in done.out and done.out == ""
    return line


@pytest.mark.parametrize("name", OF_A_BUNDLE)
def test_run(box: Box, name: str):
    change, words = OF_A_BUNDLE[name]
    bundle = box.bundle("/bin/true")
    bundle.write()
    change(bundle)
    path = bundle.path if name in ("no JSON", "no object") else bundle
    one_line(box.pycontainer("run", "-b", path, box.id("r")), words)
    box.empty()


@pytest.mark.parametrize("name", OF_A_COMMAND)
def test_command(box: Box, name: str):
    line, words, status = OF_A_COMMAND[name]
    container = box.running()
    known = {
        "%ID": container,
        "%NEW": box.id("new"),
        "%ROOT": str(box.pycontainer.root),
        "%BUNDLE": str(box.bundle()),
    }

    def filled(text: str) -> str:
        for key, value in known.items():
            text = text.replace(key, value)
        return text

    arguments = [filled(word) for word in line.split()]
    one_line(box.pycontainer(*arguments), tuple(map(filled, words)), status)
    assert box.pycontainer.status(container) == "running"


def test_a_container_in_another_state_directory(box: Box):
    """Where runtimes usually keep theirs, in a mount namespace of our own."""
    name = box.id()
    script = 'mount -t tmpfs tmpfs /run && mkdir -p "/run/containerd/runc/k8s.io/$0" && exec "$@"'
    argv = ["unshare", "-m", "sh", "-c", script, name, *box.pycontainer.argv("state", name)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 1
    assert "but in /run/containerd/runc/k8s.io; fix: give --root" in done.stderr


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("umount -l /proc", ("/proc is not mounted here", "mount -t proc proc /proc")),
        ("umount -l /sys/fs/cgroup", ("no cgroups are mounted here", "mount -t cgroup2")),
        (
            "mount -t tmpfs -o ro tmpfs /run",
            ("/run/pycontainer", "read-only file system", "give another --root"),
        ),
    ],
)
def test_a_host_that_lacks_something(box: Box, script: str, words: tuple[str, ...]):
    bundle, command = box.bundle("/bin/true"), box.pycontainer.command
    run = f'{script} && exec "$@"'
    argv = ["unshare", "-m", "sh", "-c", run, "sh", command, "run", "-b", str(bundle), box.id()]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 1, done
    for word in words:
        assert word in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_there_are_eighty():
    from tests.lifecycle.failures.test_program import NOT_EXECUTED, NOT_FOUND

    assert len({*NOT_FOUND, *NOT_EXECUTED}) + len(OF_A_BUNDLE) + len(OF_A_COMMAND) >= 80
