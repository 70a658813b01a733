"""Signal words, compared with Python's own table of this platform."""

from __future__ import annotations

import signal

import pytest

from pycontainer.base.errors import UsageError
from pycontainer.tables import signals


@pytest.mark.parametrize("known", [s for s in signal.Signals if s.value < 32])
def test_every_name_in_every_spelling(known: signal.Signals) -> None:
    short = known.name[3:]
    for text in (known.name, short, short.lower(), known.name.title(), str(known.value)):
        assert signals.parse_signal(text) == known.value
    assert signals.parse_signal(signals.name(known.value)) == known.value


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("0", 0),
        ("+9", 9),
        ("009", 9),
        ("64", 64),
        ("RTMIN", 34),
        ("SIGRTMIN", 34),
        ("sigrtmin+3", 37),
        ("RTMIN+0", 34),
        ("RTMIN+30", 64),
        ("SIGRTMAX", 64),
        ("RTMAX-30", 34),
        ("SIGPOLL", 29),
    ],
)
def test_numbers_and_real_time(text: str, number: int) -> None:
    assert signals.parse_signal(text) == number


@pytest.mark.parametrize(
    "text",
    ["", "SIG", "FOO", "9 ", " 9", "1_0", "9.0", "٩", "RTMIN+31", "RTMAX-31", "RTMIN3"]
    + ["RTMIN-1", "RTMAX+1", "RTMIN+", "RTMIN+-1", "SIGSIGKILL", "9" * 5000, "--9", "+"],
)
def test_everything_else_is_refused_in_runcs_words(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        signals.parse_signal(text)
    assert caught.value.message == f'unknown signal "{text}"'


@pytest.mark.parametrize("text", ["-1", "65", "999", "-9"])
def test_numbers_that_no_signal_has_are_refused_in_the_kernels_words(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        signals.parse_signal(text)
    assert str(caught.value) == "unable to signal init: invalid argument"


def test_quotes_in_the_message() -> None:
    with pytest.raises(UsageError) as caught:
        signals.parse_signal('a"\\b')
    assert caught.value.message == 'unknown signal "a\\"\\\\b"'


def test_names_of_numbers() -> None:
    assert signals.name(9) == "SIGKILL"
    assert signals.name(34) == "SIGRTMIN"
    assert signals.name(37) == "SIGRTMIN+3"
    assert signals.name(64) == "SIGRTMIN+30"
    assert signals.name(0) == "0"
    assert signals.name(33) == "33"
    assert signals.name(99) == "99"
