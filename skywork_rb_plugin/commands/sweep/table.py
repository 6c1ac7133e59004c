"""The scores of a sweep: a row for each checkpoint."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from skywork_rb_plugin.commands.report.scores import scored
from skywork_rb_plugin.report.results import read_runs
from skywork_rb_plugin.report.texts import in_a_line


def print_table(results: Mapping[str, Path]) -> None:
    """Print what was asked for: groups, and tasks of no group; shares in percent, with standard errors.

    Args:
        results: results files by the names of their checkpoints.
    """
    if not results:
        return
    runs = [replace(run, name=name) for name, run in zip(results, read_runs(results.values()), strict=True)]
    columns = [score for scores in scored(runs).values() for score in scores if score.depth == 0]
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for head in ("", *(f"{score.first.name} {score.first.metric}{' %' * score.in_percent}" for score in columns)):
        table.add_column(Text(in_a_line(head)), justify="right" if head else "left", no_wrap=True)
    for place, run in enumerate(runs):
        lines = [score.lines.get(place) for score in columns]
        cells = [
            ""
            if line is None
            else score.written(line.value) + (f" ± {score.written(line.error)}" if line.error else "")
            for score, line in zip(columns, lines, strict=True)
        ]
        table.add_row(*map(Text, [in_a_line(run.name), *cells]))
    console = Console(markup=False, highlight=False, emoji=False)
    console.width = max(console.width, console.measure(table).maximum)  # lines are never cut
    console.print(table)
