"""The page's margins, calibration and lengths: what the sample logs tell beside the scores."""

from collections.abc import Mapping, Sequence
from functools import cached_property

from markupsafe import Markup

from skywork_rb_plugin.commands.report.blocks import Exhibit, Part, Table, count, listed, number, percent
from skywork_rb_plugin.metrics.metric import Row as PreferenceRow
from skywork_rb_plugin.report import observed, plots
from skywork_rb_plugin.report.observed import Bin, Calibration, Lengths, Margins
from skywork_rb_plugin.report.results import Run
from skywork_rb_plugin.report.rows import Row
from skywork_rb_plugin.report.sections import Section

_QUANTILES = [f"{100 * quantile:g} %" for quantile in observed.QUANTILES]


class Logged:
    """What one run's logs tell, section by section; tasks without a log are left out.

    Attributes:
        run, style: the run, and its place among all.
        rows: of each section that has some.
    """

    def __init__(self, run: Run, style: int, sections: Sequence[Section]) -> None:
        self.run, self.style = run, style
        found = {section: _rows(run, section) for section in sections}
        self.rows: Mapping[Section, list[Row]] = {section: rows for section, rows in found.items() if rows}

    @cached_property
    def preference(self) -> Mapping[Section, list[PreferenceRow]]:
        """Rows with rewards, of each section that has some."""
        found = {section: observed.preference_rows(rows) for section, rows in self.rows.items()}
        return {section: rows for section, rows in found.items() if rows}

    @cached_property
    def pairs(self) -> list[PreferenceRow]:
        """All rows with rewards."""
        return [row for rows in self.preference.values() for row in rows]


def _rows(run: Run, section: Section) -> list[Row]:
    tasks = [task for task in section.tasks if task in run.tasks and run.log(task).is_file()]
    return [row for task in tasks for row in run.rows(task).values()]


def margins_part(logs: Sequence[Logged]) -> Part | None:
    """Margins by section, a figure for each run; None where no log has any."""
    exhibits = []
    for one in logs:
        found = {section.title: observed.margins(rows) for section, rows in one.rows.items()}
        found = {title: margins for title, margins in found.items() if margins}
        if found:
            exhibits.append(_margins(one, found))
    if not exhibits:
        return None
    words = (
        "A margin is the best reward of a preferred response minus the best of another: below 0 the row is wrong, and so it is "
        "at 0. Its unit is that of the model's rewards, so that widths of two models can't be compared. Rows count alike."
    )
    return Part("margins", "Margins", (words,), exhibits=exhibits)


def _margins(one: Logged, found: Mapping[str, Margins]) -> Exhibit:
    name = one.run.name
    rows = [
        [title, f"{m.rows:,}", *map(number, m.quantiles), percent(m.below / m.rows), percent(m.ties / m.rows)]
        for title, m in found.items()
    ]
    head = ["section", "rows", *_QUANTILES, "below 0, %", "at 0, %"]
    table = Table(f"Margins of {name}: quantiles", head, rows, folded="numbers")
    told = "; ".join(
        f"{title}: median {number(m.quantiles[2])}, {percent(m.below / m.rows, 1)} % below 0"
        for title, m in [*found.items()][:8]
    )
    caption = f"{name}: median (mark), half of the rows (thick line), 90 % of the rows (thin line). {told}."
    if not plots.drawable([value for m in found.values() for value in m.quantiles]):
        return Exhibit("", f"{name}: margins are too large to draw, or infinite. {told}.", table)
    text = plots.Text(f"margins-{one.style}", f"Margins of {name} by section", f"{told}.")
    return Exhibit(Markup(plots.spread(text, list(found), list(found.values()), one.style)), caption, table)


def calibration_part(logs: Sequence[Logged]) -> Part | None:
    """Confidence and accuracy; None where no row has exactly two responses."""
    found = [(one, numbers) for one in logs if (numbers := observed.calibration(one.pairs))]
    if not found:
        return None
    errors = [f"{one.run.name} {percent(numbers.error)} %" for one, numbers in found]
    told = f"Expected calibration error: {listed(errors, 8)}."
    text = plots.Text("calibration-all", "Accuracy by confidence", f"{told} {_sure(found)}")
    svg = Markup(plots.reliability(text, [(one.run.name, one.style, numbers) for one, numbers in found]))
    exhibit = Exhibit(svg, f"How often a verdict is right by how sure the model is of it. {told}", _calibration(found))
    words = (
        "If rewards were those of a Bradley-Terry model, a verdict with margin m would be right with probability sigmoid(|m|). "
        "The expected calibration error is how far accuracy is from that, the mean over 10 bins weighted by their rows (Guo et "
        "al. 2017, arXiv:1706.04599); it is the metric ece. Rows with exactly two responses; a tie is wrong."
    )
    return Part("calibration", "Calibration", (words,), exhibits=[exhibit])


