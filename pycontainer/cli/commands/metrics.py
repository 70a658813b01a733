"""`metrics`: what containers use, for Prometheus."""

from __future__ import annotations

from pycontainer.cli.options import TEXT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pycontainer.base.settings import Settings
    from pycontainer.cli.options import Arguments

SUMMARY = "print or serve metrics for Prometheus"
USAGE = "metrics [options]"
WORDS = (0, 0)
OPTIONS = (("listen", "", TEXT, "ADDRESS", "serve them: 127.0.0.1:PORT, [::1]:PORT, or unix:PATH"),)
HELP = """\
Names and units are cAdvisor's where it has them. Without --listen they are printed once, for the
textfile collector of node_exporter, say. Nothing but a loopback address or a unix socket, which
belongs to the caller alone, is listened on.

   pycontainer metrics --listen 127.0.0.1:9338
   curl -s http://127.0.0.1:9338/metrics
"""


def run(settings: Settings, arguments: Arguments) -> int:
    from pycontainer.cli.output import emit
    from pycontainer.monitor import metrics, serve
    from pycontainer.monitor.fleet import Fleet

    if arguments["listen"]:
        serve.forever(settings, arguments["listen"])
    emit(metrics.text(Fleet(settings).sample()))
    return 0
