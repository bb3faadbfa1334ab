"""The table and the plots of docs/performance.md, from what compare.py measured.

    figures.py FILE [DOCS]

Replaces what stands between `<!-- measured -->` and `<!-- /measured -->` in DOCS/performance.md, and writes
DOCS/performance-ratios.svg and DOCS/performance-curve.svg.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from math import log10
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

BEGIN, END = "<!-- measured -->", "<!-- /measured -->"
ROOT = Path(__file__).resolve().parent.parent.parent
CURVE = "COPY of trees of small files, without a layer; seconds of the processors, for the program and for the kernel on its behalf:"

# Legible on white and on the dark pages of code hosts.
STYLE = """
  text { font: 12px system-ui, sans-serif; fill: #333 } .title { font-weight: 600; font-size: 13px } .small { font-size: 11px; fill: #666 }
  .docker { fill: #2a78d6; stroke: #2a78d6 } .buildah { fill: #1baf7a; stroke: #1baf7a } .ours { fill: #eb6834; stroke: #eb6834 }
  .grid { stroke: #ddd } .one { stroke: #888 } .wanted { stroke: #222; stroke-width: 2 } .line { fill: none; stroke-width: 2 }
  @media (prefers-color-scheme: dark) {
    text { fill: #ddd } .small { fill: #999 } .grid { stroke: #444 } .one { stroke: #888 } .wanted { stroke: #eee }
    .docker { fill: #3987e5; stroke: #3987e5 } .buildah { fill: #199e70; stroke: #199e70 } .ours { fill: #d95926; stroke: #d95926 }
  }
"""


def svg(width: int, height: int, title: str, parts: Iterable[str]) -> str:
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img">'
    return "\n".join(
        [head, f"<title>{escape(title)}</title>", f"<style>{STYLE}</style>", *parts, "</svg>", ""]
    )


def text(x: float, y: float, words: str, *, kind: str = "", anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" class="{kind}" text-anchor="{anchor}">{escape(words)}</text>'


def line(x1: float, y1: float, x2: float, y2: float, kind: str) -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" class="{kind}"/>'


# --- the table -------------------------------------------------------------------------------------------


def table(found: dict[str, Any]) -> str:
    rows = [row for group in found["rows"].values() for row in group]
    names = [name for name in ("docker", "buildah") if any(name in row["theirs"] for row in rows)]
    head = ["work", "pybuild"]
    for name in names:
        head += [name, "ratio", *(["wanted"] if name == "docker" else [])]
    lines = ["| " + " | ".join([*head, "of the limit"]) + " |", "| --- |" + " --- |" * len(head)]
    for row in rows:
        cells = [row["work"], f"{row['ours']:.3f} s"]
        for name in names:
            theirs = row["theirs"].get(name)
            cells += ["", ""] if theirs is None else [f"{theirs:.3f} s", f"{row['ours'] / theirs:.2f}"]
            if name == "docker":
                cells.append(f"≤ {row['target']['docker']:g}" if row["target"]["docker"] else "")
        limit = ""
        if row["limit"]:
            limit = f"{row['ours'] / row['limit']:.1f} × {row['limit_name']}"
            limit += f" (≤ {row['target']['limit']:g})" if row["target"]["limit"] else ""
        lines.append("| " + " | ".join([*cells, limit]) + " |")
    return "\n".join(lines)


def curve_table(points: Sequence[dict[str, float]]) -> str:
    lines = [
        "| files | cached | a file | of a bare walk | most memory | cold COPY | a file | most memory |",
        "| --- |" + " --- |" * 7,
    ]
    for point in points:
        count = point["files"]
        cells = [
            f"{count:,}",
            f"{point['cached_work']:.3f} s",
            f"{point['cached_work'] / count * 1e6:.1f} µs",
        ]
        cells += [f"{point['cached_work'] / point['walk_work']:.1f}", f"{point['cached_memory']:.0f} MiB"]
        cells += [
            f"{point['cold_work']:.2f} s",
            f"{point['cold_work'] / count * 1e6:.0f} µs",
            f"{point['cold_memory']:.0f} MiB",
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


# --- ratios ----------------------------------------------------------------------------------------------


def titles(found: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """Each row with a title of its own: `…` stands for the beginning of the row above."""
    result, above = [], ""
    for group in found["rows"].values():
        for row in group:
            words = row["work"].replace("`", "")
            if words.startswith("… "):
                words = f"{above}: {words[2:]}"
            else:
                above = words.removesuffix(", cold")
            result.append((words, row))
    return result


def ratios(found: dict[str, Any]) -> str:
    """A bar for each row and peer: our time in parts of theirs; a tick where it is wanted to be."""
    rows = titles(found)
    names = [name for name in ("docker", "buildah") if any(name in row["theirs"] for _, row in rows)]
    left, width, top, bar = 400, 380, 46, 11
    step = bar * len(names) + 14
    height = top + step * len(rows) + 30
    most = max([1.0, *(row["ours"] / theirs for _, row in rows for theirs in row["theirs"].values())])

    def at(ratio: float) -> float:
        return left + width * ratio / most

    parts = [text(12, 20, "Our time in parts of theirs (shorter is better)", kind="title")]
    for number, name in enumerate(names):
        parts.append(f'<rect x="{left + number * 90}" y="29" width="10" height="10" class="{name}"/>')
        parts.append(text(left + 15 + number * 90, 38, name, kind="small"))
    parts.append(line(left + 190, 28, left + 190, 40, "wanted"))
    parts.append(text(left + 196, 38, "wanted, against docker", kind="small"))
    for tick in [0.25 * number for number in range(int(most * 4) + 1)]:
        parts.append(line(at(tick), top, at(tick), height - 24, "one" if tick == 1 else "grid"))
        parts.append(text(at(tick), height - 8, f"{tick:g}", kind="small", anchor="middle"))
    for number, (title, row) in enumerate(rows):
        y = top + 8 + number * step
        parts.append(text(left - 8, y + step / 2 - 3, title, kind="small", anchor="end"))
        for place, name in enumerate(names):
            if name not in row["theirs"]:
                continue
            ratio = row["ours"] / row["theirs"][name]
            above = y + place * bar
            parts.append(
                f'<rect x="{left}" y="{above}" width="{max(at(ratio) - left, 1):.1f}" height="{bar - 2}" class="{name}"/>'
            )
            parts.append(text(at(ratio) + 4, above + bar - 2, f"{ratio:.2f}", kind="small"))
        if row["target"]["docker"]:
            x = at(row["target"]["docker"])
            parts.append(line(x, y - 2, x, y + bar, "wanted"))
    return svg(
        left + width + 40, height, "Ratios of pybuild's times to those of docker build and buildah", parts
    )


def round_up(value: float) -> float:
    """The next number that four parts of a scale make a whole of."""
    power = 10.0 ** int(log10(value)) if value >= 1 else 0.1
    return next(power * factor for factor in (1, 2, 4, 8, 10, 20) if power * factor >= value)


# --- the curve -------------------------------------------------------------------------------------------


def panel(
    points: Sequence[dict[str, float]], x: int, title: str, series: Sequence[tuple[str, str, Any]]
) -> list[str]:
    """One plot over the number of files (logarithmic), from zero."""
    width, top, height = 300, 60, 200
    values = [value(point) for _, _, value in series for point in points]
    most = round_up(max(values))
    counts = [log10(point["files"]) for point in points]
    span = max(counts[-1] - counts[0], 1e-9)

    def place(point: dict[str, float], value: float) -> tuple[float, float]:
        return x + (log10(point["files"]) - counts[0]) / span * width, top + height * (1 - value / most)

    parts = [text(x, 20, title, kind="title")]
    for number in range(5):
        y, value = top + height * number / 4, most * (1 - number / 4)
        parts += [
            line(x, y, x + width, y, "grid"),
            text(x - 5, y + 4, f"{value:.3g}", kind="small", anchor="end"),
        ]
    for point in points:
        words = f"{point['files'] / 1000:g}k" if point["files"] < 1e6 else f"{point['files'] / 1e6:g}M"
        parts.append(text(place(point, 0)[0], top + height + 16, words, kind="small", anchor="middle"))
    for number, (name, kind, value) in enumerate(series):
        places = [place(point, value(point)) for point in points]
        way = " ".join(f"{a:.1f},{b:.1f}" for a, b in places)
        parts.append(f'<polyline points="{way}" class="{kind} line" style="fill: none"/>')
        parts += [f'<circle cx="{a:.1f}" cy="{b:.1f}" r="3" class="{kind}"/>' for a, b in places]
        parts.append(f'<rect x="{x + number * 130}" y="32" width="10" height="10" class="{kind}"/>')
        parts.append(text(x + 15 + number * 130, 41, name, kind="small"))
    return parts


def curve(points: Sequence[dict[str, float]]) -> str:
    def each(name: str) -> Any:
        return lambda point: point[name] / point["files"] * 1e6

    parts = panel(
        points,
        50,
        "Microseconds of processors a file, cached",
        [("the whole build", "ours", each("cached_work")), ("a bare walk", "docker", each("walk_work"))],
    )
    parts += panel(points, 410, "The same, cold COPY", [("the whole build", "ours", each("cold_work"))])
    parts += panel(
        points,
        770,
        "Most memory, MiB",
        [
            ("cold COPY", "ours", lambda point: point["cold_memory"]),
            ("cached", "buildah", lambda point: point["cached_memory"]),
        ],
    )
    return svg(1100, 290, "Cost of a file and memory against the number of files", parts)


# --- everything ------------------------------------------------------------------------------------------


def section(found: dict[str, Any]) -> str:
    about = found["machine"]
    points = found.get("curve", [])
    parts = [
        f"Measured on {about['day']}: {about['processors']} processors, Linux {about['kernel']}, Python {about['python']}.",
        table(found),
        "![Ratios of the times](performance-ratios.svg)",
    ]
    if points:
        parts += [
            CURVE,
            curve_table(points),
            "![Cost of a file against the number of files](performance-curve.svg)",
        ]
    return "\n\n".join(parts)


def main() -> None:
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    found = json.loads(Path(sys.argv[1]).read_text())
    docs = Path(sys.argv[2]) if len(sys.argv) == 3 else ROOT / "docs"
    page = docs / "performance.md"
    before, begin, rest = page.read_text().partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        sys.exit(f"{page} has no place for the figures: {BEGIN} … {END}")
    page.write_text(f"{before}{begin}\n\n{section(found)}\n\n{end}{after}")
    (docs / "performance-ratios.svg").write_text(ratios(found))
    if found.get("curve"):
        (docs / "performance-curve.svg").write_text(curve(found["curve"]))


if __name__ == "__main__":
    main()
