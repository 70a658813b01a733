"""Hooks: those of the runtime namespace as one operation, those of the container one by one."""

from __future__ import annotations

from pycontainer.base import jsonfast
from pycontainer.base.errors import ConfigError
from pycontainer.plan.builder import Sketch
from pycontainer.plan.ops import joined

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_INSIDE = ("createContainer", "startContainer")
_FILES = ("run.oci.hooks.stdout", "run.oci.hooks.stderr")
PID_MARK = -7070707  # stands for the pid until the executor knows it


def of_stage(config: dict[str, Any], stage: str) -> list[dict[str, Any]]:
    """The hooks of one stage, none when there are none."""
    return (config.get("hooks") or {}).get(stage) or []


def runtime(sketch: Sketch, *stages: str) -> None:
    """Hooks of the runtime namespace, which the runtime runs while the executor waits."""
    for stage in stages:
        hooks = of_stage(sketch.config, stage)
        if hooks:
            sketch.add("run_hooks", count=len(hooks), stage=stage, field=f"hooks.{stage}")


def open_files(sketch: Sketch) -> None:
    """crun's annotations: files for what hooks write, opened while the host's are in reach."""
    annotations = sketch.config.get("annotations")
    if not annotations or not any(of_stage(sketch.config, stage) for stage in _INSIDE):
        return
    slots = []
    for name in _FILES:
        path, slot = annotations.get(name), -1
        if path:
            slot = sketch.slot()
            sketch.add("open_output", slot=slot, path=path, field=f'annotations["{name}"]')
        slots.append(slot)
    sketch.hook_files = (slots[0], slots[1])


def container(
    sketch: Sketch, stage: str, state: dict[str, Any], env: list[str] | None = None
) -> None:
    """Hooks that the executor runs; `state` is what they read, but for the pid. `env` is for those
    that have none, with HOME where the program gets one."""
    hooks = of_stage(sketch.config, stage)
    if not hooks:
        return
    out_slot, err_slot = sketch.hook_files
    head, _, tail = jsonfast.dumps(dict(state, pid=PID_MARK)).partition(str(PID_MARK))
    for index, hook in enumerate(hooks):
        field = f"hooks.{stage}[{index}]"
        timeout = hook.get("timeout")
        if timeout is not None and timeout <= 0:
            raise ConfigError("must be greater than zero", "out-of-range", f"{field}.timeout")
        own = hook.get("env")
        sketch.add(
            "hook",
            index=index,
            timeout_ms=(timeout or 0) * 1000,
            # The others run in the root's directory, as with runc.
            as_program=int(stage == "startContainer"),
            with_home=int(not own and env is not None),
            out_slot=out_slot,
            err_slot=err_slot,
            path=hook["path"],
            args=joined(hook.get("args") or [hook["path"]]),
            env=joined(own or env or []),
            state_head=head,
            state_tail=tail,
            field=field,
        )
