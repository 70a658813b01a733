"""The parser, row by row: what runc's accepts, and what nobody may pass."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pycontainer.cli.commands import COMMANDS, load
from pycontainer.cli.create_options import IMAGE_OPTIONS
from pycontainer.cli.options import (
    FLAG,
    GLOBALS,
    HELP,
    NO_LIMIT,
    NUMBER,
    NUMBERS,
    TEXT,
    TEXTS,
    Arguments,
    WrongUsage,
    check_words,
    parse,
    parse_globals,
)

TABLE = (
    ("bundle", "b", TEXT, "DIR", "a text"),
    ("detach", "d", FLAG, "", "a flag"),
    ("env", "e", TEXTS, "X", "texts"),
    ("gids", "g", NUMBERS, "N", "numbers"),
    ("preserve-fds", "", NUMBER, "N", "a number"),
)
WHOLE = "must be a whole number"
OUTER = (("root", "", TEXT, "DIR", "a global"), ("debug", "", FLAG, "", "a global flag"))


def parsed(argv: list[str], stop: int = NO_LIMIT) -> tuple[dict[str, Any], list[str]]:
    inner, outer = Arguments(TABLE), Arguments(OUTER)
    parse(argv, (inner, outer), stop)
    return {**outer.values, **inner.values}, inner.words


@pytest.mark.parametrize(
    ("argv", "values", "words"),
    [
        ([], {}, []),
        (["c"], {}, ["c"]),
        (["-b", "D", "c"], {"bundle": "D"}, ["c"]),
        (["-b=D", "c"], {"bundle": "D"}, ["c"]),
        (["--b", "D", "c"], {"bundle": "D"}, ["c"]),
        (["--bundle", "D", "c"], {"bundle": "D"}, ["c"]),
        (["--bundle=D", "c"], {"bundle": "D"}, ["c"]),
        (["-bundle", "D", "c"], {"bundle": "D"}, ["c"]),
        (["-bundle=D=E", "c"], {"bundle": "D=E"}, ["c"]),
        (["--bundle=", "c"], {"bundle": ""}, ["c"]),
        (["--bundle", "", "c"], {"bundle": ""}, ["c"]),
        (["--bundle", "--detach", "c"], {"bundle": "--detach"}, ["c"]),
        (["c", "-b", "D"], {"bundle": "D"}, ["c"]),
        (["-b", "D", "-b", "E"], {"bundle": "E"}, []),
        (["-d", "c"], {"detach": True}, ["c"]),
        (["--detach=true", "c"], {"detach": True}, ["c"]),
        (["--detach=false", "c"], {"detach": False}, ["c"]),
        (["--detach=0", "c"], {"detach": False}, ["c"]),
        (["--detach=", "c"], {"detach": True}, ["c"]),
        (["--detach", "false"], {"detach": True}, ["false"]),
        (["-e", "A=1", "--env", "B=2,3", "-e=C="], {"env": ["A=1", "B=2,3", "C="]}, []),
        (["-g", "1", "-g=2"], {"gids": [1, 2]}, []),
        (["--preserve-fds", "3"], {"preserve-fds": 3}, []),
        (["c", "--debug", "--root", "/x"], {"debug": True, "root": "/x"}, ["c"]),
        (["--", "-d", "c"], {}, ["-d", "c"]),
        (["c", "--", "-d"], {}, ["c", "-d"]),
        (["c", "-"], {}, ["c", "-"]),
        (["c", ""], {}, ["c", ""]),
        (["c", "-9", "-d"], {}, ["c", "-9", "-d"]),
    ],
)
def test_accepts(argv: list[str], values: dict[str, Any], words: list[str]) -> None:
    assert parsed(argv) == (values, words)


@pytest.mark.parametrize(
    ("argv", "values", "words"),
    [
        (["-d", "c", "ls", "-d", "--x", "--", "y"], {"detach": True}, "c ls -d --x -- y"),
        (["c", "--", "ls", "--", "y"], {}, "c ls -- y"),
        (["c", "-d"], {}, "c -d"),
    ],
)
def test_stops_after_the_first_word(argv: list[str], values: dict[str, Any], words: str) -> None:
    assert parsed(argv, stop=1) == (values, words.split())


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--bogus"], "flag provided but not defined: -bogus"),
        (["-x"], "flag provided but not defined: -x"),
        (["-bd"], "flag provided but not defined: -bd"),
        (["--bogus=1"], "flag provided but not defined: -bogus"),
        (["--=1"], "flag provided but not defined: -"),
        (["---bundle", "x"], "flag provided but not defined: --bundle"),
        (["--bundle"], "flag needs an argument: --bundle"),
        (["c", "-b"], "flag needs an argument: -b"),
        (["--detach=maybe"], 'invalid value "maybe" for flag -detach: must be true or false'),
        (["--preserve-fds", "x"], 'invalid value "x" for flag -preserve-fds: ' + WHOLE),
        (["--preserve-fds", "-1"], 'invalid value "-1" for flag -preserve-fds: ' + WHOLE),
        (["--preserve-fds", "99999999999"], None),
        (["--preserve-fds", "1_0"], None),
        (["--preserve-fds", "\u0663"], None),
        (["-g", "1,2"], 'invalid value "1,2" for flag -g: ' + WHOLE),
    ],
)
def test_refuses(argv: list[str], message: str | None) -> None:
    with pytest.raises(WrongUsage) as caught:
        parsed(argv)
    if message:
        assert str(caught.value) == message


def test_defaults_depend_on_the_kind() -> None:
    arguments = Arguments(TABLE)
    assert [arguments[option[0]] for option in TABLE] == ["", False, [], [], 0]
    assert "bundle" not in arguments
    with pytest.raises(KeyError):
        arguments["bogus"]


def test_what_came_before_an_error_is_kept() -> None:
    outer = Arguments(OUTER)
    with pytest.raises(WrongUsage):
        parse(["--root", "/x", "--bogus"], (Arguments(TABLE), outer))
    assert outer["root"] == "/x"


@pytest.mark.parametrize(
    ("argv", "values", "rest"),
    [
        (["--root", "/x", "state", "--root", "/y"], {"root": "/x"}, ["state", "--root", "/y"]),
        (["--debug", "--", "state", "-x"], {"debug": True}, ["state", "-x"]),
        (["--debug"], {"debug": True}, []),
        ([], {}, []),
    ],
)
def test_globals_end_at_the_command(
    argv: list[str], values: dict[str, Any], rest: list[str]
) -> None:
    arguments = Arguments(OUTER)
    assert parse_globals(argv, arguments) == rest
    assert arguments.values == values


@pytest.mark.parametrize(
    ("count", "limits", "message"),
    [
        (1, (1, 1), ""),
        (0, (1, 1), '"x" requires exactly 1 argument(s)'),
        (2, (1, 1), '"x" requires exactly 1 argument(s)'),
        (0, (1, 2), '"x" requires a minimum of 1 argument(s)'),
        (3, (1, 2), '"x" requires a maximum of 2 argument(s)'),
        (9, (1, NO_LIMIT), ""),
    ],
)
def test_counts_words(count: int, limits: tuple[int, int], message: str) -> None:
    words = ["w"] * count
    if not message:
        check_words("x", words, limits)
        return
    with pytest.raises(WrongUsage) as caught:
        check_words("x", words, limits)
    assert str(caught.value) == message


@given(st.lists(st.text() | st.sampled_from(["--", "-", "--bundle", "-d", "-g", "x"])))
def test_never_anything_but_wrong_usage(argv: list[str]) -> None:
    try:
        parsed(argv)
    except WrongUsage as error:
        assert str(error)


@pytest.mark.parametrize("name", COMMANDS)
def test_tables_are_well_formed(name: str) -> None:
    command = load(name)
    own = [option[0] for option in command.OPTIONS]
    short = [option[1] for option in command.OPTIONS if option[1]]
    taken = {word for option in (*GLOBALS, HELP) for word in option[:2] if word} - {"v"}
    assert len(set(own)) == len(own) and len(set(short)) == len(short)
    assert taken & {*own, *short} == ({"rootless"} if name == "spec" else set())  # as runc's
    for option, letter, kind, placeholder, text in command.OPTIONS:
        assert len(letter) <= 1
        assert kind in (FLAG, TEXT, TEXTS, NUMBER, NUMBERS)
        assert bool(placeholder) == (kind != FLAG)
        # Hidden: between the front, the attendant and us, what runc accepts and ignores, and what
        # the help of `bundle` explains.
        hidden = {"connection", "ended", "kernel-memory", "kernel-memory-tcp"}
        hidden |= {option[0] for option in IMAGE_OPTIONS if name == "run"}
        assert text or option in hidden
