"""The way to jsonschema, attrs and pyroute2, for what is not on the hot path.

The launcher starts the interpreter without site. In a checkout and after `make install` or pip the
dependencies lie where the launcher looks anyway; a distribution's package finds them in the
system's own directories, which are added here, at the end of the path, and only when asked for.
"""

from __future__ import annotations

import sys

from pycontainer.base.errors import HostError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType


def system_directories() -> list[str]:
    """Where the interpreter's distribution keeps Python packages: root's, never a user's."""
    lib = f"{sys.base_prefix}/lib"
    version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    return [f"{lib}/python3/dist-packages", f"{lib}/{version}/site-packages"]


def enable() -> None:
    """Let the three be imported also when site was not loaded; does nothing a second time."""
    if sys.flags.no_site:
        sys.path += [path for path in system_directories() if path not in sys.path]


def load(name: str) -> ModuleType:
    """Import a dependency by name; HostError when it is not there."""
    enable()
    try:
        __import__(name)
    except ImportError as error:
        text = f"load {name}: {error}"
        raise HostError(text, "not-installed", interpreter=sys.executable) from None
    return sys.modules[name]
