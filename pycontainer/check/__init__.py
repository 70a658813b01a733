"""`pycontainer check`: what is wrong with a bundle, all at once, before anything is started.

Input: a bundle. Output: a Report, a list of findings with their place in config.json. The parts:

- errors.py: what `create` refuses, all of it instead of the first; repaired in a copy, so that the
  others see only what makes sense.
- members.py: unknown members, members given twice.
- effects.py, process.py: settings that contradict each other or have no effect.
- host.py, files.py: what this host cannot do; sources, root and program that are missing.
- risks.py: what gives the container power over its host, by severity.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pycontainer.base.settings import Settings
    from pycontainer.check.findings import Report
    from pycontainer.lifecycle.options import CreateOptions


def examine(settings: Settings, options: CreateOptions) -> Report:
    """Look at a bundle; nothing is made or changed. ContainerError when there is no config."""
    from pycontainer.check import effects, errors, files, host, members, process, risks
    from pycontainer.check.case import Case

    case = Case(settings, options)
    for part in (members, errors, effects, process, host, files, risks):
        part.find(case)
    return case.report()
