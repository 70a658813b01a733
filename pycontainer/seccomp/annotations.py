"""crun's annotations about linux.seccomp: a filter that is compiled already, known names only."""

from __future__ import annotations

from pycontainer.base.errors import ConfigError
from pycontainer.seccomp.cache import Filter
from pycontainer.tables.seccomp_names import FLAG_NEW_LISTENER, UNKNOWN

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

RAW_FILTER = "run.oci.seccomp_bpf_data"
STRICT_FILTER = "run.oci.seccomp_fail_unknown_syscall"
FIELD = f'annotations["{RAW_FILTER}"]'
INSTRUCTION = 8  # bytes of struct sock_filter
INSTRUCTIONS_MAX = 4096  # BPF_MAXINSNS


def raw_filter(config: dict[str, Any]) -> Filter:
    """The program that the annotation holds, in place of linux.seccomp; ConfigError if it is none.

    Whether its instructions make sense is for the kernel to say. With a listenerPath the agent
    gets its listener, whatever the program does.
    """
    from binascii import Error, a2b_base64

    try:
        program = a2b_base64(config["annotations"][RAW_FILTER].encode(), strict_mode=True)
    except (Error, UnicodeEncodeError) as error:
        raise ConfigError(f"is no base64: {error}", "wrong-form", FIELD) from None
    if not program or len(program) % INSTRUCTION or len(program) > INSTRUCTIONS_MAX * INSTRUCTION:
        raise ConfigError(
            f"is no filter: {len(program)} bytes, must be 1 to {INSTRUCTIONS_MAX}"
            f" instructions of {INSTRUCTION} bytes",
            "out-of-range",
            FIELD,
        )
    notify = bool(((config.get("linux") or {}).get("seccomp") or {}).get("listenerPath"))
    return Filter(program, FLAG_NEW_LISTENER if notify else 0, notify, (), ())


def check_known(annotations: dict[str, str], compiled: Filter) -> None:
    """ConfigError when the profile names unknown system calls, and may not."""
    if annotations[STRICT_FILTER] == "0":
        return
    for line in compiled.debug:
        if line.startswith(UNKNOWN):
            raise ConfigError(
                f"names unknown system calls: {line[len(UNKNOWN) :]}",
                "unknown",
                "linux.seccomp.syscalls",
                annotation=STRICT_FILTER,
            )
