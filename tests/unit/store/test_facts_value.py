"""Facts survive their file, tolerate what is newer, and keep their times as Go writes them."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pycontainer.state.state import Facts, document, parse_facts, rfc3339_nano

TEXT = st.text().filter(lambda text: text.isprintable())
BYTES = st.lists(st.integers(1, 255)).map(bytes)  # a path has no NUL
FACTS = st.builds(
    Facts,
    id=TEXT,
    oci_version=TEXT,
    phase=st.sampled_from(["creating", "created"]),
    pid=st.integers(0, 2**22),
    start_time=st.integers(0, 2**64),
    created=TEXT,
    owner=st.integers(0, 2**32),
    bundle=BYTES.map(lambda path: path.decode("utf-8", "surrogateescape")),
    rootfs=TEXT,
    cgroup=st.dictionaries(TEXT, TEXT),
    annotations=st.dictionaries(TEXT, TEXT),
    extra=st.dictionaries(TEXT, st.integers()),
)


@given(FACTS)
def test_there_and_back(facts: Facts) -> None:
    assert parse_facts(facts.dump()) == facts


@given(
    st.binary(max_size=40)
    | st.recursive(
        st.none() | st.integers() | st.text(),
        lambda inner: st.dictionaries(
            st.sampled_from(["version", "id", "pid", "phase", "x"]), inner
        ),
    ).map(lambda value: json.dumps(value).encode())
)
def test_anything_else_is_one_line(data: bytes) -> None:
    try:
        parse_facts(data)
    except ValueError as error:
        assert "\n" not in str(error)


@pytest.mark.parametrize(
    "member", ['"bundle": "a\\u0000"', '"cgroup": {"paths": {"": "/\\u0000"}}',
               '"extra": {"hooks": [["\\u0000"]]}'],
)  # fmt: skip
def test_what_the_kernel_cannot_take_is_no_state(member: str) -> None:
    with pytest.raises(ValueError, match="NUL"):
        parse_facts(f'{{"version": 1, "id": "a", {member}}}'.encode())
    facts = parse_facts(b'{"version": 1, "id": "a", "annotations": {"a": "\\u0000"}}')
    assert facts.annotations == {"a": "\0"}


def test_newer_members_are_ignored_and_missing_ones_have_defaults() -> None:
    assert parse_facts(b'{"version": 1, "id": "a", "shiny": [1]}') == Facts(id="a")


def test_the_state_names_the_unit() -> None:
    facts = Facts(id="a", cgroup={"unit": {"name": "a.scope", "slice": "system.slice"}})
    assert document(facts, "running", 3)["systemd-scope"] == "a.scope"
    assert "systemd-scope" not in document(Facts(id="a"), "running", 3)


def test_replace_leaves_the_original() -> None:
    facts = Facts(id="a", cgroup={"path": "/a"})
    changed = facts.replace(pid=3)
    changed.cgroup["path"] = "/b"
    assert (facts.pid, facts.cgroup, changed.pid) == (0, {"path": "/a"}, 3)
    assert facts != changed
    assert Facts().cgroup is not Facts().cgroup
    with pytest.raises(TypeError, match="no such fact: color"):
        facts.replace(color="red")


@pytest.mark.parametrize(
    ("moment", "text"),
    [
        (0, "1970-01-01T00:00:00Z"),
        (1_000_000_000 * 1_700_000_000 + 120_000_000, "2023-11-14T22:13:20.12Z"),
        (1, "1970-01-01T00:00:00.000000001Z"),
    ],
)
def test_times(moment: int, text: str) -> None:
    assert rfc3339_nano(moment) == text
    assert rfc3339_nano().endswith("Z")
