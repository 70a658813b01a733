"""jsonfast reads what json reads, refuses more, and says where."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pycontainer.base import jsonfast

SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
FINITE = SCALARS.filter(lambda value: value not in (float("inf"), float("-inf")))
VALUES = st.recursive(
    FINITE, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=20
)


@given(VALUES)
def test_both_ways_agree_with_json(value: object) -> None:
    text = jsonfast.dumps(value)
    text.encode()
    expected = json.loads(json.dumps(value))
    assert json.loads(text) == expected
    assert jsonfast.loads(text) == expected
    assert jsonfast.loads(json.dumps(value, indent=1).encode()) == expected


@given(VALUES, st.sampled_from([2, 4, "\t"]))
def test_indented_reads_the_same(value: object, indent: int | str) -> None:
    assert json.loads(jsonfast.dumps(value, indent)) == json.loads(json.dumps(value))


@given(st.text(alphabet='{}[]",:\\ \n0123456789.eE+-truefalsn\ud800\x00é', max_size=30))
def test_any_text_is_a_value_or_one_line(text: str) -> None:
    try:
        value = jsonfast.loads(text)
    except ValueError as error:
        assert type(error) is ValueError
        assert "\n" not in str(error)
    else:
        assert json.loads(text) == value


@given(st.binary(max_size=30))
def test_any_bytes_are_a_value_or_one_line(data: bytes) -> None:
    try:
        jsonfast.loads(data)
    except ValueError as error:
        assert type(error) is ValueError


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("", "expecting a value: line 1 column 1; the file is empty"),
        (" \n ", "expecting a value: line 2 column 2; the file is empty"),
        (
            '{"a": 1}\n x',
            "unexpected text after the document: line 2 column 2; fix: remove it, or the bracket "
            "before it, which ends the document too early",
        ),
        ('{"a"\n 1}', "expecting ':' delimiter: line 2 column 2"),
        (
            '{"a": "b\n"}',
            "invalid control character: line 1 column 9; fix: a string stands on one line, "
            "with \\n for a line feed",
        ),
        ("[1, nul]", 'expecting a value: line 1 column 5; fix: write "nul"'),
        (b'{"a": "\xff"}', "not UTF-8: line 1 column 8"),
        (b"\n\n \xff", "not UTF-8: line 3 column 2"),
        ("\ufeff{}", "unexpected byte order mark at the start; fix: save it without one"),
        (b"\xef\xbb\xbf{}", "unexpected byte order mark at the start; fix: save it without one"),
        ("NaN", "NaN is not a JSON number: line 1 column 1"),
        ("[-Infinity]", "-Infinity is not a JSON number: line 1 column 2"),
        ("1e999", "number 1e999 is out of range: line 1 column 1"),
        ("9" * 5000, "number is out of range: line 1 column 1"),
        ('"\\ud800"', "a string holds a lone surrogate: line 1 column 1"),
        ("[" * 200_000, "nested too deeply"),
        ('{"a":' * 200_000, "nested too deeply"),
    ],
)
def test_refusals(data: str | bytes, message: str) -> None:
    with pytest.raises(ValueError) as caught:
        jsonfast.loads(data)
    assert str(caught.value) == message
    assert type(caught.value) is ValueError


@pytest.mark.parametrize(
    ("text", "remedy"),
    [
        ('{"a":1,}', "remove the comma in front of the bracket"),
        ('{"a":[1,2, ]}', "remove the comma in front of the bracket"),
        ('{"a":1,,"b":2}', "remove one of the two commas"),
        ('{"a":1 "b":2}', "put a comma in front of it"),
        ('{"a":{"b":1}\n"c":2}', "put a comma in front of it"),
        ("{a:1}", 'names have quotes: "a"'),
        ("{'a':1}", "JSON has double quotes only"),
        ('{"a":True}', "write true"),
        ('{"a":None}', "write null"),
        ('{"a":yes}', 'write "yes"'),
        ("// hi\n{}", "JSON has no comments"),
        ('{"a":1, # hi\n"b":2}', "JSON has no comments"),
        ('{"a":1', "was the file written completely?"),
        ('{"a":"b', "end the string with a quote"),
        ('{"a":"b\nc"}', "a string stands on one line"),
        ('{"a":0666}', "write 438"),
        ('{"a":64M}', "a number has no unit"),
    ],
)
def test_remedies(text: str, remedy: str) -> None:
    with pytest.raises(ValueError) as caught:
        jsonfast.loads(text)
    assert ": line " in str(caught.value)
    assert remedy in str(caught.value).partition("; ")[2]


def test_the_last_of_two_members_counts() -> None:
    assert jsonfast.loads('{"a": 1, "a": 2}') == {"a": 2}


def test_a_path_that_is_not_utf8_survives() -> None:
    path = b"/b\xff".decode("utf-8", "surrogateescape")
    text = jsonfast.dumps({"bundle": path, "é": 1})
    assert text.isascii()
    assert jsonfast.loads(text, surrogates=True) == {"bundle": path, "é": 1}


def test_layout_when_indented() -> None:
    value = {"a": [1, {}], "b": [], "c": {"d": "é"}}
    assert jsonfast.dumps(value, 2) == json.dumps(value, indent=2, ensure_ascii=False)


def test_values_without_json_form() -> None:
    deep: list = []
    for _ in range(100_000):
        deep = [deep]
    for value in (float("nan"), {1, 2}, b"x", deep):
        for indent in (None, 2):
            with pytest.raises(ValueError):
                jsonfast.dumps({"a": value}, indent)


def test_json_stays_away_until_there_is_an_error() -> None:
    code = (
        "import sys; sys.path.insert(0, '.'); from pycontainer.base import jsonfast as j;"
        "j.loads(b'{\"a\": [1, 2.5, null]}'); print(j.dumps({'a': 'b'}), 'json' in sys.modules)\n"
        "try: j.loads('{')\n"
        "except ValueError as error: print(error)"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines() == [
        '{"a":"b"} False',
        "expecting property name enclosed in double quotes: line 1 column 2; "
        "the text ends too early: was the file written completely?",
    ]
