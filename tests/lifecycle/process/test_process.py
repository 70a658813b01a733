"""`process` of the config, one property at a time: what the program gets, and that runc agrees."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from tests.support.box import Box
from tests.support.bundles import Bundle
from tests.support.differences import PROCESS_DIFFERENCES
from tests.support.runtimes import Runtime

Change = Callable[[Bundle], Any]


def process(**properties: Any) -> Change:
    return lambda bundle: bundle.process.update(properties)


def linux(**properties: Any) -> Change:
    return lambda bundle: bundle.linux.update(properties)


def user(**properties: Any) -> Change:
    return lambda bundle: bundle.process["user"].update(properties)


def capabilities(**sets: list[str]) -> Change:
    return lambda bundle: bundle.process.update(capabilities=sets)


def top(**properties: Any) -> Change:
    return lambda bundle: bundle.config.update(properties)


def limit(kind: str, soft: int, hard: int) -> Change:
    return process(rlimits=[{"type": kind, "soft": soft, "hard": hard}])


def cwd_is_file(bundle: Bundle) -> None:
    (bundle.rootfs / "file").touch()
    bundle.process["cwd"] = "/file"


def private_directory(bundle: Bundle) -> None:
    path = bundle.rootfs / "private"
    path.mkdir(mode=0o700)
    if os.geteuid() != 0:
        pytest.skip("only root can give it away")
    os.chown(path, 1000, 1000)
    bundle.process.update(cwd="/private", user={"uid": 1000, "gid": 1000})


def linked_cwd(bundle: Bundle) -> None:
    (bundle.rootfs / "link").symlink_to("/tmp")
    bundle.process["cwd"] = "/link"


def no_passwd(bundle: Bundle) -> None:
    (bundle.rootfs / "etc" / "passwd").unlink()
    bundle.process["user"]["uid"] = 1000


CAPS = "grep ^Cap /proc/self/status"
KILL, RAW, CHOWN = "CAP_KILL", "CAP_NET_RAW", "CAP_CHOWN"
CHANGES: dict[str, tuple[Change, str]] = {
    "env": (process(env=["A=1", "B=x y", "A=2", "PATH=/bin", "E="]), "env | sort"),
    "env without PATH": (process(env=["A=1"], args=["/bin/sh"]), "echo $PATH"),
    "no env": (process(env=[]), "env | sort | grep -v PATH"),
    "HOME": (user(uid=1000), "echo $HOME"),
    "HOME given": (process(env=["PATH=/bin", "HOME=/x"]), "echo $HOME"),
    "HOME of a stranger": (user(uid=4711), "echo $HOME"),
    "HOME without passwd": (no_passwd, "echo $HOME"),
    "cwd": (process(cwd="/tmp"), "pwd"),
    "cwd made": (process(cwd="/new/one"), "pwd; stat -c '%a %u %g' /new /new/one"),
    "cwd made for a user": (
        lambda b: (user(uid=1000, gid=1000)(b), process(cwd="/new/one")(b)),
        "pwd; stat -c '%a %u %g' /new /new/one",
    ),
    "private cwd": (private_directory, "pwd; id -u"),
    "linked cwd": (linked_cwd, "pwd -P"),
    "cwd is a file": (cwd_is_file, "pwd"),
    "user": (user(uid=1000, gid=50), "id"),
    "groups": (user(uid=1000, gid=50, additionalGids=[60, 70, 60]), "id"),
    "umask": (user(umask=0o77), "umask; touch /tmp/x; stat -c %a /tmp/x"),
    "umask 0": (user(umask=0), "umask"),
    "no capabilities": (process(capabilities={}), CAPS),
    "capabilities left out": (lambda b: b.process.pop("capabilities"), CAPS),
    "ambient": (
        capabilities(bounding=[KILL], permitted=[KILL], inheritable=[KILL], ambient=[KILL]),
        CAPS,
    ),
    "bounding only": (capabilities(bounding=[KILL, RAW]), CAPS),
    "ambient of a user": (
        lambda b: (
            user(uid=1000)(b),
            capabilities(
                bounding=[KILL, RAW],
                permitted=[KILL, RAW],
                inheritable=[KILL],
                effective=[RAW],
                ambient=[KILL],
            )(b),
        ),
        CAPS,
    ),
    "effective of a user": (
        lambda b: (
            user(uid=1000)(b),
            capabilities(bounding=[CHOWN], permitted=[CHOWN], effective=[CHOWN])(b),
        ),
        CAPS,
    ),
    "new privileges": (process(noNewPrivileges=False), "grep NoNewPrivs /proc/self/status"),
    "no new privileges": (process(noNewPrivileges=True), "grep NoNewPrivs /proc/self/status"),
    "oomScoreAdj": (process(oomScoreAdj=321), "cat /proc/self/oom_score_adj"),
    "oomScoreAdj 0": (process(oomScoreAdj=0), "cat /proc/self/oom_score_adj"),
    "NOFILE": (limit("RLIMIT_NOFILE", 100, 200), "ulimit -Sn; ulimit -Hn"),
    "CORE": (limit("RLIMIT_CORE", 0, 0), "grep core /proc/self/limits"),
    "FSIZE": (limit("RLIMIT_FSIZE", 4096, 8192), "grep 'file size' /proc/self/limits"),
    "STACK": (limit("RLIMIT_STACK", 1 << 20, 1 << 21), "grep stack /proc/self/limits"),
    "raised limit": (limit("RLIMIT_NOFILE", 1 << 21, 1 << 21), "ulimit -n"),
    "unknown limit": (limit("RLIMIT_NOSUCH", 1, 1), "true"),
    "hostname": (top(hostname="other"), "hostname"),
    "domainname": (top(domainname="example.org"), "cat /proc/sys/kernel/domainname"),
    "sysctl": (
        linux(sysctl={"kernel.msgmax": "4711", "net.ipv4.ip_forward": "1"}),
        "cat /proc/sys/kernel/msgmax /proc/sys/net/ipv4/ip_forward",
    ),
    "personality": (linux(personality={"domain": "LINUX32"}), "uname -m"),
    "readonly root": (top(root={"path": "rootfs", "readonly": True}), "touch /x; echo $?"),
}


@pytest.mark.parametrize("case", CHANGES)
def test_changed_config(box: Box, case: str):
    change, script = CHANGES[case]
    results = {}
    for runtime in box.both():
        bundle = box.bundle().script(script)
        change(bundle)
        if bundle.process["args"] == ["/bin/sh"]:
            bundle.script(script)
        done = box.run(bundle, runtime=runtime.name)
        results[runtime.name] = (done.status, done.out)
        if runtime.name == "pycontainer" and done.status:
            assert len(done.err.splitlines()) == 1, repr(done)
    ours = results.pop("pycontainer")
    for theirs in results.values():
        assert ours == PROCESS_DIFFERENCES.get(case, (theirs,))[0]
    box.empty()


def test_a_large_environment_and_many_arguments(box: Box, pyc: Runtime):
    """CVE-2021-43784: no length is cut off."""
    bundle = box.bundle()
    bundle.process["env"] = ["PATH=/bin", "BIG=" + "x" * 70_000, "LAST=1"]
    bundle.process["args"] = ["/bin/sh", "-c", 'echo ${#BIG} $LAST $#; echo "${5000}"', "sh"]
    bundle.process["args"] += [str(n) for n in range(6000)]
    assert box.run(bundle).ok().out == "70000 1 6000\n4999\n"
    bundle.process["env"] = ["PATH=/bin", "BIG=" + "x" * 200_000]
    box.run(bundle).fails("argument list too long", "process.args")


@pytest.mark.parametrize("name", ["0", "5", "30"])
def test_the_working_directory_is_none_of_the_host(box: Box, pyc: Runtime, name: str):
    """CVE-2024-21626: no descriptor of ours leads out."""
    bundle = box.bundle("/bin/pwd")
    bundle.process["cwd"] = f"/proc/self/fd/{name}"
    done = box.run(bundle)
    if done.status == 0:  # where the root was opened early: that is the container's own by now
        assert done.out == "/\n" and os.geteuid() != 0
    else:
        done.fails("process.cwd")
    box.empty()


def test_bytes_that_are_no_utf8_pass_through(box: Box, pyc: Runtime):
    bundle = box.bundle("/bin/sh", "-c", "printf '%s' \"$A\" | od -An -tx1")
    bundle.process["env"] = ["PATH=/bin", "A=ä\u20ac"]
    assert box.run(bundle).ok().out.split() == "c3 a4 e2 82 ac".split()


def test_what_is_effective_has_to_be_permitted(box: Box):
    """capset(2) refuses it, and so do we before anything is made."""
    for runtime in box.both():
        bundle = box.bundle().script(CAPS)
        bundle.process["capabilities"]["permitted"] = ["CAP_KILL"]
        done = box.run(bundle, runtime=runtime.name).fails("unable to apply caps")
        assert runtime.name == "runc" or "process.capabilities.effective" in done.err


def test_the_directory_is_made_although_the_root_is_read_only(box: Box):
    for runtime in box.both():
        bundle = box.bundle("/bin/pwd")
        bundle.config["root"]["readonly"] = True
        bundle.process["cwd"] = f"/{runtime.name}/not/there"
        assert box.run(bundle, runtime=runtime.name).ok().out == f"/{runtime.name}/not/there\n"


def test_members_that_are_null(box: Box):
    """As if they were not there; exec, too, reads the same configuration."""
    for runtime in box.both():
        bundle, name = box.bundle("/bin/sleep", "1000"), box.id(runtime.name)
        bundle.process.update(env=None, rlimits=None, user=None, noNewPrivileges=None)
        bundle.config.update(hooks=None, annotations=None)
        for field in ("seccomp", "maskedPaths", "devices", "cgroupsPath"):
            bundle.linux[field] = None
        bundle.linux["resources"] = {"memory": {"limit": None}, "devices": None}
        runtime("run", "-d", "-b", bundle, name).ok()
        assert runtime("exec", name, "/bin/echo", "in").ok().out == "in\n"
        runtime("delete", "-f", name).ok()


def test_unknown_capabilities_are_a_warning(box: Box, pyc: Runtime):
    bundle = box.bundle().script(CAPS)
    bundle.process["capabilities"]["bounding"] = ["CAP_KILL", "CAP_NO_SUCH"]
    done = box.run(bundle).ok()
    assert "level=warning" in done.err and "CAP_NO_SUCH" in done.err


AMBIENT = {
    # permitted, inheritable: what cannot be raised
    "not inheritable": (["CAP_KILL", "CAP_CHOWN"], ["CAP_KILL"], ["CAP_CHOWN"]),
    "not permitted": (["CAP_KILL"], ["CAP_KILL", "CAP_CHOWN"], ["CAP_CHOWN"]),
    "neither": ([], [], ["CAP_CHOWN", "CAP_KILL"]),
    "all of them": (["CAP_KILL", "CAP_CHOWN"], ["CAP_KILL", "CAP_CHOWN"], []),
}


@pytest.mark.parametrize("command", ["run", "exec"])
@pytest.mark.parametrize("case", AMBIENT)
def test_ambient_capabilities_that_cannot_be_raised(box: Box, case: str, command: str):
    """A warning that names them, config.md#linux-process; the others are raised."""
    permitted, inheritable, lost = AMBIENT[case]
    bundle = box.bundle("/bin/grep", "CapAmb", "/proc/self/status")
    bundle.process["capabilities"] = {
        "bounding": ["CAP_KILL", "CAP_CHOWN"], "effective": [], "permitted": permitted,
        "inheritable": inheritable, "ambient": ["CAP_CHOWN", "CAP_KILL"],
    }  # fmt: skip
    if command == "run":
        done = box.run(bundle).ok()
    else:
        file = box.directory / "process.json"
        file.write_text(json.dumps(bundle.process))
        done = box.pycontainer("exec", "--process", file, box.running()).ok()
    raised = (1 << 0) * ("CAP_CHOWN" not in lost) | (1 << 5) * ("CAP_KILL" not in lost)
    assert int(done.out.split()[1], 16) == raised
    warnings = [line for line in done.err.splitlines() if "ambient" in line]
    assert len(warnings) == bool(lost)
    assert all(" ".join(lost) in line and "level=warning" in line for line in warnings), done


