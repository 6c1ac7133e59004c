"""Whether scores are logits, or what a sigmoid made of them: told from the numbers."""

from collections.abc import Sequence

LOGITS, IN_0_1 = "logits", "in [0, 1]"
# least difference of two answers to the same question that is not rounding
_DIFFERENT = 1e-4


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
        switched = any(abs(a - b) > _DIFFERENT for a, b in zip(raw, activated or raw, strict=True))
        if switched or any(score < 0 or score > 1 for score in raw):
            self.name, self.saturated = LOGITS, 0
        if self.name == IN_0_1:
            self.saturated += sum(score in (0, 1) for score in raw)
