"""The channel to the executor, without one."""

from __future__ import annotations

import pytest

from pycontainer.channel import MSG_GO, MSG_SYNC, Channel, ExecutorGone


def test_an_executor_that_dies_with_words_unread_has_ended():
    """The kernel calls that a reset; it is what being out of memory looks like."""
    channel = Channel()
    channel.send(MSG_GO)
    channel.drop_theirs()
    assert channel.receive() == (0, -1)
    with pytest.raises(ExecutorGone):
        channel.expect(MSG_SYNC)
    channel.close()
