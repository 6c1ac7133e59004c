"""The report's plots. Each takes numbers and gives an `<svg>`; what it shows is told in words by the caller."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from skywork_rb_plugin.report.observed import LENGTHS, Bin, Calibration, Margins
from skywork_rb_plugin.report.svg import HUES, INK, MARKERS, PAGE, as_svg, figure
from skywork_rb_plugin.report.texts import in_a_line

# letters of a name beside an axis, and in a legend
_LABEL, _NAME = 22, 48
# beyond it an axis has no room for numbers
DRAWABLE = 1e12
_REFERENCE = {"color": INK, "linewidth": 0.8, "linestyle": (0, (4, 3))}


@dataclass(frozen=True)
class Text:
    """A figure's id, its title, and what it shows in words."""

    name: str
    title: str
    description: str


@dataclass(frozen=True)
class Series:
    """Values with intervals, one for each label; None where there is none.

    Attributes:
        name: for the legend.
        style: its place among the runs, which decides hue, marker and lane.
        points: value, low end, high end.
        published: whether these were published of the run's model: they lie in its lane, as strokes.
    """

    name: str
    style: int
    points: Sequence[tuple[float, float, float] | None]
    published: bool = False


def dots(text: Text, labels: Sequence[str], series: Sequence[Series], unit: str, zero: bool = False) -> str:
    """A line for each label, a dot with its interval for each series.

    Args:
        text: words.
        labels: from top to bottom.
        series: one or more.
        unit: of the values.
        zero: whether a line marks 0.
    """
    step = 0.17
    lanes = list(dict.fromkeys(one.style for one in series))
    lane = max(0.24, step * (len(lanes) + 0.6))
    with figure(0.75 + lane * len(labels) + 0.17 * len(series)) as drawn:
        axes, legend = drawn.subplots(), {}
        for one in series:
            offset = (lanes.index(one.style) - (len(lanes) - 1) / 2) * step / lane
            known = [(point, line + offset) for line, point in enumerate(one.points) if point]
            values = [point[0] for point, _ in known]
            errors = [[max(v - low, 0) for (v, low, _), _ in known], [max(high - v, 0) for (v, _, high), _ in known]]
            handle = axes.errorbar(
                values, [y for _, y in known], xerr=errors, **_marks(one.style, line=False, stroke=one.published)
            )
            legend[handle] = one.name
        if zero:
            axes.axvline(0, **_REFERENCE)
        axes.set_yticks(range(len(labels)), [in_a_line(label, _LABEL) for label in labels])
        axes.set_ylim(len(labels) - 0.5, -0.5)
        axes.grid(axis="y", visible=False)
        axes.tick_params(length=0)
        axes.set_xlabel(unit)
        _legend(drawn, legend)
        return as_svg(drawn, text.name, text.title, text.description)


def spread(text: Text, labels: Sequence[str], values: Sequence[Margins], style: int) -> str:
    """Margins: a thin line from 5 to 95 percent of the rows, a thick one from 25 to 75, and the median."""
    with figure(0.75 + 0.3 * len(labels)) as drawn:
        axes = drawn.subplots()
        hue = HUES[style % len(HUES)]
        for line, one in enumerate(values):
            low, lower, middle, upper, high = one.quantiles
            axes.hlines(line, low, high, color=hue, linewidth=1.2)
            axes.hlines(line, lower, upper, color=hue, linewidth=6)
            axes.plot(
                middle, line, marker=MARKERS[style % len(MARKERS)], color=PAGE, markeredgecolor=INK, markersize=5.5
            )
        axes.axvline(0, **_REFERENCE)
        axes.set_yticks(range(len(labels)), [in_a_line(label, _LABEL) for label in labels])
        axes.set_ylim(len(labels) - 0.5, -0.5)
        axes.grid(axis="y", visible=False)
        axes.tick_params(length=0)
        axes.set_xlabel("margin, in units of the model's rewards")
        return as_svg(drawn, text.name, text.title, text.description)


def reliability(text: Text, curves: Sequence[tuple[str, int, Calibration]]) -> str:
    """Accuracy by confidence; on the diagonal a model is as sure as it should be. A curve: name, style, numbers."""
    with figure(3.1 + 0.17 * (len(curves) + 1)) as drawn:
        axes = drawn.subplots()
        [diagonal] = axes.plot([50, 100], [50, 100], **_REFERENCE)
        legend = {diagonal: "as sure as right"}
        for name, style, one in curves:
            legend[_curve(axes, style, [(100 * b.mean, 100 * b.right) for b in one.bins if b.pairs])] = name
        axes.set_xlim(49, 101)
        axes.set_ylim(-3, 103)
        axes.set_xlabel("confidence, sigmoid(|margin|), %")
        axes.set_ylabel("right, %")
        _legend(drawn, legend)
        return as_svg(drawn, text.name, text.title, text.description)


def by_length(text: Text, curves: Sequence[tuple[str, int, Sequence[Bin]]]) -> str:
    """Accuracy by how much longer the preferred response is, beside preferring the longer one."""
    places = [place + 0.5 for place in range(len(LENGTHS) + 1)]
    half = len(places) / 2
    with figure(3.0 + 0.17 * (len(curves) + 1)) as drawn:
        axes = drawn.subplots()
        [longer] = axes.plot([0, half, half, 2 * half], [0, 0, 100, 100], **_REFERENCE)
        legend = {longer: "preferring the longer one"}
        for name, style, bins in curves:
            points = [(place, 100 * b.right) for place, b in zip(places, bins, strict=True) if b.pairs]
            legend[_curve(axes, style, points)] = name
        axes.set_xticks(range(1, len(places)), [f"{edge:+d}".replace("-", "−") if edge else "0" for edge in LENGTHS])
        axes.set_xlim(0, len(places))
        axes.set_ylim(-3, 103)
        axes.set_xlabel("preferred response longer by, characters")
        axes.set_ylabel("right, %")
        _legend(drawn, legend)
        return as_svg(drawn, text.name, text.title, text.description)


def drawable(values: Sequence[float]) -> bool:
    """Whether an axis can show them."""
    return all(math.isfinite(value) and abs(value) < DRAWABLE for value in values)


def _curve(axes: Axes, style: int, points: Sequence[tuple[float, float]]) -> Line2D:
    xs, ys = zip(*points, strict=True) if points else ((), ())
    return axes.plot(xs, ys, **_marks(style, line=True))[0]


def _marks(style: int, line: bool, stroke: bool = False) -> dict[str, object]:
    """Hue and marker by the run's place; the second eight have hollow markers."""
    hue = HUES[style % len(HUES)]
    if stroke:
        return {"color": hue, "marker": "|", "markersize": 10, "markeredgewidth": 2.2, "linestyle": "none"}
    face = hue if style // len(HUES) % 2 == 0 else PAGE
    return {
        "color": hue, "marker": MARKERS[style % len(MARKERS)], "markerfacecolor": face, "linestyle": "-" if line else "none",
    }  # fmt: skip


def _legend(drawn: Figure, entries: Mapping[Any, str]) -> None:
    """Above the axes, a line for each name; names go by their handles, since two may be cut to the same."""
    drawn.legend(
        [*entries], [in_a_line(name, _NAME) for name in entries.values()], loc="outside upper left", fontsize=9
    )
