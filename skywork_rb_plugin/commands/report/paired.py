"""The page's paired comparison and agreement."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from math import isfinite
from pathlib import Path

from markupsafe import Markup

from skywork_rb_plugin.commands.report.blocks import (
    MINUS,
    Exhibit,
    Part,
    Table,
    listed,
    number,
    p_value,
    percent,
    signed,
)
from skywork_rb_plugin.errors import UserError
from skywork_rb_plugin.report import plots
from skywork_rb_plugin.report.agreement import agreement
from skywork_rb_plugin.report.comparison import Comparison, Difference, compare, join
from skywork_rb_plugin.report.paired import METHODS
from skywork_rb_plugin.report.results import Run
from skywork_rb_plugin.report.sections import label, labels


def comparable(runs: Sequence[Run]) -> tuple[list[Comparison], list[str]]:
    """Each run with logs compared with the first of them, and why others are not.

    Returns:
        comparisons, whose p-values are adjusted together; a sentence for each run that is left out.
    """
    logged = [run for run in runs if run.has_logs]
    if len(logged) < 2:
        return [], []
    try:
        return compare(logged), []
    except UserError:
        first, *others = logged
        fit, reasons = [], []
        for other in others:
            try:
                compare([first, other])
                fit.append(other)
            except UserError as error:
                reasons.append(f"{other.name} is not compared: {error}.")
        return (compare([first, *fit]) if fit else []), reasons


def paired_part(comparisons: Sequence[Comparison], reasons: Sequence[str], runs: Sequence[Run]) -> Part | None:
    """Differences with intervals; None where there is nothing to say.

    Args:
        comparisons, reasons: as of `comparable`.
        runs: all that the page shows, in their order.
    """
    styles = {run.path: place for place, run in enumerate(runs)}
    if not comparisons and not reasons:
        return None
    methods = {d.test.method for one in comparisons for d in one.differences if d.test}
    tests = sum(bool(d.test) for one in comparisons for d in one.differences)
    words = [*reasons]
    if comparisons:
        words.append(
            f"Each model against {_baseline(comparisons)}, on the same rows: the difference of scores with its 95 % interval, "
            "and how likely one so large would be if the models were equally good. “p, Holm” is adjusted for the number of tests "
            f"on this page, {tests} (Holm 1979): judge by it. Counts are of rows, right by both, by one or by neither."
        )
        words.append(f"Methods: {'; '.join(METHODS[method] for method in METHODS if method in methods)}.")
        words += [sentence for one in comparisons for sentence in _left_out(one)]
    tables = [table for place, one in enumerate(comparisons) for table in _tables(one, place)]
    return Part("paired", "Paired comparison", words, tables, _figures(comparisons, styles))


def _left_out(one: Comparison) -> Iterator[str]:
    both = f"{one.second.name} and {one.first.name}"
    if one.left_out:
        yield f"Left out of {both}, since only one has them: {listed(one.left_out)}."
    if one.regrouped:
        yield f"Left out of {both}, since their members differ: {listed(one.regrouped)}."


def _tables(one: Comparison, place: int) -> list[Table]:
    head = [
        "", "metric", one.first.name, one.second.name, "difference", "95 % interval", "p", "p, Holm", "both",
        f"only {one.first.name}", f"only {one.second.name}", "neither",
    ]  # fmt: skip
    caption = f"{one.second.name} minus {one.first.name}"
    sections = [d for d in one.differences if d.first.depth <= 1]
    tables = [Table(caption, head, [_cells(d) for d in sections], [d.first.depth for d in sections])]
    if len(sections) < len(one.differences):
        rows = [_cells(d) for d in one.differences]
        depths = [d.first.depth for d in one.differences]
        tables.append(Table(f"{caption}: all scores", head, rows, depths, f"all {len(rows)} scores of {caption}"))
    return tables


def _cells(one: Difference) -> list[str]:
    write = percent if one.fraction else number
    test = one.test
    interval = (
        "not known"
        if test is None or not isfinite(test.low + test.high)
        else f"{signed(write(test.low))} to {signed(write(test.high))}"
    )
    values = [line.value for line in (one.first, one.second)]
    difference = "" if None in values else signed(write(values[1] - values[0]))
    counts = [f"{number:,}" for number in (one.both, one.only_first, one.only_second, one.neither)]
    scores = ["N/A" if value is None else write(value) for value in values]
    told = [p_value(test.p if test else None), p_value(one.adjusted)]
    return [label(one.first), one.first.metric, *scores, difference, interval, *told, *counts]


def _figures(comparisons: Sequence[Comparison], styles: Mapping[Path, int]) -> list[Exhibit]:
    """One figure of all differences of sections that are shares; `styles` are the runs' places on the page."""
    shown = labels(d.first for one in comparisons for d in one.differences if d.first.depth <= 1)
    series, told = [], []
    for one in comparisons:
        found = {
            shown[d.first.name]: d.test
            for d in one.differences
            if d.first.depth <= 1 and d.test and isfinite(d.test.low + d.test.high) and d.fraction
        }
        points = [
            (100 * found[name].difference, 100 * found[name].low, 100 * found[name].high) if name in found else None
            for name in shown.values()
        ]
        if found:
            series.append(plots.Series(one.second.name, styles[one.second.path], points))
            parts = [
                f"{name} {signed(percent(test.difference, 1))} ({percent(test.low, 1)} to {percent(test.high, 1)})"
                for name, test in found.items()
            ]
            told.append(f"{one.second.name}: {listed(parts, 8)}")
    if not series:
        return []
    title = f"Difference from {_baseline(comparisons)} in percentage points"
    text = plots.Text("paired-all", title, f"{'; '.join(told[:8])}.")
    svg = Markup(
        plots.dots(
            text, list(shown.values()), series, f"minus {_short(_baseline(comparisons))}, percentage points", zero=True
        )
    )
    caption = f"{title}, with 95 % intervals: right of 0 the model is better. {'; '.join(told[:8])}."
    return [Exhibit(svg, caption)]


def _baseline(comparisons: Sequence[Comparison]) -> str:
    names = {one.first.name for one in comparisons}
    return names.pop() if len(names) == 1 else "the first run with its tasks"


def _short(name: str) -> str:
    return name if len(name) <= 24 else "the first"


def agreement_part(runs: Sequence[Run]) -> Part | None:
    """Equal verdicts of each two runs; None where no two have rows in common."""
    rows = []
    for a, b in combinations([run for run in runs if run.has_logs], 2):
        try:
            pairs = [pair for task in a.tasks if task in b.tasks for pair in join(a, b, task)]
        except UserError:
            continue
        if found := agreement(pairs):
            kappa = "" if found.kappa is None else f"{found.kappa:.3f}".replace("-", MINUS)
            rows.append([f"{a.name} and {b.name}", f"{found.rows:,}", percent(found.equal), kappa])
    if not rows:
        return None
    words = (
        "Whether two models are right and wrong on the same rows. Cohen's kappa is 0 where they agree as often as two models of "
        "their accuracies would by chance, and 1 where they always do. Rows count alike."
    )
    table = Table("Agreement of verdicts", ["models", "rows", "equal verdicts, %", "Cohen's kappa"], rows)
    return Part("agreement", "Agreement", (words,), [table])
