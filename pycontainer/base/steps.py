"""Steps that must not depend on each other: each is tried, and the failures are collected."""

from __future__ import annotations

from errno import EIO

from pycontainer.base.errors import ContainerError, HostError, os_reason

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Self, TypeVar

    T = TypeVar("T")
    Step = Callable[[], object]


def attempt(steps: Iterable[Step]) -> list[ContainerError]:
    """Carry out every step, whatever becomes of the others; returns what failed."""
    return attempt_each(lambda step: step(), steps)


def attempt_each(step: Callable[[T], object], items: Iterable[T]) -> list[ContainerError]:
    """The same step for each item."""
    failures: list[ContainerError] = []
    for item in items:
        try:
            step(item)
        except ContainerError as error:
            failures.append(error)
        except OSError as error:
            where = f"{error.filename}: " if error.filename else ""
            failures.append(HostError(f"{where}{os_reason(error.errno or EIO)}", "os-error"))
    return failures


class Transaction:
    """All or nothing: on a failure what has been done is taken back, the last step first.

        with Transaction(log.warning) as undo:
            old = read(file)
            undo(lambda: write(file, old))
            write(file, new)

    A step that cannot be taken back is a warning; the first failure is what the caller sees.
    """

    __slots__ = ("_undo", "_warn")

    def __init__(self, warn: Callable[[str], None]) -> None:
        self._warn = warn
        self._undo: list[Step] = []

    def __call__(self, step: Step) -> None:
        """Remember how to take back what is about to be done."""
        self._undo.append(step)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            for failure in attempt(reversed(self._undo)):
                self._warn(f"take back a change: {failure}")