def test_a_caller_whose_securebits_forbid_ambient_capabilities(box: Box, pyc: Runtime):
    box.needs_root("sets securebits")
    bundle = box.bundle("/bin/grep", "CapAmb", "/proc/self/status")
    capabilities(bounding=[KILL], permitted=[KILL], inheritable=[KILL], ambient=[KILL])(bundle)
    code = "import ctypes, os, sys; assert not ctypes.CDLL(None).prctl(28, 1 << 6, 0, 0, 0)\n"
    argv = pyc.argv("run", "-b", bundle.write(), box.id())
    script = [sys.executable, "-c", code + "os.execv(sys.argv[1], sys.argv[1:])", *argv]
    done = subprocess.run(script, capture_output=True, text=True, check=True)
    assert int(done.stdout.split()[1], 16) == 0
    assert "cannot raise CAP_KILL" in done.stderr


def test_capabilities_that_the_runtime_has_not(box: Box, pyc: Runtime):
    """They are named in a warning, and the container goes without."""
    box.needs_root("gives up a capability")
    bundle = box.bundle("/bin/grep", "CapBnd", "/proc/self/status")
    capabilities(bounding=[KILL, "CAP_SYSLOG"], permitted=[KILL])(bundle)
    argv = ["setpriv", "--bounding-set=-syslog", *pyc.argv("run", "-b", bundle.write(), box.id())]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    assert int(done.stdout.split()[1], 16) == 1 << 5
    assert "process.capabilities.bounding: cannot grant CAP_SYSLOG" in done.stderr


