"""Benchmarks and their sections, as the runs have them: which tasks are shown together."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from skywork_rb_plugin.report.lines import Line, lines_of
from skywork_rb_plugin.report.results import Run
from skywork_rb_plugin.tasks.full_scores import section_name


@dataclass(frozen=True)
class Section:
    """A member of a benchmark's group, with all tasks below it; or a task of no group.

    Attributes:
        benchmark: name of the outermost group, or of the task.
        name: of the section's group or task; the benchmark's own where it has no parts.
        title: as of `labels`.
        tasks: names.
    """

    benchmark: str
    name: str
    title: str
    tasks: tuple[str, ...]


def label(line: Line) -> str:
    """What a line is called beside its benchmark: its title, or its name without the benchmark's."""
    return section_name((*line.path, line.name)[0], line.name) if line.title == line.name else line.title


def labels(lines: Iterable[Line]) -> dict[str, str]:
    """What lines are called side by side, by their names: with the benchmark before it where two have a line of that label."""
    named = {line.name: line for line in lines}
    several = Counter(label(line) for line in named.values())
    found = {}
    for name, line in named.items():
        top = named.get(line.path[0]) if line.path else None
        found[name] = f"{top.title}: {label(line)}" if top and several[label(line)] > 1 else label(line)
    return found


def sections(runs: Sequence[Run]) -> list[Section]:
    """All sections of all runs, in the order of the first run that has each."""
    tasks: dict[tuple[str, str], dict[str, None]] = {}
    lines_of_each = [lines_of(run) for run in runs]
    titles = labels(line for lines in lines_of_each for line in lines)
    for run, lines in zip(runs, lines_of_each, strict=True):
        chains = [(*line.path, line.name) for line in lines if line.is_task]
        shown = {chain[-1] for chain in chains}
        # tasks without a score, as of --predict_only, have no line
        chains += [(task,) for task in run.tasks if task not in shown]
        for chain in chains:
            tasks.setdefault((chain[0], chain[min(1, len(chain) - 1)]), {})[chain[-1]] = None
    return [
        Section(benchmark, name, titles.get(name, name), tuple(members)) for (benchmark, name), members in tasks.items()
    ]
