"""The metrics of a judge: two verdicts on a pair, the second with the responses swapped."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from skywork_rb_plugin.metrics.metric import Metric

# what a judge calls the two answers of a question
LETTERS = ("A", "B")


@dataclass(frozen=True)
class Verdicts:
    """What a judge said of a pair.

    Attributes:
        preferred: index of the preferred response, 0 or 1.
        places: which answer each of the two verdicts chose, as an index of `LETTERS`; None where it can't be read. A is
            the first response in the first question and the second one in the second.
    """

    kind: ClassVar[str] = "judge"

    preferred: int
    places: Sequence[int | None]

    @property
    def chosen(self) -> list[int | None]:
        """Index of the response that each verdict chose."""
        first, second = self.places
        return [first, None if second is None else 1 - second]

    @property
    def right(self) -> list[bool]:
        """Whether each verdict chose the preferred response."""
        return [index == self.preferred for index in self.chosen]


def acc(row: Verdicts) -> float:
    """The share of both verdicts that are right, an unparsable one being wrong."""
    return sum(row.right) / 2


def acc_both_orders(row: Verdicts) -> float:
    """1.0 if both verdicts are right, else 0.0."""
    return float(all(row.right))


def inconsistent(row: Verdicts) -> float:
    """1.0 if both verdicts can be read and contradict each other, else 0.0."""
    return float(None not in row.chosen and row.chosen[0] != row.chosen[1])


def unparsable(row: Verdicts) -> float:
    """The share of both verdicts that can't be read."""
    return row.chosen.count(None) / 2


METRICS = (
    Metric("acc", acc, "share of right verdicts over both orders", row_type=Verdicts),
    Metric("acc_both_orders", acc_both_orders, "both verdicts are right", row_type=Verdicts),
    Metric("inconsistent", inconsistent, "the two verdicts contradict each other", False, row_type=Verdicts),
    Metric("unparsable", unparsable, "share of verdicts that can't be read", False, row_type=Verdicts),
)
