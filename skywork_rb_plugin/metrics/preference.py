"""The metrics of any preference row: who wins, by how much, and the loss."""

import math

from skywork_rb_plugin.metrics.metric import Metric, Row


def acc(row: Row) -> float:
    """1.0 if every preferred response outscores every other, strictly, else 0.0.

    A tie is wrong, as in allenai/reward-bench, scripts/run_rm.py (`1 if chosen > rejected else 0`).
    """
    return float(min(row.chosen_scores) > max(row.rejected_scores))


def acc_half_ties(row: Row) -> float:
    """`acc`, but 0.5 where the worst preferred and the best other response score the same.

    As the ratings of LLMBar are counted (princeton-nlp/LLMBar, LLMEvaluator/evaluate.py).
    """
    return 0.5 if ties(row) else acc(row)


def pair_acc(row: Row) -> float:
    """The share of pairs whose better response outscores the worse one, strictly."""
    return sum(row.scores[better] > row.scores[worse] for better, worse in row.pairs) / len(row.pairs)


def margin(row: Row) -> float:
    """Best preferred score minus best other score, in units of the scores."""
    return max(row.chosen_scores) - max(row.rejected_scores)


def ties(row: Row) -> float:
    """1.0 if the worst preferred and the best other response score the same, else 0.0."""
    return float(min(row.chosen_scores) == max(row.rejected_scores))


def bt_loss(row: Row) -> float:
    """Bradley-Terry negative log-likelihood in nats, -log sigmoid(preferred - other).

    The mean over all pairs of a preferred and another response (Ouyang et al. 2022, arXiv:2203.02155, equation 1).
    """
    losses = [_softplus(other - chosen) for chosen in row.chosen_scores for other in row.rejected_scores]
    return sum(losses) / len(losses)


def _softplus(x: float) -> float:
    """log(1 + e^x) without overflow."""
    return max(x, 0.0) + math.log1p(math.exp(-abs(x)))


METRICS = (
    Metric("acc", acc, "every preferred response scores strictly higher than every other; a tie is wrong"),
    Metric("acc_half_ties", acc_half_ties, "`acc` with half a point for a tie, as LLMBar counts ratings"),
    Metric("pair_acc", pair_acc, "share of pairs of a better and a worse response in the right order"),
    Metric("margin", margin, "best preferred score minus best other score", is_share=False),
    Metric("ties", ties, "the worst preferred and the best other response score the same", higher_is_better=False),
    Metric(
        "bt_loss",
        bt_loss,
        "Bradley-Terry loss in nats, -log sigmoid(preferred score minus other)",
        higher_is_better=False,
        is_share=False,
    ),
)
