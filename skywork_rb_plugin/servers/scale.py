"""Whether scores are logits, or what a sigmoid made of them: told from the numbers."""

import math
from collections.abc import Sequence

LOGITS, IN_0_1 = "logits", "in [0, 1]"


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
            activated: of the same conversations, with the activation on; None where the server has no switch.
        """
        if _is_sigmoid(activated, raw) or any(score < 0 or score > 1 for score in raw):
            self.name, self.saturated = LOGITS, 0
        if self.name == IN_0_1:
            self.saturated += sum(score in (0, 1) for score in raw)


def _is_sigmoid(activated: Sequence[float] | None, raw: Sequence[float]) -> bool:
    """Whether the ones are nearer to a sigmoid of the others than to these: two answers to one question differ by rounding."""
    if activated is None:
        return False
    sigmoids = [1 / (1 + math.exp(-max(min(score, 700), -700))) for score in raw]
    return math.dist(activated, sigmoids) < math.dist(activated, raw)