def test_seccomp(box: Box):
    profile = {
        "defaultAction": "SCMP_ACT_ALLOW",
        "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_AARCH64"],
        "syscalls": [
            {"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 95},
            {
                "names": ["sethostname"],
                "action": "SCMP_ACT_ERRNO",
                "args": [{"index": 1, "value": 3, "op": "SCMP_CMP_EQ"}],
            },
        ],
    }
    results = []
    for runtime in box.both():
        for no_new_privs in (True, False):
            script = "mkdir /tmp/x 2>&1; grep Seccomp: /proc/self/status; hostname abc 2>&1; exit 4"
            bundle = box.bundle().script(script)
            bundle.linux["seccomp"] = profile
            bundle.process["noNewPrivileges"] = no_new_privs
            done = box.run(bundle, runtime=runtime.name)
            results.append((done.status, done.out))
    assert len(set(results)) == 1 and results[0][0] == 4
    assert "not supported" in results[0][1] and "Seccomp:\t2" in results[0][1]


def test_seccomp_holds_for_exec(box: Box, pyc: Runtime):
    bundle, name = box.bundle("/bin/sleep", "1000"), box.id()
    bundle.linux["seccomp"] = {
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_KILL"}],
    }
    pyc("run", "-d", "-b", bundle, name).ok()
    assert pyc("exec", name, "mkdir", "/tmp/x").status == 128 + 31


