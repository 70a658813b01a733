"""What attacks need beside a box."""

from __future__ import annotations

from tests.executor.conftest import lab

__all__ = ["lab"]
