"""`create` and `run`: from a bundle to a container whose program waits, or runs.

The one place that knows the order of the big steps: load and validate, reserve the id, compile the
plan, carry it out, and take everything back when that fails.
"""

from __future__ import annotations

import posix

from pycontainer import cgroups, spec
from pycontainer.base import jsonfast
from pycontainer.base.errors import ConfigError
from pycontainer.base.settings import absolute
from pycontainer.executor import engine
from pycontainer.lifecycle.stdio import Attachment
from pycontainer.linux.files import close_all
from pycontainer.linux.host import probe
from pycontainer.linux.process import end_child, start_time
from pycontainer.plan.cgroup import CgroupPlan
from pycontainer.plan.create import Inputs, compile_create, mounts_on_host
from pycontainer.seccomp import seccomp_filter
from pycontainer.state.state import Facts, rfc3339_nano, state_document
from pycontainer.state.store import Store

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from pycontainer.base.settings import Settings
    from pycontainer.cgroups.cgroup import Cgroup
    from pycontainer.executor.engine import Started
    from pycontainer.lifecycle import sd_notify
    from pycontainer.lifecycle.options import CreateOptions
    from pycontainer.plan.builder import Plan
    from pycontainer.resctrl import group as resctrl_group
    from pycontainer.seccomp.cache import Filter


