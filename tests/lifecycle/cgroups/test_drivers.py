"""The cgroup driver on the real hierarchies of this machine, and next to runc's results.

Runs as root on v1, hybrid and v2. Each test has its own cgroup with a unique name, and the fixture
removes whatever a test leaves, processes first.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import time
import uuid
from pathlib import Path

import pytest

from pycontainer.base.errors import ConfigError, HostError, OperationError, StateError, UsageError
from pycontainer.cgroups import load, open_driver
from pycontainer.cgroups.layout import probe

LAYOUT = probe()
V1 = LAYOUT.mode in ("v1", "hybrid")

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root"),
    pytest.mark.skipif(LAYOUT.mode == "none", reason="no cgroups here"),
]
only_v1 = pytest.mark.skipif(not V1, reason="cgroup v1 only")
only_v2 = pytest.mark.skipif(V1, reason="cgroup v2 only")


def has(controller: str) -> bool:
    if V1:
        return LAYOUT.find(controller) is not None
    top = Path(LAYOUT.find("").mountpoint)
    return controller in (top / "cgroup.controllers").read_text().split()


def tasks_of(placement) -> list[int]:
    """The files that a process of one thread writes "0" to, as do_cgroup_join does."""
    return [os.open(f"{directory}/tasks", os.O_WRONLY) for directory in placement.v1]


class Made:
    """Cgroups and processes of one test."""

    def __init__(self) -> None:
        self.name = f"pyctest-{uuid.uuid4().hex[:12]}"
        self.driver = open_driver(LAYOUT)
        self.cgroups = []
        self.pids = []

    def cgroup(self, config=None, name=None, **arguments):
        """A created and configured cgroup."""
        config = config or {}
        cgroup = self.planned(config, name)
        plan = self.driver.compile(config)
        cgroup.create(plan, **arguments)
        cgroup.apply(plan.writes)
        return cgroup

    def planned(self, config=None, name=None):
        config = dict(config or {})
        linux = dict(config.get("linux") or {})
        linux.setdefault("cgroupsPath", f"/{name or self.name}")
        config["linux"] = linux
        cgroup = self.driver.cgroup(self.driver.plan_path(config, self.name))
        self.cgroups.append(cgroup)
        return cgroup

    def process(self, placement=None, code="import time; time.sleep(60)") -> int:
        """A process that entered by itself (v1), or was moved (v2)."""
        fds = tasks_of(placement) if placement else []
        gate, go = os.pipe()
        running, executed = os.pipe()
        pid = os.fork()
        if pid == 0:
            try:
                for fd in fds:
                    os.write(fd, b"0")
                os.close(go)
                os.read(gate, 1)
                os.execv("/usr/bin/python3", ["python3", "-ISc", code])
            finally:
                os._exit(99)
        self.pids.append(pid)
        for fd in (*fds, gate, executed):
            os.close(fd)
        if placement and placement.unified:
            type(placement)((), placement.unified, "").attach(pid)
        os.close(go)
        os.read(running, 1)
        os.close(running)
        return pid

    def reap(self, pid: int) -> int:
        self.pids.remove(pid)
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

    def clean(self) -> None:
        for cgroup in self.cgroups:
            cgroup.kill(9, 5)
        for pid in self.pids:
            os.kill(pid, 9)
            os.waitpid(pid, 0)
        for cgroup in self.cgroups:
            cgroup.delete(5)


@pytest.fixture
def made():
    result = Made()
    yield result
    result.clean()


def membership(pid) -> dict[str, str]:
    result = {}
    for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines():
        _, names, path = line.split(":", 2)
        for name in names.split(","):
            result[name] = path
    return result


# -- making and removing -------------------------------------------------------------------


def test_create_and_delete(made):
    cgroup = made.planned()
    assert not cgroup.exists()
    assert cgroup.create() == []
    for directory in cgroup.paths.all_directories():
        assert Path(directory, "cgroup.procs").exists()
    assert cgroup.pids() == []
    cgroup.delete()
    assert not cgroup.exists()
    cgroup.delete()  # again: nothing to do


def test_undo_removes_only_what_was_made(made):
    parent = made.cgroup()
    child = made.planned(name=f"{made.name}/a/b")
    child.create()
    child.undo()
    assert not child.exists()
    for directory in parent.paths.all_directories():
        assert Path(directory).is_dir()
        assert not Path(directory, "a").exists()


def test_a_failed_create_leaves_nothing(made):
    cgroup = made.planned(name=f"{made.name}/line\nbreak")
    with pytest.raises(OperationError, match="invalid argument") as caught:
        cgroup.create()
    assert caught.value.field == "linux.cgroupsPath"
    for directory in cgroup.paths.all_directories():
        assert not Path(directory).parent.exists()


def test_existing_and_empty_is_fine_and_stays_after_undo(made):
    first = made.cgroup()
    again = made.planned()
    again.create()
    again.undo()
    assert first.exists()


def test_existing_with_processes_is_refused(made):
    first = made.cgroup()
    made.process(first.placement())
    with pytest.raises(StateError, match="cgroup is not empty: 1 process"):
        made.planned().create()
    assert len(first.pids()) == 1


def test_existing_and_frozen_is_refused(made):
    first = made.cgroup()
    first.freeze()
    with pytest.raises(StateError, match="unexpectedly frozen"):
        made.planned().create()
    first.thaw()


def test_delete_takes_sub_cgroups_along(made):
    cgroup = made.cgroup()
    for directory in cgroup.paths.all_directories():
        Path(directory, "a/b").mkdir(parents=True)
        Path(directory, "c").mkdir()
    cgroup.delete()
    assert not cgroup.exists()


def test_delete_says_who_is_in_the_way(made):
    cgroup = made.cgroup()
    pid = made.process(cgroup.placement())
    start = time.monotonic()
    with pytest.raises(OperationError) as caught:
        cgroup.delete(deadline_s=0.2)
    assert time.monotonic() - start < 2
    assert f"process {pid} (" in str(caught.value)
    assert "in state" in str(caught.value)


def test_loaded_from_the_state_file(made):
    cgroup = made.cgroup()
    pid = made.process(cgroup.placement())
    again = load(json.loads(json.dumps(cgroup.paths.to_dict())))
    assert again.pids() == [pid]


@only_v1
def test_cpuset_is_filled_down_the_path(made):
    cgroup = made.planned(name=f"{made.name}/a/b")
    cgroup.create()
    top = Path(LAYOUT.find("cpuset").mountpoint)
    for name in ("cpuset.cpus", "cpuset.mems"):
        assert cgroup.read("cpuset", name) == (top / name).read_text()
    cgroup.undo()


@only_v2
def test_controllers_are_enabled_down_the_path(made):
    cgroup = made.planned(name=f"{made.name}/a/b")
    cgroup.create()
    top = Path(LAYOUT.find("").mountpoint, "cgroup.controllers").read_text().split()
    assert set(cgroup.read("", "cgroup.controllers").split()) == set(top)
    cgroup.undo()


# -- entering ------------------------------------------------------------------------------


def test_a_process_enters_every_hierarchy(made):
    cgroup = made.cgroup()
    pid = made.process(cgroup.placement())
    other = made.process()
    cgroup.attach(other)
    for process in (pid, other):
        for name, directory in cgroup.paths.directories.items():
            assert directory.endswith(membership(process)[name])
    assert cgroup.pids() == sorted((pid, other))


def test_clone_fd_is_the_v2_directory(made):
    cgroup = made.cgroup()
    fd = cgroup.fd_for_clone()
    if not cgroup.paths.unified:
        assert fd == -1
        return
    assert os.readlink(f"/proc/self/fd/{fd}") == cgroup.paths.unified
    os.close(fd)


@only_v1
@pytest.mark.alone
def test_entering_by_itself_does_not_wait_for_other_cpus(made):
    """The reason for "0" in `tasks`: a write of a pid waits for an RCU grace period after idle."""
    cgroup = made.cgroup()
    best = []
    for _ in range(5):
        time.sleep(0.1)
        fds = tasks_of(cgroup.placement())
        read_end, write_end = os.pipe()
        pid = os.fork()
        if pid == 0:
            start = time.perf_counter()
            for fd in fds:
                os.write(fd, b"0")
            os.write(write_end, str(time.perf_counter() - start).encode())
            os._exit(0)
        os.waitpid(pid, 0)
        best.append(float(os.read(read_end, 100)))
        for fd in (*fds, read_end, write_end):
            os.close(fd)
    assert min(best) < 0.003


def test_sub_cgroups(made):
    cgroup = made.cgroup()
    made.cgroup(name=made.name + "/sub")  # with its cpuset filled
    pid = made.process(cgroup.placement(["sub"]))
    for name, directory in cgroup.paths.directories.items():
        assert (directory + "/sub").endswith(membership(pid)[name])
    assert cgroup.pids() == [pid]
    assert cgroup.pids(recursive=False) == []


@only_v1
def test_sub_cgroup_of_some_controllers(made):
    cgroup = made.cgroup()
    for name in ("pids", "memory"):
        Path(cgroup.paths.directory(name), "sub").mkdir()
    pid = made.process(cgroup.placement(["pids,memory:sub"]))
    where = membership(pid)
    assert where["pids"] == f"/{made.name}/sub"
    assert where["memory"].endswith(f"{made.name}/sub")
    assert where["devices"] == f"/{made.name}"


@pytest.mark.parametrize(
    "path", ["../other", "..", "sub/../../x", "link", "missing", "sub/file", "a\0b"]
)
def test_sub_cgroups_stay_below(made, path):
    cgroup = made.cgroup()
    made.cgroup(name=made.name + "other")
    for directory in cgroup.paths.all_directories():
        Path(directory, "sub").mkdir()
    with pytest.raises(StateError):
        cgroup.placement([path])


@pytest.mark.parametrize("values", [["a", "b"], [":x"], ["pids,:x"], ["pids:x", "pids:y"]])
def test_malformed_sub_cgroup_arguments(made, values):
    with pytest.raises(UsageError):
        made.cgroup().placement(values)


def test_an_unknown_controller_of_a_sub_cgroup(made):
    with pytest.raises(StateError, match="unknown controller nonsense"):
        made.cgroup().placement(["nonsense:x"])


@only_v2
def test_where_init_went(made):
    cgroup = made.cgroup()
    inner = Path(cgroup.paths.unified, "inner")
    inner.mkdir()
    pid = made.process(cgroup.placement(["inner"]))
    assert cgroup.init_placement(pid).unified == str(inner)


# -- freezing and killing ------------------------------------------------------------------

FORKER = "import os\nwhile True:\n if os.fork() == 0:\n  continue\n os.waitpid(-1, os.WNOHANG)\n"
STUBBORN = "import signal, time\nsignal.signal(15, signal.SIG_IGN)\ntime.sleep(60)"


def busy(pid: int) -> int:
    """Processor time in ticks."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def test_freeze_and_thaw(made):
    cgroup = made.cgroup()
    pid = made.process(cgroup.placement(), "while True: pass")
    assert not cgroup.frozen()
    cgroup.freeze()
    assert cgroup.frozen()
    before = busy(pid)
    time.sleep(0.1)
    assert busy(pid) == before
    cgroup.thaw()
    assert not cgroup.frozen()
    deadline = time.monotonic() + 10
    while busy(pid) == before and time.monotonic() < deadline:
        time.sleep(0.02)
    assert busy(pid) > before


