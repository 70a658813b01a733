"""Members that no runtime reads: unknown ones, and those that a later one replaces."""

from __future__ import annotations

from pycontainer.base.nearest import did_you_mean
from pycontainer.check.case import Case
from pycontainer.spec import schema, unknown_keys
from pycontainer.spec.rules import OTHER_PLATFORMS
from pycontainer.spec.schema import field_path
from pycontainer.tables.annotations import KNOWN, OCI


def find(case: Case) -> None:
    """Look at the file as it is."""
    for unknown in unknown_keys.find(schema.CONFIG, case.original):
        message = "unknown, ignored" + (f"; {unknown.hint}" if unknown.hint else "")
        case.add("warning", field_path(list(unknown.path)), message)
    for name in OTHER_PLATFORMS:
        if name in case.original:
            case.add("warning", name, "is not for Linux, and ignored")
    for field in case.positions.twice:
        case.add("warning", field, "given twice; the last one counts")
    _annotations(case)


def _annotations(case: Case) -> None:
    """Those that change what a runtime does; all others are for other programs."""
    annotations = case.original.get("annotations")
    for name in annotations if isinstance(annotations, dict) else ():
        if not name.startswith(OCI) or name.startswith(KNOWN):
            continue
        near = did_you_mean(name, KNOWN)
        message = "this runtime knows no such annotation" + (near and f"; {near}")
        case.add("warning", field_path(["annotations", name]), message)
