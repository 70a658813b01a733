"""The life of a container, from create to delete: for the commands and the API."""

from pycontainer.base.errors import ConfigError, ContainerError


def explain_errors() -> None:
    """Let errors ask for their hint and clause. The tables are loaded when one is asked."""
    ContainerError.find_hint = _hint_of
    ConfigError.find_clause = _clause_of


def _hint_of(error: ContainerError) -> str:
    """What to do about the error. A fault in finding that out must not hide the error itself."""
    try:
        from pycontainer.diagnose.hints import hint_of

        return hint_of(error)
    except Exception as fault:
        return f"no advice: internal error: {type(fault).__name__}: {fault}"


def _clause_of(field: str) -> str:
    """The specification's clause of a field."""
    from pycontainer.spec.schema import clause_of

    return clause_of(field)
