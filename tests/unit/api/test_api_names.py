"""The names of `import pycontainer`: what they are, what they cost, and what mypy makes of them."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

import pycontainer
from pycontainer import api
from pycontainer.base import errors
from tests.support.runtimes import CHECKOUT

PACKAGE = Path(pycontainer.__file__).parent


def test_the_lazy_names_are_those_of_the_api():
    assert pycontainer._names() == set(api.__all__)
    for name in api.__all__:
        assert getattr(pycontainer, name) is getattr(api, name)
    assert set(api.__all__) <= set(dir(pycontainer))


def test_no_name_is_a_module_of_ours():
    """`from pycontainer import plan` has to be the module, for all of the package."""
    modules = {path.stem for path in PACKAGE.iterdir()}
    assert set(api.__all__) & modules == set()


def test_every_error_is_public():
    kinds = {name for name, value in vars(errors).items() if isinstance(value, type)}
    assert kinds <= set(api.__all__)


def test_every_public_thing_is_documented():
    for name in api.__all__:
        value = getattr(api, name)
        if isinstance(value, type) or callable(value):
            assert value.__doc__ and "attrs" not in value.__doc__[:10], name
            methods = vars(value).items() if isinstance(value, type) else ()
            for method, function in methods:
                if not method.startswith("_") and callable(function):
                    assert function.__doc__, f"{name}.{method}"


def test_importing_the_package_loads_nothing():
    code = "import pycontainer, sys; print(sum(n.startswith('pycontainer') for n in sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=CHECKOUT, capture_output=True, text=True, check=True
    )
    assert done.stdout == "1\n"


def test_a_name_that_is_not_there():
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = pycontainer.nothing
    with pytest.raises(ImportError):
        from pycontainer import nothing  # noqa: F401


TYPED = """
import pycontainer
from pycontainer import Container, OperationError, Runtime

runtime = Runtime(root="/run/mine")
result = runtime.run("a", "/bundle", capture_output=True, stdin=pycontainer.DEVNULL)
text: str = result.text
status: int | None = result.exit_status
with pycontainer.create("b", config=pycontainer.default_config("sh")) as container:
    container.exec(["ls"], env={"A": "b"}, user=(1, 2), timeout=1.5, check=True)
    limit: int | None = container.stats().memory.limit
    kinds: list[str] = [event.type for event in container.events()]
ids: list[str] = [state.id for state in runtime.list()]
last: int = runtime.explain("/bundle").operations[-1].number

def step(error: OperationError, container: Container) -> tuple[int, str, str]:
    return error.step, error.field, error.hint
"""
WRONG = """
import pycontainer
pycontainer.Runtime().run("a", capture_outputs=True)
pycontainer.Runtime(rot="/")
pycontainer.nothing
pycontainer.load("a").exec("ls").nothing
"""


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("mypy") is None, reason="needs mypy")
def test_the_names_are_typed(tmp_path: Path):
    (tmp_path / "typed.py").write_text(TYPED)
    (tmp_path / "wrong.py").write_text(WRONG)
    mypy = [sys.executable, "-m", "mypy", "--strict", "--follow-imports=silent"]
    mypy += ["--cache-dir", str(tmp_path / "cache")]
    options = {"capture_output": True, "text": True, "cwd": tmp_path}
    environ = {"PATH": "/usr/bin:/bin", "MYPYPATH": str(CHECKOUT)}
    done = subprocess.run([*mypy, "typed.py"], env=environ, check=False, **options)
    assert done.returncode == 0, done.stdout
    done = subprocess.run([*mypy, "wrong.py"], env=environ, check=False, **options)
    found = {int(line.split(":")[1]) for line in done.stdout.splitlines() if ": error:" in line}
    assert found == {3, 4, 5, 6}, done.stdout
