"""Metrics that say what an accuracy means: how well margins are calibrated, and how far length alone would get.

All are opt-in (`metric_list`). Needs no torch.
"""

import math
from collections.abc import Collection, Iterable, Sequence
from itertools import product
from statistics import fmean

ECE = "expected_calibration_error"
SOME = "mean_of_some"
_BINS = 10

# metric -> whether higher is better, and how rows become one number
DIAGNOSTICS = {
    "brier": (False, "mean"),
    "ece": (False, ECE),
    "acc_norm": (True, "mean"),
    "acc_by_length": (True, "mean"),
    "acc_chosen_longer": (True, SOME),
    "acc_chosen_shorter": (True, SOME),
}


def diagnose(scores: Sequence[float], preferred: Collection[int], lengths: Sequence[int]) -> dict[str, object]:
    """The diagnostics of one row.

    Args:
        scores: of each response, in any unit; probabilities are sigmoid(preferred - other), as of a Bradley-Terry model.
        preferred: indices of the preferred responses.
        lengths: of each response, in characters.

    Returns:
        brier: (1 - probability)^2, the mean over pairs of a preferred and another response (Brier 1950).
        ece: (confidence, right) of each such pair, for `expected_calibration_error`.
        acc_norm: 1.0 if every preferred response outscores every other, strictly, each score divided by its response's
            length: log-likelihood per character, as the host's `acc_norm`. Means nothing for rewards.
        acc_by_length: 1.0 if every preferred response is longer than every other: what preferring the longest gets.
        acc_chosen_longer, acc_chosen_shorter: `acc` if every preferred response is longer (shorter) than every other;
            None for the rest, which do not count.
    """
    others = [i for i in range(len(scores)) if i not in preferred]
    margins = [scores[i] - scores[j] for i, j in product(preferred, others)]
    right = float(min(margins) > 0)
    by_length = [lengths[i] - lengths[j] for i, j in product(preferred, others)]
    per_character = [score / max(length, 1) for score, length in zip(scores, lengths, strict=True)]
    longer, shorter = min(by_length) > 0, max(by_length) < 0
    return {
        "brier": fmean(_sigmoid(-margin) ** 2 for margin in margins),
        "ece": [(_sigmoid(abs(margin)), float(margin > 0)) for margin in margins],
        "acc_norm": float(min(per_character[i] for i in preferred) > max(per_character[i] for i in others)),
        "acc_by_length": float(longer),
        "acc_chosen_longer": right if longer else None,
        "acc_chosen_shorter": right if shorter else None,
    }


def expected_calibration_error(rows: Iterable[Sequence[Sequence[float]]]) -> float:
    """How far confidence is from accuracy: the mean over 10 bins of [0.5, 1], weighted by their numbers of pairs.

    Guo et al. 2017, arXiv:1706.04599, equation 3, with sigmoid(|margin|) as the confidence of a verdict; a tie is wrong.
    """
    bins: list[list[Sequence[float]]] = [[] for _ in range(_BINS)]
    for pairs in rows:
        for pair in pairs:
            bins[min(int((pair[0] - 0.5) * 2 * _BINS), _BINS - 1)].append(pair)
    total = sum(map(len, bins))
    gaps = (
        abs(fmean(right for _, right in some) - fmean(sure for sure, _ in some)) * len(some) for some in bins if some
    )
    return math.fsum(gaps) / total


def mean_of_some(values: Iterable[float | None]) -> float:
    """The mean of the rows that count; NaN if none does, since lm-eval's own groups add what tasks return."""
    counting = [value for value in values if value is not None]
    return fmean(counting) if counting else math.nan


def register_diagnostics() -> None:
    """Make the host find our aggregations; it knows no standard error for them and prints N/A."""
    from skywork_rb_plugin.host import aggregation_registry, register_aggregation

    for name, function in ((ECE, expected_calibration_error), (SOME, mean_of_some)):
        if name not in aggregation_registry:
            register_aggregation(name)(function)


def _sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x)) if x >= 0 else math.exp(x) / (1 + math.exp(x))