def test_frozen_by_an_ancestor_is_not_paused(made):
    parent = made.cgroup()
    child = made.cgroup(name=f"{made.name}/child")
    parent.freeze()
    assert not child.frozen()
    parent.thaw()
    child.undo()


def test_frozen_of_a_missing_cgroup(made):
    assert not made.planned().frozen()


@pytest.mark.parametrize("state", ["running", "frozen", "stopped"])
def test_kill_in_every_state(made, state):
    cgroup = made.cgroup()
    pids = [made.process(cgroup.placement(), STUBBORN) for _ in range(3)]
    if state == "frozen":
        cgroup.freeze()
    if state == "stopped":
        for pid in pids:
            os.kill(pid, 19)
    assert cgroup.kill(9, 5) == []
    assert [made.reap(pid) for pid in pids] == [-9, -9, -9]
    cgroup.delete(1)


def test_kill_outruns_forks(made):
    cgroup = made.cgroup({"linux": {"resources": {"pids": {"limit": 60}}}})
    pid = made.process(cgroup.placement(), FORKER)
    time.sleep(0.3)
    assert cgroup.kill(9, 10) == []
    made.reap(pid)
    cgroup.delete(2)


def test_a_signal_to_all(made):
    cgroup = made.cgroup()
    polite = made.process(cgroup.placement())
    stubborn = made.process(cgroup.placement(), STUBBORN)
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        mask = next(
            int(line.split()[1], 16)
            for line in Path(f"/proc/{stubborn}/status").read_text().splitlines()
            if line.startswith("SigIgn")
        )
        if mask >> 14 & 1:
            break
        time.sleep(0.01)
    assert cgroup.kill(15, 0.3) == [stubborn]
    assert made.reap(polite) == -15
    assert not cgroup.frozen()


