"""What a resource group of resctrl may use and does use, as `intel_rdt` of runc's `events`.

Kernel: Documentation/filesystems/resctrl.rst. Input: the facts of a container's group
(`Group.facts`). Only what this CPU has is in the document; a counter that cannot be read
now ("Unavailable") is 0.
"""

from __future__ import annotations

import posix

from pycontainer.linux.files import Files, present

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# directory below info, word in the lines of schemata, name of the information, of the rules; and
# the numbers that the information has beside the masks.
_RESOURCES = (
    ("L3", "L3", "l3_cache_info", "l3_cache_schema", ("min_cbm_bits", "num_closids")),
    (
        "MB",
        "MB",
        "mem_bw_info",
        "mem_bw_schema",
        ("bandwidth_gran", "delay_linear", "min_bandwidth", "num_closids"),
    ),
)
_BANDWIDTH = ("mbm_total_bytes", "mbm_local_bytes")
_OCCUPANCY = ("llc_occupancy",)


def collect(facts: dict[str, Any], root: str) -> dict[str, Any]:
    """The document; what cannot be read, of a group that is gone say, is left out."""
    own, top = _lines(facts["groups"][0]), _lines(root)
    found: dict[str, Any] = {}
    for directory, word, info, schema, numbers in _RESOURCES:
        files = Files(f"{root}/info/{directory}")
        if not posix.access(files.directory, posix.F_OK):
            continue
        found[info] = present(
            cbm_mask=files.text("cbm_mask").strip(),
            **{name: files.number(name) for name in numbers},
        )
        found |= present(**{f"{schema}_root": _line(top, word), schema: _line(own, word)})
    # The last group is the one that counts for this container alone, if it has such.
    return {**found, **_counters(f"{facts['groups'][-1]}/mon_data", root), "schemata": own}


def _counters(directory: str, root: str) -> dict[str, Any]:
    """The counters of each cache (a directory each), as far as the CPU has them."""
    features = Files(f"{root}/info/L3_MON").text("mon_features").split()
    found = {}
    for key, names in (("mbm_stats", _BANDWIDTH), ("cmt_stats", _OCCUPANCY)):
        if any(name in features for name in names):
            found[key] = [
                {name: cache.number(name) or 0 for name in names} for cache in _caches(directory)
            ]
    return found


def _caches(directory: str) -> list[Files]:
    try:
        names = posix.listdir(directory)
    except OSError:
        return []
    return [Files(f"{directory}/{name}") for name in sorted(names)]


def _lines(group: str) -> list[str]:
    return [line.strip() for line in Files(group).text("schemata").splitlines()]


def _line(lines: list[str], word: str) -> str:
    return next((line for line in reversed(lines) if word in line), "")
