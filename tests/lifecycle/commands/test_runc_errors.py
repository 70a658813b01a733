"""Scripts written for runc find its words in our errors, and its rules for mounts and hooks."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.box import Box
from tests.support.bundles import Bundle
from tests.support.runtimes import COMMAND, Runtime

Change = Callable[[Bundle], Any]


def process(**members: Any) -> Change:
    return lambda bundle: bundle.process.update(members)


def linux(**members: Any) -> Change:
    return lambda bundle: bundle.linux.update(members)


def bind(target: str) -> Change:
    entry = {"destination": target, "source": "/etc/hostname", "options": ["bind"]}
    return lambda bundle: bundle.config["mounts"].append(entry)


# What is wrong: (how, what runc and we say of it)
SAME: dict[str, tuple[Change, str]] = {
    "no cwd": (process(cwd=""), "Cwd property must not be empty"),
    "relative cwd": (process(cwd="tmp"), "Cwd must be an absolute path"),
    "no args": (process(args=[]), "args must not be empty"),
    "environment": (process(env=["NOEQ"]), "invalid environment variable"),
    "limit": (
        process(rlimits=[{"type": "RLIMIT_FOO", "soft": 1, "hard": 1}]),
        "wrong rlimit value: RLIMIT_FOO",
    ),
    "no root": (lambda bundle: bundle.config.pop("root"), "root must be specified"),
    "host name": (
        lambda bundle: bundle.drop_namespace("uts"),
        "unable to set hostname without a private UTS namespace",
    ),
    "masked paths": (
        lambda bundle: bundle.drop_namespace("mount"),
        "unable to restrict sys entries without a private MNT namespace",
    ),
    "namespace": (
        lambda bundle: bundle.linux["namespaces"].append({"type": "foo"}),
        'namespace {"foo" ""} does not exist',
    ),
    "two namespaces": (
        lambda bundle: bundle.linux["namespaces"].append({"type": "pid"}),
        'malformed spec file: duplicated ns {"pid" ""}',
    ),
    "sysctl": (
        linux(sysctl={"vm.swappiness": "1"}),
        'sysctl "vm.swappiness" is not in a separate kernel namespace',
    ),
    "host name as sysctl": (
        linux(sysctl={"kernel.hostname": "x"}),
        'sysctl "kernel.hostname" is not allowed as it conflicts with the OCI "hostname" field',
    ),
    "propagation": (linux(rootfsPropagation="foo"), "rootfsPropagation=foo is not supported"),
    "device": (
        linux(devices=[{"path": "/dev/x", "type": "z", "major": 1, "minor": 3}]),
        'invalid device type "z"',
    ),
    "seccomp": (
        linux(seccomp={"defaultAction": "FOO"}),
        "string FOO is not a valid action for seccomp",
    ),
    "hook": (
        lambda bundle: bundle.config.update(hooks={"createRuntime": [{"path": "/no"}]}),
        "unable to start container process: error during container init: error running",
    ),
    "inside /proc": (bind("/proc/foo"), "cannot be mounted because it is inside /proc"),
    "over /proc": (bind("/proc"), "cannot be mounted because it is not of type proc"),
    "mount": (
        lambda bundle: bundle.config["mounts"].append(
            {"destination": "/mnt", "type": "tmpfs", "source": "tmpfs", "options": ["foo=1"]}
        ),
        'error during container init: error mounting "tmpfs" to rootfs at "/mnt"',
    ),
}


@pytest.mark.parametrize("case", SAME)
def test_of_a_config(box: Box, case: str):
    for runtime in box.both():
        change, words = SAME[case]
        bundle = box.bundle()
        change(bundle)
        log = box.directory / f"log-{runtime.name}"
        done = runtime("--log", log, "run", "-b", bundle, box.id())
        assert done.status == 1 and words in done.err, repr(done)


def test_of_options_that_a_bind_mount_ignores(box: Box, pyc: Runtime):
    """runc 1.1 ignores them, too; since 1.2 it refuses them."""
    bundle = box.bundle()
    mount = {"destination": "/mnt", "source": "/etc", "options": ["bind", "size=4k"]}
    bundle.config["mounts"].append(mount)
    words = "bind mounts cannot have any filesystem-specific options applied"
    pyc("run", "-b", bundle, box.id()).fails(words, "mounts[", "size=4k")


@pytest.mark.parametrize("stage", ["createRuntime", "createContainer", "startContainer"])
def test_of_a_hook_that_was_killed(box: Box, pyc: Runtime, stage: str):
    bundle = box.bundle()
    hook = {"path": "/bin/sh", "args": ["sh", "-c", "kill -9 $$"]}
    bundle.config["hooks"] = {stage: [hook]}
    words = f"error during container init: error running {stage} hook #0: signal: killed"
    pyc("run", "-b", bundle, box.id()).fails(words)


def test_of_an_exec(box: Box):
    for runtime in box.both():
        name, log = box.running(runtime=runtime.name), box.directory / f"log-{runtime.name}"
        done = runtime("--log", log, "exec", "--cwd", "/nosuch", name, "true")
        assert done.status == 255
        # runc calls the option config.json.
        place = " set in config.json" if runtime.name == "runc" else ""
        assert f'chdir to cwd ("/nosuch"){place} failed' in done.err
        done = runtime("--log", log, "exec", "--cgroup", "foo:/x", name, "true")
        assert done.status == 255 and "foo" in done.err
        done = runtime("exec", "-g", "-1", name, "true")
        assert done.status == 255 and "additional-gids must be a positive number -1" in done.err


def test_of_a_bundle_that_is_not_there(box: Box):
    for runtime in box.both():
        done = runtime("run", "-b", "/no/such", box.id())
        assert "chdir /no/such: no such file or directory" in done.err
        done = runtime("run", "-b", box.directory, box.id())
        assert "JSON specification file config.json not found" in done.err


def test_of_unknown_capabilities_once(box: Box):
    for runtime in box.both():
        bundle = box.bundle()
        for names in bundle.process["capabilities"].values():
            names += ["CAP_FOO", "KILL"]
        done = runtime("run", "-b", bundle, box.id()).ok()
        said = [line for line in done.err.splitlines() if "cgroup of its own" not in line]
        assert len(said) == 1
        assert "ignoring unknown or unavailable capabilities: [CAP_FOO KILL]" in done.err


def test_of_a_paused_container(box: Box):
    box.needs_a_cgroup()
    for runtime in box.both():
        name = box.running(runtime=runtime.name)
        runtime("pause", name).ok()
        done = runtime("start", name)
        assert done.status == 1 and "cannot start a container in the paused state" in done.err
        done = runtime("kill", name, "65")
        assert done.status == 1 and "unable to signal init: invalid argument" in done.err
        runtime("delete", "--force", name).ok()


def test_a_stopped_container_has_null_processes(box: Box):
    for runtime in box.both():
        name = box.id(runtime.name)
        runtime("run", "--keep", "-b", box.bundle("/bin/true"), name).ok()
        assert runtime("ps", "--format", "json", name).ok().out == "null\n"


def test_a_hook_of_the_container_starts_in_its_root(box: Box):
    for runtime in box.both():
        bundle, told = box.bundle(), box.directory / f"told-{runtime.name}"
        entry = {"path": "/bin/sh", "args": ["sh", "-c", f"stat -c %d:%i . >{told}"]}
        bundle.config["hooks"] = {"createContainer": [entry]}
        runtime("run", "-b", bundle, box.id()).ok()
        root = bundle.rootfs.stat()
        assert told.read_text() == f"{root.st_dev}:{root.st_ino}\n"


def test_a_tmpfs_that_nothing_was_below_has_its_own_mode(box: Box):
    for runtime in box.both():
        bundle = box.bundle().script("stat -c %a /new /mnt")
        bundle.config["mounts"] += [
            {"destination": "/new", "type": "tmpfs", "source": "tmpfs"},
            {"destination": "/mnt", "type": "tmpfs", "source": "tmpfs", "options": ["silent"]},
        ]
        assert runtime("run", "-b", bundle, box.id()).ok().out == "1777\n755\n"


def test_the_files_of_lxcfs_may_lie_in_proc(box: Box, pyc: Runtime):
    bundle = box.bundle("/bin/cat", "/proc/uptime")
    (box.directory / "uptime").write_text("1.00 2.00\n")
    source = str(box.directory / "uptime")
    bundle.config["mounts"].append(
        {"destination": "/proc/uptime", "source": source, "options": ["bind"]}
    )
    assert pyc("run", "-b", bundle, box.id()).ok().out == "1.00 2.00\n"


def test_a_procfs_may_be_bound_on_proc(box: Box, pyc: Runtime):
    bundle = box.bundle("/bin/cat", "/proc/self/comm")
    bundle.drop_namespace("pid")
    bundle.config["mounts"][0] = {
        "destination": "/proc",
        "source": "/proc",
        "options": ["rbind"],
    }
    assert pyc("run", "-b", bundle, box.id()).ok().out == "cat\n"


def test_under_the_name_runc_we_answer_to_it(box: Box, pyc: Runtime):
    link = box.directory / "runc"
    link.symlink_to(COMMAND)
    pyc.command = str(link)
    assert pyc("--version").ok().out.startswith("runc version ")
    pyc("run", "-b", "/no/such", box.id()).fails('msg="runc run failed: chdir /no/such')
    assert "\n   runc state - " in pyc("state", "--help").ok().out
    pyc("state").fails(f'{link}: \\"state\\" requires exactly 1 argument(s)')


def test_the_state_file_has_what_others_look_for(box: Box):
    found = []
    for runtime in box.both():
        name = box.running(runtime=runtime.name)
        facts = json.loads((runtime.root / name / "state.json").read_text())
        assert facts["init_process_pid"] == runtime.state(name)["pid"]
        stat = Path(f"/proc/{facts['init_process_pid']}/stat").read_text()
        assert facts["init_process_start"] == int(stat.rpartition(")")[2].split()[19])
        for key, kind in {"NEWNS": "mnt", "NEWPID": "pid", "NEWUSER": "user"}.items():
            path = f"/proc/{facts['init_process_pid']}/ns/{kind}"
            assert facts["namespace_paths"][key] == path
        found.append({c: p.replace(name, "ID") for c, p in facts["cgroup_paths"].items()})
    assert found[0] == found[-1]


def test_a_process_document_has_the_rest_from_the_container(box: Box):
    told = []
    for runtime in box.both():
        bundle, name = box.bundle("/bin/sleep", "1000"), box.id(runtime.name)
        bundle.process["oomScoreAdj"] = 123
        bundle.process["user"]["umask"] = 0o27
        runtime("run", "-d", "-b", bundle, name).ok()
        document = box.directory / f"process-{runtime.name}.json"
        script = "grep Cap /proc/self/status; cat /proc/self/oom_score_adj"
        entry: dict[str, Any] = {"args": ["/bin/sh", "-c", script], "cwd": "/"}
        document.write_text(json.dumps(entry))
        first = runtime("exec", "-p", document, name).ok().out
        entry["capabilities"] = {}
        document.write_text(json.dumps(entry))
        told.append([first, runtime("exec", "-p", document, name).ok().out])
        entry["args"] = ["/bin/sh", "-c", "umask"]
        document.write_text(json.dumps(entry))
        mask = runtime("exec", "-p", document, name).ok().out
        assert mask == "0027\n" or runtime.name == "runc"  # 1.1 forgets it
        runtime("delete", "--force", name).ok()
    assert told[0] == told[-1]
    assert "CapEff:\t0000000000000000" not in told[0][0]