def test_signalling_keeps_a_paused_container_paused(made):
    cgroup = made.cgroup()
    for _ in range(2):
        made.process(cgroup.placement())
    cgroup.freeze()
    assert cgroup.signal_all(10) == 2
    assert cgroup.frozen()


def test_kill_of_nothing(made):
    assert made.planned().kill(9, 1) == []
    assert made.cgroup().kill(9, 1) == []


# -- limits --------------------------------------------------------------------------------


def test_errors_name_file_value_and_field(made):
    config = {"linux": {"resources": {"cpu": {"cpus": "4095"}}}}
    with pytest.raises(OperationError) as caught:
        made.cgroup(config)
    text = str(caught.value)
    assert "write '4095' to" in text
    assert "cpuset.cpus" in text
    assert "linux.resources.cpu.cpus" in text
    for cgroup in made.cgroups:
        cgroup.delete()


@only_v1
def test_a_controller_that_is_not_mounted(made):
    if has("net_cls"):
        pytest.skip("net_cls is mounted")
    with pytest.raises(HostError, match="no controller 'net_cls'"):
        made.cgroup({"linux": {"resources": {"network": {"classID": 1}}}})


@only_v2
def test_a_controller_that_does_not_exist(made):
    config = {"linux": {"resources": {"unified": {"nonsense.max": "1"}}}}
    with pytest.raises(OperationError, match="controller 'nonsense' is not available"):
        made.cgroup(config)


