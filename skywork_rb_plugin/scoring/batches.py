"""Conversations on their way through a model: how they come, and what comes of them."""

from collections.abc import Generator, Iterator, Mapping, Sequence, Set
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol, TypeVar

Item = TypeVar("Item")


class Conversations(Protocol):
    """Rendered conversations that become tokens when they are needed.

    Attributes:
        texts: the conversations.
        done: indices of those whose scores are known. A forward pass of such alone is left out, and all others are what
            they would be without, so that a run that goes on computes the same to the last bit.
    """

    texts: Sequence[str]
    done: Set[int]

    def encode(self, indices: Sequence[int]) -> list[Sequence[int]]:
        """Token ids of the conversations at these indices, cut to the model's length."""


class Kept(Protocol):
    """Where scores outlive a run that is killed, by the conversations' texts."""

    def get(self, text: str) -> float | None:
        """The score of a conversation, if it is there."""

    def update(self, scores: Mapping[str, float]) -> None:
        """Keep what a forward pass gave."""


@dataclass(slots=True)
class Scored:
    """What one forward pass gave.

    Attributes:
        conversations: indices of the conversations.
        scores: their rewards; none where it was not the last model that a reward takes.
        lengths: of each conversation, in tokens.
        forwarded: tokens that the model computed for them, without padding.
        padding: tokens that filled up the shape.
        share: of the work for these conversations, how much it was.
    """

    conversations: list[int]
    scores: list[float]
    lengths: list[int]
    forwarded: int
    padding: int
    share: float = 1.0


class Scorer(Protocol):
    """Turns conversations into rewards in few forward passes, or by way of an engine."""

    name: str
    attention: str  # how the model attends: part of what decides a score

    def run(self, conversations: Conversations) -> Generator[Scored, None, None]:
        """Score all conversations, each once, and say what each forward pass gave; closed early where a run ends early."""

    def settings(self) -> dict[str, object]:
        """How it scores, for the results file."""


def chunks(texts: Sequence[str], characters: int) -> list[list[int]]:
    """Indices of the texts in pieces of at least so many characters; texts that begin alike stay together.

    The piece with the longest text comes first, so that what is too large for the memory shows early.
    """
    pieces, size = [[]], 0
    for i in sorted(range(len(texts)), key=texts.__getitem__):
        if size >= characters:
            pieces.append([])
            size = 0
        pieces[-1].append(i)
        size += len(texts[i])
    return sorted(pieces, key=lambda piece: max((len(texts[i]) for i in piece), default=0), reverse=True)


def ahead(items: Iterator[Item]) -> Iterator[Item]:
    """The same items, each made in another thread while the one before is in use."""
    with ThreadPoolExecutor(1) as thread:
        coming = thread.submit(next, items, None)
        while (item := coming.result()) is not None:
            coming = thread.submit(next, items, None)
            yield item