def _sure(found: Sequence[tuple[Logged, Calibration]]) -> str:
    """The fullest bin of each run."""
    told = []
    for one, numbers in found[:8]:
        full = max(numbers.bins, key=lambda b: b.pairs)
        told.append(
            f"{one.run.name} is most often {percent(full.low, 0)} to {percent(full.high, 0)} % sure, "
            f"and then right in {percent(full.right, 1)} % of {count(full.pairs, 'row')}"
        )
    return f"{'; '.join(told)}."


def _calibration(found: Sequence[tuple[Logged, Calibration]]) -> Table:
    head = ["confidence, %"]
    for one, _ in found:
        head += [f"{one.run.name}: rows", "mean confidence, %", "right, %"]
    rows = []
    for bins in zip(*(numbers.bins for _, numbers in found), strict=True):
        cells = [cell for b in bins for cell in (f"{b.pairs:,}", percent(b.mean), percent(b.right))]
        rows.append([f"{percent(bins[0].low, 0)} to {percent(bins[0].high, 0)}", *cells])
    return Table("Calibration: numbers of rows and accuracy by confidence", head, rows, folded="numbers")


def lengths_part(logs: Sequence[Logged]) -> Part | None:
    """Accuracy by difference of length; None where no log has rewards."""
    found = [(one, observed.by_length(one.pairs)) for one in logs if one.pairs]
    if not found:
        return None
    tables = [_lengths(one) for one, _ in found]
    drawn = [(one.run.name, one.style, bins) for one, bins in found]
    told = f"{'; '.join(_lean(one) for one, _ in found[:8])}."
    text = plots.Text("lengths-all", "Accuracy by difference of length", told)
    exhibit = Exhibit(
        Markup(plots.by_length(text, drawn)),
        f"Right verdicts by how much longer the preferred response is. {told}",
        _bins(found),
    )
    words = (
        "Preferring the longest response, without reading any, gets what stands under “longest”: a model that does well only "
        "where the preferred response is longer (“if longer”) has learnt little else. The figure counts pairs of a preferred and another "
        "response; those of equal length are left out of it. Lengths are in characters; rows count alike, without the "
        "benchmark's weights."
    )
    return Part("lengths", "Length", (words,), tables, [exhibit])


def _lean(one: Logged) -> str:
    numbers = observed.lengths(one.pairs)
    longer, shorter = (percent(value, 1) or "none" for value in (numbers.if_longer, numbers.if_shorter))
    return (
        f"{one.run.name} is right in {longer} % of rows where the preferred response is longer and in {shorter} % where it is "
        f"shorter, {percent(numbers.right, 1)} % of all; the longest is right in {percent(numbers.by_length, 1)} %"
    )


def _lengths(one: Logged) -> Table:
    groups = {section.title: observed.lengths(rows) for section, rows in one.preference.items()}
    if len(groups) > 1:
        groups["all rows"] = observed.lengths(one.pairs)
    head = ["section", "rows", "right, %", "longest, %", "if longer, %", "if shorter, %"]
    return Table(
        f"{one.run.name} beside the length of responses", head, [[title, *_cells(n)] for title, n in groups.items()]
    )


def _cells(numbers: Lengths) -> list[str]:
    shares = (numbers.right, numbers.by_length, numbers.if_longer, numbers.if_shorter)
    return [f"{numbers.rows:,}", *map(percent, shares)]


def _bins(found: Sequence[tuple[Logged, Sequence[Bin]]]) -> Table:
    head = ["longer by, characters"]
    for one, _ in found:
        head += [f"{one.run.name}: pairs", "right, %"]
    rows = []
    for bins in zip(*(bins for _, bins in found), strict=True):
        cells = [cell for b in bins for cell in (f"{b.pairs:,}", percent(b.right))]
        rows.append([_range(bins[0]), *cells])
    return Table("Pairs by difference of length", head, rows, folded="numbers")


def _range(one: Bin) -> str:
    low, high = (number(edge).replace("∞", "") for edge in (one.low, one.high))
    if one.low == float("-inf"):
        return f"below {high}"
    if one.high == float("inf"):
        return f"above {low}"
    return f"{low} to {high}"