@only_v2
def test_unified_line_by_line(made):
    config = {"linux": {"resources": {"unified": {"cgroup.max.depth": "5", "pids.max": "77"}}}}
    cgroup = made.cgroup(config)
    assert cgroup.read("", "cgroup.max.depth").strip() == "5"
    assert cgroup.read("pids", "pids.max").strip() == "77"


@pytest.mark.skipif(not has("memory"), reason="no memory controller")
def test_limit_and_swap_can_be_raised_and_lowered_together(made):
    def resources(limit, swap):
        memory = {"limit": limit << 20, "swap": swap << 20}
        return {"linux": {"resources": {"memory": memory}}}

    cgroup = made.cgroup(resources(100, 200))
    for limit, swap in ((300, 400), (50, 60), (500, 500)):
        cgroup.apply(made.driver.compile(resources(limit, swap)).writes)
        name = "memory.limit_in_bytes" if V1 else "memory.max"
        assert int(cgroup.read("memory", name)) == limit << 20
    cgroup.apply(made.driver.compile({"linux": {"resources": {"memory": {"limit": -1}}}}).writes)


@only_v1
def test_a_memory_limit_below_the_usage_says_the_usage(made):
    cgroup = made.cgroup({"linux": {"resources": {"memory": {"limit": 100 << 20}}}})
    code = "b = bytearray(20 << 20); print(1, flush=True)\nimport time; time.sleep(60)"
    made.process(cgroup.placement(), code)
    deadline = time.monotonic() + 10
    while int(cgroup.read("memory", "memory.usage_in_bytes")) < 20 << 20:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    with pytest.raises(OperationError, match="bytes, which are in use") as caught:
        cgroup.write("memory", "memory.limit_in_bytes", str(1 << 20))
    assert caught.value.errno == errno.EBUSY


