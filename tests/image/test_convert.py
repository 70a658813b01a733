"""An image's config becomes the process that engines make of it."""

from __future__ import annotations

from typing import Any

import pytest

from pycontainer import spec
from pycontainer.base.errors import ContainerError
from pycontainer.base.jsonfast import dumps
from pycontainer.image import seccomp_profile
from pycontainer.image.convert import CAPABILITIES, Options, config
from pycontainer.image.source import Image
from tests.support.bundles import GROUP, PASSWD

ETC = {
    "passwd": PASSWD
    + "bob:x:1001:100::/home/bob:/bin/sh\n1002:x:2000:2000::/:/bin/sh\n"
    + "short:x:1005\n#no:x:1006:1\n",
    "group": GROUP + "users:x:100:\nwheel:x:10:root,alice\n1003:x:9:\n",
}


def made(image: dict[str, Any] | None = None, **options: Any) -> dict[str, Any]:
    """The config, which is valid."""
    result, _ = config(Image("x", {"config": image or {}}, []), Options(**options), ETC, None)
    spec.validate(result, dumps(result).encode())
    return result


@pytest.mark.parametrize(
    "entrypoint, command, entry, args, expected",
    [
        (["a"], ["b"], None, [], ["a", "b"]),
        (["a"], ["b"], None, ["c"], ["a", "c"]),
        (None, ["b"], None, ["c"], ["c"]),
        (["a"], ["b"], "e", [], ["e"]),
        (["a"], ["b"], "e", ["c"], ["e", "c"]),
        (["a"], ["b"], "", ["c"], ["c"]),
        (None, None, None, [], ["sh"]),
    ],
)
def test_args(entrypoint: Any, command: Any, entry: Any, args: list[str], expected: list[str]):
    result = made({"Entrypoint": entrypoint, "Cmd": command}, entrypoint=entry, args=args)
    assert result["process"]["args"] == expected


@pytest.mark.parametrize(
    "user, uid, gid, groups",
    [
        ("", 0, 0, [10]),
        (":", 0, 0, [0]),
        ("root", 0, 0, [0, 10]),
        ("0", 0, 0, [0, 10]),
        ("alice", 1000, 1000, [10, 50, 1000]),
        ("1000", 1000, 1000, [10, 50, 1000]),
        ("alice:", 1000, 1000, [1000]),
        ("1000:", 1000, 1000, [1000]),
        (":1000", 0, 1000, [1000]),
        (":staff", 0, 50, [50]),
        ("alice:staff", 1000, 50, [50]),
        ("alice:77", 1000, 77, [77]),
        ("bob", 1001, 100, [100]),
        ("1234", 1234, 0, [0]),
        ("1234:", 1234, 0, [0]),
        ("1234:users", 1234, 100, [100]),
        ("1002", 1002, 0, [0]),  # a number is an id, whatever names there are
        ("alice:1003", 1000, 1003, [1003]),
        ("short", 1005, 0, [0]),
    ],
)
def test_users(user: str, uid: int, gid: int, groups: list[int]):
    expected = {"uid": uid, "gid": gid, "additionalGids": groups}
    assert made({"User": user})["process"]["user"] == expected
    if user:
        assert made({"User": "bob"}, user=user)["process"]["user"] == expected


@pytest.mark.parametrize(
    "user",
    [
        "nobody",
        "alice:nobody",
        "99999999999",
        "-1",
        "a\nb",
        "2147483648",
        "9" * 9999,
        "\u0663",
        "#no",
    ],
)
def test_users_that_are_none(user: str):
    with pytest.raises(ContainerError):
        made({"User": user})


