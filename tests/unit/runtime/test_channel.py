"""The channel to the executor, without one."""

from __future__ import annotations

import os

import pytest
from pycontainer._shim import lib

from pycontainer.base.errors import OperationError
from pycontainer.executor import channel as module
from pycontainer.executor.channel import (
    HEAD,
    MSG_CHILD,
    MSG_FAILED,
    MSG_GO,
    MSG_SYNC,
    Channel,
    ExecutorFailed,
    ExecutorGone,
)
from pycontainer.plan.details import CODES


def test_an_executor_that_dies_with_words_unread_has_ended():
    """The kernel calls that a reset; it is what being out of memory looks like."""
    channel = Channel()
    channel.send(MSG_GO)
    channel.drop_theirs()
    assert channel.receive() == (0, -1)
    with pytest.raises(ExecutorGone):
        channel.expect(MSG_SYNC)
    channel.close()


def test_the_last_words_of_an_executor_that_has_not_read_all_are_heard():
    """The kernel tells of the reset first, and gives the message after that."""
    channel = Channel()
    channel.send(MSG_GO)
    data = HEAD.pack(MSG_FAILED, 0, 3, 12, 0, 0)
    assert lib.shim_send(channel.theirs, data, len(data), [], 0) == len(data)
    channel.drop_theirs()
    with pytest.raises(ExecutorFailed) as caught:
        channel.receive()
    assert (caught.value.step, caught.value.errno) == (3, 12)
    assert channel.receive() == (0, -1)
    channel.close()


def test_ctrl_c_after_a_message_does_not_lose_its_descriptor(monkeypatch: pytest.MonkeyPatch):
    """It is the pidfd of a child that nobody else would end."""
    channel = Channel()
    read, write = os.pipe()
    data = HEAD.pack(MSG_CHILD, 0, 0, 0, 0, 0)
    assert lib.shim_send(channel.theirs, data, len(data), [read], 1) == len(data)

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "check", interrupted)
    with pytest.raises(KeyboardInterrupt):
        channel.receive()
    assert os.path.sameopenfile(channel.caught, read)
    for fd in (channel.caught, read, write):
        os.close(fd)
    channel.close()


@pytest.mark.parametrize(
    ("kind", "words"), [(MSG_GO, "got GO, expected SYNC"), (99, "got message 99, expected SYNC")]
)
def test_a_message_that_does_not_belong_there_is_named(kind: int, words: str):
    channel = Channel()
    data = HEAD.pack(kind, 0, 0, 0, 0, 0)
    assert lib.shim_send(channel.theirs, data, len(data), [], 0) == len(data)
    with pytest.raises(OperationError, match=words) as caught:
        channel.expect(MSG_SYNC)
    assert caught.value.code == "protocol"
    channel.close()


def test_facts_that_are_cut_off_make_a_sentence():
    """A hook may write more than a message holds."""
    text = b"/bin/hook\x000\x003\0much"
    message = HEAD.pack(MSG_FAILED, 0, 0, 125, len(text), CODES.index("hook-exit")) + text
    detail = module.detail_of(message)
    assert str(detail) == "#0: exit status 3, stdout: much, stderr: "
    assert (detail.code, detail.facts[0]) == ("hook-exit", "/bin/hook")


def test_a_detail_that_does_not_exist_is_an_error():
    """Whoever traces init may send any number."""
    with pytest.raises(OperationError, match="no detail 65535") as caught:
        module.detail_of(HEAD.pack(MSG_FAILED, 0, 0, 1, 0, 65535))
    assert caught.value.code == "protocol"


def test_an_operation_that_does_not_exist_is_an_error(monkeypatch: pytest.MonkeyPatch):
    from pycontainer.executor import engine
    from pycontainer.plan.details import Detail
    from tests.unit.plan.compiled import config, plan

    def walk(run: object) -> None:
        raise module.ExecutorFailed(60000, 1, Detail(CODES[0], ""))

    monkeypatch.setattr(engine._Run, "walk", walk)
    with pytest.raises(OperationError, match="no operation 60000"):
        engine.execute(plan(config()), engine.Context(lambda *_: None))