@pytest.mark.skipif(not has("memory"), reason="no memory controller")
def test_oom_kills_are_counted(made):
    cgroup = made.cgroup(
        {"linux": {"resources": {"memory": {"limit": 30 << 20, "swap": 30 << 20}}}}
    )
    assert cgroup.oom_kills() == 0
    pid = made.process(cgroup.placement(), "b = bytearray(200 << 20); print(b[5])")
    assert made.reap(pid) == -9
    assert cgroup.oom_kills() == 1


@only_v2
def test_delegation_changes_only_the_listed_files(made):
    cgroup = made.cgroup()
    cgroup.delegate(12345)
    directory = Path(cgroup.paths.unified)
    listed = set(Path("/sys/kernel/cgroup/delegate").read_text().split())
    assert directory.stat().st_uid == 12345
    for path in directory.iterdir():
        assert path.stat().st_uid == (12345 if path.name in listed else 0)


def test_without_privilege_and_without_wishes(made):
    """A user who may not make cgroups, and asks for none, gets none; with a wish, an error."""
    results = []
    for linux in (
        {},
        {"resources": {"pids": {"limit": 5}}},
        {"cgroupsPath": "/" + made.name},
        {"resources": {"devices": [{"allow": False, "access": "rwm"}]}},
    ):
        read_end, write_end = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.setgroups([])
            os.setgid(65534)
            os.setuid(65534)
            try:
                config = {"linux": linux}
                cgroup = made.driver.cgroup(made.driver.plan_path(config, made.name))
                plan = made.driver.compile(config)
                warnings = cgroup.create(plan, rootless=True)
                warnings += cgroup.apply(plan.writes)
                warnings += cgroup.apply_devices(plan, rootless=True)
                text = f"{cgroup.paths.mode} {warnings}"
            except (HostError, OperationError) as error:
                text = f"{type(error).__name__}: {error}"
            os.write(write_end, text.encode())
            os._exit(0)
        os.waitpid(pid, 0)
        os.close(write_end)
        results.append(os.read(read_end, 65536).decode())
        os.close(read_end)
    assert results[0].startswith("none ['the container runs without a cgroup")
    assert results[1].startswith("HostError: set linux.resources.pids.limit: cannot create")
    assert results[2].startswith("OperationError: create cgroup")
    assert "linux.cgroupsPath" in results[2]
    assert results[3].startswith("none ['the container runs without a cgroup")


# -- devices -------------------------------------------------------------------------------


def can_open(made, cgroup, path: str) -> bool:
    """Whether a process in the cgroup may open the device for reading."""
    code = f"import posix; posix.open({path!r}, posix.O_RDONLY)"
    pid = made.process(cgroup.placement(), code)
    return made.reap(pid) == 0


