"""What a sample log tells of a row beside the host's own fields: `doc` gets the key `skywork_rb`. docs/samples.md."""

from collections.abc import Sequence

from skywork_rb_plugin.metrics.judge import LETTERS, Verdicts
from skywork_rb_plugin.metrics.metric import Row
from skywork_rb_plugin.metrics.preference import acc, margin
from skywork_rb_plugin.metrics.process import Solution

SAMPLE_KEY = "skywork_rb"


def of_rewards(row: Row) -> dict[str, object]:
    """What a model's scores say of a row; every list is in the responses' order.

    Returns:
        rewards: the scores, in their own unit.
        preferred: indices of the preferred responses.
        margin, right: the metric `margin`, and whether `acc` counts the row.
        tokens, cut: how many tokens the model was given for each conversation, and whether its left end was cut off; None
            from models whose scores do not have these attributes.
    """
    return {
        "rewards": [float(score) for score in row.scores],
        "preferred": list(row.preferred),
        "margin": float(margin(row)),
        "right": bool(acc(row)),
        **_conversations(row.scores),
    }


def _conversations(scores: Sequence[float]) -> dict[str, list]:
    return {name: [getattr(score, name, None) for score in scores] for name in ("tokens", "cut")}


def of_steps(row: Solution) -> dict[str, object]:
    """What a model's scores say of a solution, in the order of its steps.

    Returns:
        scores: of each step, in the model's unit.
        threshold: below it a step counts as wrong.
        prediction: index of the first step that does; -1 if none does.
        label: index of the first wrong step; -1 if none is.
        right: whether the two are the same.
        tokens, cut: as of `of_rewards`, for the solution up to each step.
    """
    return {
        "scores": [float(score) for score in row.scores],
        "threshold": row.threshold,
        "prediction": row.prediction,
        "label": row.label,
        "right": row.prediction == row.label,
        **_conversations(row.scores),
    }


def of_verdicts(row: Verdicts) -> dict[str, object]:
    """What a judge said of a pair, in the order of its two questions.

    Returns:
        verdicts: the letter that each reply names, None where it can't be read.
        preferred: the index of the preferred response, in a list.
        right: whether each verdict chose it.
    """
    return {
        "verdicts": [None if place is None else LETTERS[place] for place in row.places],
        "preferred": [row.preferred],
        "right": row.right,
    }
