"""Scorers as a trial looks at them: what each pack took, and what the check at loading goes by."""

import time
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
import transformers

from skywork_rb_plugin.heads.families.classifier import Classifier
from skywork_rb_plugin.heads.family import Loaded
from skywork_rb_plugin.scoring import choice
from skywork_rb_plugin.scoring.attention import tree_attentions
from skywork_rb_plugin.scoring.padded import PaddedScorer
from skywork_rb_plugin.scoring.prefix_tree import Pack, pack_conversations
from skywork_rb_plugin.scoring.scorer import TreeScorer


class Started(NamedTuple):
    """One pack: seconds that the host took for it, pairs of a token and one it attends to, tokens that are read."""

    host_seconds: float
    pairs: int
    reads: int


class ObservedScorer(TreeScorer):
    """A scorer by prefix trees that notes what it did.

    Attributes:
        started: the packs that were started, in order.
    """

    def __init__(self, *args, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self.started: list[Started] = []

    def _start(self, pack: Pack, reads: list[np.ndarray]):
        start = time.perf_counter()
        underway = super()._start(pack, reads)
        pairs = int(pack.depths.sum()) + len(pack)  # a token sees as many as it is deep, and itself
        self.started.append(Started(time.perf_counter() - start, pairs, sum(map(len, reads))))
        return underway

    def packs(self, sequences: list[tuple[int, ...]]) -> list[tuple[Pack, list[np.ndarray]]]:
        """The packs of these conversations, and what is read in each."""
        packs = pack_conversations(dict(enumerate(sequences)), self.budget)
        return [(pack, [self.head.asked(ids) for ids in pack.sequences]) for pack in packs]


@dataclass(frozen=True)
class Subject:
    """A classifier to be scored in several ways."""

    model: transformers.PreTrainedModel
    device: torch.device

    def padded(self, size: int = 8) -> PaddedScorer:
        """The scorer by padded batches."""
        pad_id = self.model.config.pad_token_id
        return PaddedScorer(
            self.model, Classifier().head(Loaded.of(self.model, pad_id)), pad_id, self.device, batch_size=size
        )

    def tree(self, implementation: str, budget: int, compiled: bool = False) -> ObservedScorer:
        """A scorer by prefix trees with an attention of this name."""
        [attention] = tree_attentions(self.model, implementation, self.device, compiled)
        head = Classifier().head(Loaded.of(self.model, self.model.config.pad_token_id))
        return ObservedScorer(self.model, head, attention, budget, self.device, compiled=compiled)

    def check(self, tree: ObservedScorer, sequences: list[tuple[int, ...]]) -> dict:
        """What the check at loading makes of a scorer by one pack of these, and the numbers that it goes by."""
        padded = self.padded()
        alone = [padded.states(ids) for ids in sequences]
        if mistake := choice._mistake(tree, sequences, alone):
            return {"wrong": mistake}
        return {f"off, {name}": off for name, off in choice.deviations(tree, sequences, alone).items()}


def scores_of(scorer: TreeScorer | PaddedScorer, conversations) -> dict[int, float]:
    """Index of each conversation -> its score."""
    return {
        i: score for some in scorer.run(conversations) for i, score in zip(some.conversations, some.scores, strict=True)
    }
