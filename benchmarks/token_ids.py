"""Preference pairs that are tokenized already, for machines with neither hub nor tokenizer; a file of numpy's.

The file (.npz) has three int32 arrays: `flat`, the token ids of all distinct conversations one after another; `lens`, the
tokens of each; `order`, the index of each conversation of the data, chosen and rejected in turns, in the order of the rows.
"""

import functools
import itertools
from collections.abc import Sequence
from pathlib import Path

import numpy as np


class TokenIds:
    """Distinct conversations as scorers take them (`skywork_rb_plugin.scoring.batches.Conversations`).

    Attributes:
        sequences: their token ids.
        order: of each conversation of the data, chosen and rejected in turns, which of them it is.
    """

    done = frozenset()

    def __init__(self, sequences: Sequence[Sequence[int]], order: Sequence[int]) -> None:
        self.sequences, self.order = [tuple(ids) for ids in sequences], list(order)

    @functools.cached_property
    def texts(self) -> list[str]:
        """Stand-ins for what was tokenized, which sort and measure as it does: four characters for a token."""
        return ["".join(chr(0x10000 + token) * 4 for token in ids) for ids in self.sequences]

    def encode(self, indices: Sequence[int]) -> list[tuple[int, ...]]:
        """Token ids of the conversations at these indices."""
        return [self.sequences[i] for i in indices]

    @property
    def pairs(self) -> list[tuple[int, int]]:
        """Indices of chosen and rejected, row by row."""
        return list(zip(self.order[::2], self.order[1::2], strict=True))

    def first(self, rows: int, longest: int) -> "TokenIds":
        """The first so many rows without a conversation of more than `longest` tokens."""
        fits = (pair for pair in self.pairs if all(len(self.sequences[i]) <= longest for i in pair))
        return self._of([i for pair in itertools.islice(fits, rows) for i in pair])

    def folded(self, vocabulary: int) -> "TokenIds":
        """The same with ids below `vocabulary` - 1, for a model that knows fewer; who shares what stays."""
        if max(map(max, self.sequences)) < vocabulary - 1:
            return self
        return TokenIds([[token % (vocabulary - 1) for token in ids] for ids in self.sequences], self.order)

    def _of(self, order: list[int]) -> "TokenIds":
        distinct = list(dict.fromkeys(order))
        place = {i: n for n, i in enumerate(distinct)}
        return TokenIds(self.encode(distinct), [place[i] for i in order])

    def save(self, file: Path) -> None:
        """Write the file."""
        flat = np.fromiter(itertools.chain.from_iterable(self.sequences), np.int32)
        lens = np.array([len(ids) for ids in self.sequences], np.int32)
        np.savez_compressed(file, flat=flat, lens=lens, order=np.array(self.order, np.int32))

    @classmethod
    def load(cls, file: Path) -> "TokenIds":
        """Read the file."""
        with np.load(file) as arrays:
            flat, ends, order = arrays["flat"].tolist(), arrays["lens"].cumsum().tolist(), arrays["order"].tolist()
        return cls([flat[start:end] for start, end in itertools.pairwise([0, *ends])], order)
