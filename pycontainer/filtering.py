"""The seccomp filter of a config: compiled once, and found by its content afterwards."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pycontainer.plan.seccomp import Filter
    from pycontainer.settings import Settings


def seccomp_filter(
    config: dict[str, Any], settings: Settings, *, cached: bool = True
) -> Filter | None:
    """The compiled filter of linux.seccomp, `cached` under the state directory."""
    seccomp = (config.get("linux") or {}).get("seccomp")
    if not seccomp:
        return None
    from pycontainer.plan.seccomp import compile

    # No container can be called so: "~" is not in the alphabet of ids.
    compiled = compile(seccomp, f"{settings.root}/~seccomp" if cached else None)
    if compiled is None:
        return None
    for warning in compiled.warnings:
        settings.log.warning(warning)
    for line in compiled.debug:
        settings.log.debug(line)
    return compiled
