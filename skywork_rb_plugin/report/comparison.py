"""Two runs side by side, row by row: how much better the second is, and whether that may be chance."""

import contextlib
import functools
import logging
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from skywork_rb_plugin.errors import UserError
from skywork_rb_plugin.report import paired
from skywork_rb_plugin.report.evidence import Difference, Evidence, aggregation_function, is_number
from skywork_rb_plugin.report.lines import Line, aggregation, headline, lines_of, metrics_of
from skywork_rb_plugin.report.results import Run
from skywork_rb_plugin.report.rows import Row

# a score that the log's rows give must be the one in the results file
_CLOSE = 1e-6
# the host's that take a second or so for one score
_SLOW = {"bleu", "chrf", "chrf++", "ter"}


@dataclass(frozen=True)
class Comparison:
    """Two runs.

    Attributes:
        first, second: the runs.
        differences: one for each line that both have.
        left_out: tasks that only one of them has.
        regrouped: groups that both have, with other members.
        pairs: the rows of each task that was compared, joined.
    """

    first: Run
    second: Run
    differences: list[Difference]
    left_out: list[str]
    regrouped: list[str]
    pairs: Mapping[str, list[tuple[Row, Row]]]


def compare(
    runs: Sequence[Run],
    metric: str | None = None,
    all_pairs: bool = False,
    seed: int = 0,
    chosen: Callable[[Line], bool] | None = None,
) -> list[Comparison]:
    """Compare each run with the first that has tasks of it; the p-values are adjusted for all tests that are made here (Holm).

    Args:
        runs: at least two.
        metric: what to compare; None: each benchmark's first.
        all_pairs: compare each run with all those before it.
        seed: of the draws.
        chosen: which lines to compare; None: all.

    Raises:
        UserError: there is one run only, one has no task in common with any other, two have not the same rows, or a sample
            log is missing, broken or not that of its results file.
    """
    if len(runs) < 2:
        raise UserError(f"found one run, {runs[0].path}, expected two or more: name the folder of another beside it")
    pairs = _pairs(runs, all_pairs)
    with _quietly():
        lines = [_common_lines(a, b, metric, chosen) for a, b in pairs]
        used = {(run.path, task): (run, task) for pair, (both, _) in zip(pairs, lines, strict=True)
                for run in pair for line, _ in both for task in line.tasks}  # fmt: skip
        for run, task in used.values():
            _check_log(run, task)
        found = [_compare(a, b, *some, seed) for (a, b), some in zip(pairs, lines, strict=True)]
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


def _pairs(runs: Sequence[Run], all_pairs: bool) -> list[tuple[Run, Run]]:
    """Each run with the first before it that has tasks of it, or with all of these."""
    found = []
    for place, run in enumerate(runs):
        before = [(other, run) for other in runs[:place] if set(other.tasks) & set(run.tasks)]
        found += before if all_pairs else before[:1]
    paired_runs = {run.path for pair in found for run in pair}
    if alone := next((run for run in runs if run.path not in paired_runs), None):
        other = next(run for run in runs if run is not alone)
        raise UserError(
            f"found no task in common: {alone.path} has {', '.join(alone.tasks[:3])}, {other.path} has "
            f"{', '.join(other.tasks[:3])}; expected runs of the same benchmark"
        )
    return found


def _common_lines(
    first: Run, second: Run, metric: str | None, chosen: Callable[[Line], bool] | None
) -> tuple[list[tuple[Line, Line]], list[str]]:
    """The lines that both runs have, of those that are chosen, and names of groups that have other members in each."""
    theirs = {(line.name, line.metric, line.filter): line for line in lines_of(second, metric)}
    mine = {(line.name, line.metric, line.filter): line for line in lines_of(first, metric)}
    both = [(line, theirs[key]) for key, line in mine.items() if key in theirs]
    # a group of other members is another score
    regrouped = [line.name for line, other in both if set(line.tasks) != set(other.tasks)]
    both = [(line, other) for line, other in both if line.name not in regrouped]
    if not both:
        has = [", ".join(metrics_of(run)) or "none, as under --predict_only" for run in (first, second)]
        raise UserError(
            f"found no {metric or 'score'} in both {first.path} (its metrics: {has[0]}) and {second.path} ({has[1]}), "
            "expected one that both have: --metric names another of these, --metadata metrics=NAME gives a run more"
        )
    found = [pair for pair in both if chosen is None or chosen(pair[0])]
    if not found:
        raise UserError(
            f"found nothing of what was chosen in both {first.path} and {second.path}, expected a part that both have"
        )
    return found, regrouped


def _compare(
    first: Run, second: Run, lines: Sequence[tuple[Line, Line]], regrouped: Sequence[str], seed: int
) -> Comparison:
    pairs = {task: join(first, second, task) for task in dict.fromkeys(t for line, _ in lines for t in line.tasks)}
    evidence = Evidence(pairs, functools.partial(aggregation, first), seed)
    differences = [evidence.difference(*pair) for pair in lines]
    left_out = set(first.tasks) ^ set(second.tasks)
    return Comparison(first, second, differences, sorted(left_out), list(regrouped), pairs)


def check_logs(run: Run) -> None:
    """Look at the sample logs that a run has.

    Raises:
        UserError: one is broken, not complete, or another run's.
    """
    with _quietly():
        for task in run.tasks:
            if run.log(task).is_file():
                _check_log(run, task)


def _check_log(run: Run, task: str) -> None:
    """Refuse a log of another run: it must have as many rows, and they must give the score that the results file has."""
    if (key := headline(run, task)) is None:  # nothing was measured
        return
    expected, found = run.data["results"][task].get("sample_len"), len(run.rows(task))
    if isinstance(expected, int) and expected != found:
        raise UserError(
            f"{run.log(task)}: found {found} rows, expected {expected} as in {run.path.name}: the log is not complete, or another "
            "run's; run it again with --log_samples"
        )
    metric, chosen = key
    value = run.data["results"][task].get(f"{metric},{chosen}")
    values = [row.values[key] for row in run.rows(task).values() if key in row.values]
    made_by = aggregation(run, task, metric)
    function = None if made_by in _SLOW else aggregation_function(made_by)
    if not is_number(value) or function is None or not values:
        return
    try:
        made = float(function(values))
    except Exception:  # values that the aggregation does not take: of a task of others, or none at all
        return
    if not math.isclose(made, value, rel_tol=_CLOSE, abs_tol=_CLOSE):
        raise UserError(
            f"{run.log(task)}: found rows that give {metric} {made:.6g}, expected {value:.6g} as in {run.path.name}: the log "
            "is not complete, or another run's; run it again with --log_samples"
        )


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    """Without what aggregations log of rows that do not count: the run's own log said it, and here they are called often."""
    before = logging.root.manager.disable
    logging.disable(max(before, logging.WARNING))
    try:
        yield
    finally:
        logging.disable(before)
