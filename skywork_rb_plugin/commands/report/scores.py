"""The page's scores: each benchmark's lines of all runs side by side, and what was published."""

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from skywork_rb_plugin.commands.report.blocks import Exhibit, Part, Table, count, listed, number, percent
from skywork_rb_plugin.metrics.table import is_share
from skywork_rb_plugin.report import plots
from skywork_rb_plugin.report.lines import Line, lines_of
from skywork_rb_plugin.report.published import Standing, is_full, own_standing, standings
from skywork_rb_plugin.report.results import Run
from skywork_rb_plugin.report.sections import label

# standard errors on either side of a score: 95 %
REACH = 1.96


@dataclass(frozen=True)
class Scored:
    """A score of several runs: a line of each that has it.

    Attributes:
        label: its name, without its benchmark's.
        lines: by the place of the run.
        depth: of the benchmark's own score 0.
    """

    benchmark: str
    label: str
    lines: dict[int, Line]
    depth: int

    @property
    def first(self) -> Line:
        """Of the first run that has it."""
        return next(iter(self.lines.values()))

    @property
    def in_percent(self) -> bool:
        """Whether it is a share, in all runs."""
        return is_share(self.first.metric, [line.value for line in self.lines.values()])

    def written(self, value: float | None) -> str:
        """A value as it is shown."""
        return percent(value) if self.in_percent else number(value)


def scored(runs: Sequence[Run]) -> dict[str, list[Scored]]:
    """Each benchmark's scores, in the order of the first run that has each; tasks of no group stand together, under ""."""
    found: dict[str, dict[tuple, Scored]] = {}
    for place, run in enumerate(runs):
        for line in lines_of(run):
            benchmark = line.path[0] if line.path else "" if line.is_task else line.name
            one = found.setdefault(benchmark, {}).setdefault(
                (line.name, line.metric, line.filter), Scored(benchmark, label(line), {}, line.depth)
            )
            one.lines[place] = line
    return {benchmark: list(scores.values()) for benchmark, scores in found.items()}


def scores_part(runs: Sequence[Run]) -> Part | None:
    """All benchmarks; None where no run has a score."""
    parts = [_benchmark(f"scores-{place}", runs, scores) for place, scores in enumerate(scored(runs).values(), start=1)]
    if not parts:
        return None
    words = (
        "Shares are in percent. ± is the standard error; bars in the figures are 95 % intervals, ±1.96 standard errors, "
        "which say how sure a score is by itself. Whether one model is better than another is told by the paired comparison."
    )
    return Part("scores", "Scores", (words,), parts=parts)


def _benchmark(name: str, runs: Sequence[Run], scores: Sequence[Scored]) -> Part:
    top = scores[0]
    benchmark = top.benchmark
    title = benchmark_title(scores)
    published = [
        (place, own) for place, run in enumerate(runs) if place in top.lines and (own := own_standing(run, benchmark))
    ]
    sections = [score for score in scores if score.depth <= 1]
    words = [words for words in (_of_part(runs, scores), _sources(runs, published)) if words]
    tables = [_table(f"{title}: {_metrics(scores)}", runs, sections, published)]
    exhibits = _figure(
        f"{name}-sections", "Scores by section" if len(sections) > 1 else "Score", runs, sections, published
    )
    if len(sections) < len(scores):
        tables.append(_table(f"{title}: all scores", runs, scores, published, f"all {count(len(scores), 'score')}"))
        for place, (section, inside) in enumerate(_by_section(scores).items(), start=1):
            exhibits += _figure(f"{name}-{place}", f"Scores within {section}", runs, inside, [])
    if placed := _standings(runs, top):
        tables.append(placed)
    return Part(name, title, words, tables, exhibits)


def benchmark_title(scores: Sequence[Scored]) -> str:
    """A benchmark's title."""
    return scores[0].label if scores[0].benchmark or len(scores) == 1 else "Tasks"


def _by_section(scores: Sequence[Scored]) -> dict[str, list[Scored]]:
    """What lies below each section that has parts, by the section's label; they follow it."""
    found: dict[str, list[Scored]] = {}
    for score in scores:
        if score.depth <= 1:
            section = score.label
        else:
            found.setdefault(section, []).append(score)
    return found


def _places(scores: Sequence[Scored]) -> list[int]:
    """Of the runs that have any of them."""
    return sorted({place for score in scores for place in score.lines})


def _metrics(scores: Sequence[Scored]) -> str:
    return listed(list(dict.fromkeys(score.first.metric for score in scores)))


def _of_part(runs: Sequence[Run], scores: Sequence[Scored]) -> str:
    """That scores are of a part of the data, where they are."""
    limited = []
    for place in _places(scores):
        tasks = [score.lines[place].name for score in scores if place in score.lines and score.lines[place].is_task]
        sizes = [runs[place].data.get("n-samples", {}).get(task) or {} for task in tasks]
        used, there = (sum(size.get(key) or 0 for size in sizes) for key in ("effective", "original"))
        if used < there:
            limited.append(f"{runs[place].name} ({used:,} of {there:,})")
    return f"Only a part of the rows was evaluated, so that scores are estimates: {listed(limited)}." if limited else ""


def _sources(runs: Sequence[Run], published: Sequence[tuple[int, Standing]]) -> str:
    if not published:
        return ""
    told = [f"{runs[place].name}: {_published_with(own)}" for place, own in published]
    return (
        f"Published scores stand beside a run's own as they were published; none was measured here. {'; '.join(told)}."
    )


