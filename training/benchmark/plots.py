"""Two plots: what success costs, over five strengths, and what quality costs in time."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import PIL.Image

__all__ = ["write_plots"]

INK = "#28282c"
COLORS = 256  # of a picture; chosen for their distance, or thin lines would lose theirs, then
REFINED = 4  # times moved to the mean of what they stand for, or pale bands would lose theirs
COVERAGE = PIL.Image.Quantize.MAXCOVERAGE
COLORED = [place for place in range(20) if place not in (14, 15)]  # of tab20; baselines are grey
PALE = {"no_edit", "oracle", "oracle_inverted", "random_face", "random_direction"}
MARKERS = "osD^vP*Xph<>8d"
Lines = Mapping[str, Mapping[str, Any]]


def write_plots(lines: Lines, folder: Path, name: str) -> list[str]:
    """Write the plots of a set; return a line a file, or why there is none.

    Args:
        lines: The rows of the table.
        folder: Where the pictures go.
        name: The set's name, the start of the files' names.
    """
    try:
        import matplotlib
    except ImportError:
        return ["no plots: matplotlib is not installed (pip install matplotlib)"]
    matplotlib.use("Agg")
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    swept = any(len(line["curve"]) > 1 for line in lines.values())
    kinds = {"preservation": _preservation, "time": _time} if swept else {"success": _success}
    for kind, draw in kinds.items():
        path = folder / f"{name}-{kind}.png"
        draw(lines, path)
        written.append(f"{path}: {path.stat().st_size / 1000:.0f} kB")
    return written


def _axes(width: float, height: float) -> tuple[Any, Any]:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.grid(alpha=0.25)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    return figure, axes


def _style(place: int, name: str) -> dict[str, Any]:
    from matplotlib import colormaps

    color = "#8a8a90" if name in PALE else colormaps["tab20"](COLORED[place % len(COLORED)])
    return {"color": color, "marker": MARKERS[place % len(MARKERS)], "label": name}


def _preservation(lines: Lines, path: Path) -> None:
    """Draw success against identity, one curve a row over its strengths, with 95% bands."""
    figure, axes = _axes(9, 6)
    for place, (name, line) in enumerate(lines.items()):
        points = line["curve"]
        success = [point["success"]["value"] for point in points]
        identity = [point["identity"]["value"] for point in points]
        style = _style(place, name)
        axes.plot(identity, success, linewidth=1.6, markersize=5, **style)
        if len(points) > 1:
            low, high = (_ends(points, "success", end) for end in ("low", "high"))
            axes.fill_between(identity, low, high, color=style["color"], alpha=0.13, linewidth=0)
            near, far = (_ends(points, "identity", end) for end in ("low", "high"))
            axes.fill_betweenx(success, near, far, color=style["color"], alpha=0.08, linewidth=0)
    axes.set_xlabel("the person stays: the judge's cosine of edited and source face")
    axes.set_ylabel("the sentence is true, as the judge reads it")
    axes.set_ylim(-0.02, 1.02)
    axes.invert_xaxis()  # an edit leaves the source at the left and loses the person to the right
    axes.legend(fontsize=7, ncols=2, frameon=False)
    axes.set_title("What success costs, at five strengths (bands: 95%)", color=INK, fontsize=10)
    _save(figure, path)


def _success(lines: Lines, path: Path) -> None:
    """Draw success with its interval, a row a line, as asked plainly and as people type."""
    shown = [n for n, line in lines.items() if line["kind"] == "method" or n == "oracle_inverted"]
    shown.sort(key=lambda name: lines[name]["success"]["value"])
    figure, axes = _axes(8, 0.42 * len(shown) + 1.2)
    for key, lift, style in (("success", 0.12, "o"), ("typed", -0.16, "D")):
        known = [(k, lines[n][key]) for k, n in enumerate(shown) if lines[n][key]["value"]]
        values = [number["value"] for _, number in known]
        ends = [
            [number["value"] - number["low"] for _, number in known],
            [number["high"] - number["value"] for _, number in known],
        ]
        color = INK if key == "success" else "#b4552d"
        label = "asked plainly" if key == "success" else "asked as people type"
        places = [k + lift for k, _ in known]
        axes.errorbar(values, places, xerr=ends, fmt=style, color=color, markersize=5, label=label)
    axes.set_yticks(range(len(shown)), shown, fontsize=8)
    axes.set_xlim(0, 1)
    axes.set_xlabel("success, as the judge reads it (95% intervals, by people)")
    axes.legend(fontsize=8, frameon=False, loc="lower left")
    axes.set_title("Test people", color=INK, fontsize=10)
    _save(figure, path)


def _ends(points: Any, name: str, end: str) -> list[float]:
    """Return one end of the intervals; the value itself where there is no interval."""
    return [p[name][end] if p[name][end] is not None else p[name]["value"] for p in points]


def _time(lines: Lines, path: Path) -> None:
    """Draw the harmonic mean of success and identity against the time of an edit."""
    figure, axes = _axes(8, 5)
    for place, (name, line) in enumerate(lines.items()):
        if line["kind"] != "method" or not line["seconds"]:
            continue
        style = _style(place, name)
        axes.plot([line["seconds"]], [line["summary"]], linestyle="", markersize=8, **style)
    axes.set_xscale("log")
    axes.set_xlabel("seconds an edit")
    axes.set_ylabel("harmonic mean of success and identity")
    axes.legend(fontsize=7, ncols=2, frameon=False)
    axes.set_title("Time against quality", color=INK, fontsize=10)
    _save(figure, path)


def _save(figure: Any, path: Path) -> None:
    """Write a figure as a PNG of few colours, a third as large as one of all."""
    drawn = io.BytesIO()
    figure.savefig(drawn, dpi=110)
    PIL.Image.open(drawn).convert("RGB").quantize(COLORS, COVERAGE, REFINED).save(
        path, optimize=True
    )