class Creation:
    """One container on its way into being."""

    starts = True  # the program; restore.py goes on with one that has started

    __slots__ = (
        "annotated",
        "annotations",
        "attachment",
        "bundle",
        "cgroup",
        "cgroup_plan",
        "config",
        "driver",
        "dry",
        "entry",
        "facts",
        "gated",
        "hooks_ran",
        "id",
        "keyring",
        "notifies",
        "notify",
        "options",
        "plan",
        "proxied",
        "raw",
        "rdt",
        "settings",
        "started",
    )

    def __init__(
        self,
        settings: Settings,
        container_id: str,
        options: CreateOptions,
        *,
        gated: bool,
        dry: bool = False,
    ) -> None:
        self.settings = settings
        self.id = container_id
        self.options = options
        self.gated = gated
        self.dry = dry
        self.hooks_ran = self.notifies = False  # notifies: a seccomp agent
        self.cgroup: Cgroup | None = None
        self.started: Started | None = None
        self.keyring = self._keyring()
        self.rdt: resctrl_group.Group | None = None
        self.bundle = absolute(options.bundle)
        config, raw = options.document or self._load()
        self.annotations: dict[str, str] = config.get("annotations") or {}
        self.annotated = _for_crun(config)
        if self.annotated:
            config, raw = self._without_untrusted(config, raw)
        process = config.get("process") or {}
        # Without a process there can be a container; only `start` needs one.
        if not process.get("args") and ("process" in config or not gated):
            raise ConfigError(
                "is required", "no-process", "process.args", clause="runtime.md#create"
            )
        tty = bool(process.get("terminal")) and not dry
        self.attachment = Attachment(options, tty, stays=not gated and not options.detach)
        self.notify: sd_notify.Proxy | None = None
        self.proxied = b"NOTIFY_SOCKET" in posix.environ and not dry and options.streams is None
        self.raw = raw  # what later commands know
        self.config = self._completed(config)

    def _without_untrusted(
        self, config: dict[str, Any], raw: bytes
    ) -> tuple[dict[str, Any], bytes]:
        """The config without annotations that must not act; `state` shows them all."""
        from pycontainer.lifecycle import annotations as crun_annotations

        if not self.settings.trust_annotations:
            contained = crun_annotations.contained(config)
            if contained is not config:
                config, raw = contained, jsonfast.dumps(contained).encode()
        crun_annotations.check(config)
        return config, raw

    def _completed(self, config: dict[str, Any]) -> dict[str, Any]:
        """The config with what the runtime adds for the caller: variables, the notify socket."""
        if added := self.attachment.environment():
            process = config.get("process") or {}
            process = {**process, "env": [*(process.get("env") or ()), *added]}
            config = {**config, "process": process}
        if self.proxied:
            from pycontainer.lifecycle import sd_notify

            config = sd_notify.added(config, f"{self.settings.root}/{self.id}")
        return config

    def _keyring(self) -> str:
        """The kernel finds a keyring by its name, of any owner: this one cannot be guessed."""
        if self.options.no_new_keyring:
            return ""
        return f"_ses.{self.id}" + ("" if self.dry else f".{posix.urandom(16).hex()}")

    def _load(self) -> tuple[dict[str, Any], bytes]:
        config, raw = spec.load_config(self.options.config or f"{self.bundle}/config.json")
        if b"RUN_OCI_SECCOMP_RECEIVER" in posix.environ or _for_crun(config):
            from pycontainer.lifecycle import annotations as crun_annotations

            crun_annotations.warn(config, self.settings)
            trusted = self.settings.trust_annotations
            changed = crun_annotations.with_receiver(config, posix.environ, trusted)
            if changed is not config:  # later commands have no other word of it
                config, raw = changed, jsonfast.dumps(changed).encode()
        for warning in spec.validate(config, raw):
            self.settings.log.warning(warning)
        return config, raw

    def compile(self) -> Plan:
        """The plan; touches nothing."""
        linux = self.config.get("linux") or {}
        if linux.get("sysctl") and any(s.get("path") for s in linux.get("namespaces") or ()):
            from pycontainer.lifecycle import host_checks

            host_checks.refuse(linux)
        host = probe(self.settings.rootless)
        self._plan_cgroup()
        filter = self._filter()
        rdt = linux.get("intelRdt")
        if rdt is not None:
            from pycontainer.resctrl import group as resctrl_group

            self.rdt = resctrl_group.group(rdt, self.id)
        inputs = Inputs(
            host,
            self.cgroup_plan,
            bundle=self.bundle,
            rootfs=self.rootfs,
            state=self._state("creating"),
            filter=filter,
            gated=self.gated,
            keyring=self.keyring,
            no_pivot=self.options.no_pivot,
            listen_fds=bool(self.attachment.listen_fds),
            resctrl=self.rdt.path if self.rdt is not None else "",
        )
        self.plan = compile_create(self.config, inputs)
        self.plan.warnings += self.cgroup_plan.resources.warnings
        return self.plan

    def _plan_cgroup(self) -> None:
        self.driver = driver = cgroups.driver_of(self.settings)
        paths = driver.plan_path(self.config, self.id)
        resources = driver.compile(self.config)
        self.cgroup_plan = CgroupPlan(driver.layout, paths, resources)
        if self.annotated:
            from pycontainer.lifecycle import annotations as crun_annotations

            self.cgroup_plan.delegated = crun_annotations.delegated(self.config, paths)
            resources.warnings += crun_annotations.warnings(self.config, driver.name)
        if not paths.all_directories() and paths.driver != "disabled":
            from pycontainer.cgroups.create import go_without

            resources.warnings += go_without(paths, resources, self.settings.rootless, {})[1]

    def _filter(self) -> Filter | None:
        """The one to load: that of the profile, or one that has us asked."""
        filter = seccomp_filter(self.config, self.settings, cached=not self.dry)
        self.notifies = filter is not None and filter.notify
        watch = self.options.watch
        return filter if watch is None else watch.filter(filter, self.config)

    @property
    def rootfs(self) -> str:
        """root.path, relative to the bundle; symlinks are the host's own."""
        path = (self.config.get("root") or {}).get("path") or ""
        return absolute(path if path.startswith("/") else f"{self.bundle}/{path}")

    def carry_out(self) -> Started:
        """Make the container, and give up its lock; after a failure nothing of it is left."""
        self.entry = Store(self.settings.root).reserve(self.id)
        try:
            self.compile()
            self.cgroup = self._cgroup()
            self._first_facts()
            if self.proxied:
                self._prepare_notify()
            self.attachment.prepare()
            self.started = started = self._make()
            self._announce(started)
            self.entry.unlock()
        except BaseException as error:
            self._note_hooks(getattr(error, "step", -1))
            self._take_back()
            raise
        self._warn()
        return started

    def _announce(self, started: Started) -> None:
        """Tell all who asked for it of the new process."""
        self.attachment.announce(started, b"standard")
        if self.options.record_exit:
            from pycontainer.lifecycle import outcome

            outcome.watch(self.entry, started.pidfd)
        if self.annotated:
            from pycontainer.lifecycle import annotations as crun_annotations

            crun_annotations.announce(self.config, started)

    # -- steps -------------------------------------------------------------------------------

    def _make(self) -> Started:
        """Everything that is in the plan."""
        context = engine.Context(
            self._record,
            cgroup=self.cgroup,
            resources=self.cgroup_plan.resources,
            hooks=self._run_hooks,
            console=self.attachment.take_console,
            listener=self._listener(),
            resctrl=self.rdt.enter if self.rdt else None,
            enter=self.cgroup.attach if self.cgroup_plan.crowded and self.cgroup else None,
            gate_dir=self.entry.dir_fd,
            fds=self.attachment.fds,
            preserve=self.attachment.preserve,
            rootless=self.settings.rootless,
        )
        return engine.execute(self.plan, context, self.settings.timing)

    def _warn(self) -> None:
        for warning in self.plan.warnings:
            self.settings.log.warning(warning)

    def _cgroup(self) -> Cgroup:
        cgroup = self.driver.cgroup(self.cgroup_plan.paths)
        cgroup.owner = self.entry.root_path
        return cgroup

    def _first_facts(self) -> None:
        self.facts = Facts(
            id=self.id,
            oci_version=self.config.get("ociVersion", ""),
            phase="creating",
            created=rfc3339_nano(),
            owner=posix.geteuid(),
            bundle=self.bundle,
            rootfs=self.rootfs,
            cgroup=self.cgroup_plan.paths.to_dict(),
            annotations=self.annotations,
            namespaces={"pid": self._has_pid_namespace()},
            extra=self._extra(),
        )
        self.entry.write_config(self.raw)
        self.entry.write_facts(self.facts)

    def _prepare_notify(self) -> None:
        """The directory of the socket; `start` makes the socket of a container that waits."""
        from pycontainer.lifecycle import sd_notify

        sd_notify.make_directory(self.entry.dir_fd)
        if not self.gated:
            self.notify = sd_notify.Proxy(self.settings, self.entry.dir_fd)

    def _extra(self) -> dict[str, Any]:
        """What later commands must heed; fast_record.py leaves what it does not know to Python."""
        hooks = self.config.get("hooks") or {}
        extra: dict[str, Any] = {"hooks": [stage for stage, listed in hooks.items() if listed]}
        extra["keyring"] = self.keyring
        if self.rdt is not None:
            extra["resctrl"] = self.rdt.facts()
        if "process" not in self.config:
            extra["no_process"] = True
        if mounts_on_host(self.config):
            extra["mounted"] = True
        if self.proxied:
            extra["notify"] = True
        if self.options.layer:
            extra["layer"] = self.options.layer
        return extra | {"notifies": True} if self.notifies else extra

    def _has_pid_namespace(self) -> bool:
        """A pid namespace of its own, new: one that ends with init."""
        spaces = (self.config.get("linux") or {}).get("namespaces") or ()
        return any(s["type"] == "pid" and not s.get("path") for s in spaces)

    def _record(self, phase: str, pid: int) -> None:
        started = start_time(pid) or 0
        # What could be had of the cgroup is known only now.
        assert self.cgroup is not None
        cgroup = self.cgroup.paths.to_dict()
        self.facts = self.facts.replace(phase=phase, pid=pid, start_time=started, cgroup=cgroup)
        self.entry.write_facts(self.facts)

    def _state(self, status: str, pid: int = 0) -> dict[str, Any]:
        return state_document(self.id, status, pid, self.bundle, self.annotations)

    def _run_hooks(self, stage: str, pid: int) -> None:
        from pycontainer.lifecycle.hooks import run_hooks

        self.hooks_ran = True
        state = jsonfast.dumps(self._state("creating", pid)).encode()
        annotations = self.config.get("annotations")
        run_hooks(
            stage, self.config["hooks"][stage], state, cwd=self.bundle, annotations=annotations
        )

    def _listener(self) -> Callable[[int, int], None] | None:
        """What hands a seccomp listener on when the program does not wait for `start`."""
        if self.options.watch is not None:
            return self.options.watch.take
        if self.gated or not self.notifies:
            return None
        from pycontainer.seccomp.agent import messenger

        return messenger(self.config, lambda pid: self._state("created", pid))

    def _note_hooks(self, step: int) -> None:
        """After a failure at `step` of the plan: has a hook of the container been reached?"""
        if not self.hooks_ran and (step > 0 or self.started is not None):
            reached = self.plan.ops[: step if self.started is None else None]
            self.hooks_ran = any(op.kind == "hook" for op in reached)

    def _take_back(self) -> None:
        """Undo what was done; the first failure is the one to be reported.

        The state goes last, and stays if something else does: `delete --force` finds it then.
        """
        from pycontainer.base.steps import attempt
        from pycontainer.lifecycle.delete import after_failure, remove_from_host

        cgroup, started = self.cgroup, self.started
        self.attachment.close()
        steps: list[Callable[[], object]] = []
        if started is not None:
            close_all(started.pidfd)
            steps.append(lambda: end_child(started.pid))
        if cgroup is not None and cgroup.made:
            steps += [cgroup.kill, cgroup.undo]
        failures = attempt(steps)
        for connected in (cgroup, getattr(self, "driver", None)):
            if connected is not None:
                connected.hang_up()
        failures += remove_from_host(self._extra(), self.rootfs)
        if not failures:
            if self.hooks_ran:
                from pycontainer.lifecycle.hooks import run_poststop

                run_poststop(self.config, self._state("stopped"), self.bundle, self.settings)
            failures += attempt([self.entry.remove])
        for failure in failures:
            self.settings.log.warning(after_failure(failure, self.id))
        self.entry.close()


def _for_crun(config: dict[str, Any]) -> bool:
    """Whether it has an annotation of crun's, or of CRIU's (annotations.py)."""
    annotations = config.get("annotations")
    prefixes = ("run.oci.", "org.criu.")
    return type(annotations) is dict and any(n.startswith(prefixes) for n in annotations)
