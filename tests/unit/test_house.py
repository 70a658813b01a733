"""The house: version, launcher, what is built, what gets installed."""

from __future__ import annotations

import ast
import os
import re
import shutil
import struct
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import pycontainer

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "pycontainer"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
LAUNCHER = ROOT / "build" / "pycontainer"
# An outer make hands its flags and its job server down; the ones started here are their own.
ENVIRON = {key: value for key, value in os.environ.items() if key[:4] not in ("MAKE", "MFLA")}


def call(*argv: str | Path, **options: object) -> str:
    """Run a command and return its standard output; a failure shows all that it said."""
    options = {"env": ENVIRON, **options}
    done = subprocess.run([*map(str, argv)], capture_output=True, text=True, **options)
    assert done.returncode == 0, f"{argv}: {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def program_headers(path: Path) -> list[tuple[int, int]]:
    """The (type, flags) of each segment of a 64-bit little-endian ELF file."""
    data = path.read_bytes()
    (offset,) = struct.unpack_from("<Q", data, 32)
    size, count = struct.unpack_from("<HH", data, 54)
    return [struct.unpack_from("<II", data, offset + i * size) for i in range(count)]


# --- metadata ---


def test_version_is_one_number_everywhere():
    assert PROJECT["dynamic"] == ["version"]
    newest = re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert newest is not None and newest[1] == pycontainer.__version__
    assert f"version {pycontainer.__version__}\n" in call(LAUNCHER, "--version")


def test_run_time_dependencies_are_the_agreed_four():
    names = {re.match(r"[\w-]+", text)[0] for text in PROJECT["dependencies"]}
    assert names == {"attrs", "cffi", "jsonschema", "pyroute2"}


def test_license_is_apache():
    assert PROJECT["license"] == "Apache-2.0"
    assert "Apache License\n" in (ROOT / "LICENSE").read_text()


# --- house style: what a reader can rely on ---


@pytest.mark.parametrize("suffix", ["py", "c", "h"])
def test_files_stay_small(suffix):
    generated = {"_compiled_spec.py", "plan_ops.h"}
    files = [*PACKAGE.rglob(f"*.{suffix}"), *(ROOT / "csrc").rglob(f"*.{suffix}")]
    lines = {f: len(f.read_text().splitlines()) for f in files if f.name not in generated}
    assert {f.relative_to(ROOT): n for f, n in lines.items() if n > 400} == {}


def test_the_architecture_fits_on_its_pages():
    assert len((ROOT / "docs" / "ARCHITECTURE.md").read_text().splitlines()) <= 150


def test_functions_stay_small():
    too_long = {}
    for file in PACKAGE.rglob("*.py"):
        if file.name == "_compiled_spec.py":
            continue
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.FunctionDef) and node.end_lineno - node.lineno >= 40:
                too_long[f"{file.relative_to(ROOT)}:{node.lineno} {node.name}"] = node.end_lineno
    assert too_long == {}


def test_functions_in_c_stay_small():
    too_long = {}
    for file in (ROOT / "csrc").rglob("*.c"):
        begin = 0
        for number, line in enumerate(file.read_text().splitlines(), 1):
            if line == "{":
                begin = number
            elif line == "}" and begin and number - begin >= 60:
                too_long[f"{file.relative_to(ROOT)}:{begin}"] = number - begin
    assert too_long == {}


def late_fields(node: ast.ClassDef) -> set[str]:
    """Those that a method other than __init__ sets, or that __init__ leaves out of its slots."""
    slots: set[str] = set()
    early: set[str] = set()
    late: set[str] = set()
    has_init = False
    for part in node.body:
        if isinstance(part, ast.Assign) and ast.unparse(part.targets[0]) == "__slots__":
            slots = {n.value for n in ast.walk(part.value) if isinstance(n, ast.Constant)}
        if isinstance(part, ast.FunctionDef):
            names = {
                n.attr
                for n in ast.walk(part)
                if isinstance(n, ast.Attribute)
                and isinstance(n.ctx, ast.Store)
                and ast.unparse(n.value) == "self"
            }
            has_init = has_init or part.name == "__init__"
            if part.name == "__init__":
                early |= names
            else:
                late |= names
    return late | (slots - early if has_init else set())


def test_few_fields_are_set_late():
    """An object whose fields come one after another is hard to reason about."""
    found = {
        f"{file.relative_to(ROOT)}: {node.name}": sorted(late)
        for file in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.ClassDef) and len(late := late_fields(node)) > 12
    }
    assert found == {}


# --- the build ---


def test_build_leaves_nothing_to_do():
    call("make", "-q", "-C", "csrc", f"PYTHON={sys.executable}", cwd=ROOT)


def test_executor_is_static_and_its_stack_not_executable():
    load, dynamic, interpreter, stack, writable, executable = 1, 2, 3, 0x6474E551, 2, 1
    headers = program_headers(PACKAGE / "executor.bin")
    kinds = {kind for kind, _ in headers}
    assert kinds.isdisjoint({dynamic, interpreter})
    assert [flags & executable for kind, flags in headers if kind == stack] == [0]
    assert not [f for kind, f in headers if kind == load and f & writable and f & executable]
    assert (PACKAGE / "executor.bin").stat().st_size < 256 * 1024


def test_shim_links_nothing_but_libc():
    text = call("readelf", "-d", PACKAGE / "_shim.abi3.so")
    assert set(re.findall(r"NEEDED.*\[(.*)\]", text)) <= {"libc.so.6"}


