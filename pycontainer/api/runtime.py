"""Where containers are kept, and how new ones are made: the entrance of the Python API."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from threading import Lock
from typing import Any, Unpack

import attrs

from pycontainer import spec
from pycontainer.api.child import Child
from pycontainer.api.container import CaptureArguments, Container, attended, split_capture
from pycontainer.api.models import Operation, Plan, State
from pycontainer.api.process import Completed, Process
from pycontainer.api.streams import Ends, StreamArguments
from pycontainer.base import jsonfast
from pycontainer.base.errors import ConfigError
from pycontainer.base.settings import Log, Settings, absolute, default_root
from pycontainer.executor import binary
from pycontainer.lifecycle import annotations as crun_annotations
from pycontainer.lifecycle import container as core
from pycontainer.lifecycle.options import CreateOptions, Streams

Bundle = str | os.PathLike[str]
Config = Mapping[str, Any]
States = list[State]  # `list` is a method's name in the class

_keeping = Lock()  # of the executor, which is made once
_STREAMS = ("stdin", "stdout", "stderr", "pass_fds")
_OPTIONS = ("no_pivot", "no_new_keyring")


class CreateArguments(StreamArguments, total=False):
    """How a container is created, beyond its bundle.

    `config`: instead of the bundle's config.json; `no_pivot`, `no_new_keyring`: as the options of
    the command. A config whose process has a terminal gives Container.terminal.
    """

    config: Config
    no_pivot: bool
    no_new_keyring: bool


class RunArguments(CreateArguments, CaptureArguments, total=False):
    """The same, and what Runtime.run adds to it."""


class _Messages(Log):
    """Warnings go where the program's logging sends those of "pycontainer"."""

    __slots__ = ("logger",)

    def __init__(self) -> None:
        self.logger = logging.getLogger("pycontainer")

    def debug(self, message: str) -> None:
        self.logger.debug("%s", message)

    def warning(self, message: str) -> None:
        self.logger.warning("%s", message)


def _default_root() -> str:
    root, below_runtime_dir = default_root(os.environb)
    if below_runtime_dir:
        # Sticky, or it may be pruned: XDG Base Directory Specification.
        os.makedirs(root, 0o700, exist_ok=True)
        os.chmod(root, 0o1700)
    return root


def _clean(root: Bundle) -> str:
    return absolute(os.fspath(root))


