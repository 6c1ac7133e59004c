"""Prefix trees where a model can attend to them, padded batches for the rest."""

import logging
from typing import Literal

import torch

from skywork_rb_plugin.errors import UserError
from skywork_rb_plugin.scoring.attention import tree_attentions
from skywork_rb_plugin.scoring.batches import Conversations
from skywork_rb_plugin.scoring.budget import automatic_budget
from skywork_rb_plugin.scoring.causality import causal_model
from skywork_rb_plugin.scoring.padded import PaddedScorer
from skywork_rb_plugin.scoring.scorer import TreeScorer

logger = logging.getLogger(f"lm_eval.{__name__}")

Scoring = Literal["auto", "tree", "padded"]


def choose_scorer(
    padded: PaddedScorer,
    probe: Conversations,
    scoring: Scoring,
    requested: str | None,
    tokens_per_pack: int | Literal["auto"],
    compiled: bool,
    max_length: int,
) -> TreeScorer | PaddedScorer:
    """The scorer for a model; one by prefix trees must give some short conversations the scores of padded batches.

    Args:
        padded: the scorer by padded batches.
        probe: these conversations.
        scoring: `auto` falls back to padded batches where prefix trees can't work.
        requested: `attn_implementation`, if the user gave one.
        tokens_per_pack: the budget.
        compiled: whether to compile the decoder.
        max_length: of a conversation, in tokens.

    Raises:
        UserError: the model fails on these conversations, or `scoring` is `tree`, which can't work; the line says why.
    """
    expected, noise = _expectation(padded, probe)
    if len(set(expected)) == 1:
        logger.warning(
            "%d different short conversations all have the reward %g: is the head trained? If all have it, every pair ties.",
            len(expected), expected[0],
        )  # fmt: skip
    if scoring == "padded":
        logger.info("Scoring in padded batches of %s.", padded.batch_size)
        return padded
    reasons, fails = [], False
    try:
        if padded.head is None:
            raise UserError("expected a causal decoder with a head that reads hidden states")
        model = causal_model(padded.model, max_length)
        for attention in tree_attentions(model, requested, padded.device, compiled):
            auto = tokens_per_pack == "auto"
            budget = automatic_budget(model, attention.implementation, padded.device) if auto else tokens_per_pack
            tree = TreeScorer(model, padded.head, attention, budget, padded.device, padded.autocast, compiled)
            if attention.fixed_shapes:
                logger.info("Compiling for packs of %d tokens: this may take a minute.", tree.budget)
            if (reason := _mistake(tree, probe, expected, noise)) is None:
                logger.info("Scoring by prefix tree: %s attention, packs of %d tokens.", tree.attention, tree.budget)
                return tree
            reasons.append(f"{attention.implementation}: {reason}")
            fails = bool(requested)
            logger.warning("Prefix trees do not work with %s.", reasons[-1])
    except UserError as error:
        reasons.append(str(error))
    line = f"can't score {type(padded.model).__name__} by prefix trees ({'; '.join(reasons)})"
    if fails:
        # in padded batches it may fail too, after many of them
        raise UserError(f"{line}; leave attn_implementation={requested} out of --model_args, or add scoring=padded")
    if scoring == "tree":
        raise UserError(f"{line}; expected scoring=auto or scoring=padded in --model_args")
    level = logging.WARNING if compiled else logging.INFO
    logger.log(level, "Scoring in padded batches of %s%s: %s.", padded.batch_size, ", not compiled" * compiled, line)
    return padded


def _expectation(padded: PaddedScorer, probe: Conversations) -> tuple[list[float], float]:
    """The scores of conversations one by one, and by how much a batch of all of them moves any.

    Raises:
        UserError: the model fails.
    """
    sequences = probe.encode(range(len(probe.texts)))
    try:
        alone = [padded.score([ids])[0] for ids in sequences]
        together = padded.score(sequences)
    except UserError:
        raise
    except Exception as error:
        # compilers, kernels and models of any origin raise all kinds
        raise UserError(f"the model fails on a short conversation: {_line(error)}") from error
    return alone, max(abs(a - b) for a, b in zip(alone, together, strict=True))


def _mistake(tree: TreeScorer, probe: Conversations, expected: list[float], noise: float) -> str | None:
    """What is wrong with a scorer, or None: it fails, or its scores differ by more than rounding explains."""
    try:
        found = {i: score for some in tree.run(probe) for i, score in zip(some.conversations, some.scores, strict=True)}
    except UserError:
        raise
    except Exception as error:
        return _line(error)
    dtype = tree.autocast or tree.model.dtype
    # a few units in the last place of half precision; in float32 what scores are promised to keep to
    relative = max(4 * torch.finfo(dtype).eps, 1e-4)
    tolerance = 4 * noise + relative * max(map(abs, expected)) + 1e-6
    for i, score in enumerate(expected):
        if not abs(found[i] - score) <= tolerance:
            return f"score {found[i]} of a short conversation, {score} without a tree"
    return None


def _line(error: Exception) -> str:
    """The kind of error and its first line: a compiler's goes on for pages."""
    first = next(iter(str(error).strip().splitlines()), "")
    return f"{type(error).__name__}: {first[:200]}"
