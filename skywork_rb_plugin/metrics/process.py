"""The metrics of process reward models: a score for each step of a solution, against its first wrong step."""

import logging
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import ClassVar, NamedTuple

from skywork_rb_plugin.metrics.diagnostics import SOME
from skywork_rb_plugin.metrics.metric import Aggregation, Metric

logger = logging.getLogger(f"lm_eval.{__name__}")

NONE_WRONG = -1


@dataclass(frozen=True)
class Solution:
    """What a model said of a solution.

    Attributes:
        label: index of the first wrong step; NONE_WRONG if all are right.
        scores: one for each step, in the model's unit.
        threshold: below it a step counts as wrong; in the same unit.
    """

    kind: ClassVar[str] = "process"

    label: int
    scores: Sequence[float]
    threshold: float

    @property
    def prediction(self) -> int:
        """Index of the first step whose score is below the threshold; NONE_WRONG if there is none."""
        return next((i for i, score in enumerate(self.scores) if score < self.threshold), NONE_WRONG)


def acc(row: Solution) -> float:
    """1.0 if the first wrong step is predicted exactly, or that there is none; else 0.0."""
    return float(row.prediction == row.label)


def acc_error(row: Solution) -> float | None:
    """`acc` of a solution with a wrong step; None for the others, which do not count."""
    return None if row.label == NONE_WRONG else acc(row)


def acc_correct(row: Solution) -> float | None:
    """`acc` of a solution without one; None for the others, which do not count."""
    return acc(row) if row.label == NONE_WRONG else None


class Verdict(NamedTuple):
    """What counts of one solution for `f1`: whether a step is wrong, and `acc`.

    A named tuple, since W&B's tables take no plain one of mixed types.
    """

    wrong: bool
    right: float


def verdict(row: Solution) -> Verdict:
    """The solution's kind and its `acc`, for `f1`."""
    return Verdict(row.label != NONE_WRONG, acc(row))


def f1(rows: Iterable[Sequence]) -> float:
    """The harmonic mean of the accuracies of both kinds of solutions, between 0 and 1.

    QwenLM/ProcessBench, code/run_eval.py, main, which prints percent, and NaN where both are 0; here that is 0. Without
    solutions of both kinds, as under --limit, there is none: NaN, and the log says so.
    """
    found: dict[bool, list[float]] = {True: [], False: []}
    for wrong, right in rows:
        found[bool(wrong)].append(right)
    if not all(found.values()):
        logger.warning(
            "No F1: it takes solutions with a wrong step and without one, found %d and %d.",
            len(found[True]), len(found[False]),
        )  # fmt: skip
        return math.nan
    error, correct = fmean(found[True]), fmean(found[False])
    return 2 * error * correct / (error + correct) if error + correct else 0.0


_RULE = {"rule": "processbench", "row_type": Solution}

METRICS = (
    Metric(
        "f1", verdict, "ProcessBench: harmonic mean of `acc_error` and `acc_correct`",
        aggregation=Aggregation("processbench_f1", f1), **_RULE,
    ),
    Metric("acc_error", acc_error, "the first wrong step is found exactly, where there is one", True, SOME, **_RULE),
    Metric("acc_correct", acc_correct, "no step is found wrong, where none is", True, SOME, **_RULE),
    Metric("acc", acc, "the first wrong step is found exactly, or that there is none", row_type=Solution),
)  # fmt: skip
