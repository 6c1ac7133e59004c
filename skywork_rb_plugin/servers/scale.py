"""Whether scores are logits, or what a sigmoid made of them: told from the numbers."""

import math
from collections.abc import Sequence

LOGITS, IN_0_1 = "logits", "in [0, 1]"
# of the range of scores of different conversations, what a server's rounding may change
_ROUNDING = 0.05


class Scale:
    """Scores seen so far.

    A sigmoid is never undone: numbers that saturate at 0 or 1 are ties, and stay so.

    Attributes:
        name: LOGITS once that is known, else IN_0_1: then it is likely that a sigmoid made them.
        saturated: how many of them were exactly 0 or 1, where no number lay outside.
    """

    def __init__(self) -> None:
        self.name, self.saturated = IN_0_1, 0

    def learn(self, raw: Sequence[float], activated: Sequence[float] | None = None) -> None:
        """Look at scores.

        Args:
            raw: as they come, with the activation off where the server has a switch for it.
            activated: of the same conversations, with a sigmoid on; None where the server has no switch for one.
        """
        outside = any(score < 0 or score > 1 for score in raw)
        if outside or (activated and _apart(activated, list(map(_sigmoid, raw))) < _apart(activated, raw)):
            self.name, self.saturated = LOGITS, 0
        if self.name == IN_0_1:
            self.saturated += sum(score in (0, 1) for score in raw)


def alike(now: Sequence[float], before: Sequence[float]) -> bool:
    """Whether scores of the same few different conversations are the same but for rounding."""
    allowed = _ROUNDING * (max(before) - min(before))
    return len(now) == len(before) and all(abs(a - b) <= allowed for a, b in zip(now, before, strict=True))


def _apart(some: Sequence[float], others: Sequence[float]) -> float:
    return sum(abs(a - b) for a, b in zip(some, others, strict=True))


def _sigmoid(score: float) -> float:
    return 1 / (1 + math.exp(-score))