def _published_with(own: Standing) -> str:
    settings = "".join(f", {key} {value}" for key, value in own.settings.items())
    return f"{own.model}, {own.source}{settings}"


def _table(
    caption: str,
    runs: Sequence[Run],
    scores: Sequence[Scored],
    published: Sequence[tuple[int, Standing]],
    folded: str | None = None,
) -> Table:
    places = _places(scores)
    head = ["", "metric", "rows", *(runs[place].name for place in places)]
    head += [f"{runs[place].name}, as published" for place, _ in published]
    rows = []
    for score in scores:
        cells = [_written(score, score.lines.get(place)) for place in places]
        cells += [_percent_of(own.of(score.first, score.benchmark)) for _, own in published]
        arrow = "" if score.first.higher_is_better else " ↓"
        chosen = "" if score.first.filter == "none" else f", {score.first.filter}"
        rows.append([score.label, f"{score.first.metric}{chosen}{arrow}", _rows(runs, score), *cells])
    return Table(caption, head, rows, [score.depth for score in scores], folded)


def _written(score: Scored, line: Line | None) -> str:
    if line is None:
        return ""
    if line.value is None:
        return "N/A"
    error = "" if line.error is None else f" ± {score.written(line.error)}"
    return f"{score.written(line.value)}{error}"


def _percent_of(value: float | None) -> str:
    return "" if value is None else f"{value:g}"


def _rows(runs: Sequence[Run], score: Scored) -> str:
    sizes = {runs[place].data["results"][score.first.name].get("sample_len") for place in score.lines}
    return " or ".join(f"{size:,}" for size in sorted(size for size in sizes if isinstance(size, int)))


def _figure(
    name: str, title: str, runs: Sequence[Run], scores: Sequence[Scored], published: Sequence[tuple[int, Standing]]
) -> list[Exhibit]:
    """None where an axis has no place for the values."""
    in_percent = all(score.in_percent for score in scores)
    times = 100 if in_percent else 1
    series = []
    for place, run in enumerate(runs):
        points = [_point(score.lines.get(place), times) for score in scores]
        if any(points):
            series.append(plots.Series(run.name, place, points))
    values = [value for one in series for point in one.points if point for value in point]
    intervals = ", with 95 % intervals" if any(p and p[1] < p[2] for one in series for p in one.points) else ""
    if len(values) < 6 or not plots.drawable(values) or len({score.first.metric for score in scores}) > 1:
        return []
    if in_percent:
        for place, own in published:
            found = [own.of(score.first, score.benchmark) for score in scores]
            points = [None if value is None else (value, value, value) for value in found]
            series.append(plots.Series(f"{runs[place].name}, as published", place, points, published=True))
    labels = [score.label for score in scores]
    metric = scores[0].first.metric
    sign = "%" if in_percent else ""
    told, shortly = (_in_words(labels, series, sign, most) for most in (10, 2))
    text = plots.Text(name, title, told)
    svg = Markup(plots.dots(text, labels, series, f"{metric}, %" if in_percent else metric))
    return [Exhibit(svg, f"{title}: {metric}{' in percent' if in_percent else ''}{intervals}. {shortly}")]


def _point(line: Line | None, times: float) -> tuple[float, float, float] | None:
    if line is None or line.value is None:
        return None
    reach = REACH * (line.error or 0)
    return tuple(times * value for value in (line.value, line.value - reach, line.value + reach))


def _in_words(labels: Sequence[str], series: Sequence[plots.Series], sign: str, most: int) -> str:
    """Each run's numbers where there are no more than `most`, else its highest and its lowest."""
    told = []
    for one in series:
        known = [(point[0], label) for point, label in zip(one.points, labels, strict=True) if point]
        if len(known) > most:
            known = [max(known, key=lambda pair: pair[0]), min(known, key=lambda pair: pair[0])]
            told.append(f"{one.name} from {_pair(known[1], sign)} to {_pair(known[0], sign)}")
        elif known:
            told.append(f"{one.name}: {', '.join(_pair(pair, sign) for pair in known)}")
    return f"{'; '.join(told)}." if len(told) <= 8 else f"{'; '.join(told[:8])}; and {len(told) - 8} more runs."


def _pair(pair: tuple[float, str], sign: str) -> str:
    value, label = pair
    return f"{label} {f'{value:.1f}' if sign else number(value)}{sign and f' {sign}'}"


def _standings(runs: Sequence[Run], top: Scored) -> Table | None:
    """Where runs of all rows would stand among the published scores."""
    known = [(one.score, one.model, one.source) for one in standings(top.benchmark) if one.score is not None]
    if not known or not top.in_percent:
        return None
    own = [
        (100 * line.value, runs[place].name, "this report")
        for place, line in top.lines.items()
        if line.value is not None and is_full(runs[place], line)
    ]
    ranked = sorted([*known, *own], key=lambda one: (-one[0], one[1]))
    rows = [
        [model, f"{score:.2f}" if source == "this report" else f"{score:g}", source] for score, model, source in ranked
    ]
    return Table(
        f"{top.label}: published scores, none measured here" + (", and those of this report" if own else ""),
        ["model", "score, %", "source"],
        rows,
        folded=f"published scores of {count(len(known), 'model')}",
        words=True,
    )