def test_schemas_are_part_of_the_package():
    ours = {f.name: f.read_bytes() for f in (ROOT / "oci-spec").glob("*.json")}
    assert ours
    assert ours == {f.name: f.read_bytes() for f in (PACKAGE / "spec/schemas").glob("*.json")}


# --- the command ---


def test_launcher_is_isolated_and_without_site():
    first = LAUNCHER.read_text().split("\n", 1)[0]
    interpreter, flags = first.removeprefix("#!").split(" ")
    assert flags == "-IS"
    assert os.access(interpreter, os.X_OK)


def test_launcher_trusts_no_variable_and_no_directory_of_the_caller(tmp_path):
    for name in ("pycontainer", "sitecustomize", "_cffi_backend", "posix"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('not ours')\n")
    env = ENVIRON | {"PYTHONPATH": str(tmp_path), "PYTHONSTARTUP": str(tmp_path / "posix.py")}
    call(LAUNCHER, "--version", cwd=tmp_path, env=env)


def test_the_fast_command_answers_as_the_script():
    fast = ROOT / "build" / "fast" / "pycontainer"
    if not fast.exists():
        pytest.skip("make build said why there is none")
    for arguments in (["--version"], ["features"], ["help", "run"]):
        assert call(fast, *arguments) == call(LAUNCHER, *arguments)


def test_dependencies_are_in_reach_without_site():
    text = LAUNCHER.read_text().split("try:")[0]
    text += "from pycontainer.base import optional_deps\n"
    text += "for name in ('jsonschema', 'attrs', 'pyroute2'): optional_deps.load(name)\n"
    call(LAUNCHER.read_text()[2:].split(" ")[0], "-IS", "-c", text)


def test_a_missing_dependency_is_a_clear_error():
    from pycontainer.base import errors, optional_deps

    with pytest.raises(errors.HostError, match="load no_such_module: .*install it"):
        optional_deps.load("no_such_module")


# --- what gets installed ---


@pytest.mark.slow
def test_make_install_gives_a_command_with_all_bytecode(tmp_path):
    prefix = tmp_path / "usr"
    call("make", "install", f"PREFIX={prefix}", cwd=ROOT)
    command = prefix / "bin" / "pycontainer"
    assert command.read_bytes()[:4] in (b"\x7fELF", b"#!/u")  # the script where libpython is shared
    assert pycontainer.__version__ in call(command, "--version", cwd="/")
    library = prefix / "lib" / "pycontainer"
    sources = [f for f in library.rglob("*.py") if f.parent.name != "__pycache__"]
    tag = sys.implementation.cache_tag
    assert sources
    assert [f for f in sources if not (f.parent / f"__pycache__/{f.stem}.{tag}.pyc").exists()] == []
    assert str(ROOT).encode() not in command.read_bytes()


@pytest.mark.slow
def test_make_install_respects_destdir(tmp_path):
    call("make", "install", f"DESTDIR={tmp_path}", "PREFIX=/opt/x", cwd=ROOT)
    command = (tmp_path / "opt/x/bin/pycontainer").read_bytes()
    assert b"/opt/x/lib/pycontainer" in command
    assert str(tmp_path).encode() not in command


@pytest.mark.slow
def test_wheel_works_in_an_environment_of_its_own(tmp_path):
    source = tmp_path / "source"
    unwanted = shutil.ignore_patterns(
        ".git", ".venv", "build", "*.so", "*.bin", "_compiled_spec.py", "_checksum.py",
        "plan_ops.h", "schemas", "__pycache__", ".*_cache",
    )  # fmt: skip
    shutil.copytree(ROOT, source, ignore=unwanted)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q"]
    offline = ["--no-deps", "--no-index"]
    call(*pip, "wheel", *offline, "--no-build-isolation", "-w", tmp_path, source)
    (wheel,) = tmp_path.glob("*.whl")
    assert re.search(r"-cp311-abi3-manylinux_2_\d\d_\w+\.whl$", wheel.name)

    venv = tmp_path / "venv"
    call(sys.executable, "-m", "venv", "--without-pip", venv)
    call(*pip, "--python", venv / "bin/python", "install", *offline, wheel)
    packages = next(venv.glob("lib/python*/site-packages"))
    call(sys.executable, ROOT / "tools/vendor.py", packages)
    # Where this environment is would be in it.
    assert {path.parent.name[:11] for path in packages.rglob("RECORD")} == {"pycontainer"}
    assert pycontainer.__version__ in call(venv / "bin/pycontainer", "--version", cwd="/")
    link = tmp_path / "link"
    link.symlink_to(venv / "bin/pycontainer")
    assert pycontainer.__version__ in call(link, "--version", cwd="/")
    built = {"executor.bin", "_shim.abi3.so", "spec/_compiled_spec.py", "spec/schemas"}
    built |= {"lifecycle/waiter.bin", "lifecycle/attendant.bin"}
    assert {name for name in built if not (packages / "pycontainer" / name).exists()} == set()


def test_every_attack_in_the_documentation_is_one():
    """docs/SECURITY.md names tests: files, and functions of the file that was named before."""
    text, missing, file = (ROOT / "docs/SECURITY.md").read_text(), [], ""
    for found in re.finditer(r"`(?:((?:\w+/)*test_\w+\.py)(?:::)?)?(test_\w+)?`", text):
        if found[1]:
            paths = [*(ROOT / "tests").rglob(found[1])] or [ROOT / found[1]]
            file = paths[0].read_text() if paths[0].exists() else ""
        if not file or (found[2] and f"\ndef {found[2]}(" not in file):
            missing.append(found[0])
    assert missing == []
