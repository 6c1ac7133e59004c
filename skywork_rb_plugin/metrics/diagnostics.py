"""Metrics that say what an accuracy means: how well margins are calibrated, and how far length alone would get."""

import math
from collections.abc import Iterable, Sequence
from itertools import product
from statistics import fmean

from skywork_rb_plugin.metrics.metric import Aggregation, Metric, Row
from skywork_rb_plugin.metrics.preference import acc

_BINS = 10


def brier(row: Row) -> float:
    """(1 - probability)^2, the mean over pairs of a preferred and another response (Brier 1950).

    The probability is sigmoid(preferred - other), as of a Bradley-Terry model.
    """
    return fmean(_sigmoid(-margin) ** 2 for margin in _margins(row))


def ece(row: Row) -> list[tuple[float, float]]:
    """(confidence, right) of each pair of a preferred and another response, for `expected_calibration_error`."""
    return [(_sigmoid(abs(margin)), float(margin > 0)) for margin in _margins(row)]


def expected_calibration_error(rows: Iterable[Sequence[Sequence[float]]]) -> float:
    """How far confidence is from accuracy: the mean over 10 bins of [0.5, 1], weighted by their numbers of pairs.

    Guo et al. 2017, arXiv:1706.04599, equation 3, with sigmoid(|margin|) as the confidence of a verdict; a tie is wrong.
    """
    bins = confidence_bins(rows)
    total = sum(map(len, bins))
    gaps = (
        abs(fmean(right for _, right in some) - fmean(sure for sure, _ in some)) * len(some) for some in bins if some
    )
    return math.fsum(gaps) / total


def confidence_bins(rows: Iterable[Sequence[Sequence[float]]]) -> list[list[Sequence[float]]]:
    """The pairs of all rows, as of `ece`, in 10 bins of equal width from confidence 0.5 to 1; some may be empty."""
    bins: list[list[Sequence[float]]] = [[] for _ in range(_BINS)]
    for pairs in rows:
        for pair in pairs:
            bins[min(int((pair[0] - 0.5) * 2 * _BINS), _BINS - 1)].append(pair)
    return bins


def acc_norm(row: Row) -> float:
    """`acc`, each score divided by its response's length: log-likelihood per character, as the host's `acc_norm`.

    Means nothing for rewards.
    """
    per_character = [score / max(length, 1) for score, length in zip(row.scores, row.lengths, strict=True)]
    return float(min(per_character[i] for i in row.preferred) > max(per_character[i] for i in row.others))


def acc_by_length(row: Row) -> float:
    """1.0 if every preferred response is longer than every other: what preferring the longest gets."""
    return float(min(_differences(row, row.lengths)) > 0)


def acc_chosen_longer(row: Row) -> float | None:
    """`acc` if every preferred response is longer than every other; None for the rest, which do not count."""
    return acc(row) if min(_differences(row, row.lengths)) > 0 else None


def acc_chosen_shorter(row: Row) -> float | None:
    """`acc` if every preferred response is shorter than every other; None for the rest, which do not count."""
    return acc(row) if max(_differences(row, row.lengths)) < 0 else None


def mean_of_some(values: Iterable[float | None]) -> float:
    """The mean of the rows that count; NaN if none does, since lm-eval's own groups add what tasks return."""
    counting = [value for value in values if value is not None]
    return fmean(counting) if counting else math.nan


def _differences(row: Row, values: Sequence[float]) -> list[float]:
    """The value of a preferred response minus that of another, for all such pairs."""
    return [values[i] - values[j] for i, j in product(row.preferred, row.others)]


def _margins(row: Row) -> list[float]:
    return _differences(row, row.scores)


def _sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x)) if x >= 0 else math.exp(x) / (1 + math.exp(x))


_ECE = Aggregation("expected_calibration_error", expected_calibration_error)
SOME = Aggregation("mean_of_some", mean_of_some)

METRICS = (
    Metric("brier", brier, "calibration of sigmoid(margin): Brier score", False, is_share=False),
    Metric("ece", ece, "calibration of sigmoid(margin): expected calibration error", False, _ECE, is_share=False),
    Metric("acc_norm", acc_norm, "for language models: accuracy by log-likelihood per character"),
    Metric("acc_by_length", acc_by_length, "accuracy of preferring the longest response of the same rows", None),
    Metric("acc_chosen_longer", acc_chosen_longer, "accuracy where the chosen response is the longer one", True, SOME),
    Metric(
        "acc_chosen_shorter", acc_chosen_shorter, "accuracy where the chosen response is the shorter one", True, SOME
    ),
)
