"""What the joined rows of two runs say of a line: how many each has right, and whether the difference may be chance."""

import math
import operator
import zlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from skywork_rb_plugin.host import host_aggregation
from skywork_rb_plugin.metrics.table import TABLE, is_share
from skywork_rb_plugin.report import paired
from skywork_rb_plugin.report.lines import MEAN, Line
from skywork_rb_plugin.report.rows import Row

# the aggregations that are no means and have a test: of what others make of rows it is not known what an interval would take
_OURS = {one.aggregation.name: one.aggregation.function for one in TABLE if one.aggregation.function is not None}
# aggregation -> what of a row's value names the rows that are one case: a Ties prompt and its partner
_TOGETHER = {"rewardbench2_ties": operator.itemgetter(0)}


@dataclass(frozen=True)
class Difference:
    """One line of two runs.

    Attributes:
        first, second: the runs' lines.
        test: None where the rows do not tell how the score is made, or others' aggregation makes it.
        adjusted: the test's p-value, adjusted for all tests that are shown together.
        both, only_first, only_second, neither: rows that are right, of those that are right or wrong.
        fraction: whether the scores are shares of rows, so that they may be told in percent.
    """

    first: Line
    second: Line
    test: paired.Test | None
    adjusted: float | None
    both: int
    only_first: int
    only_second: int
    neither: int
    fraction: bool

    @property
    def gain(self) -> float:
        """By how much the second is better: its score minus the first's, or the reverse where less is better."""
        difference = self.second.value - self.first.value
        return difference if self.first.higher_is_better else -difference


class Evidence:
    """What the joined rows say of a line; draws are made once for each task and metric."""

    def __init__(
        self,
        pairs: Mapping[str, list[tuple[Row, Row]]],
        made_by: Callable[[str, str], str | None],
        seed: int,
    ) -> None:
        self._pairs = pairs
        self._made_by = made_by
        self._seed = seed
        self._draws: dict[tuple[str, str, str], paired.Draws | None] = {}

    def difference(self, first: Line, second: Line) -> Difference:
        """What the rows say of a line of both runs."""
        rows = [pair for task in first.tasks for pair in self._pairs[task]]
        seen = Counter(verdicts(rows, first))
        counts = [seen[pair] for pair in ((True, True), (True, False), (False, True), (False, False))]
        fraction = is_share(first.metric, (first.value, second.value))
        return Difference(first, second, self._test(first, second), None, *counts, fraction)

    def _test(self, first: Line, second: Line) -> paired.Test | None:
        shares = first.shares
        if None in (first.value, second.value) or not shares or not _same(shares, second.shares):
            return None
        if not all(self._pairs.get(task) for task in shares):
            return None
        key = (first.metric, first.filter)
        if any(key not in row.values for task in shares for pair in self._pairs[task] for row in pair):
            return None
        if all(self._made_by(task, first.metric) == MEAN for task in shares) and self._counts_rows(shares, key):
            pairs = Counter((a.values[key], b.values[key]) for task in shares for a, b in self._pairs[task])
            return paired.verdicts(pairs[1, 0], pairs[0, 1], pairs.total())
        draws = {task: self._drawn(task, key) for task in shares}
        if any(drawn is None for drawn in draws.values()):
            return None
        return paired.bootstrap(second.value - first.value, draws, shares)

    def _counts_rows(self, shares: Mapping[str, float], key: tuple[str, str]) -> bool:
        """Whether the score is the share of all rows that are right: each row is 0 or 1, and all weigh the same."""
        weights = [share / len(self._pairs[task]) for task, share in shares.items()]
        if not all(math.isclose(weight, weights[0]) for weight in weights):
            return False
        return all(row.values[key] in (0, 1) for task in shares for pair in self._pairs[task] for row in pair)

    def _drawn(self, task: str, key: tuple[str, str]) -> paired.Draws | None:
        place = (task, *key)
        if place not in self._draws:
            first, second = ([row.values[key] for row in rows] for rows in zip(*self._pairs[task], strict=True))
            seed = (self._seed, zlib.crc32(task.encode()))
            made_by = self._made_by(task, key[0])
            if made_by == MEAN:
                numbers = all(map(is_number, [*first, *second]))
                drawn = paired.draws_of_mean(np.subtract(second, first, dtype=float), seed) if numbers else None
            else:
                function = _OURS.get(made_by)
                units = [_TOGETHER[made_by](value) for value in first] if made_by in _TOGETHER else None
                drawn = function and paired.draws_of(function, first, second, seed, units)
            self._draws[place] = drawn
        return self._draws[place]


def verdicts(rows: Sequence[tuple[Row, ...]], line: Line) -> list[tuple[bool | None, ...]]:
    """Whether each run has each row right: by the line's metric where that is 0 or 1 in all rows, else by the row's note.

    Args:
        rows: of all runs, joined.
        line: of any of them.
    """
    key = (line.metric, line.filter)
    if all(row.values.get(key) in (0, 1) for joined in rows for row in joined):
        return [tuple(bool(row.values[key]) == line.higher_is_better for row in joined) for joined in rows]
    return [tuple(row.right for row in joined) for joined in rows]


def aggregation_function(name: str | None) -> Callable[[Sequence], float] | None:
    """What makes a task's score of its rows' values; None where neither the plugin nor the host knows it."""
    return _OURS.get(name) or host_aggregation(name)


def is_number(value: object) -> bool:
    """Whether it is a finite number."""
    return isinstance(value, (int, float)) and math.isfinite(value)


def _same(first: Mapping[str, float], second: Mapping[str, float] | None) -> bool:
    return second is not None and first.keys() == second.keys() and all(
        math.isclose(share, second[task]) for task, share in first.items()
    )  # fmt: skip