def test_environment(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("MINE", "1")
    monkeypatch.delenv("OTHER", raising=False)
    image = {"Env": ["A=1", "PATH=/bin", "B=x=y"], "User": "bob"}
    env = made(image, env=["A=2", "MINE", "OTHER"])["process"]["env"]
    assert sorted(env) == ["A=2", "B=x=y", "HOME=/home/bob", "MINE=1", "PATH=/bin"]
    assert made()["process"]["env"][0].startswith("PATH=/usr/local/sbin:")
    assert "TERM" in " ".join(made(tty=True)["process"]["env"])


@pytest.mark.parametrize(
    "name, home",
    [("bob", "/home/bob"), ("1001", "/home/bob"), ("77", "/w"), ("", "/root"), ("short", "/")],
)
def test_the_home_directory(name: str, home: str):
    image = {"User": name, "WorkingDir": "/w"}
    assert f"HOME={home}" in made(image)["process"]["env"]
    assert "HOME=/x" in made({"User": name, "Env": ["HOME=/x"]})["process"]["env"]


def test_an_image_gets_nothing_of_the_callers_environment(monkeypatch: pytest.MonkeyPatch):
    """-e NAME is how the caller passes a variable on; in an image's Env it would steal one."""
    monkeypatch.setenv("SECRET", "1")
    image = Image("x", {"config": {"Env": ["SECRET", "", "=x", "A=1"]}}, [])
    found, warnings = config(image, Options(), ETC, None)
    assert [e for e in found["process"]["env"] if not e.startswith(("PATH", "HOME"))] == ["A=1"]
    assert len(warnings) == 3 and "'SECRET'" in warnings[0]


def test_what_a_runtime_has_no_use_for():
    settings = {"Healthcheck": {"Test": ["CMD", "false"]}, "OnBuild": ["RUN x"], "Shell": ["x"]}
    assert made(settings) == made()


@pytest.mark.parametrize("document", [{}, {"config": None}, {"config": {}}])
def test_an_image_without_settings(document: dict[str, Any]):
    found, _ = config(Image("x", document, []), Options(), ETC, None)
    assert found["process"]["args"] == ["sh"] and found["process"]["cwd"] == "/"


def test_annotations():
    image = {
        "Labels": {"com.example.a": "1", "run.oci.hooks.stdout": "/etc/passwd",
                   "org.systemd.property.ExecStop": "x", "org.criu.config": "/x", "": "x"},
        "StopSignal": "SIGINT",
        "ExposedPorts": {"80/tcp": {}},
    }  # fmt: skip
    found, warnings = config(Image("x", {"config": image, "os": "linux"}, []), Options(), ETC, None)
    assert found["annotations"] == {
        "com.example.a": "1",
        "org.opencontainers.image.exposedPorts": "80/tcp",
        "org.opencontainers.image.os": "linux",
        "org.opencontainers.image.stopSignal": "SIGINT",
    }
    assert len(warnings) == 3 and all("ignore label" in text for text in warnings)


def test_capabilities():
    process = made()["process"]
    assert set(process["capabilities"]["effective"]) == CAPABILITIES
    assert "effective" not in made({"User": "1000"})["process"]["capabilities"]
    given = made({"User": "1000"}, cap_add=["net_raw"], cap_drop=["ALL"])["process"]["capabilities"]
    assert given == dict.fromkeys(
        ("bounding", "effective", "permitted", "inheritable", "ambient"), ["CAP_NET_RAW"]
    )
    assert made(cap_drop=["ALL"])["process"]["capabilities"] == {"bounding": []}
    with pytest.raises(ContainerError, match="no capability"):
        made(cap_add=["nonsense"])


def test_networks():
    kinds = [space["type"] for space in made()["linux"]["namespaces"]]
    assert "network" in kinds
    result = made(net="host")
    assert "network" not in [space["type"] for space in result["linux"]["namespaces"]]
    with pytest.raises(ContainerError, match="must be host or none"):
        made(net="bridge")


@pytest.mark.parametrize("option", [{"memory": "x"}, {"cpus": "0"}, {"cpus": "a"},
                                    {"volumes": ["/a"]}, {"volumes": ["/a:b"]}])  # fmt: skip
def test_what_makes_no_sense(option: dict[str, Any]):
    with pytest.raises(ContainerError):
        made(**option)


def test_limits():
    resources = made(memory="64m", cpus="1.5", pids=10)["linux"]["resources"]
    assert resources["memory"] == {"limit": 64 << 20}
    assert resources["cpu"] == {"quota": 150000, "period": 100000}
    assert resources["pids"] == {"limit": 10}


@pytest.mark.parametrize("broken", [{"Env": "A=1"}, {"Env": [3]}, {"WorkingDir": "relative"}])
def test_a_config_of_nonsense(broken: dict[str, Any]):
    if broken == {"Env": "A=1"}:
        assert "A=1" in made(broken)["process"]["env"]
        return
    with pytest.raises(ContainerError):
        made(broken)


def test_the_profile():
    """Every name is on one list, and a capability opens what it is good for."""
    allowed, refused = set(seccomp_profile.ALLOWED), set(seccomp_profile.REFUSED)
    assert not allowed & refused
    opened = {n for names in seccomp_profile.OPENED_BY.values() for n in names.split()}
    assert opened - {"clone3"} <= refused
    names = lambda rules: {n for rule in rules for n in rule["names"]}  # noqa: E731
    rules = seccomp_profile.profile(["CAP_SYS_TIME"])["syscalls"]
    assert "settimeofday" in names(r for r in rules if r["action"] == "SCMP_ACT_ALLOW")
    assert "settimeofday" not in names(r for r in rules if r["action"] == "SCMP_ACT_ERRNO")
