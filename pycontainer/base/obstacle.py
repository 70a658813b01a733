"""What the host has against a container."""

from __future__ import annotations


class Obstacle:
    """What stands in the way, and the command that removes it ("" when there is no one command)."""

    __slots__ = ("command", "problem")

    def __init__(self, problem: str, command: str = "") -> None:
        self.problem = problem
        self.command = command

    def __str__(self) -> str:
        return f"{self.problem}; fix: {self.command}" if self.command else self.problem
