"""What a check has found: values, their order, and how they look as text and as JSON."""

from __future__ import annotations

from typing import Any, NamedTuple

# From worst to least. An error: create refuses it, or the start fails. A warning: probably not
# what was meant. The rest are risks: allowed, but worth a decision.
SEVERITIES = ("error", "warning", "high", "medium", "low")
RISKS = SEVERITIES[2:]
_COLOURS = {"error": "31;1", "warning": "33", "high": "35", "medium": "35", "low": "2"}


class Finding(NamedTuple):
    """One thing: `field` is its JSON path in config.json, `fix` a remedy or ""."""

    severity: str
    field: str
    message: str
    fix: str = ""
    clause: str = ""
    line: int = 0
    column: int = 0

    def as_json(self) -> dict[str, Any]:
        """Without what is empty."""
        return {name: value for name, value in self._asdict().items() if value or name == "field"}


class Report:
    """All findings about one config, the worst first, otherwise in the order of the file."""

    def __init__(self, config: str, findings: list[Finding]) -> None:
        self.config = config
        rank = {severity: number for number, severity in enumerate(SEVERITIES)}
        order = [(rank[f.severity], f.line, f.column, n) for n, f in enumerate(findings)]
        self.findings = [findings[place[-1]] for place in sorted(order)]

    def count(self, *severities: str) -> int:
        """How many findings have one of these severities."""
        return sum(finding.severity in severities for finding in self.findings)

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        return {
            "config": self.config,
            "ok": not self.count("error"),
            "counts": {severity: self.count(severity) for severity in SEVERITIES},
            "findings": [finding.as_json() for finding in self.findings],
        }

    def text(self, colour: bool, width: int) -> str:
        """For people, with the FILE:LINE:COLUMN of editors; wrapped at `width` unless that is 0."""
        lines = []
        for finding in self.findings:
            word = finding.severity + (" risk" if finding.severity in RISKS else "")
            place = f"{self.config}:{finding.line}:{finding.column}" if finding.line else ""
            head = _painted(word, _COLOURS[finding.severity], colour)
            lines.append(f"{head}  {finding.field or 'config.json'}{place and '  (' + place + ')'}")
            what = finding.message + (f" [{finding.clause}]" if finding.clause else "")
            lines += _wrapped(what, width)
            if finding.fix:
                lines += _wrapped(f"fix: {finding.fix}", width)
        if lines:
            lines.append("")
        lines.append(self._summary())
        return "\n".join(lines) + "\n"

    def _summary(self) -> str:
        errors, warnings = self.count("error"), self.count("warning")
        risks = [f"{self.count(level)} {level}" for level in RISKS if self.count(level)]
        words = [_number(errors, "error"), _number(warnings, "warning")]
        words.append(
            f"{_number(self.count(*RISKS), 'risk')}" + f" ({', '.join(risks)})" * bool(risks)
        )
        return f"{self.config}: {', '.join(words)}"


def _number(count: int, word: str) -> str:
    return f"{count or 'no'} {word}{'' if count == 1 else 's'}"


def _painted(word: str, code: str, colour: bool) -> str:
    return f"\x1b[{code}m{word}\x1b[0m" if colour else word


def _wrapped(text: str, width: int) -> list[str]:
    import textwrap

    indent = "    "
    if not width:
        return [indent + text]
    # Long words stay whole: paths and fields are to be copied.
    return textwrap.wrap(
        text,
        max(width, 40),
        initial_indent=indent,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )
