"""config.json: loaded, checked against the schemas and the rules of the text; touches no kernel.

Two layers. The schemas of oci-spec/ say what each property looks like; they run as compiled code,
and jsonschema explains a refusal. The rules (rules/) say what must hold between
properties. Warnings come back as texts; everything refused is a ConfigError with field and clause.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def load_config(source: str | int = "config.json") -> tuple[dict[str, Any], bytes]:
    """Read a configuration from a path or descriptor; see load.py."""
    from pycontainer.spec import load

    return load.load_config(source)


def load_process(source: str | int) -> dict[str, Any]:
    """Read a process.json from a path or descriptor; see load.py."""
    from pycontainer.spec import load

    return load.load_process(source)


def validate(config: dict[str, Any], raw: bytes | None = None) -> list[str]:
    """Check a configuration; return the warnings, raise ConfigError for what must not be.

    `raw` is the text that it was read from: with it, the search for NUL bytes costs nothing.
    A configuration without process passes: config.md#process wants it at start (require_process).
    """
    from pycontainer.spec import rules
    from pycontainer.spec._compiled_spec import valid_config

    warnings: list[str] = []
    unknown: list[dict[str, Any]] = []
    if not valid_config(config, unknown):
        from pycontainer.spec import compat

        warnings = compat.accept(config)
    warnings += _unknown("CONFIG", config, "", unknown)
    return warnings + rules.check(config, raw)


def validate_process(process: dict[str, Any]) -> list[str]:
    """Check a process.json as `validate` does a configuration; fields are named process.*."""
    from pycontainer.spec import rules
    from pycontainer.spec._compiled_spec import valid_process

    unknown: list[dict[str, Any]] = []
    if not valid_process(process, unknown):
        from pycontainer.spec import explain, schema

        explain.explain(schema.PROCESS, process, valid_process, prefix="process")
    return _unknown("PROCESS", process, "process", unknown) + rules.check_process(process)


def validate_resources(resources: dict[str, Any]) -> list[str]:
    """Check linux.resources on its own (update --resources); fields are named linux.resources.*."""
    from pycontainer.spec import rules
    from pycontainer.spec._compiled_spec import valid_resources

    unknown: list[dict[str, Any]] = []
    if not valid_resources(resources, unknown):
        from pycontainer.spec import explain, schema

        explain.explain(schema.RESOURCES, resources, valid_resources, prefix="linux.resources")
    found = _unknown("RESOURCES", resources, "linux.resources", unknown)
    return found + rules.check_resources(resources)


def require_process(config: dict[str, Any]) -> None:
    """Raise ConfigError when there is no process, which start needs (runtime.md#start)."""
    if "process" not in config:
        from pycontainer.base.errors import ConfigError

        raise ConfigError(
            "is required but missing", "required", "process", clause="runtime.md#start"
        )


def _unknown(name: str, document: dict[str, Any], prefix: str, found: list[Any]) -> list[str]:
    """Warnings about members that the schema does not have, when the validator `found` some."""
    if not found:
        return []
    from pycontainer.spec import schema, unknown_keys

    return unknown_keys.warnings(getattr(schema, name), document, prefix)
