"""Draw the pictures of the documentation, by what the project itself says:

    pictures.py PYCONTAINER DIRECTORY

plan.svg: a part of a plan on a terminal; timeline.svg: --trace of a run; performance.svg:
benchmarks/RESULTS.md. Needs root, for the run.
"""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
import tempfile
from html import escape
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
COLUMNS, LINES = 100, 24
COLOURS = {"2": "#9ca3af", "36": "#22d3ee", "33": "#fbbf24"}  # what `plan` uses, on black
ESCAPE = re.compile(r"\x1b\[(\d*)m")
CASES = ("run of true", "create+start+delete", "exec of true", "delete --force, running", "state")
BARS = {"pycontainer": "#2563eb", "runc": "#9ca3af", "crun": "#d97706", "floor": "#16a34a"}


def on_terminal(*argv: str) -> str:
    """What a command prints on a terminal of its own."""
    master, slave = pty.openpty()
    subprocess.run(["stty", "cols", str(COLUMNS)], stdin=slave, check=True)
    environ = {**os.environ, "TERM": "xterm", "NO_COLOR": ""}
    with tempfile.TemporaryFile() as kept:
        process = subprocess.Popen(argv, stdin=slave, stdout=slave, stderr=kept, env=environ)
        os.close(slave)
        text = b""
        while True:
            try:
                text += os.read(master, 65536)
            except OSError:  # the end of a terminal
                break
        process.wait()
    os.close(master)
    return text.decode().replace("\r\n", "\n")


def svg(width: int, height: int, background: str, font: str, shapes: list[str]) -> str:
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" font-family="{font}" font-size="12">'
    )
    back = f'<rect width="{width}" height="{height}" rx="6" fill="{background}"/>'
    return "\n".join([head, back, *shapes, "</svg>\n"])


def terminal(command: str, text: str) -> str:
    """Text with colours as a picture."""
    shapes = [f'<text x="16" y="26" fill="#ffffff">$ {escape(command)}</text>']
    for number, line in enumerate(text.split("\n")[:LINES]):
        spans, colour = [], "#e5e7eb"
        for part in re.split(r"(\x1b\[\d*m)", line):
            if change := ESCAPE.fullmatch(part):
                colour = COLOURS.get(change[1], "#e5e7eb")
            elif part:
                spans.append(f'<tspan fill="{colour}">{escape(part)}</tspan>')
        y = 44 + number * 17
        shapes.append(f'<text x="16" y="{y}" xml:space="preserve">{"".join(spans)}</text>')
    return svg(COLUMNS * 7 + 60, 60 + LINES * 17, "#111827", "monospace", shapes)


def results(heading: str) -> tuple[list[str], dict[str, list[float]]]:
    """One table of the results: the runtimes, and the milliseconds of each case."""
    text = (ROOT / "benchmarks" / "RESULTS.md").read_text()
    table = text.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    rows = [line.strip("| ").split(" | ") for line in table.splitlines() if line.startswith("|")]
    runtimes = [name for name in rows[0] if name in BARS]
    values = {
        row[0]: [float(cell.split()[0]) for cell in row[1 : len(runtimes) + 1]]
        for row in rows[2:]
        if row[0] in CASES
    }
    return runtimes, {case: values[case] for case in CASES if case in values}


def chart(heading: str) -> str:
    """Bars of milliseconds, for each case and runtime."""
    runtimes, values = results(heading)
    most = max(max(row) for row in values.values())
    shapes, y = [f'<text x="16" y="26" font-weight="bold">{escape(heading)}</text>'], 48
    for case, row in values.items():
        shapes.append(f'<text x="16" y="{y + 12}">{escape(case)}</text>')
        for runtime, value in zip(runtimes, row, strict=True):
            width = max(value / most * 460, 1)
            shapes.append(
                f'<rect x="190" y="{y}" width="{width:.1f}" height="14" fill="{BARS[runtime]}"/>'
            )
            words = f"{value:g} {runtime}"
            shapes.append(f'<text x="{195 + width:.1f}" y="{y + 11}" font-size="11">{words}</text>')
            y += 17
        y += 10
    return svg(760, y + 8, "#ffffff", "sans-serif", shapes)


def main(command: str, directory: Path) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as work:
        bundle, base = f"{work}/box", [command, "--root", f"{work}/state"]
        subprocess.run(
            [*base, "spec", "--host", "-b", bundle], check=True, stdin=subprocess.DEVNULL
        )
        file = Path(bundle, "config.json")
        config = json.loads(file.read_text())
        config["process"].update(args=["true"], terminal=False)
        config["linux"]["cgroupsPath"] = "/box"  # wherever this machine has put us
        file.write_text(json.dumps(config))
        plan = on_terminal(*base, "plan", bundle).replace(work + "/", "")
        plan = "...\n" + plan[plan.rindex("\n", 0, plan.index("clone init")) + 1 :]
        timeline = f"{work}/timeline.svg"
        subprocess.run([*base, "--trace", timeline, "run", "-b", bundle, "box"], check=True)
        (directory / "timeline.svg").write_text(Path(timeline).read_text().replace(work + "/", ""))
    (directory / "plan.svg").write_text(terminal("pycontainer plan box", plan))
    (directory / "performance.svg").write_text(chart(HEADING))


HEADING = "default spec, 0.2 s apart, ms (without the v2 mount of a hybrid host)"

if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
