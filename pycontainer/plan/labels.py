"""Labels of SELinux on what a plan mounts and makes, for a config with linux.mountLabel or
process.selinuxLabel; as runc, which is what the policy of containers was written for."""

from __future__ import annotations

from pycontainer.base.errors import ConfigError
from pycontainer.plan.builder import Sketch

_UNLABELLED = ("proc", "sysfs", "mqueue", "cgroup", "cgroup2")  # these take no such option
_CONTEXTS = ("context=", "fscontext=", "defcontext=", "rootcontext=")
_KIND = "run.oci.mount_context_type"


def of_mount(sketch: Sketch, fstype: str, data: list[str], quoted: bool = False) -> list[str]:
    """linux.mountLabel as an option of this mount, config-linux.md#mount-label.

    None where the mount's own `data` says what its label is: the kernel takes only one. mount(2)
    wants it `quoted`, because a comma would end it; fsconfig(2) gets options one by one.
    """
    label = sketch.linux.get("mountLabel")
    if not label or fstype in _UNLABELLED or any(o.startswith(_CONTEXTS) for o in data):
        return []
    kind = _kind(sketch)
    return [f'{kind}="{label}"' if quoted else f"{kind}={label}"]


def _kind(sketch: Sketch) -> str:
    """Which label of the mount it is, mount(8): crun's annotation may choose another one."""
    kind = (sketch.config.get("annotations") or {}).get(_KIND, "context")
    if f"{kind}=" not in _CONTEXTS:
        names = ", ".join(name[:-1] for name in _CONTEXTS)
        raise ConfigError(
            f'is "{kind}", must be one of {names}',
            "not-one-of",
            f'annotations["{_KIND}"]',
            value=kind,
        )
    return kind


def after_mount(sketch: Sketch, target: str) -> None:
    """mqueue takes no option: its directory gets the label afterwards."""
    sketch.add(
        "label_file", path=target, label=sketch.linux["mountLabel"], field="linux.mountLabel"
    )


def of_keys(sketch: Sketch) -> None:
    """The session keyring that will be made is the program's; an exec ends this, keyctl(2)."""
    label = sketch.process.get("selinuxLabel")
    if label:
        sketch.add("self_write", file="attr/keycreate", value=label, field="process.selinuxLabel")
