"""What a metric is: an entry of the table, and the preference row that most of them take."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True)
class Row:
    """A preference row with its scores, which is all that a metric may look at.

    Attributes:
        doc: the row's columns.
        scores: one for each response, in any unit; log-likelihoods in nats for plain language models.
        preferred: indices of the preferred responses, at least one; at least one response is not among them.
        pairs: indices of a better and a worse response, as the data ranks them; at least one pair.
        lengths: of each response, in characters.
    """

    kind: ClassVar[str] = "preference"

    doc: Mapping
    scores: Sequence[float]
    preferred: Collection[int]
    pairs: Sequence[tuple[int, int]]
    lengths: Sequence[int]

    @property
    def others(self) -> list[int]:
        """Indices of the responses that are not preferred."""
        return [i for i in range(len(self.scores)) if i not in self.preferred]

    @property
    def chosen_scores(self) -> list[float]:
        """Scores of the preferred responses, in the row's order."""
        return [score for i, score in enumerate(self.scores) if i in self.preferred]

    @property
    def rejected_scores(self) -> list[float]:
        """Scores of the other responses, in the row's order."""
        return [self.scores[i] for i in self.others]


@dataclass(frozen=True)
class Aggregation:
    """How the values of a task's rows become one number.

    Attributes:
        name: what the host calls it (`aggregation` in a YAML).
        function: of the rows' values, in any order; None where the host has it. The host knows no standard error for ours
            and prints N/A.
    """

    name: str
    function: Callable[[Sequence], float] | None = None


MEAN = Aggregation("mean")


@dataclass(frozen=True)
class Metric:
    """An entry of the table.

    Attributes:
        name: what a YAML's `metric_list` and the printed table call it.
        of_row: a row -> its value: a number, or what `aggregation` takes. ValueError says what of the row can't be used.
        description: one line for the table of docs/benchmarks.md.
        higher_is_better: None where neither direction is better; the host then prints no arrow.
        aggregation: how the rows' values become one number.
        rule: a benchmark's own rule, `score: RULE` in the YAML: only such tasks have the metric. None: all do.
        row_type: the class of the rows it takes; tasks of other rows do not have it.
        is_share: whether it is a share of rows, which is told in percent.
    """

    name: str
    of_row: Callable[..., object]
    description: str
    higher_is_better: bool | None = True
    aggregation: Aggregation = MEAN
    rule: str | None = None
    row_type: type = Row
    is_share: bool = True
