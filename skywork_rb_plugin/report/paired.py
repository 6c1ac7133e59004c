"""Paired tests: whether one model is better than another on the same rows."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

LEVEL = 0.95
# draws of the bootstrap: of means, and of aggregations that are computed draw by draw
DRAWS, SLOW_DRAWS = 10_000, 1_000


@dataclass(frozen=True)
class Test:
    """A difference and how sure it is.

    Attributes:
        difference: score of the second model minus that of the first.
        low, high: its 95 % interval.
        p: two-sided p-value of no difference.
        method: of METHODS.
    """

    difference: float
    low: float
    high: float
    p: float
    method: str


METHODS = {
    "McNemar": "exact McNemar test; interval of Agresti and Min (2005)",
    "bootstrap": "paired bootstrap within each subset, percentile interval",
}


def verdicts(first_only: int, second_only: int, rows: int) -> Test:
    """Compare two models by their verdicts on the same rows.

    The p-value is that of the exact McNemar test: of a sign test on the rows where they differ (McNemar 1947,
    Psychometrika 12). The interval is Wald's with half a row added to each of the four cells (Agresti and Min 2005,
    Statistics in Medicine 24, "Wald+2"), which keeps its level where few rows differ, or none. The difference is that of
    the accuracies, without the added rows.

    Args:
        first_only: rows that only the first model has right.
        second_only: rows that only the second has right.
        rows: all rows, at least one.
    """
    differing = first_only + second_only
    p = stats.binomtest(second_only, differing).pvalue if differing else 1.0
    less, more, total = first_only + 0.5, second_only + 0.5, rows + 2
    centre = (more - less) / total
    error = np.sqrt((more + less) / total - centre**2) / np.sqrt(total)
    reach = stats.norm.ppf((1 + LEVEL) / 2) * error
    # no difference is beyond 1
    low, high = max(centre - reach, -1.0), min(centre + reach, 1.0)
    return Test((second_only - first_only) / rows, float(low), float(high), float(p), "McNemar")


def draws_of_mean(differences: Sequence[float], seed: Sequence[int]) -> np.ndarray:
    """Bootstrap draws of the mean of a task's row differences.

    Args:
        differences: second model's value minus the first's, of each row.
        seed: makes the draws the same each time.

    Returns:
        float array of DRAWS.
    """
    values, counts = np.unique(np.asarray(differences, dtype=float), return_counts=True)
    if len(values) == 1:
        return np.full(DRAWS, values[0])
    # drawing rows with replacement is drawing how often each value comes
    drawn = np.random.default_rng(seed).multinomial(counts.sum(), counts / counts.sum(), size=DRAWS)
    return drawn @ values / counts.sum()


def draws_of(
    function: Callable[[Sequence], float], first: Sequence, second: Sequence, seed: Sequence[int]
) -> np.ndarray:
    """Bootstrap draws of the difference of an aggregation that is no mean.

    Args:
        function: of the rows' values.
        first, second: the rows' values of each model, in one order.
        seed: makes the draws the same each time.

    Returns:
        float array of SLOW_DRAWS.
    """
    generator = np.random.default_rng(seed)
    rows = len(first)

    def draw() -> float:
        chosen = generator.integers(rows, size=rows)
        return function([second[i] for i in chosen]) - function([first[i] for i in chosen])

    return np.array([draw() for _ in range(SLOW_DRAWS)])


def bootstrap(difference: float, draws: Mapping[str, np.ndarray], shares: Mapping[str, float]) -> Test:
    """Compare two models by a weighted score: rows were drawn within each task, pairs of verdicts together.

    The interval is the percentile interval (Efron and Tibshirani 1993, chapter 13), and the p-value twice the smaller
    share of draws on either side of no difference, so that both say the same.

    Args:
        difference: of the scores.
        draws: each task's, as of `draws_of_mean` or `draws_of`.
        shares: what each task counts.
    """
    length = min(len(draws[task]) for task in shares)
    drawn = sum(share * draws[task][:length] for task, share in shares.items())
    # sums of shares miss zero by rounding
    drawn = np.where(np.abs(drawn) < 1e-12, 0.0, drawn)
    low, high = np.quantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    sides = [(1 + int(np.sum(side))) / (1 + length) for side in (drawn <= 0, drawn >= 0)]
    return Test(difference, float(low), float(high), min(1.0, 2 * min(sides)), "bootstrap")


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values adjusted for how many there are (Holm 1979, Scandinavian Journal of Statistics 6), in the same order."""
    order = np.argsort(p_values, kind="stable")
    count = len(p_values)
    adjusted = np.empty(count)
    so_far = 0.0
    for place, index in enumerate(order):
        so_far = max(so_far, min(1.0, (count - place) * p_values[index]))
        adjusted[index] = so_far
    return adjusted.tolist()