@attrs.frozen
class Runtime:
    """Containers below one state directory, by default that of the command.

    `systemd_cgroup`: let systemd manage cgroups; `rootless`: ignore cgroup permission errors (None:
    if we are not root); `trust_annotations`: let annotations of a config reach beyond the container
    (docs/crun.md). A value: it may be shared by threads, and costs nothing to make.
    """

    root: str = attrs.field(factory=_default_root, converter=_clean)
    systemd_cgroup: bool = False
    rootless: bool | None = None
    trust_annotations: bool = False
    settings: Settings = attrs.field(init=False, repr=False, eq=False)

    @settings.default
    def _settings(self) -> Settings:
        return Settings(
            self.root,
            systemd_cgroup=self.systemd_cgroup,
            rootless=self.rootless,
            trust_annotations=self.trust_annotations,
            log=_Messages(),
        )

    def create(
        self, container_id: str, bundle: Bundle = ".", **options: Unpack[CreateArguments]
    ) -> Container:
        """Make everything but the program, which waits for `start` (runtime.md#create).

        See CreateArguments. ConfigError for a config that cannot be, StateError when there is such
        a container already, OperationError when the kernel refuses; then nothing is left.
        """
        return self._launch(container_id, bundle, options, gated=True)

    def run(
        self, container_id: str, bundle: Bundle = ".", **options: Unpack[RunArguments]
    ) -> Completed:
        """Create, start, wait for the end, delete; see CreateArguments and CaptureArguments.

        `result = runtime.run("hello", "/bundle", capture_output=True)`
        """
        return self._run(container_id, bundle, options)

    def _run(self, container_id: str, bundle: Bundle, options: Any) -> Completed:
        """With `layer`, a directory of the layer store that goes with the container."""
        capture = split_capture(options)
        with self._launch(container_id, bundle, options, gated=False) as container:
            assert container.init is not None
            result = attended(container.init, capture)
            if result.exit_status == 128 + 9:
                result = attrs.evolve(result, oom=container._oom(0))
        return result.check() if capture.get("check") else result

    def load(self, container_id: str) -> Container:
        """The container of that id, of any creator; StateError when there is none."""
        found = core.Container.load(self.settings, container_id)
        with found.entry:
            return Container(container_id, self, found.facts.created)

    def list(self) -> States:
        """The states of all containers."""
        from pycontainer.lifecycle.list import rows

        return [State.of(row) for row in rows(self.settings)]

    def delete(self, container_id: str, *, force: bool = False) -> None:
        """Delete by id, see Container.delete; `force` also removes one whose state is damaged, and
        does nothing when there is none."""
        from pycontainer.lifecycle import delete

        def loaded() -> None:
            self.load(container_id).delete(force=force)

        delete.delete(self.settings, container_id, force, loaded)

    def explain(
        self, bundle: Bundle = ".", *, config: Config | None = None, container_id: str = "container"
    ) -> Plan:
        """What `create` would do, operation by operation; nothing is touched."""
        from pycontainer.plan import describe

        options = CreateOptions(
            bundle=os.fspath(bundle),
            document=self._document(os.fspath(bundle), config),
            streams=Streams([0, 1, 2]),
        )
        plan = core.plan_of(self.settings, options, container_id)
        operations = tuple(
            Operation(
                number=entry["step"],
                side=entry["side"],
                kind=entry["operation"],
                arguments=entry["arguments"],
                field=entry.get("field", ""),
                text=entry["text"],
            )
            for entry in describe.as_json(plan)
        )
        return Plan(operations, tuple(plan.warnings), describe.text(plan))

    # -- helpers --------------------------------------------------------------------------------

    def _launch(self, container_id: str, bundle: Bundle, given: Any, *, gated: bool) -> Container:
        with _keeping:
            binary.keep()
        path = os.fspath(bundle)
        document = self._document(path, given.pop("config", None))
        streams: Any = {name: given.pop(name) for name in _STREAMS if name in given}
        ends = Ends(streams)
        layer = given.pop("layer", "")
        try:
            known = {name: given.pop(name) for name in _OPTIONS if name in given}
            if given:
                raise TypeError(f"no such option: {', '.join(given)}")
            options = CreateOptions(
                bundle=path, document=document, streams=ends.streams, detach=True, **known
            )
            options.layer = layer
            made, started = core.Container.launch(self.settings, container_id, options, gated=gated)
        except BaseException:
            ends.close()
            raise
        made.entry.close()
        args = tuple((document[0].get("process") or {}).get("args") or ())
        init = Process.of(args, Child(started.pid, started.pidfd, leads=True), ends)
        return Container(container_id, self, made.facts.created, init)

    def _document(self, bundle: str, config: Config | None) -> tuple[dict[str, Any], bytes]:
        """A valid config and its text: a copy of the one given, or the bundle's."""
        if config is None:
            document, raw = spec.load_config(f"{bundle}/config.json")
        else:
            try:
                raw = jsonfast.dumps(dict(config)).encode()
                document = jsonfast.loads(raw)
            except ValueError as error:
                raise ConfigError(f"read config: {error}", "unreadable") from None
        crun_annotations.warn(document, self.settings)
        changed = crun_annotations.with_receiver(document, {}, self.trust_annotations)
        if changed is not document:
            document, raw = changed, jsonfast.dumps(changed).encode()
        for warning in spec.validate(document, raw):
            self.settings.log.warning(warning)
        return document, raw


def default_config(
    *args: str, rootfs: Bundle = "rootfs", readonly: bool = True, terminal: bool = False
) -> dict[str, Any]:
    """A new config like the one that `pycontainer spec` writes, to be changed at will.

    It runs `args` ("sh" without any) as root, with few capabilities, in new namespaces; `rootfs` is
    relative to the bundle. For someone else than root it has a user namespace.
    """
    from pycontainer.spec import default_config as default_spec

    config = default_spec.example()
    if os.geteuid() != 0:
        config = default_spec.rootless(config)
    config["process"]["terminal"] = terminal
    config["process"]["args"] = list(args) or ["sh"]
    config["root"] = {"path": os.fspath(rootfs), "readonly": readonly}
    return config


def make_host_bundle(directory: Bundle, *args: str) -> dict[str, Any]:
    """Write a bundle of this machine's own programs, read-only, as `pycontainer spec --host` does.

    No image is needed. Runs `args` ("sh" without any); returns its config. HostError when there is
    one already.
    """
    from pycontainer.spec import host_bundle

    path = os.fspath(directory)
    bundle = host_bundle.plan(terminal=False, rootless=os.geteuid() != 0)
    bundle.config["process"]["args"] = list(args) or ["sh"]
    os.makedirs(path, exist_ok=True)
    host_bundle.write(bundle, path)
    with open(os.path.join(path, "config.json"), "x", encoding="utf-8") as file:
        file.write(jsonfast.dumps(bundle.config, "\t"))
    return bundle.config
