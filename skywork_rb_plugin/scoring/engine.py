"""Scores conversations by an engine that batches them itself: each goes in as token ids, up to the last that is read."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from typing import NamedTuple, Protocol

import torch

from skywork_rb_plugin.heads.head import Head
from skywork_rb_plugin.scoring.batches import Conversations, Scored, ahead, chunks

# characters tokenized and sorted at a time: about a million tokens of English
_CHARACTERS = 4_000_000


class Pooled(NamedTuple):
    """What an engine made of one prompt.

    Attributes:
        number: of the prompt.
        values: its numbers: of each token, (tokens, k), or of the last one alone, (1, k).
        cached: how many of its tokens were not computed again.
    """

    number: int
    values: torch.Tensor
    cached: int


class Engine(Protocol):
    """What computes a model."""

    attention: str  # how it attends: part of what decides a score

    def run(self, prompts: Iterable[tuple[int, Sequence[int]]]) -> Iterator[list[Pooled]]:
        """Take numbered prompts as they are needed, and give results as they come."""

    def settings(self) -> dict[str, object]:
        """How it computes, for the results file."""


class EngineScorer:
    """Sends conversations in the order of their token ids, so that the engine finds what they share in its cache.

    What follows the last token that the head reads can't change what it reads, and is not sent: so the last token of a
    prompt is always one that is read, also in a conversation that ends in pad tokens.

    Args:
        engine: the engine.
        head: where numbers are read; its `values` makes of the engine's what the head's layers give.
        by_token: whether the engine gives the numbers of each token, else those of the last one.
    """

    name = "engine"

    def __init__(self, engine: Engine, head: Head, by_token: bool) -> None:
        self.engine, self.head, self.by_token = engine, head, by_token
        self.attention = engine.attention

    def settings(self) -> dict[str, object]:
        """How it scores, for the results file."""
        return {"attention": self.attention, "scoring": self.name, **self.engine.settings()}

    def run(self, conversations: Conversations) -> Iterator[Scored]:
        """Score all conversations, tokenizing some while others are computed."""
        reads: dict[int, list[int]] = {}
        lengths: dict[int, int] = {}
        pieces = (
            [i for i in piece if i not in conversations.done] for piece in chunks(conversations.texts, _CHARACTERS)
        )
        pieces = ((conversations.encode(piece), piece) for piece in pieces if piece)

        def prompts(encoded: Iterator) -> Iterator[tuple[int, Sequence[int]]]:
            for sequences, piece in encoded:
                for ids, i in sorted(zip(sequences, piece, strict=True), key=lambda one: tuple(one[0])):
                    reads[i], lengths[i] = self.head.reads(ids), len(ids)
                    yield i, ids[: max(reads[i]) + 1]

        with closing(ahead(pieces)) as encoded, closing(self.engine.run(prompts(encoded))) as results:
            for some in results:
                yield self._scored(some, reads, lengths)

    def _scored(self, some: list[Pooled], reads: dict[int, list[int]], lengths: dict[int, int]) -> Scored:
        numbers = [one.number for one in some]
        asked = [reads.pop(i) for i in numbers]
        for one, places in zip(some, asked, strict=True):
            # a read at each place, of the last token where the engine gives no other
            expected = max(places) + 1 if self.by_token else len(places)
            if len(one.values) != expected:
                raise RuntimeError(f"the engine gave numbers of {len(one.values)} tokens, expected {expected}")
        rows = [one.values[places] if self.by_token else one.values for one, places in zip(some, asked, strict=True)]
        values = self.head.read(torch.cat(rows), torch.zeros(0))
        forwarded = sum(max(places) + 1 - one.cached for one, places in zip(some, asked, strict=True))
        return Scored(
            numbers, self.head.rewards(values, list(map(len, asked))), [lengths.pop(i) for i in numbers], forwarded, 0
        )
