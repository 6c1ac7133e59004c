"""A comparison for a terminal: plain where it is piped, and in ASCII where the locale asks for it."""

import sys
from collections.abc import Callable, Iterator, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from skywork_rb_plugin.commands.compare.choice import short_name
from skywork_rb_plugin.commands.compare.examples import show_rows
from skywork_rb_plugin.commands.compare.found import Found, Pair
from skywork_rb_plugin.commands.compare.words import (
    ALPHA,
    beneath,
    conclusions,
    estimates,
    missed,
    number,
    probability,
    published,
)
from skywork_rb_plugin.report.evidence import Difference
from skywork_rb_plugin.report.texts import in_a_line, shown

# the tables' columns; from so many on all is one table
_NARROW, _WIDE = 80, 110
# a setting's values in more characters are cut
_SETTING = 240


def show(found: Found) -> None:
    """Print it."""
    # every text is a Text or without markup: what stands in brackets is no style
    console = Console(file=sys.stdout, markup=False, highlight=False, emoji=False)
    console.width = max(console.width, _NARROW)
    for label, run in found.runs.items():
        console.print(Text(f"{label}  {in_a_line(run.name)}", style="bold"))
        console.print(Text(f"   {shown(str(run.path))}"), soft_wrap=True)
    for pair in found.pairs:
        console.print()
        for title, differences in _benchmarks(pair):
            console.print(
                Text(f"{in_a_line(title)}: {pair.labels[0]} and {pair.labels[1]}, {_unit(differences)}", style="bold")
            )
            for table in _tables(differences, pair, console):
                console.print(table)
                console.print()
        for sentence in conclusions(pair, found.tests):
            console.print(Text(in_a_line(sentence), style="bold"))
        for sentence in beneath(pair):
            console.print(Text(in_a_line(sentence)))
        if pair.comparison.left_out:
            names = pair.comparison.left_out
            more = f" and {len(names) - 5} more" if len(names) > 5 else ""
            console.print(Text(in_a_line(f"Left out, since only one has them: {', '.join(names[:5])}{more}.")))
        if names := pair.comparison.regrouped:
            console.print(Text(in_a_line(f"Left out, since their members differ: {', '.join(names)}.")))
        show_rows(pair, console)
    console.print()
    for sentence in [*missed(found), *estimates(found)]:
        console.print(Text(in_a_line(sentence)))
    for line in _differing(found):
        console.print(Text(line))
    for sentence in published(found):
        console.print(Text(in_a_line(sentence)))


def _differing(found: Found) -> Iterator[str]:
    if not found.differing:
        yield "The runs were made with the same settings, as far as these decide scores."
        return
    yield f"What differs in how the runs were made ({' | '.join(found.runs)}):"
    for one in found.differing:
        line = in_a_line(str(one))
        yield f"  {line[:_SETTING]}{f'... ({len(line) - _SETTING} characters more)' if len(line) > _SETTING else ''}"


def _benchmarks(pair: Pair) -> Iterator[tuple[str, list[Difference]]]:
    """The lines by benchmark, those of a chosen part by that; tasks of no group, or chosen alone, together."""
    found: dict[str, list[Difference]] = {}
    roots = {one.first.name: one.first for one in pair.roots}
    for one in pair.comparison.differences:
        root = next(roots[name] for name in (*one.first.path, one.first.name) if name in roots)
        found.setdefault("Tasks" if root.is_task else root.title, []).append(one)
    yield from found.items()


def _unit(differences: Sequence[Difference]) -> str:
    metrics = dict.fromkeys(one.first.metric for one in differences)
    unit = " in percent" if all(one.fraction for one in differences) else ""
    less = ", less is better" if not any(one.first.higher_is_better for one in differences) else ""
    return f"{in_a_line(', '.join(metrics))}{unit}{less}"


def _tables(differences: Sequence[Difference], pair: Pair, console: Console) -> Iterator[Table]:
    a, b = pair.labels
    plus_minus = "±" if console.encoding.startswith("utf") else "+-"
    scores = [a, b, f"{b}-{a}", "95 % interval", "p", "adjusted"]
    rows = ["both right", f"only {a}", f"only {b}", "none right"]
    if console.width >= _WIDE:
        yield _table([*scores, *rows], differences, lambda one: [*_scores(one, plus_minus), *_rows(one)])
    else:
        yield _table(scores, differences, lambda one: _scores(one, plus_minus))
        yield _table(rows, differences, _rows)


def _table(head: Sequence[str], differences: Sequence[Difference], cells: Callable[[Difference], list[str]]) -> Table:
    table = Table(box=None, pad_edge=False, show_edge=False, padding=(0, 1, 0, 0), header_style="bold")
    table.add_column("", overflow="fold")
    for name in head:
        table.add_column(Text(name), justify="right", no_wrap=True)
    shallowest = min(one.first.depth for one in differences)
    several = len({(one.first.metric, one.first.filter) for one in differences}) > 1
    for one in differences:
        indent, name = " " * (one.first.depth - shallowest), short_name(one.first)
        if several:
            name += f" ({one.first.metric}{'' if one.first.filter == 'none' else ', ' + one.first.filter})"
        sure = one.adjusted is not None and one.adjusted < ALPHA
        table.add_row(Text(indent + in_a_line(name)), *map(Text, cells(one)), style="bold" if sure else "")
    return table


def _scores(one: Difference, plus_minus: str) -> list[str]:
    scores = [
        number(line.value, one.fraction) + ("" if line.error is None else plus_minus + number(line.error, one.fraction))
        for line in (one.first, one.second)
    ]
    if None in (one.first.value, one.second.value):
        return [*scores, "", "", "", ""]
    difference = number(one.second.value - one.first.value, one.fraction, signed=True)
    if one.test is None:
        return [*scores, difference, "", "", ""]
    low, high = (number(end, one.fraction) for end in (one.test.low, one.test.high))
    return [*scores, difference, f"{low} to {high}", probability(one.test.p), probability(one.adjusted)]


def _rows(one: Difference) -> list[str]:
    counts = (one.both, one.only_first, one.only_second, one.neither)
    # of some scores no row is right or wrong
    return [str(count) if any(counts) else "" for count in counts]
