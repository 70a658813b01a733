"""`list`, and what else is said about containers: one damaged state must not hide the others."""

from __future__ import annotations

from pycontainer.base.errors import ContainerError
from pycontainer.lifecycle.container import Container
from pycontainer.state.state import OCI_VERSION
from pycontainer.state.store import Store

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pycontainer.base.settings import Settings


def rows(settings: Settings) -> list[dict[str, Any]]:
    """One row for each container, in runc's order of keys; one with damaged state says so."""
    result = []
    store = Store(settings.root)
    for name in store.ids():
        try:
            container = Container.load(settings, name)
            with container.entry:
                row = container.state()
                row["owner"] = owner_name(container.facts.owner)
        except ContainerError as error:
            if not store.has(name):  # deleted since
                continue
            settings.log.warning(f"load container {name}: {error}")
            row = _broken(settings, name)
        result.append(row)
    return result


def _broken(settings: Settings, name: str) -> dict[str, Any]:
    return {
        "ociVersion": OCI_VERSION,
        "id": name,
        "pid": 0,
        "status": "broken",
        "bundle": "",
        "rootfs": "",
        "created": "0001-01-01T00:00:00Z",  # clients parse it
        "owner": "",
    }


def owner_name(uid: int) -> str:
    """The user's name, "#1234" without one, as runc prints it."""
    import pwd

    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"#{uid}"
