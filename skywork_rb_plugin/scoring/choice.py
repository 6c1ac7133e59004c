"""Prefix trees where a model can attend to them, padded batches for the rest; tried out on short conversations first."""

import dataclasses
import logging
from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch

from skywork_rb_plugin.errors import UserError
from skywork_rb_plugin.scoring.attention import tree_attentions
from skywork_rb_plugin.scoring.batches import Conversations
from skywork_rb_plugin.scoring.budget import automatic_budget
from skywork_rb_plugin.scoring.causality import causal_model
from skywork_rb_plugin.scoring.padded import PaddedScorer
from skywork_rb_plugin.scoring.prefix_tree import pack_conversations
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
    """The scorer for a model; one by prefix trees must give some short conversations the hidden states they have alone.

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
    sequences = probe.encode(range(len(probe.texts)))
    expected = _rewards(padded, sequences)
    warn_of_equal(expected)
    if getattr(getattr(padded.model.config, "quantization_config", None), "load_in_8bit", False):
        logger.warning(
            "LLM.int8 chooses what it computes in 16 bits by all tokens of a forward pass: in 8 bits a score depends a "
            "little on its neighbours in a pack or batch (bitsandbytes, MatMul8bitLt)."
        )
    if scoring == "padded":
        logger.info("Scoring in padded batches of %s.", padded.batch_size)
        return padded
    reasons, fails = [], False
    try:
        if padded.head.values is None:
            raise UserError("expected a causal decoder with a head that reads hidden states")
        model = causal_model(padded.model, max_length)
        states = [padded.states(ids) for ids in sequences]
        _check_head(padded, sequences, expected, states)
        for attention in tree_attentions(model, requested, padded.device, compiled):
            auto = tokens_per_pack == "auto"
            budget = automatic_budget(model, attention.implementation, padded.device) if auto else tokens_per_pack
            tree = TreeScorer(model, padded.head, attention, budget, padded.device, padded.autocast, compiled)
            if compiled or attention.fixed_shapes:
                logger.info("Compiling for packs of %d tokens: this may take a minute.", tree.budget)
            if (reason := _mistake(tree, sequences, states)) is None:
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


def warn_of_equal(rewards: Sequence[float]) -> None:
    """Of the rewards of different conversations: say so where all are the same."""
    if max(rewards) - min(rewards) <= 1e-6 * max(map(abs, rewards)):  # NaN is no reason to warn of this
        logger.warning(
            "%d different short conversations all have the reward %g: is the head trained? If all have it, every pair ties.",
            len(rewards), rewards[0],
        )  # fmt: skip


def _rewards(padded: PaddedScorer, sequences: list[Sequence[int]]) -> list[float]:
    """The rewards of conversations one by one.

    Raises:
        UserError: the model fails.
    """
    try:
        return [padded.score([ids])[0] for ids in sequences]
    except UserError:
        raise
    except Exception as error:
        # compilers, kernels and models of any origin raise all kinds
        raise UserError(f"the model fails on a short conversation: {_line(error)}") from error


def _check_head(
    padded: PaddedScorer, sequences: list[Sequence[int]], expected: list[float], states: list[torch.Tensor]
) -> None:
    """Check that the head makes of hidden states what the model itself does.

    Raises:
        UserError: it does not.
    """
    found = map(padded.reward_of, states, sequences)
    # both round one sum to the model's dtype
    tolerance = max(4 * torch.finfo(padded.autocast or padded.model.dtype).eps, 1e-5) * max(map(abs, expected)) + 1e-6
    for ours, own in zip(found, expected, strict=True):
        if not abs(ours - own) <= tolerance:
            raise UserError(f"its hidden states give a short conversation the reward {ours}, the model itself {own}")


def deviations(tree: TreeScorer, sequences: list[Sequence[int]], expected: list[torch.Tensor]) -> dict[str, float]:
    """How far the hidden states that the head reads are off in one pack of some conversations, as they should be and not.

    Rounding goes by the model: its depth, its weights, its kernels. So what mistakes would do to this model is measured
    beside it: a plain causal mask, where each token sees the conversations before it too, and positions within the pack.

    Args:
        tree: the scorer.
        sequences: token ids of the conversations.
        expected: the hidden states of each when it is alone, (reads, hidden size).

    Returns:
        The largest distance from what is expected, in sizes of that: in a `tree`, and where it heeds `no tree`; and the
        largest difference that other positions make to the first, `positions`.
    """
    [pack] = pack_conversations(dict(enumerate(sequences)), sum(map(len, sequences)))
    packs = {
        "tree": pack,
        "no tree": dataclasses.replace(pack, subtree_ends=np.full_like(pack.subtree_ends, len(pack))),
        "positions": dataclasses.replace(pack, depths=np.arange(len(pack), dtype=pack.depths.dtype)),
    }
    # not of the pack's own sequences, which have lost their marks
    reads = [tree.head.asked(sequences[i]) for i in pack.conversations]
    right = torch.cat([expected[i] for i in pack.conversations]).float()
    size = right.norm(dim=-1).clamp_min(torch.finfo(torch.float32).tiny)
    found = {name: tree.states(one, reads).to(right.device) for name, one in packs.items()}
    base = {"tree": right, "no tree": right, "positions": found["tree"]}
    return {name: ((found[name] - base[name]).norm(dim=-1) / size).max().item() for name in packs}


def _mistake(tree: TreeScorer, sequences: list[Sequence[int]], expected: list[torch.Tensor]) -> str | None:
    """What is wrong with a scorer, or None: it fails, or its hidden states differ by more than rounding explains.

    Right trees were off by at most 0.13 of what no tree does in half precision and 4e-6 in float32 (192 random models each,
    of four families: docs/performance.md); a model without the tree's positions by 0.25, so that these are tried apart. A
    reward is a sum that cancels, and tells less.
    """
    try:
        off = deviations(tree, sequences, expected)
    except UserError:
        raise
    except Exception as error:
        return _line(error)
    if off["positions"] == 0:
        return "the model makes positions of its own: other position_ids change nothing"
    exact = torch.finfo(tree.autocast or tree.model.dtype).eps < 1e-6
    if not off["tree"] <= (1e-3 if exact else 1 / 3) * off["no tree"] + 1e-6:
        return f"hidden states off by {off['tree']:.1e} of their size, by {off['no tree']:.1e} where no tree is heeded at all"
    return None


def _line(error: Exception) -> str:
    """The kind of error and its first line: a compiler's goes on for pages."""
    first = next(iter(str(error).strip().splitlines()), "")
    return f"{type(error).__name__}: {first[:200]}"
