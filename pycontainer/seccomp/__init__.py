"""The seccomp filter of a config: compiled once, and found by its content afterwards."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pycontainer.base.settings import Settings
    from pycontainer.seccomp.cache import Filter


def seccomp_filter(
    config: dict[str, Any], settings: Settings, *, cached: bool = True
) -> Filter | None:
    """The compiled filter of linux.seccomp, `cached` under the state directory."""
    annotations = config.get("annotations") or {}
    if "run.oci.seccomp_bpf_data" in annotations:
        from pycontainer.seccomp.annotations import raw_filter

        return raw_filter(config)
    seccomp = (config.get("linux") or {}).get("seccomp")
    if not seccomp:
        return None
    from pycontainer.seccomp.cache import compile

    # No container can be called so: "~" is not in the alphabet of ids.
    compiled = compile(seccomp, f"{settings.root}/~seccomp" if cached else None)
    if compiled is None:
        return None
    if "run.oci.seccomp_fail_unknown_syscall" in annotations:
        from pycontainer.seccomp.annotations import check_known

        check_known(annotations, compiled)
    for warning in compiled.warnings:
        settings.log.warning(warning)
    for line in compiled.debug:
        settings.log.debug(line)
    return compiled
