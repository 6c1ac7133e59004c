"""What is told of a comparison, as text or as JSON: the runs, their lines, and rows on which they differ."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, zip_longest

from skywork_rb_plugin.report.comparison import Comparison
from skywork_rb_plugin.report.evidence import Difference, verdicts
from skywork_rb_plugin.report.lines import Line
from skywork_rb_plugin.report.results import Run
from skywork_rb_plugin.report.rows import Row
from skywork_rb_plugin.report.settings import Differing, differing


@dataclass(frozen=True)
class Differs:
    """A row that one of two runs has right.

    Attributes:
        first, second: the row in each run.
        first_is_right: whether it is the first.
        line: the score by which it is.
    """

    first: Row
    second: Row
    first_is_right: bool
    line: Line


@dataclass(frozen=True)
class Pair:
    """Two runs.

    Attributes:
        comparison: of them.
        labels: of both.
        rows: on which they differ.
    """

    comparison: Comparison
    labels: tuple[str, str]
    rows: list[Differs]

    @property
    def roots(self) -> list[Difference]:
        """What was asked for: benchmarks, or the chosen parts; without their members."""
        names = {difference.first.name for difference in self.comparison.differences}
        return [one for one in self.comparison.differences if names.isdisjoint(one.first.path)]


@dataclass(frozen=True)
class Found:
    """All that is told.

    Attributes:
        runs: by their labels.
        pairs: that were compared.
        differing: in what the runs differ.
        missed: how many rows all runs miss, and of how many, of each part that was asked for.
    """

    runs: dict[str, Run]
    pairs: list[Pair]
    differing: list[Differing]
    missed: list[tuple[Line, int, int]]

    @property
    def tests(self) -> int:
        """How many tests the p-values are adjusted for."""
        return sum(one.test is not None for pair in self.pairs for one in pair.comparison.differences)


def find(runs: Sequence[Run], comparisons: Sequence[Comparison], rows: int) -> Found:
    """Collect what is told of runs, with so many rows on which two differ."""
    labels = {run.path: _label(i) for i, run in enumerate(runs)}
    pairs = [Pair(one, (labels[one.first.path], labels[one.second.path]), _hardest(one, rows)) for one in comparisons]
    return Found(
        {labels[run.path]: run for run in runs}, pairs, differing(runs), list(_missed(runs, pairs))
    )  # fmt: skip


def _label(place: int) -> str:
    """A, B, …, Z, A2, B2, …"""
    turn, letter = divmod(place, 26)
    return chr(ord("A") + letter) + (str(turn + 1) if turn else "")


def _hardest(comparison: Comparison, count: int) -> list[Differs]:
    """Rows that one has right, of both kinds in turn, those first on which the other is most wrong by its own margin."""
    if not count:
        return []
    found: tuple[list[Differs], list[Differs]] = ([], [])
    for line in {one.first.name: one.first for one in comparison.differences if one.first.is_task}.values():
        pairs = comparison.pairs[line.name]
        for (first, second), verdict in zip(pairs, verdicts(pairs, line), strict=True):
            if set(verdict) == {True, False}:
                found[not verdict[0]].append(Differs(first, second, verdict[0], line))
    for some in found:
        some.sort(key=_losing_margin)
    turns = chain.from_iterable(zip_longest(*found))
    return [row for row in turns if row is not None][:count]


def _losing_margin(row: Differs) -> float:
    """Of rows without margins, none goes before another."""
    margin = (row.second if row.first_is_right else row.first).note.get("margin")
    return margin if isinstance(margin, (int, float)) and margin == margin else 0.0


def _missed(runs: Sequence[Run], pairs: Sequence[Pair]) -> Iterator[tuple[Line, int, int]]:
    for line in (difference.first for difference in pairs[0].roots):
        if all(task in run.tasks for run in runs for task in line.tasks):
            tables = [[run.rows(task) for run in runs] for task in line.tasks]
            rows = [
                tuple(table[key] for table in same) for same in tables for key in same[0] if all(key in t for t in same)
            ]
            right = verdicts(rows, line)
            if any(None in verdict for verdict in right):
                continue
            yield line, sum(set(verdict) == {False} for verdict in right), len(right)
