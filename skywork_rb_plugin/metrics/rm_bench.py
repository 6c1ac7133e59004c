"""RM-Bench's rule: nine comparisons of three chosen with three rejected responses, which differ in style.

Each response is there as concise, detailed and formatted text, in this order (THU-KEG/RM-Bench, README.md,
compute_accuracy). A tie is wrong.
"""

from statistics import fmean

from skywork_rb_plugin.metrics.metric import Metric, Row


def easy(row: Row) -> float:
    """The mean of the three comparisons in which the chosen response has the fancier style."""
    return fmean(win for (i, j), win in _wins(row).items() if i > j)


def normal(row: Row) -> float:
    """The mean of the three comparisons in which both responses have the same style."""
    return fmean(win for (i, j), win in _wins(row).items() if i == j)


def hard(row: Row) -> float:
    """The mean of the three comparisons in which the rejected response has the fancier style."""
    return fmean(win for (i, j), win in _wins(row).items() if i < j)


def score(row: Row) -> float:
    """The mean of the three classes."""
    return fmean((easy(row), normal(row), hard(row)))


def _wins(row: Row) -> dict[tuple[int, int], float]:
    """1.0 for each (style of the chosen, style of the rejected response) in which the chosen one scores higher, else 0.0.

    Raises:
        ValueError: there are not three of each.
    """
    chosen, rejected = row.chosen_scores, row.rejected_scores
    if (len(chosen), len(rejected)) != (3, 3):
        raise ValueError(
            f"found {len(chosen)} chosen and {len(rejected)} rejected responses, expected 3 styles of each"
        )
    return {(i, j): float(chosen[i] > rejected[j]) for i in range(3) for j in range(3)}


METRICS = (
    Metric("score", score, "RM-Bench: the mean of `easy`, `normal` and `hard`", rule="rm_bench"),
    Metric("easy", easy, "accuracy where the chosen response has the fancier style", rule="rm_bench"),
    Metric("normal", normal, "accuracy where both responses have the same style", rule="rm_bench"),
    Metric("hard", hard, "accuracy where the rejected response has the fancier style", rule="rm_bench"),
)