def test_masked_and_readonly_paths(box: Box):
    looks = []
    for runtime in box.both():
        bundle = box.bundle().script(
            "cat /secret /dir/x; ls -A /dir | wc -l; touch /ro/x; echo x > /rofile;"
            " touch /ro/deep/x; echo done"
        )
        root = bundle.rootfs
        for name in ("dir", "ro", "ro/deep"):
            (root / name).mkdir()
        for name in ("secret", "dir/x", "rofile"):
            (root / name).write_text("content\n")
        bundle.linux["maskedPaths"] = ["/secret", "/dir", "/not/there"]
        bundle.linux["readonlyPaths"] = ["/ro", "/rofile", "/not/there"]
        done = box.run(bundle, runtime=runtime.name)
        looks.append((done.status, done.out, done.err))
    assert len(set(looks)) == 1
    assert looks[0][1] == "0\ndone\n"
    assert looks[0][2].count("Read-only file system") == 3


def test_read_only_paths_may_name_the_root(box: Box):
    """What is mounted below stays writable, as with root.readonly."""
    looks = []
    for runtime in box.both():
        bundle = box.bundle().script("touch /x; touch /dev/shm/x && echo shm; ls /home")
        bundle.linux["readonlyPaths"] = ["/./"]
        bundle.linux["maskedPaths"] = ["/home"]
        (bundle.rootfs / "home" / "alice").mkdir()
        done = box.run(bundle, runtime=runtime.name)
        looks.append((done.status, done.out, done.err))
    assert len(set(looks)) == 1
    assert looks[0][1] == "shm\n" and "Read-only file system" in looks[0][2]


def test_process_may_be_left_out_of_nothing(box: Box, pyc: Runtime):
    """runtime.md#start: a container without one is created, and cannot be started or run."""
    bundle = box.bundle()
    del bundle.config["process"]
    pyc("run", "-b", bundle, box.id()).fails("process.args", "required")
    box.empty()
    pyc("create", "-b", bundle, box.id()).ok()
    pyc("start", box.id()).fails("process", "required", "runtime.md#start")
    assert pyc.status(box.id()) == "created"
    pyc("delete", box.id()).ok()
    box.empty()


@pytest.mark.parametrize(
    "text, words",
    [("", "config.json"), ("{", "config.json"), ("[]", "config.json"), ("{}", "ociVersion")],
)
def test_bad_configs(box: Box, pyc: Runtime, text: str, words: str):
    bundle = box.bundle().write()
    (bundle.path / "config.json").write_text(text)
    pyc("create", "-b", bundle.path, box.id()).fails(words)
    box.empty()


def test_no_bundle(box: Box, pyc: Runtime):
    pyc("create", "-b", box.directory / "nowhere", box.id()).fails("no such file or directory")
    bundle = box.bundle()
    bundle.config["root"]["path"] = "nowhere"
    pyc("create", "-b", bundle, box.id()).fails("root.path")
    box.empty()


def test_unknown_properties_are_ignored(box: Box, pyc: Runtime):
    bundle = box.bundle("/bin/echo", "fine")
    bundle.config["future"] = {"x": 1}
    bundle.process["future"] = bundle.linux["future"] = [json.dumps({})]
    assert box.run(bundle).ok().out == "fine\n"
