"""Scores by a policy, then by its reference: a reward is the difference of the two."""

import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace

from skywork_rb_plugin.scoring.batches import Conversations, Kept, Scored, Scorer


class _Some:
    """Some of the conversations, of which some are done; both by their indices among all."""

    def __init__(self, conversations: Conversations, indices: Sequence[int], done: Collection[int]) -> None:
        self.texts, self._all, self.indices = [conversations.texts[i] for i in indices], conversations, indices
        self.done = {place for place, i in enumerate(indices) if i in done}

    def encode(self, indices: Sequence[int]) -> list[Sequence[int]]:
        return self._all.encode([self.indices[i] for i in indices])


class AgainstReference:
    """All conversations go through the policy before the first goes through the reference: one may make room for the other.

    Args:
        policy: gives the policy's scorer, when its turn has come.
        reference: likewise.
        beta: factor of the difference.
        settings: of the policy's scorer.

    Attributes:
        kept: what keeps the policy's scores, or None.
    """

    def __init__(
        self,
        policy: Callable[[], Scorer],
        reference: Callable[[], Scorer],
        beta: float,
        settings: Mapping[str, object],
    ) -> None:
        self._policy, self._reference, self._beta, self._settings = policy, reference, beta, dict(settings)
        self.name, self.attention = settings["scoring"], settings["attention"]
        self.kept: Kept | None = None

    def settings(self) -> dict[str, object]:
        """How the policy scores, for the results file."""
        return dict(self._settings)

    def run(self, conversations: Conversations) -> Iterator[Scored]:
        """Score all conversations; those whose score by the policy is no number come last, and the reference is spared them.

        Raises:
            UserError: a model can't be loaded, or a conversation alone is too large for the memory.
        """
        texts, by_policy = conversations.texts, {}
        if self.kept is not None:
            found = ((i, self.kept.get(text)) for i, text in enumerate(texts))
            by_policy.update((i, score) for i, score in found if score is not None)
            yield Scored(list(by_policy), [], [], 0, 0, share=0.5)
        for scored in _run(self._policy, _Some(conversations, range(len(texts)), by_policy)):
            fresh = {
                i: score for i, score in zip(scored.conversations, scored.scores, strict=True) if i not in by_policy
            }
            by_policy |= fresh
            yield replace(scored, scores=[])
            # when it is counted
            if self.kept is not None:
                self.kept.update({texts[i]: score for i, score in fresh.items() if math.isfinite(score)})
        finite = _Some(conversations, [i for i in range(len(texts)) if math.isfinite(by_policy[i])], conversations.done)
        for scored in _run(self._reference, finite):
            pairs = zip(scored.conversations, scored.scores, strict=True)
            yield replace(scored, scores=[self._beta * (by_policy[i] - score) for i, score in pairs])
        rest = [i for i, score in by_policy.items() if not math.isfinite(score)]
        yield Scored(rest, [by_policy[i] for i in rest], [0] * len(rest), 0, 0, share=0.5)


def _run(scorer: Callable[[], Scorer], some: _Some) -> Iterator[Scored]:
    """What a scorer gives, with the indices of all conversations; it is not asked for where there is nothing to score."""
    if len(some.done) < len(some.texts):
        with closing(scorer().run(some)) as stream:
            for scored in stream:
                yield replace(scored, conversations=[some.indices[i] for i in scored.conversations], share=0.5)
