"""The interface of heads: tokens to append, positions to read, a small function of the hidden states there."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch


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
        reward: the numbers of one conversation's reads, in the order of its positions, as float32 -> its reward.
        append: token ids that end a conversation; put there where they are absent, before it is cut to the model's length.
        dtype: what the hidden states are cast to before `values`; None leaves them as the model gives them.
    """

    name: str
    positions: Callable[[Sequence[int]], Sequence[int]]
    values: Callable[[torch.Tensor], torch.Tensor]
    reward: Callable[[Sequence[Sequence[float]]], float] = only_value
    append: tuple[int, ...] = ()
    dtype: torch.dtype | None = None

    def read(self, hidden: torch.Tensor) -> torch.Tensor:
        """The numbers at some reads, (reads, k) in float32, from their hidden states (reads, hidden size)."""
        return self.values(hidden if self.dtype is None else hidden.to(self.dtype)).float()

    def rewards(self, values: torch.Tensor, reads: Sequence[int]) -> list[float]:
        """The reward of each conversation, from its reads' numbers in a row (all reads, k); `reads` are their counts."""
        rows = iter(values.tolist())
        return [self.reward([next(rows) for _ in range(count)]) for count in reads]
