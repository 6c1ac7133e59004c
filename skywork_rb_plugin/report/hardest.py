"""The rows that all models have wrong, and those that only one has right."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, median

from skywork_rb_plugin.report.results import Run
from skywork_rb_plugin.report.rows import Row

# margins count up to so many times the usual one, so that an infinite one does not swallow the others
_MOST = 1e6


@dataclass(frozen=True)
class Answered:
    """A row as all runs that were asked about it answered it.

    Attributes:
        task: the task's name.
        rows: the runs' rows, by the places of the runs.
        hardness: the mean over runs of margin divided by the run's usual margin (the median of its margins without their
            signs): the lower, the harder; None where the logs have no margins.
    """

    task: str
    rows: Mapping[int, Row]
    hardness: float | None

    @property
    def right(self) -> list[int]:
        """Places of the runs that have it right."""
        return [place for place, row in self.rows.items() if row.right]

    @property
    def _order(self) -> tuple[bool, float]:
        return (self.hardness is None, self.hardness or 0.0)


def answered(runs: Sequence[Run]) -> list[Answered]:
    """All rows that all runs of their task were asked about, the hardest first; tasks without a log are left out."""
    units = [_unit(run) for run in runs]
    return sorted(_answered(runs, units), key=lambda one: one._order)


def all_wrong(rows: Sequence[Answered]) -> list[Answered]:
    """Those that no run has right, the hardest first."""
    return [one for one in rows if all(row.right is False for row in one.rows.values())]


def only_right(rows: Sequence[Answered], place: int) -> list[Answered]:
    """Those that one run has right and all others, of which there are some, have wrong; the hardest first."""
    return [
        one
        for one in rows
        if one.right == [place] and len(one.rows) > 1 and all(row.right is not None for row in one.rows.values())
    ]


def _answered(runs: Sequence[Run], units: Sequence[float]) -> Iterator[Answered]:
    for task in dict.fromkeys(task for run in runs for task in run.tasks):
        logs = {
            place: run.rows(task) for place, run in enumerate(runs) if task in run.tasks and run.log(task).is_file()
        }
        if not logs:
            continue
        first, *others = logs.values()
        for key in first:
            if all(key in log for log in others):
                rows = {place: log[key] for place, log in logs.items()}
                found = [_margin(row) / units[place] for place, row in rows.items() if _margin(row) is not None]
                hardness = fmean(max(-_MOST, min(margin, _MOST)) for margin in found) if found else None
                yield Answered(task, rows, hardness)


def _unit(run: Run) -> float:
    logs = [run.rows(task).values() for task in run.tasks if run.log(task).is_file()]
    found = [abs(margin) for log in logs for row in log if (margin := _margin(row)) is not None]
    found = [margin for margin in found if margin and math.isfinite(margin)]
    return median(found) if found else 1.0


def _margin(row: Row) -> float | None:
    margin = row.note.get("margin")
    return None if margin is None or math.isnan(margin) else margin
