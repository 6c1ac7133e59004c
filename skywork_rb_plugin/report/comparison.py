"""Two runs side by side, row by row: how much better the second is, and whether that may be chance."""

import functools
import math
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from skywork_rb_plugin.errors import UserError
from skywork_rb_plugin.metrics.table import TABLE
from skywork_rb_plugin.report import paired
from skywork_rb_plugin.report.lines import MEAN, Line, aggregation, headline, lines_of
from skywork_rb_plugin.report.results import Run
from skywork_rb_plugin.report.rows import Row

# a score that the log's rows give must be the one in the results file
_CLOSE = 1e-6


@dataclass(frozen=True)
class Difference:
    """One line of two runs.

    Attributes:
        first, second: the runs' lines.
        test: None where the rows do not tell how the score is made.
        adjusted: the test's p-value, adjusted for all tests that are shown together.
        both, only_first, only_second, neither: rows that are right, of those that are right or wrong.
    """

    first: Line
    second: Line
    test: paired.Test | None
    adjusted: float | None
    both: int
    only_first: int
    only_second: int
    neither: int


@dataclass(frozen=True)
class Comparison:
    """Two runs.

    Attributes:
        first, second: the runs.
        differences: one for each line that both have.
        left_out: tasks that only one of them has.
    """

    first: Run
    second: Run
    differences: list[Difference]
    left_out: list[str]

    @functools.cached_property
    def pairs(self) -> dict[str, list[tuple[Row, Row]]]:
        """The rows of each task that both runs have, joined."""
        return {task: join(self.first, self.second, task) for task in self.first.tasks if task in self.second.tasks}


def compare(runs: Sequence[Run], metric: str | None = None, all_pairs: bool = False, seed: int = 0) -> list[Comparison]:
    """Compare each run with the first; the p-values are adjusted for all tests that are made here (Holm).

    Args:
        runs: at least two.
        metric: what to compare; None: each benchmark's first.
        all_pairs: compare each run with all those before it.
        seed: of the bootstrap.

    Raises:
        UserError: there is one run only, two have no task in common or not the same rows, or a sample log is missing, broken
            or not that of its results file.
    """
    if len(runs) < 2:
        raise UserError(f"found one run, {runs[0].path}, expected two or more: name the folder of another beside it")
    for run in runs:
        for task in run.tasks:
            _check_log(run, task)
    found = [
        _compare(a, b, metric, seed) for j, b in enumerate(runs) for a in (runs[:j] if all_pairs else runs[: min(j, 1)])
    ]
    tested = [difference.test.p for one in found for difference in one.differences if difference.test]
    adjusted = iter(paired.holm(tested))
    return [
        replace(
            one, differences=[replace(d, adjusted=next(adjusted)) if d.test else d for d in one.differences]
        )
        for one in found
    ]  # fmt: skip


def join(first: Run, second: Run, task: str) -> list[tuple[Row, Row]]:
    """A task's rows in pairs, in the data's order.

    Raises:
        UserError: the two runs were not asked about the same rows.
    """
    a, b = first.rows(task), second.rows(task)
    if a.keys() != b.keys():
        common = len(a.keys() & b.keys())
        same = "the same" if common == len(a) == len(b) else f"{common} of them the same"
        raise UserError(
            f"task {task}: found {len(a)} rows in {first.path} and {len(b)} in {second.path}, {same}; expected the same "
            "rows: run both with the same data and the same --limit or --samples"
        )
    return [(row, b[key]) for key, row in a.items()]


def _compare(first: Run, second: Run, metric: str | None, seed: int) -> Comparison:
    common = [task for task in first.tasks if task in second.tasks]
    if not common:
        raise UserError(
            f"found no task in common: {first.path} has {', '.join(first.tasks[:3])}, {second.path} has "
            f"{', '.join(second.tasks[:3])}; expected runs of the same benchmark"
        )
    comparison = Comparison(first, second, [], sorted({*first.tasks, *second.tasks} - set(common)))
    theirs = {(line.name, line.metric, line.filter): line for line in lines_of(second, metric)}
    evidence = _Evidence(comparison.pairs, functools.partial(aggregation, first), seed)
    for line in lines_of(first, metric):
        if (other := theirs.get((line.name, line.metric, line.filter))) is not None:
            comparison.differences.append(evidence.difference(line, other))
    if not comparison.differences:
        wanted = f"{metric} in" if metric else "a score in"
        raise UserError(f"found no {wanted} both {first.path} and {second.path}, expected a metric that both have")
    return comparison


class _Evidence:
    """What the joined rows say of a line; draws of the bootstrap are made once for each task and metric."""

    def __init__(
        self,
        pairs: Mapping[str, list[tuple[Row, Row]]],
        made_by: Callable[[str, str], str | None],
        seed: int,
    ) -> None:
        self._pairs = pairs
        self._made_by = made_by
        self._seed = seed
        self._draws: dict[tuple[str, str, str], np.ndarray] = {}

    def difference(self, first: Line, second: Line) -> Difference:
        tasks = list(first.shares or second.shares or ())
        seen = [(a.right, b.right) for task in tasks for a, b in self._pairs.get(task, ())]
        counts = [seen.count(pair) for pair in ((True, True), (True, False), (False, True), (False, False))]
        return Difference(first, second, self._test(first, second), None, *counts)

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
            pairs = [(a.values[key], b.values[key]) for task in shares for a, b in self._pairs[task]]
            return paired.verdicts(pairs.count((1, 0)), pairs.count((0, 1)), len(pairs))
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

    def _drawn(self, task: str, key: tuple[str, str]) -> np.ndarray | None:
        place = (task, *key)
        if place not in self._draws:
            first, second = ([row.values[key] for row in rows] for rows in zip(*self._pairs[task], strict=True))
            seed = (self._seed, zlib.crc32(task.encode()))
            made_by = self._made_by(task, key[0])
            if made_by == MEAN:
                drawn = paired.draws_of_mean(np.subtract(second, first, dtype=float), seed)
            else:
                function = aggregation_function(made_by)
                drawn = function and paired.draws_of(function, first, second, seed)
            self._draws[place] = drawn
        return self._draws[place]


def aggregation_function(name: str | None) -> Callable[[Sequence], float] | None:
    """What makes a task's score of its rows' values; None where neither the plugin nor the host knows it."""
    for metric in TABLE:
        if metric.aggregation.name == name and metric.aggregation.function is not None:
            return metric.aggregation.function
    import lm_eval.api.metrics  # noqa: F401  the host's own are registered by it

    from skywork_rb_plugin.host import aggregation_registry

    return aggregation_registry.get(name)


def _check_log(run: Run, task: str) -> None:
    """Refuse a log of another run: its rows must give the score that the results file has."""
    if (key := headline(run, task)) is None:
        return
    metric, chosen = key
    value = run.data["results"][task].get(f"{metric},{chosen}")
    values = [row.values[key] for row in run.rows(task).values() if key in row.values]
    function = aggregation_function(aggregation(run, task, metric))
    if not isinstance(value, (int, float)) or not math.isfinite(value) or function is None or not values:
        return
    made = function(values)
    if not math.isclose(made, value, rel_tol=_CLOSE, abs_tol=_CLOSE):
        raise UserError(
            f"{run.log(task)}: found rows that give {metric} {made:.6g}, expected {value:.6g} as in {run.path.name}: the log "
            "is not complete, or another run's; run it again with --log_samples"
        )


def _same(first: Mapping[str, float], second: Mapping[str, float] | None) -> bool:
    return second is not None and first.keys() == second.keys() and all(
        math.isclose(share, second[task]) for task, share in first.items()
    )  # fmt: skip
