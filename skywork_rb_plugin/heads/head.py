"""The interface of heads: tokens to append, positions to read, a small function of the hidden states there."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from skywork_rb_plugin.errors import UserError


def only_value(values: Sequence[Sequence[float]]) -> float:
    """The reward of a head that reads one position and computes one number there."""
    [[value]] = values
    return value


@dataclass(frozen=True)
class Head:
    """How the reward of one conversation is read off the last hidden states of a causal decoder.

    A hidden state depends on nothing after its token, so that a head with one read or with many can be scored by prefix
    tree: each position is a node of the tree, and a node that several conversations read is computed once.

    Attributes:
        name: in words, for the log, the results file and the cache's fingerprint.
        positions: token ids of a conversation -> indices of the tokens to read, at least one.
        values: hidden states (reads, hidden size) -> numbers (reads, k), of whatever conversations; on the model's device.
            None: rewards can only be the model's own logits, as those of encoders with a pooler.
        targets: token ids of a conversation -> at each position the id of the token that is asked about there, such as
            the next one; `values` gets these, (reads,), as its second argument. None: what is read depends on the
            hidden state alone.
        reward: the numbers of one conversation's reads, in the order of its positions, as float32 -> its reward.
        append: token ids that end a conversation; put there where they are absent, before it is cut to the model's length.
        dtype: what `values` computes in, also under mixed precision; None: whatever the model gives.
        own_logits: whether the model's own forward applies this head, so that padded batches can leave it to the model.
        label: with `own_logits`, which of the model's logits is the reward, where it has several.
        steps: of a head that reads the end of each step, how their scores become one reward, by its name in `heads.steps`.
    """

    name: str
    positions: Callable[[Sequence[int]], Sequence[int]]
    values: Callable[..., torch.Tensor] | None
    reward: Callable[[Sequence[Sequence[float]]], float] = only_value
    append: tuple[int, ...] = ()
    dtype: torch.dtype | None = None
    own_logits: bool = False
    label: int | None = None
    steps: str | None = None
    targets: Callable[[Sequence[int]], Sequence[int]] | None = None

    def reads(self, ids: Sequence[int]) -> list[int]:
        """The positions to read in a conversation.

        Raises:
            UserError: there is none, or one that the conversation does not have.
        """
        positions = list(self.positions(ids))
        if not positions or min(positions) < 0 or max(positions) >= len(ids):
            raise UserError(
                f"found positions {positions} to read in a conversation of {len(ids)} tokens, expected at least one from 0 "
                f"to {len(ids) - 1}; the head is {self.name}"
            )
        return positions

    def asked(self, ids: Sequence[int]) -> np.ndarray:
        """The same with what is asked there: (reads, 2), each a position and its target, 0 where the head has no targets."""
        positions = self.reads(ids)
        targets = self.targets(ids) if self.targets else np.zeros_like(positions)
        return np.stack([positions, targets], axis=1).astype(np.int64)

    def read(self, hidden: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """The numbers at some reads, (reads, k) in float32, from their hidden states (reads, hidden size) and targets."""
        given = (targets.to(hidden.device),) if self.targets else ()
        if self.dtype is None:
            return self.values(hidden, *given).float()
        with torch.autocast(hidden.device.type, enabled=False):
            return self.values(hidden.to(self.dtype), *given).float()

    def rewards(self, values: torch.Tensor, reads: Sequence[int]) -> list[float]:
        """The reward of each conversation, from its reads' numbers in a row (all reads, k); `reads` are their counts.

        NaN where any number is not finite: `min` and the like would pass over it.
        """
        rows = iter(values.tolist())
        by_conversation = [[next(rows) for _ in range(count)] for count in reads]
        return [
            self.reward(some) if all(math.isfinite(value) for row in some for value in row) else math.nan
            for some in by_conversation
        ]
