"""A comparison in words and numbers for people."""

from collections.abc import Iterator

from skywork_rb_plugin.commands.compare.choice import short_name
from skywork_rb_plugin.commands.compare.found import Found, Pair
from skywork_rb_plugin.report.evidence import Difference
from skywork_rb_plugin.report.lines import Line
from skywork_rb_plugin.report.published import is_full, own_standing, standings
from skywork_rb_plugin.report.results import Run

# below it chance is no likely explanation
ALPHA = 0.05
# more conclusions than these are told apart only where there is one
_CONCLUSIONS = 6


def number(value: float | None, fraction: bool, signed: bool = False) -> str:
    """A score in percent, or as it is where it is no fraction."""
    if value is None:
        return "N/A"
    shown = f"{100 * value:+.1f}" if fraction else f"{value:+.3g}"
    # what rounds to zero has no sign
    return shown if signed and float(shown) else shown.removeprefix("+") if float(shown) else shown[1:]


def probability(p: float) -> str:
    """Two digits, as many as a p-value bears."""
    return "<0.0001" if p < 0.0001 else f"{p:.4f}" if p < 0.001 else f"{p:.2g}"


def _equals(p: float) -> str:
    shown = probability(p)
    return f"< {shown[1:]}" if shown.startswith("<") else f"= {shown}"


def conclusions(pair: Pair, tests: int) -> Iterator[str]:
    """A sentence for each benchmark or chosen part; of many only those that show a difference, and one for the rest."""
    roots = pair.roots
    if len(roots) <= _CONCLUSIONS:
        yield from (conclusion(one, pair, tests) for one in roots)
        return
    telling = [one for one in roots if one.test and one.test.p < ALPHA]
    yield from (conclusion(one, pair, tests) for one in telling)
    rest = [one for one in roots if one not in telling]
    for tested, says in ((True, "Can't be told apart in"), (False, "Whether it is chance the rows do not tell in")):
        if names := [short_name(one.first) for one in rest if (one.test is not None) == tested]:
            yield f"{says} {', '.join(names)}."


def conclusion(one: Difference, pair: Pair, tests: int) -> str:
    """Which of two runs is better, by how much, and whether that may be chance."""
    title, labels = one.first.title, pair.labels
    runs = (pair.comparison.first, pair.comparison.second)
    names = [f"{label} ({run.name})" for label, run in zip(labels, runs, strict=True)]
    if one.first.value is None or one.second.value is None:
        without = [name for name, line in zip(names, (one.first, one.second), strict=True) if line.value is None]
        return f"{title}: {' and '.join(without)} has no {one.first.metric} here (N/A), so there is nothing to compare."
    better, worse = names[::-1] if one.gain > 0 else names
    unit = " points" if one.fraction else f" in {one.first.metric}"
    by = f"{number(abs(one.gain), one.fraction)}{unit}" + (
        "" if one.first.higher_is_better else ", where less is better"
    )
    if one.test is None:
        if not one.gain:
            return f"{title}: {names[0]} and {names[1]} score the same."
        return f"{title}: {better} scores better than {worse} by {by}; whether that is chance the rows do not tell."
    low, high = one.test.low, one.test.high
    if one.test.difference < 0:
        low, high = -high, -low
    interval = f"95 % interval {number(low, one.fraction)} to {number(high, one.fraction)}"
    both = f"p {_equals(one.test.p)}" + (f", adjusted for {tests} tests {_equals(one.adjusted)}" if tests > 1 else "")
    if one.adjusted < ALPHA:
        return f"{title}: {better} is better than {worse}, by {by} ({interval}). Chance hardly explains it: {both}."
    if one.test.p < ALPHA:
        return (
            f"{title}: {better} scores better than {worse}, by {by} ({interval}). Taken alone that would hardly be chance, "
            f"but among {tests} tests it may be: {both}. This does not settle which is better."
        )
    if not one.gain:
        return f"{title}: {names[0]} and {names[1]} can't be told apart: they score the same ({interval}; {both})."
    may_be = "which may well be chance" if low <= 0 else "which may be chance by the test, though not by the interval"
    return (
        f"{title}: {names[0]} and {names[1]} can't be told apart. {labels[one.gain > 0]} scores better by {by} ({interval}), "
        f"{may_be}: {both}."
    )


def beneath(pair: Pair) -> Iterator[str]:
    """The parts of what was asked for in which one run is better, where there are any."""
    below = [one for one in pair.comparison.differences if one not in pair.roots]
    sure = [one for one in below if one.adjusted is not None and one.adjusted < ALPHA]
    for label, better in zip(pair.labels, (False, True), strict=True):
        if told := [f"{short_name(one.first)} ({_by(one)})" for one in sure if (one.gain > 0) == better]:
            yield f"{label} is better in {', '.join(told)}: chance hardly explains that, p adjusted for all tests."


def _by(one: Difference) -> str:
    return number(abs(one.gain), one.fraction)


def missed(found: Found) -> Iterator[str]:
    """How many rows no run has right."""
    for line, count, rows in found.missed if len(found.missed) <= _CONCLUSIONS else ():
        everyone = "Both runs" if len(found.runs) == 2 else f"All {len(found.runs)} runs"
        yield f"{everyone} miss {count} of {rows} rows of {line.title}."


def estimates(found: Found) -> Iterator[str]:
    """Which runs saw a part of the rows only."""
    for label, run in found.runs.items():
        counts = [one for one in (run.data.get("n-samples") or {}).values() if isinstance(one, dict)]
        seen, full = (sum(one.get(kind) or 0 for one in counts) for kind in ("effective", "original"))
        if 0 < seen < full:
            yield f"{label} is an estimate: {seen} of {full} rows were evaluated (--limit or --samples)."


def published(found: Found) -> Iterator[str]:
    """What was published of a run's model, and where the run would stand; of runs of all official rows only."""
    lines = {(pair.labels[side], line.name): line for pair in found.pairs for one in pair.comparison.differences
             for side, line in enumerate((one.first, one.second))}  # fmt: skip
    for label, run in found.runs.items():
        mine = [line for (owner, _), line in lines.items() if owner == label]
        for benchmark in dict.fromkeys(line.path[0] if line.path else line.name for line in mine):
            yield from _published(label, run, benchmark, mine)


def _published(label: str, run: Run, benchmark: str, lines: list[Line]) -> Iterator[str]:
    full = [
        line for line in lines if benchmark in (line.name, *line.path) and line.value is not None and is_full(run, line)
    ]
    if (own := own_standing(run, benchmark)) is not None:
        beside = [(line, own.of(line, benchmark)) for line in full]
        told = [f"{line.title} {score:g} (here {100 * line.value:.1f})" for line, score in beside if score is not None]
        if told:
            yield f"Published of {label}, not measured here: {', '.join(told)}; {own.source}."
    others = [one for one in standings(benchmark) if one.score is not None]
    for line in full:
        if line.name == benchmark and others:
            above = [one for one in others if one.score > 100 * line.value]
            next_best = f", after {above[-1].model} ({above[-1].score:g})" if above else ""
            yield (
                f"Among the {len(others)} models with a published {line.title} score that this plugin knows, {label} with "
                f"{100 * line.value:.1f} would be number {len(above) + 1}{next_best}."
            )
