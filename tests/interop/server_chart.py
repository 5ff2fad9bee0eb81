"""Draws what `compare_servers.py` has measured.

    python tests/interop/server_chart.py FIGURES.json CHART.svg

A panel for each network: for each number of connections a bar for each server, as high as its requests a second. The same figures,
with latency and processor time, are in the table beside the chart.
"""

import json
import sys
from pathlib import Path

COLORS = ["#0b6e4f", "#59a96a", "#b5651d", "#6a5acd", "#8a8a8a"]
WIDTH, PANEL, MARGIN, BAR = 860, 200, 60, 150
STYLE = "text{font:12px sans-serif;fill:#333}.title{font-weight:bold}.axis{stroke:#999}@media(prefers-color-scheme:dark){text{fill:#ddd}}"


def label(x: float, y: float, text: str, attributes: str = "") -> str:
    text = text.replace("&", "&amp;").replace("<", "&lt;")
    return f'<text x="{x:.1f}" y="{y:.1f}" {attributes}>{text}</text>'


def panel(top: float, network: str, rows: list[dict], servers: list[str]) -> list[str]:
    """The bars of one network."""
    most = max(row["rate"] for row in rows)
    connections = sorted({row["connections"] for row in rows})
    group = (WIDTH - MARGIN - 20) / len(connections)
    width = min(24.0, (group - 14) / len(servers))
    bottom = top + BAR + 25
    parts = [label(MARGIN, top + 12, f"{network}: requests a second", 'class="title"')]
    parts.append(f'<line class="axis" x1="{MARGIN}" y1="{bottom}" x2="{WIDTH - 20}" y2="{bottom}"/>')
    for at, count in enumerate(connections):
        left = MARGIN + at * group
        parts.append(label(left, bottom + 15, f"{count} connection{'s' if count > 1 else ''}"))
        for number, server in enumerate(servers):
            found = [row["rate"] for row in rows if (row["connections"], row["server"]) == (count, server)]
            for rate in found:
                height, x = BAR * rate / most, left + number * width
                color = COLORS[number % len(COLORS)]
                parts.append(
                    f'<rect x="{x:.1f}" y="{bottom - height:.1f}" width="{width - 2:.1f}" height="{height:.1f}" fill="{color}">'
                    f"<title>{server}, {count}: {rate:.1f}/s</title></rect>"
                )
                value = f"{rate:.0f}" if rate >= 10 else f"{rate:.1f}"
                parts.append(label(x + width / 2 - 1, bottom - height - 3, value, 'text-anchor="middle" font-size="9" style="font-size:9px"'))
    return parts


def draw(figures: dict) -> str:
    rows = figures["rows"]
    networks, servers = (list(dict.fromkeys(row[key] for row in rows)) for key in ("network", "server"))
    height = 50 + PANEL * len(networks) + 30
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img"><style>{STYLE}</style>']
    parts.append(f"<title>Requests a second of {', '.join(servers)}</title>")
    for number, server in enumerate(servers):
        x = MARGIN + number * 150
        parts.append(f'<rect x="{x}" y="10" width="12" height="12" fill="{COLORS[number % len(COLORS)]}"/>')
        parts.append(label(x + 17, 20, server))
    for number, network in enumerate(networks):
        parts += panel(40 + number * PANEL, network, [row for row in rows if row["network"] == network], servers)
    parts.append(label(MARGIN, height - 10, f"{figures['machine']}, {figures['date']}, load average {figures['load']}"))
    return "\n".join([*parts, "</svg>", ""])


if __name__ == "__main__":
    Path(sys.argv[2]).write_text(draw(json.loads(Path(sys.argv[1]).read_text())))
