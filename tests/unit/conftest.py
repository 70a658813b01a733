"""Settings of hypothesis for all that is tested with it."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

# How quickly examples are made says more about the machine, and what else it does, than about us.
SLOW = [HealthCheck.too_slow]
settings.register_profile("any machine", deadline=None, suppress_health_check=SLOW)
settings.load_profile("any machine")
