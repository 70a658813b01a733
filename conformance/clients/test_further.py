"""Podman and Docker: what people also do, and what goes wrong around a container."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import tarfile
import time
from pathlib import Path

import pytest

from conformance.clients.engine import IMAGE, Engine
from tests.support.leftovers import CGROUPS
from tests.support.runtimes import SLOWNESS, eventually

ENGINES = ("podman", "docker")
UNIFIED = (CGROUPS / "cgroup.controllers").exists()


def only(engine: Engine, name: str) -> None:
    if engine.name != name:
        pytest.skip(f"{name} alone has it")


def test_exit_status_of_signals(engine: Engine):
    for number in (signal.SIGSEGV, signal.SIGTERM, signal.SIGKILL):
        done = engine.run(*engine.init_flags(), "sh", "-c", f"kill -{int(number)} $$")
        assert done.status == 128 + number, done


def test_signals_go_through_the_client(engine: Engine):
    text = "trap 'echo got it; exit 9' USR2; echo ready; while :; do sleep 0.2; done"
    out = engine.home / "proxied"
    with out.open("wb") as file:
        client = engine.popen("run", "--rm", *engine._with_image(("sh", "-c", text)), stdout=file)
    eventually(lambda: "ready" in out.read_text(), "ready", 30)
    client.send_signal(signal.SIGUSR2)
    assert client.wait(30 * SLOWNESS) == 9
    assert out.read_text() == "ready\ngot it\n"


def test_stop_signal(engine: Engine):
    text = "trap 'echo got it; exit 9' USR1; echo ready; while :; do sleep 0.2; done"
    box = engine.running(
        "--stop-signal=USR1", f"--stop-timeout={int(20 * SLOWNESS)}", "sh", "-c", text
    )
    engine.wait_for_log(box, "ready")
    engine("stop", box).ok()
    assert engine.inspect(box)["State"]["ExitCode"] == 9


def test_terminal_is_resized(engine: Engine):
    """The client hears of a new size, the container of a SIGWINCH."""
    import fcntl
    import pty
    import struct
    import termios

    master, slave = pty.openpty()
    text = "trap 'stty size' WINCH; echo ready; while :; do sleep 0.1; done"
    words = ("run", "--rm", "-it", *engine._with_image(("sh", "-c", text)))
    client = engine.popen(
        *words,
        stdin=slave,
        stdout=slave,
        stderr=slave,
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    )
    os.close(slave)
    seen = b""
    try:
        while b"ready" not in seen:
            seen += os.read(master, 4096)
        fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("4H", 44, 111, 0, 0))
        while b"44 111" not in seen:
            seen += os.read(master, 4096)
    finally:
        client.kill()
        client.wait()
        os.close(master)


def test_export_and_changes(engine: Engine):
    box = engine.running("sh", "-c", "echo new > /etc/new; rm /etc/group; sleep 1000")
    eventually(lambda: "/etc/group" in engine("diff", box).ok().out, "the changes", 30)
    assert {"A /etc/new", "D /etc/group"} <= set(engine("diff", box).ok().out.splitlines())
    archive = engine.home / "exported.tar"
    engine("export", f"--output={archive}", box).ok()
    with tarfile.open(archive) as tar:
        assert "etc/new" in tar.getnames() and "etc/group" not in tar.getnames()
    archive.unlink()


def test_copy_while_stopped(engine: Engine):
    source = engine.home / "to-stopped"
    source.write_text("content\n")
    box = engine.create("cat", "/etc/copied")
    engine("cp", source, f"{box}:/etc/copied").ok()
    assert engine("start", "--attach", box).ok().out == "content\n"


def test_parent_cgroup(engine: Engine):
    box = engine.running("--memory=32m")
    place = engine.cgroup(box, "memory")
    assert engine.parent.strip("/") in place.parts
    engine("rm", "--force", *engine.at_once, box).ok()
    assert not place.exists()


def test_exec_of_a_user_that_is_not_there(engine: Engine):
    box = engine.running()
    done = engine("exec", "--user=nobody-here", box, "true")
    assert done.status != 0
    assert "nobody-here" in done.out + done.err
    assert engine("exec", "--user=4321", box, "id", "-u").ok().out == "4321\n"


def test_exec_in_a_place_that_is_not_there(engine: Engine):
    box = engine.running()
    done = engine("exec", "--workdir=/not/there", box, "true")
    assert done.status in (126, 127), done
    assert "no such file" in (done.out + done.err).lower()


def test_exec_keeps_the_limits(engine: Engine):
    """What is run in a container later has its cgroup, namespaces, capabilities and filter."""
    box = engine.running("--cap-drop=ALL", "--security-opt=no-new-privileges", "--pids-limit=30")
    show = "grep -E 'CapBnd|NoNewPrivs|Seccomp:' /proc/self/status"
    show += "; for name in /proc/self/ns/*; do readlink $name; done"
    words = engine.sh(box, show).split()
    assert int(words[words.index("CapBnd:") + 1], 16) == 0
    assert words[words.index("NoNewPrivs:") + 1] == "1"
    assert words[words.index("Seccomp:") + 1] == "2"
    inits = {os.readlink(path) for path in Path(f"/proc/{engine.pid(box)}/ns").iterdir()}
    assert {word for word in words if "[" in word} <= inits
    done = engine("exec", box, "sh", "-c", "for i in $(seq 60); do sleep 5 & done; exit 0")
    assert "fork" in done.err


def test_a_large_environment(engine: Engine):
    value = "x" * 100_000
    file = engine.home / "environment"
    file.write_text("".join(f"V{i}={i}\n" for i in range(500)))
    out = engine.script(
        f"--env=BIG={value}", f"--env-file={file}", "echo ${#BIG} $V499; env | wc -l"
    ).split()
    assert out[:2] == ["100000", "499"]
    assert int(out[2]) > 500


def test_private_and_no_ipc(engine: Engine):
    out = engine.script("--ipc=none", "grep -c /dev/shm /proc/mounts || true")
    assert out == "0\n"
    first = engine.running("--ipc=private")
    assert engine.run(f"--ipc=container:{first}", "true").status != 0 or engine.name == "podman"


def test_unmasked_paths(engine: Engine):
    name = "unmask=ALL" if engine.name == "podman" else "systempaths=unconfined"
    count = "grep -cE ' /proc/(keys|timer_list|sys|scsi) ' /proc/mounts || true"
    assert engine.script(count) != "0\n"
    assert engine.script(f"--security-opt={name}", count) == "0\n"


def test_update_while_running(engine: Engine):
    box = engine.running("--cpuset-cpus=0")
    engine("update", "--cpuset-cpus=0-1", box).ok()
    assert "0-1" in engine.sh(box, "grep Cpus_allowed_list /proc/self/status")


def test_run_again_and_again(engine: Engine):
    """A name can be taken again as soon as `run --rm` is over."""
    for number in range(5):
        done = engine.run(f"--name={engine.token}-again", "echo", number)
        assert done.ok().out == f"{number}\n"
    assert engine.states() == []


def test_keeper_is_killed(engine: Engine):
    """conmon or the shim dies: the container can be removed, and nothing stays."""
    box = engine.running("sh", "-c", "sleep 1001 & sleep 1002")
    place, pid = engine.cgroup(box, "pids"), engine.pid(box)
    keeper = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    assert Path(f"/proc/{keeper}/comm").read_text().startswith(("conmon", "containerd-shim"))
    os.kill(keeper, signal.SIGKILL)
    time.sleep(0.5)
    eventually(lambda: engine("rm", "--force", *engine.at_once, box).status == 0, "removed", 40)
    if engine.name == "podman":  # which forgets to tell the runtime
        subprocess.run([engine.home / "bin" / engine.runtime, "delete", "--force", box], check=True)
    eventually(lambda: not Path(f"/proc/{pid}").exists(), "its process gone", 20)
    eventually(lambda: engine.states() == [], "no state", 20)
    eventually(lambda: not place.exists(), "no cgroup", 20)


def test_daemon_restarts(engine: Engine):
    """Containers stay while dockerd is away (live-restore), and obey the next one."""
    only(engine, "docker")
    file = engine.home / "daemon.json"
    config = file.read_text()
    file.write_text(json.dumps({**json.loads(config), "live-restore": True}))
    engine.restart()
    try:
        box = engine.running("sh", "-c", "trap 'exit 9' TERM; while :; do sleep 0.1; done")
        pid = engine.pid(box)
        engine.restart()
        assert (engine.status(box), engine.pid(box)) == ("running", pid)
        assert engine("exec", box, "echo", "there").ok().out == "there\n"
        engine("stop", box).ok()
        assert engine.inspect(box)["State"]["ExitCode"] == 9
    finally:
        file.write_text(config)
        engine.restart()


def test_hooks(engine: Engine):
    only(engine, "podman")
    directory, log = engine.home / "hooks", engine.home / "hooks.log"
    directory.mkdir(exist_ok=True)
    stages = ["prestart", "createRuntime", "createContainer", "poststart", "poststop"]
    for stage in stages:
        hook = {
            "version": "1.0.0",
            "hook": {
                "path": "/bin/sh",
                "args": ["sh", "-c", f"grep -q $PPID /dev/null; echo {stage} >> {log}; cat >&2"],
            },
            "when": {"annotations": {"^hooked$": "^yes$"}},
            "stages": [stage],
        }
        (directory / f"{stage}.json").write_text(json.dumps(hook))
    words = ("run", "--rm", *engine.flags(), "--annotation=hooked=yes", IMAGE, "true")
    argv = (f"--hooks-dir={directory}", *words)
    engine(*argv).ok()
    eventually(lambda: log.read_text().split()[-1] == "poststop", "the last hook")
    assert sorted(log.read_text().split()) == sorted(stages)


def test_root_directory_without_an_image(engine: Engine):
    only(engine, "podman")
    from tests.support.bundles import busybox_bundle

    root = busybox_bundle(engine.home / "directory").rootfs
    words = ("run", "--rm", *engine.flags(), "--rootfs", root, "cat", "/etc/passwd")
    assert "alice" in engine(*words).ok().out
    words = ("run", "--rm", *engine.flags(), "--rootfs", f"{root}:O", "touch", "/etc/no")
    engine(*words).ok()
    assert not (root / "etc" / "no").exists()


def test_systemd_in_the_container(engine: Engine):
    """It gets what systemd wants: tmpfs in some places, its name, a cgroup to write to."""
    only(engine, "podman")
    text = "mkdir /sys/fs/cgroup/inner && echo made; cat /proc/mounts; env"
    out = engine.script("--systemd=always", text)
    assert "tmpfs /run " in out and "container=" in out
    if UNIFIED:
        assert "made" in out


def test_kube_play(engine: Engine):
    only(engine, "podman")
    file = engine.home / "pod.yaml"
    name = f"{engine.token}-kube"
    file.write_text(
        "apiVersion: v1\nkind: Pod\n"
        f"metadata: {{name: {name}}}\n"
        "spec:\n  hostNetwork: true\n  containers:\n"
        f"  - name: box\n    image: {IMAGE}\n    imagePullPolicy: Never\n"
        "    command: [/bin/sh, -c, 'echo $A > /tmp/a; sleep 1000']\n"
        "    env: [{name: A, value: b}, {name: PATH, value: /bin}]\n"
        "    securityContext: {runAsUser: 1000, capabilities: {drop: [ALL]}}\n"
        "    resources: {limits: {memory: 64Mi}}\n"
    )
    words = ("--change", 'CMD ["sleep", "1000"]', engine.home / "image.tar", "localhost/pause")
    engine("import", *words).ok()
    conf = engine.home / "kube.conf"
    text = (engine.home / "containers.conf").read_text()
    conf.write_text(text.replace("[engine]\n", '[engine]\ninfra_image = "localhost/pause"\n'))
    env = {"CONTAINERS_CONF": str(conf)}
    try:
        engine("kube", "play", file, env=env).ok()
        box = f"{name}-box"
        assert engine.sh(box, "cat /tmp/a; id -u").split() == ["b", "1000"]
        limit = "memory.max" if UNIFIED else "memory.limit_in_bytes"
        assert (engine.cgroup(box, "memory") / limit).read_text().strip() == str(64 << 20)
    finally:
        engine("kube", "down", file, env=env).ok()


def test_overlay_and_owned_volumes(engine: Engine):
    only(engine, "podman")
    shared = engine.home / "overlaid"
    shared.mkdir(exist_ok=True)
    (shared / "file").write_text("kept\n")
    out = engine.script(f"--volume={shared}:/s:O", "echo changed > /s/file; cat /s/file")
    assert (out, (shared / "file").read_text()) == ("changed\n", "kept\n")
    engine.script(f"--volume={shared}:/s:U", "--user=1000", "test -O /s/file")
