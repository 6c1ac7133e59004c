"""The page: which parts it has, and its HTML."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from skywork_rb_plugin.commands.report.blocks import Table, count, listed
from skywork_rb_plugin.commands.report.made import made_part
from skywork_rb_plugin.commands.report.margins import Logged, calibration_part, lengths_part, margins_part
from skywork_rb_plugin.commands.report.paired import agreement_part, comparable, paired_part
from skywork_rb_plugin.commands.report.readings import Readings
from skywork_rb_plugin.commands.report.scores import benchmark_title, scored, scores_part
from skywork_rb_plugin.report.comparison import check_logs
from skywork_rb_plugin.report.results import Run
from skywork_rb_plugin.report.sections import sections
from skywork_rb_plugin.report.texts import in_a_line, shown

# in every page, so that the command knows what it may write over
MARK = '<meta name="generator" content="skywork-rb-plugin report">'


def page(runs: Sequence[Run], title: str | None, most: int) -> tuple[str, int]:
    """The page about runs.

    Args:
        runs: at least one.
        title: its heading; None: benchmarks and models.
        most: rows of each kind to read.

    Returns:
        its HTML; how many characters of each text are shown.

    Raises:
        UserError: a sample log is broken, not complete, or another run's.
    """
    for run in runs:
        check_logs(run)
    found = sections(runs)
    logs = [Logged(run, place, found) for place, run in enumerate(runs)]
    readings = Readings(runs, found, most)
    comparisons, reasons = comparable(runs)
    parts = [
        scores_part(runs),
        margins_part(logs),
        calibration_part(logs),
        lengths_part(logs),
        paired_part(comparisons, reasons, runs),
        agreement_part(runs),
        readings.hardest_part(),
        readings.only_part(),
        made_part(runs),
    ]
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent, encoding="utf-8"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: value if isinstance(value, Markup) else shown(str(value)),
    )
    html = environment.get_template("page.html.jinja").render(
        mark=Markup(MARK),
        title=in_a_line(title or title_of(runs)),
        overview=_overview(runs),
        notes=list(_notes(runs)),
        parts=[part for part in parts if part],
    )
    return html, readings.length


def title_of(runs: Sequence[Run]) -> str:
    """Benchmarks and models."""
    tops = [benchmark_title(scores) for scores in scored(runs).values()] or runs[0].tasks
    return f"{listed(tops, 3)}: {listed([run.name for run in runs], 3)}"


def _overview(runs: Sequence[Run]) -> Table:
    rows = [[run.name, run.model, run.date[:10], count(len(run.tasks), "task"), _logs(run)] for run in runs]
    return Table("The runs", ["run", "model", "date", "tasks", "sample logs"], rows, words=True)


def _logs(run: Run) -> str:
    return "all" if run.has_logs else f"of {count(_logged(run), 'task')}" if _logged(run) else "none"


def _logged(run: Run) -> int:
    return sum(run.log(task).is_file() for task in run.tasks)


def _notes(runs: Sequence[Run]) -> Iterator[str]:
    """What is missing, and how to have it."""
    without = [run.name for run in runs if not _logged(run)]
    if without:
        yield (
            f"Beside {listed(without)} the sample logs are missing: without them there are scores, but no margins, calibration, "
            "paired comparison or rows to read. Run again with --log_samples."
        )
    for run in runs:
        missing = [task for task in run.tasks if not run.log(task).is_file()]
        if run.name not in without and missing:
            yield (
                f"Of {run.name} the sample logs of {listed(missing, 3)} are missing: it is left out of paired comparison and "
                "agreement, and margins, calibration and rows to read are of its other tasks. Run again with --log_samples."
            )
