"""Rows on which two runs differ, readable on a terminal."""

import math
from collections.abc import Iterator

from rich.console import Console
from rich.text import Text

from skywork_rb_plugin.commands.compare.found import Differs, Pair
from skywork_rb_plugin.report.rows import Row
from skywork_rb_plugin.report.texts import in_a_line, shown

# lines shown of a text
_LINES = 8


def show_rows(pair: Pair, console: Console) -> None:
    """Print the pair's rows."""
    for place, row in enumerate(pair.rows, start=1):
        console.print()
        right = pair.labels[0] if row.first_is_right else pair.labels[1]
        title = f"Row {place} of {len(pair.rows)}: only {right} is right ({row.first.task}, row {row.first.doc_id})"
        console.print(Text(in_a_line(title), style="bold"))
        for label, mine, is_right in zip(
            pair.labels, (row.first, row.second), (row.first_is_right, not row.first_is_right), strict=True
        ):
            console.print(Text(f"  {label}: {in_a_line(_said(mine, is_right, row.line.filter))}"))
        for heading, text in _texts(row, pair.labels):
            console.print(Text(f"  {heading}", style="italic"))
            beginning, more = cut(text.rstrip(), console.width - 4)
            for line in Text(beginning).wrap(console, console.width - 4):
                console.print(Text("    ") + line)
            if more:
                console.print(Text(f"    ... ({more:,} characters more)", style="italic"))


def cut(text: str, width: int) -> tuple[str, int]:
    """The beginning of a text, harmless on a terminal, in some lines of `width`; and how many characters more there are."""
    lines, left, room = [], len(text), _LINES
    for line in text.split("\n"):
        if room <= 0:
            break
        kept = line[: room * width]
        left -= len(kept) + (kept == line)
        room -= max(1, math.ceil(len(kept) / width))
        lines.append(shown(kept.removesuffix("\r").expandtabs(4)))
    return "\n".join(lines), max(left, 0)


def _said(row: Row, right: bool, chosen: str) -> str:
    """What a run made of a row, in a line."""
    told = {name: row.note[name] for name in ("margin", "verdicts", "prediction", "label") if name in row.note}
    told = told or {metric: value for (metric, other), value in row.values.items() if other == chosen}
    values = (f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}" for name, value in told.items())
    return ", ".join(["right" if right else "wrong", *values])


def _texts(row: Differs, labels: tuple[str, str]) -> Iterator[tuple[str, str]]:
    """Headings and texts: the prompt, then each response with both rewards, or each run's own answers."""
    (prompt, first), (_, second) = (one.texts(row.line.filter) for one in (row.first, row.second))
    yield "prompt:", prompt
    if "prediction" in row.first.note:  # of ProcessBench: each request goes on where the one before ended
        first, second = first[-1:], second[-1:]
    if first != second:
        for label, answers in zip(labels, (first, second), strict=True):
            for answer in answers:
                yield f"{label}'s answer:", answer
        return
    preferred = row.first.note.get("preferred") or ()
    rewards = [row.first.note.get("rewards") or (), row.second.note.get("rewards") or ()]
    for place, response in enumerate(first):
        marks = ["preferred"] if place in preferred else ["not preferred"] if preferred else []
        if all(place < len(some) for some in rewards):
            marks.append(", ".join(f"{label} {some[place]:.4g}" for label, some in zip(labels, rewards, strict=True)))
        yield f"response {place + 1}{' (' + '; '.join(marks) + ')' if marks else ''}:", response