def test_device_rules_hold(made):
    if not V1:
        pytest.importorskip("pycontainer._shim")
    config = {"linux": {"resources": {"devices": [{"allow": False, "access": "rwm"}]}}}
    cgroup = made.cgroup(config)
    assert can_open(made, cgroup, "/dev/kmsg")
    assert cgroup.apply_devices(made.driver.compile(config)) == []
    assert can_open(made, cgroup, "/dev/null")
    assert not can_open(made, cgroup, "/dev/kmsg")
    rule = {"allow": True, "type": "c", "major": 1, "minor": 11, "access": "r"}
    config["linux"]["resources"]["devices"].append(rule)
    cgroup.apply_devices(made.driver.compile(config))
    assert can_open(made, cgroup, "/dev/kmsg")
    config["linux"]["resources"]["devices"].pop()
    cgroup.apply_devices(made.driver.compile(config))
    assert not can_open(made, cgroup, "/dev/kmsg")


@only_v2
def test_device_filters_do_not_pile_up(made):
    shim = pytest.importorskip("pycontainer._shim")
    cgroup = made.cgroup()
    for _ in range(70):  # more than a cgroup can have
        cgroup.apply_devices(made.driver.compile({}))
    fd = os.open(cgroup.paths.unified, os.O_RDONLY | os.O_DIRECTORY)
    held = shim.ffi.new("int[]", shim.lib.SHIM_BPF_PROGRAMS)
    assert shim.lib.shim_bpf_device_programs(fd, held) == 1
    os.close(held[0])
    os.close(fd)


# -- next to runc --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    if not shutil.which("runc") or not Path("/bin/busybox").exists():
        pytest.skip("needs runc and busybox-static")
    path = tmp_path_factory.mktemp("bundle")
    (path / "rootfs/bin").mkdir(parents=True)
    shutil.copy("/bin/busybox", path / "rootfs/bin/busybox")
    subprocess.run(["runc", "spec"], cwd=path, check=True)
    return path


def created_by_runc(made, bundle, config) -> dict[str, str] | None:
    """Have runc create a container of this config; its state's cgroup paths, or None if it refuses.

    The container is still there; `runc_delete` ends it.
    """
    config["process"].update(terminal=False, args=["/bin/busybox", "true"])
    config["root"]["path"] = str(bundle / "rootfs")
    work = bundle / made.name
    work.mkdir()
    (work / "config.json").write_text(json.dumps(config))
    done = subprocess.run(
        ["runc", "--root", str(work / "state"), "create", "--bundle", str(work), made.name],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        check=False,
    )
    if done.returncode:
        return None
    return json.loads((work / "state" / made.name / "state.json").read_text())["cgroup_paths"]


def runc_delete(made, bundle) -> None:
    state = str(bundle / made.name / "state")
    subprocess.run(["runc", "--root", state, "delete", "--force", made.name], check=True)


@pytest.mark.parametrize("path", [None, "relative/c", "/absolute/c", "../../up/c", "/../x/./c"])
def test_same_directories_as_runc(made, bundle, path):
    config = json.loads((bundle / "config.json").read_text())
    config["linux"]["resources"] = {}
    if path:
        config["linux"]["cgroupsPath"] = path.removesuffix("c") + made.name
    before = parents(made, config)
    theirs = created_by_runc(made, bundle, config)
    runc_delete(made, bundle)
    for directory in before:
        if directory.is_dir():
            directory.rmdir()
    ours = made.driver.plan_path(config, made.name).directories
    ours.pop("misc", None)  # newer than Debian's runc
    assert ours == theirs


def parents(made, config) -> list[Path]:
    """The parents of the container's cgroup that do not exist yet, deepest first."""
    missing = []
    for directory in made.driver.plan_path(config, made.name).all_directories():
        for parent in Path(directory).parents:
            if parent.exists():
                break
            missing.append(parent)
    return sorted(missing, key=lambda path: -len(path.parts))


def test_config_errors_come_before_anything_is_made(made):
    with pytest.raises(ConfigError):
        made.planned({"linux": {"cgroupsPath": "/"}})
