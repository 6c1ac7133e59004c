"""RewardBench 2's two rules: the one correct response in front, and Ties, where several are correct."""

import logging
import math
from collections.abc import Sequence
from statistics import fmean
from typing import NamedTuple

from skywork_rb_plugin.metrics.metric import Aggregation, Metric, Row

logger = logging.getLogger(f"lm_eval.{__name__}")


def best_of(row: Row) -> float:
    """1 if the preferred response alone comes first; among k that share the first place 1/k of the preferred ones there.

    allenai/reward-bench, rewardbench/utils.py, reroll_and_score_dataset, which knows one preferred response.
    """
    first = [i for i, score in enumerate(row.scores) if score == max(row.scores)]
    return len(set(first) & set(row.preferred)) / len(first)


class TiesRow(NamedTuple):
    """What counts of one prompt of RewardBench 2's Ties; margins in units of the scores.

    Attributes:
        number: N of the row's id, `ref:N` or `tied:N`; `ref:01` and `tied:1` belong together.
        tied: whether there are several correct answers that should score alike.
        accurate: whether every correct answer outscores every other.
        spread: the best correct answer's score minus the worst correct one's.
        gap: the worst correct answer's score minus the best wrong one's.
    """

    number: int
    tied: bool
    accurate: bool
    spread: float
    gap: float


def ties_row(row: Row) -> TiesRow:
    """The margins of one prompt, for `ties_score` (allenai/reward-bench, rewardbench/utils.py, _compute_prompt_stats).

    Raises:
        ValueError: the row's id is neither `ref:N` nor `tied:N`.
    """
    kind, _, number = str(row.doc.get("id")).partition(":")
    if kind not in ("ref", "tied") or not number.isdecimal():
        raise ValueError(f"found id {row.doc.get('id')!r}, expected ref:N or tied:N")
    correct = row.chosen_scores
    gap = min(correct) - max(row.rejected_scores)
    return TiesRow(int(number), kind == "tied", gap > 0, max(correct) - min(correct), gap)


def ties_score(rows: Sequence[Sequence]) -> float:
    """RewardBench 2's Ties score, about 60 % accuracy and 40 % margins, from all its rows.

    0.30 accuracy on tied prompts + 0.30 on their reference prompts + 0.20 share of pairs whose tied gap exceeds the tied
    spread + 0.20 share where the smaller of both gaps does + 0.01 mean tanh(smaller gap / spread - 1)
    (allenai/reward-bench, rewardbench/utils.py, process_single_model). Between -0.01 and 1.01. Prompts without their
    partner, as under --limit, are left out and said so; NaN if no pair is complete.
    """
    prompts = {(row.tied, row.number): row for row in (TiesRow(*row) for row in rows)}
    numbers = [number for tied, number in prompts if tied and (False, number) in prompts]
    if alone := len(prompts) - 2 * len(numbers):
        logger.warning(
            "Ties: %d of %d prompts lack their partner (ref:N or tied:N) and do not count here; the official script would "
            "average accuracy over all of them.",
            alone,
            len(prompts),
        )
    if not numbers:
        return math.nan
    pairs = [(prompts[True, number], prompts[False, number]) for number in numbers]
    smaller = [min(tied.gap, ref.gap) for tied, ref in pairs]
    return (
        0.30 * fmean(tied.accurate for tied, _ in pairs)
        + 0.30 * fmean(ref.accurate for _, ref in pairs)
        + 0.20 * fmean(tied.gap > tied.spread for tied, _ in pairs)
        + 0.20 * fmean(gap > tied.spread for gap, (tied, _) in zip(smaller, pairs, strict=True))
        + 0.01 * fmean(_margin(gap, tied.spread) for gap, (tied, _) in zip(smaller, pairs, strict=True))
    )


def _margin(gap: float, spread: float) -> float:
    """tanh(gap / spread - 1), and its limit where all correct answers score the same; 0 where nothing differs."""
    if spread:
        return math.tanh(gap / spread - 1)
    return math.copysign(1.0, gap) if gap else 0.0


METRICS = (
    Metric(
        "score",
        best_of,
        "RewardBench 2: the preferred response comes first; a first place that k share counts 1/k",
        rule="best_of",
    ),
    Metric(
        "score",
        ties_row,
        "RewardBench 2, Ties: 60 % accuracy, 40 % margins, of prompts with several correct answers",
        aggregation=Aggregation("rewardbench2_ties", ties_score),
        rule="ties",
    ),
)
