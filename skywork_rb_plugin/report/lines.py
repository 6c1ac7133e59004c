"""A run's scores as lines: benchmarks, their sections, their subsets; and what each is made of."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from skywork_rb_plugin.host import default_aggregation
from skywork_rb_plugin.report.results import Run

MEAN = "mean"


@dataclass(frozen=True)
class Line:
    """A score of a run.

    Attributes:
        name: of the task or group.
        title: what the results table calls it.
        path: names of the groups it lies in, outermost first.
        metric, filter: what it is a score in.
        value, error: as the results file has them; None where it has none.
        higher_is_better: whether more is better.
        shares: what each task counts in the value, which is the sum of share times the task's value; a task's own is 1;
            None where that is not known.
        is_task: whether it is a task.
        tasks: names of the tasks in it; its own.
    """

    name: str
    title: str
    path: tuple[str, ...]
    metric: str
    filter: str
    value: float | None
    error: float | None
    higher_is_better: bool
    shares: Mapping[str, float] | None
    is_task: bool
    tasks: tuple[str, ...] = ()

    @property
    def depth(self) -> int:
        """0 for what the run was asked for, 1 for its members, and so on."""
        return len(self.path)


def lines_of(run: Run, metric: str | None = None) -> list[Line]:
    """All scores of a run: each group, then its members, in the group's order; tasks of no group after them.

    Args:
        run: the run.
        metric: which; None: the first of each benchmark, for its members too.
    """
    members = {name: list(names) for name, names in (run.data.get("group_subtasks") or {}).items() if names}
    inside = {name for names in members.values() for name in names}
    results = run.data["results"]
    tops = [name for name in results if name not in inside]
    tops.sort(key=lambda name: name not in members)
    seen: set[str] = set()
    found = []

    def walk(name: str, path: tuple[str, ...], wanted: tuple[str, str] | None) -> None:
        if name not in results or name in seen:
            return
        seen.add(name)
        key = _key(run, name, metric, wanted)
        if key is not None:
            found.append(_line(run, name, path, key, members))
        for member in members.get(name, ()):
            walk(member, (*path, name), key)

    for name in tops:
        walk(name, (), None)
    return found


def metrics_of(run: Run) -> list[str]:
    """Names of all metrics that a run has somewhere."""
    return sorted({metric for row in run.data["results"].values() for metric, _ in _keys(row)})


def headline(run: Run, task: str) -> tuple[str, str] | None:
    """A task's first metric and filter; None where it has no score."""
    return _key(run, task, None, None)


def aggregation(run: Run, task: str, metric: str) -> str | None:
    """The name of what makes a task's score of its rows' values: `mean`, one of the plugin's, or of the host's."""
    entries = run.data["configs"].get(task, {}).get("metric_list") or [{"metric": metric}]
    for entry in entries:
        if entry.get("metric") == metric:
            stated = entry.get("aggregation")
            return default_aggregation(metric) if stated is None else str(stated)
    return None


def _key(run: Run, name: str, metric: str | None, wanted: tuple[str, str] | None) -> tuple[str, str] | None:
    """The metric and filter to show of a task or group: the asked one, else its group's, else its first."""
    keys = [key for key in _keys(run.data["results"][name]) if metric in (None, key[0])]
    listed = [entry.get("metric") for entry in run.data["configs"].get(name, {}).get("metric_list") or ()]
    keys.sort(key=lambda key: listed.index(key[0]) if key[0] in listed else len(listed))
    return wanted if wanted in keys else next(iter(keys), None)


def _keys(row: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for key in row:
        metric, comma, chosen = key.partition(",")
        if comma and not metric.endswith("_stderr"):
            yield metric, chosen


def _line(run: Run, name: str, path: tuple[str, ...], key: tuple[str, str], members: Mapping[str, list[str]]) -> Line:
    row = run.data["results"][name]
    metric, chosen = key
    value = _number(row.get(f"{metric},{chosen}"))
    tasks = tuple(dict.fromkeys(_tasks(name, members))) if name in members else (name,)
    # the host says it of tasks, and of groups of tasks only
    better = run.data.get("higher_is_better") or {}
    return Line(
        name=name,
        title=str(row.get("alias") or name).strip().removeprefix("- ").strip(),
        path=path,
        metric=metric,
        filter=chosen,
        value=value,
        error=_number(row.get(f"{metric}_stderr,{chosen}")),
        higher_is_better=not any((better.get(task) or {}).get(metric) is False for task in tasks),
        shares=_shares(run, name, key, value, tasks),
        is_task=name not in members,
        tasks=tasks,
    )


def _number(value: object) -> float | None:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    return float(value) if is_number else None


def _shares(
    run: Run, name: str, key: tuple[str, str], value: float | None, tasks: tuple[str, ...]
) -> Mapping[str, float] | None:
    """Each task's share, as the plugin's groups note it; else as one of the host's two means would, if it gives the value."""
    if tasks == (name,):
        return {name: 1.0}
    noted = {task: _noted(run, task).get(name) for task in tasks}
    if None not in noted.values():
        return noted
    values = {task: _number(run.data["results"].get(task, {}).get(",".join(key))) for task in tasks}
    if value is None or None in values.values():
        return None
    sizes = {task: run.data["results"][task].get("sample_len") or 0 for task in tasks}
    for weights in (sizes, dict.fromkeys(tasks, 1)):
        total = sum(weights.values())
        shares = {task: weight / total for task, weight in weights.items()} if total else {}
        if shares and math.isclose(sum(share * values[task] for task, share in shares.items()), value, abs_tol=1e-9):
            return shares
    return None


def _noted(run: Run, task: str) -> Mapping[str, float]:
    return (run.data["configs"].get(task, {}).get("metadata") or {}).get("shares") or {}


def _tasks(name: str, members: Mapping[str, list[str]]) -> Iterator[str]:
    for member in members.get(name, ()):
        yield from _tasks(member, members) if member in members else (member,)
