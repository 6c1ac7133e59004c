"""What sample logs tell of margins: their spread, how well calibrated they are, and what length alone would get.

All of it counts rows alike, without a benchmark's weights; docs/report.md.
"""

import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import product
from statistics import fmean

import numpy as np

from skywork_rb_plugin.metrics.diagnostics import (
    acc_by_length,
    acc_chosen_longer,
    acc_chosen_shorter,
    confidence_bins,
    ece,
    expected_calibration_error,
    mean_of_some,
)
from skywork_rb_plugin.metrics.metric import Row as PreferenceRow
from skywork_rb_plugin.metrics.preference import acc
from skywork_rb_plugin.report.rows import Row

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
# borders of differences in length, in characters
LENGTHS = (-1000, -300, -100, 0, 100, 300, 1000)


@dataclass(frozen=True)
class Margins:
    """Margins of some rows, in units of the model's rewards.

    Attributes:
        rows: how many have one.
        quantiles: at QUANTILES; each is the margin of a row.
        below, ties: how many are below 0, and 0.
    """

    rows: int
    quantiles: tuple[float, ...]
    below: int
    ties: int


@dataclass(frozen=True)
class Bin:
    """Pairs of a preferred and another response that are alike in something.

    Attributes:
        low, high: what they are alike in lies between these.
        pairs: how many there are.
        mean: of what they are alike in; None where there is none.
        right: the share whose preferred response has the higher reward; None where there is none.
    """

    low: float
    high: float
    pairs: int
    mean: float | None
    right: float | None


@dataclass(frozen=True)
class Calibration:
    """How often verdicts of a confidence are right; rows with exactly two responses.

    Attributes:
        rows: how many.
        bins: of sigmoid(|margin|), 10 from 0.5 to 1.
        error: expected calibration error, the metric `ece`.
    """

    rows: int
    bins: tuple[Bin, ...]
    error: float


@dataclass(frozen=True)
class Lengths:
    """What a model gets where the preferred response is longer or shorter, and what preferring the longest gets.

    Attributes:
        rows, right: how many, and the share that `acc` counts.
        by_length: the metric `acc_by_length`.
        if_longer, if_shorter: the metrics `acc_chosen_longer`, `acc_chosen_shorter`; None where no row counts.
    """

    rows: int
    right: float
    by_length: float
    if_longer: float | None
    if_shorter: float | None


def preference_rows(rows: Iterable[Row]) -> list[PreferenceRow]:
    """Those of which the log tells rewards that can be compared: none is NaN, and neither is the margin."""
    found = []
    for row in rows:
        rewards, preferred = row.note.get("rewards"), row.note.get("preferred")
        if not rewards or not preferred or len(rewards) != len(row.lengths) or math.isnan(row.note["margin"]):
            continue
        if not any(
            math.isnan(rewards[i] - rewards[j]) for i in preferred for j in range(len(rewards)) if j not in preferred
        ):
            found.append(PreferenceRow({}, rewards, preferred, (), row.lengths))
    return found


def margins(rows: Iterable[Row]) -> Margins | None:
    """The spread of margins; None where the log has none."""
    values = sorted(row.note["margin"] for row in rows if not math.isnan(row.note.get("margin", math.nan)))
    if not values:
        return None
    # without interpolation, since margins may be infinite
    quantiles = np.quantile(values, QUANTILES, method="inverted_cdf")
    below, ties = sum(value < 0 for value in values), values.count(0)
    return Margins(len(values), tuple(map(float, quantiles)), below, ties)


def calibration(rows: Iterable[PreferenceRow]) -> Calibration | None:
    """Confidence and accuracy of the rows with exactly two responses; None where there are none."""
    verdicts = [ece(row) for row in rows if len(row.scores) == 2]
    if not verdicts:
        return None
    found = confidence_bins(verdicts)
    width = 0.5 / len(found)
    bins = tuple(
        Bin(
            0.5 + place * width,
            0.5 + (place + 1) * width,
            len(some),
            _mean(p for p, _ in some),
            _mean(r for _, r in some),
        )
        for place, some in enumerate(found)
    )
    return Calibration(len(verdicts), bins, expected_calibration_error(verdicts))


def by_length(rows: Iterable[PreferenceRow]) -> tuple[Bin, ...]:
    """Pairs by length of the preferred response minus that of the other, in characters.

    Returns:
        a bin between each two neighbours of LENGTHS and beyond its ends; pairs of equal length are in none.
    """
    edges = (-math.inf, *LENGTHS, math.inf)
    bins: list[list[tuple[float, bool]]] = [[] for _ in edges[1:]]
    for row in rows:
        for i, j in product(row.preferred, row.others):
            if difference := row.lengths[i] - row.lengths[j]:
                # away from 0: a difference of 100 is "up to 100"
                place = bisect_left(LENGTHS, difference) if difference > 0 else bisect_right(LENGTHS, difference)
                bins[place].append((difference, row.scores[i] > row.scores[j]))
    return tuple(
        Bin(low, high, len(some), _mean(d for d, _ in some), _mean(r for _, r in some))
        for low, high, some in zip(edges[:-1], edges[1:], bins, strict=True)
    )


def lengths(rows: Sequence[PreferenceRow]) -> Lengths | None:
    """Accuracy beside that of preferring the longest response; None without rows."""
    if not rows:
        return None
    longer, shorter = (mean_of_some(map(metric, rows)) for metric in (acc_chosen_longer, acc_chosen_shorter))
    return Lengths(len(rows), fmean(map(acc, rows)), fmean(map(acc_by_length, rows)), _known(longer), _known(shorter))


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value


def _mean(values: Iterable[float]) -> float | None:
    values = list(values)
    return fmean(values) if values else None
