"""Says what is wrong with a document that the compiled validator refused; never on the hot path.

jsonschema finds violations; of the first hundred the topmost is picked, put in words and given its
clause. The document's JSON types are the exact ones of compiler.py: no float is an integer, no bool
either, and a pattern's `$` is the very end.
"""

from __future__ import annotations

import json
import re
from functools import cache
from itertools import islice
from typing import TYPE_CHECKING, Any, NoReturn

from pycontainer.base import optional_deps
from pycontainer.base.errors import ConfigError
from pycontainer.base.nearest import did_you_mean
from pycontainer.spec import schema as schemas
from pycontainer.spec.schema import field_path
from pycontainer.spec.shorten import original, shallow, shorten

optional_deps.enable()

import jsonschema  # noqa: E402
from jsonschema.exceptions import ValidationError  # noqa: E402
from referencing import Registry  # noqa: E402
from referencing.jsonschema import DRAFT202012  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pycontainer.spec.shorten import Path

_WORDS = {
    dict: "an object",
    list: "an array",
    str: "a string",
    int: "an integer",
    float: "a number with a fraction",
    bool: "a boolean",
    type(None): "null",
}
_TYPES = {"object": dict, "array": list, "string": str, "integer": int, "boolean": bool}
# What texts look like that match the patterns of our schemas.
_PATTERNS = {
    "^[1-9][0-9]*[KMG]B$": "be a size like 2MB or 1GB",
    "^[cbup]$": "be c, b, u or p",
    "^MB:[^\\n]*$": "begin with MB:",
    "^RLIMIT_[A-Z]+$": "be a name like RLIMIT_NOFILE",
    "^[0-9, -]*$": "be CPUs like 0-3,7",
    "^CAP_[A-Z_]+$": "be a name like CAP_KILL",
}
_CODES = {
    "required": "required",
    "type": "wrong-type",
    "enum": "not-one-of",
    "minimum": "out-of-range",
    "maximum": "out-of-range",
    "maxItems": "too-large",
    "minItems": "too-small",
}
_LISTED = 10  # words in "must be one of"
_SHOWN = 60  # characters of a value in a message
_MOST = 100  # violations that are looked at; there may be a million


def conforms(name: str, document: Any) -> bool:
    """Whether a document (e.g. of state or features) follows the schema in file `name`."""
    return bool(_validator(name).is_valid(shallow(document)))


def explain(
    name: str, document: Any, valid: Callable[[Any, list[Any]], bool], *, prefix: str = ""
) -> NoReturn:
    """Raise ConfigError for the violation in `document` that says most.

    `valid` is the compiled validator, which has refused it. `prefix` comes before the field:
    process.json is a schema of its own, its fields are process.*.
    """
    document, places = shorten(document, lambda shorter: valid(shorter, []))
    errors = list(islice(_validator(name).iter_errors(document), _MOST))
    if not errors:  # cannot be while compiler and jsonschema agree, which a test holds them to
        raise ConfigError("does not follow the schema", "wrong-form", prefix)
    best = min(errors, key=lambda error: len(error.absolute_path))
    others = f"{'at least ' if len(errors) == _MOST else ''}{len(errors) - 1}"
    params = {"others": others} if len(errors) > 1 else {}
    raise _refusal(name, best, prefix, places=places, **params)


def violations(name: str, document: Any) -> Iterator[ConfigError]:
    """All of them, in the order of the document."""
    for error in _validator(name).iter_errors(shallow(document)):
        for key in _missing(error):
            yield _refusal(name, error, "", key)


def _refusal(
    name: str,
    error: ValidationError,
    prefix: str,
    missing: str = "",
    places: dict[Path, int] | None = None,
    **params: Any,
) -> ConfigError:
    path = original(list(error.absolute_path), places or {})
    missing = missing or _missing(error)[0]
    if missing:
        path.append(missing)
    message = "is required but missing" if missing else _message(error)
    code = _CODES.get(str(error.validator), "wrong-form")
    if type(error.instance) in (str, int):
        params["value"] = error.instance
    if error.validator == "type":
        params["expected"] = error.validator_value
    clause = schemas.clause(name, path)
    return ConfigError(message, code, field_path(path, prefix), clause, **params)


def _missing(error: ValidationError) -> list[str]:
    """The required members that are not there; [""] for an error of another kind."""
    if error.validator != "required":
        return [""]
    required: Any = error.validator_value
    given: Any = error.instance
    return [key for key in required if key not in given]


def _message(error: ValidationError) -> str:
    value: Any = error.instance
    limit: Any = error.validator_value
    schema: Any = error.schema
    shown = json.dumps(value, ensure_ascii=False, default=str)
    if len(shown) > _SHOWN:
        shown = shown[:_SHOWN] + "..."
    if error.validator == "type":
        return f"is {shown} ({_WORDS.get(type(value), 'no JSON')}), must be {_WORDS[_TYPES[limit]]}"
    if error.validator == "enum":
        near = did_you_mean(str(value), limit)
        more = f" and {len(limit) - _LISTED} more" if len(limit) > _LISTED else ""
        return f"is {shown}, must be one of {', '.join(limit[:_LISTED])}{more}" + (
            near and f" ({near})"
        )
    if error.validator == "pattern":
        return f"is {shown}, must {_PATTERNS.get(limit, f'match {limit}')}"
    if error.validator in ("minimum", "maximum"):
        lowest, highest = schema["minimum"], schema.get("maximum")
        span = f"at least {lowest}" if highest is None else f"from {lowest} to {highest}"
        return f"is {shown}, must be {span}"
    if error.validator == "maxItems":
        return f"has {len(value)} entries, must have at most {limit}"
    if error.validator == "minItems":
        return f"is {shown}, must have at least {limit} entry"
    return f"is {shown}: {error.message}"


@cache
def _validator(name: str) -> Any:
    registry = Registry().with_resources(
        (file, DRAFT202012.create_resource(undeclared(schemas.load(file))))
        for file in schemas.names()
    )
    return strict(jsonschema.Draft202012Validator)({"$ref": name}, registry=registry)


def undeclared(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema without $schema, at which jsonschema would go over to its own validator class."""
    return {key: value for key, value in schema.items() if key != "$schema"}


def strict(base: Any) -> Any:
    """A jsonschema validator class with the exact JSON types, and patterns as in ECMA-262."""
    checker = base.TYPE_CHECKER.redefine_many(
        {name: _exactly(kind) for name, kind in _TYPES.items()}
    )
    extend: Any = jsonschema.validators.extend
    return extend(base, {"pattern": _pattern, "items": _items}, type_checker=checker)


def _exactly(kind: type) -> Any:
    return lambda checker, value: type(value) is kind


def _pattern(validator: Any, pattern: str, value: Any, schema: Any) -> Iterator[ValidationError]:
    if type(value) is str and not re.search(re.sub(r"\$$", r"\\Z", pattern), value):
        yield ValidationError(f"does not match {pattern}")


def _items(validator: Any, items: Any, value: Any, schema: Any) -> Iterator[ValidationError]:
    """As jsonschema does it, but for what is too long a list anyway."""
    if type(value) is list and len(value) <= schema.get("maxItems", len(value)):
        for index, item in enumerate(value):
            yield from validator.descend(item, items, path=index)
