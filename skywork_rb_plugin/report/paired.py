"""Paired tests: whether one model is better than another on the same rows."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

LEVEL = 0.95
# draws of chance: of means, and of aggregations that are computed draw by draw
DRAWS, SLOW_DRAWS = 10_000, 1_000
# numbers of one array of draws, so that a task of many rows fits into memory
_AT_ONCE = 4_000_000
# Bentkus and Dzindzalieta's constant
_BOUND = 1 / (4 * stats.norm.sf(np.sqrt(2)))


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
    "bootstrap": "paired randomization test; interval of a paired bootstrap within each task",
}


@dataclass(frozen=True)
class Draws:
    """What chance does to a task's difference, drawn many times.

    Attributes:
        around: the difference of rows that were drawn with replacement, minus the difference itself.
        swapped: the difference where the two models change places in each row, or do not, as a coin falls.
        variance: of all that `swapped` is drawn from, where the score is a mean of rows; None where it is not.
    """

    around: np.ndarray
    swapped: np.ndarray
    variance: float | None = None


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


def draws_of_mean(differences: Sequence[float], seed: Sequence[int]) -> Draws:
    """Draws of the mean of a task's row differences.

    The mean of n drawn rows varies (n - 1) / n as much as that of n new rows would, so `around` is stretched to match (Rao
    and Wu 1988, Journal of the American Statistical Association 83). One row tells nothing of how rows vary: `around` is
    `swapped` then.

    Args:
        differences: second model's value minus the first's, of each row.
        seed: makes the draws the same each time.

    Returns:
        DRAWS of each.
    """
    differences = np.asarray(differences, dtype=float)
    values, counts = np.unique(differences, return_counts=True)
    sizes, many = np.unique(np.abs(differences), return_counts=True)
    rows, generator = len(differences), np.random.default_rng(seed)
    mean, around, swapped = values @ counts / rows, [], []
    for some in np.array_split(np.empty(DRAWS), -(-DRAWS * len(values) // _AT_ONCE)):
        # drawing rows with replacement is drawing how often each value comes, and tossing coins how many keep their sign
        around.append(generator.multinomial(rows, counts / rows, size=len(some)) @ values / rows - mean)
        kept = generator.binomial(many, 0.5, size=(len(some), len(sizes)))
        swapped.append((2 * kept - many) @ sizes / rows)
    swaps = np.concatenate(swapped)
    stretched = np.concatenate(around) * np.sqrt(rows / (rows - 1)) if rows > 1 else swaps
    return Draws(stretched, swaps, float(differences @ differences) / rows**2)


def draws_of(
    function: Callable[[Sequence], float],
    first: Sequence,
    second: Sequence,
    seed: Sequence[int],
    units: Sequence[object] | None = None,
) -> Draws:
    """Draws of the difference of an aggregation that is no mean.

    Rows are never drawn twice, since what makes a score of them may not take that: `around` is `swapped`. That is an interval
    only for scores that come close to a weighted mean of rows: the plugin's own do, a perplexity does not.

    Args:
        function: of the rows' values.
        first, second: the rows' values of each model, in one order.
        seed: makes the draws the same each time.
        units: of each row, what it changes places with; None: each row alone.

    Returns:
        SLOW_DRAWS of each.
    """
    generator = np.random.default_rng(seed)
    names, place = np.unique(np.arange(len(first)) if units is None else units, return_inverse=True)

    def draw() -> float:
        swap = (generator.random(len(names)) < 0.5)[place].tolist()
        a, b = (
            [y if s else x for x, y, s in zip(*some, swap, strict=True)] for some in ((first, second), (second, first))
        )
        return function(b) - function(a)

    drawn = np.array([draw() for _ in range(SLOW_DRAWS)])
    return Draws(drawn, drawn)


def bootstrap(difference: float, draws: Mapping[str, Draws], shares: Mapping[str, float]) -> Test | None:
    """Compare two models by a weighted score of tasks; None where a draw has no score.

    The p-value is that of the paired randomization test (Noreen 1989, Computer-Intensive Methods for Testing Hypotheses): how
    often the score differs as much where models change places at random. It holds for few rows too, and for verdicts that
    all count the same it is McNemar's. Beyond all draws, and where all tasks' scores are means, it is the bound of Bentkus and
    Dzindzalieta (2015, Bernoulli 21) for a sum of values with random signs, 3.18 normal tails. The interval is the percentile
    interval of the bootstrap within each task (Efron and Tibshirani 1993, chapter 13).

    Args:
        difference: of the scores.
        draws: each task's, as of `draws_of_mean` or `draws_of`.
        shares: what each task counts.
    """
    length = min(len(draws[task].swapped) for task in shares)
    around, swapped = (
        sum(share * getattr(draws[task], kind)[:length] for task, share in shares.items())
        for kind in ("around", "swapped")
    )
    if not np.all(np.isfinite(np.concatenate([around, swapped]))):
        return None
    low, high = np.quantile(around, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    # sums in another order miss each other by rounding
    as_much = int(np.sum(np.abs(swapped) >= abs(difference) * (1 - 1e-9) - 1e-12))
    p = (1 + as_much) / (1 + length)
    variances = [draws[task].variance for task in shares]
    if not as_much and None not in variances:
        deviation = np.sqrt(
            sum(share**2 * variance for share, variance in zip(shares.values(), variances, strict=True))
        )
        p = min(p, 2 * _BOUND * float(stats.norm.sf(abs(difference) / deviation)))
    return Test(difference, float(difference + low), float(difference + high), p, "bootstrap")


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
