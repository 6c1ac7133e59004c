"""`--in`: which parts of the benchmarks are compared."""

import difflib
from collections.abc import Callable, Iterable, Sequence
from fnmatch import fnmatchcase

from skywork_rb_plugin.errors import UserError
from skywork_rb_plugin.report.lines import Line, lines_of
from skywork_rb_plugin.report.results import Run
from skywork_rb_plugin.tasks.full_scores import section_name


def chooser(patterns: Iterable[str], runs: Sequence[Run], metric: str | None) -> Callable[[Line], bool]:
    """What says of a line whether it or a group that it lies in is among `patterns`: titles, names or globs, in any case.

    Raises:
        UserError: a pattern that no line of any run has.
    """
    lines = {line.name: line for run in runs for line in lines_of(run, metric)}
    names = {name: _called(line) for name, line in lines.items()}
    chosen = set()
    for pattern in patterns:
        wanted = pattern.strip().lower()
        matching = {name for name, mine in names.items() if wanted in mine}
        matching |= {name for name, mine in names.items() if any(fnmatchcase(one, wanted) for one in mine)}
        if not matching:
            titles = {title.lower(): title for line in lines.values() for title in (line.title, short_name(line))}
            near = [titles[one] for one in difflib.get_close_matches(wanted, titles, 3)]
            expected = near or [line.title for line in lines.values() if not line.is_task] or list(lines)
            raise UserError(
                f"--in: found no section or task {pattern!r} in these runs, expected one such as {', '.join(expected[:5])}"
            )
        chosen |= matching
    return lambda line: line.name in chosen or not chosen.isdisjoint(line.path)


def _called(line: Line) -> set[str]:
    """All that a line may be called, in lower case: as in the tables, and as tags are, such as `rewardbench_chat_hard`."""
    found = {part.lower() for part in (line.name, line.title, short_name(line))}
    tag = line.title.lower().replace(" ", "_")
    return {*found, tag, f"{line.path[0]}_{tag}".lower()} if line.path else {*found, tag}


def short_name(line: Line) -> str:
    """A group's title; a task's title without the name of the benchmark that it lies in."""
    if not line.is_task or not line.path:
        return line.title
    return section_name(line.path[0], line.title).removeprefix(f"{line.path[0]}-")
