"""Scores of steps -> one reward: what the heads of process reward models share. Needs no torch."""

import math
from collections.abc import Callable, Sequence
from statistics import fmean

from skywork_rb_plugin.heads.checkpoint import Checkpoint

# what `steps=` in --model_args may be
REDUCTIONS: dict[str, Callable[[Sequence[float]], float]] = {
    "last": lambda scores: scores[-1],
    "min": min,
    "product": math.prod,
    "mean": fmean,
}


def steps_of(checkpoint: Checkpoint, default: str) -> dict[str, object]:
    """What a `Head` is told of its steps, each read as one number: `reward` and `steps`, as `steps=` says or by default."""
    steps = checkpoint.option("steps") or default
    reduce = REDUCTIONS[steps]
    return {"steps": steps, "reward": lambda values: reduce([score for [score] in values])}


def ends(ids: Sequence[int], step_end: int) -> list[int]:
    """Indices of the token that ends steps; of a conversation that was cut to none, its last token."""
    return [i for i, token in enumerate(ids) if token == step_end] or [len(ids) - 1]


def marked(ids: Sequence[int]) -> list[int]:
    """Indices of the ends that the renderer marked; likewise."""
    return list(getattr(ids, "marks", ())) or [len(ids) - 1]
