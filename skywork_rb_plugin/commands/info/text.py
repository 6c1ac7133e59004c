"""The benchmarks as text for a terminal, and as plain data for JSON."""

import shutil
import textwrap
from collections.abc import Sequence

from skywork_rb_plugin.commands.info.benchmarks import Catalogue, Group, Task
from skywork_rb_plugin.commands.info.data_state import STATES

# a list with more members is summed up
_LISTED = 10


def overview(catalogue: Catalogue) -> list[str]:
    """A line for each benchmark, and under it its members; then the tags, and what the states mean."""
    header = ("name", "rows", "data", "licence")
    rows = [(item.name, _count(item.rows), item.state, item.licence) for item in catalogue.benchmarks]
    widths = [max(len(row[i]) for row in [header, *rows]) for i in range(3)]
    lines = [_line(header, widths)]
    for item, row in zip(catalogue.benchmarks, rows, strict=True):
        lines += [_line(row, widths), *(_members(item) if isinstance(item, Group) else [])]
    unknown = ["  -: how many rows the published benchmark has is not stated in its YAMLs"]
    states = [f"  {state:{max(map(len, STATES))}}  {meaning}" for state, meaning in STATES.items()]
    return [
        *lines,
        "",
        "tags:",
        *_wrapped("", [tag.name for tag in catalogue.tags], "  "),
        "",
        "rows:",
        *unknown,
        "data:",
        *states,
    ]


def in_full(item: Task | Group) -> list[str]:
    """One benchmark, section, tag or task with all that its YAML says of it."""
    sources = {(task.state, task.source) for task in item.tasks().values()}
    lines = [
        item.name if item.title == item.name else f"{item.name}: {item.title}",
        f"  rows:    {'not stated' if item.rows is None else _count(item.rows)}",
        f"  licence: {item.licence}",
        *[f"  data:    {state}, {source}" for state, source in sorted(sources)],
    ]
    return [*lines, "  members:", *_tree(item, "    ")] if isinstance(item, Group) else lines


def as_data(item: Task | Group) -> dict:
    """The same for JSON."""
    known = {"name": item.name, "title": item.title, "rows": item.rows, "licence": item.licence, "state": item.state}
    if isinstance(item, Task):
        return {**known, "source": item.source}
    members = [as_data(member) for member in item.members]
    for member in members:
        member["weight"] = item.weights.get(member["name"])
    return {**known, "members": members}


def _count(rows: int | None) -> str:
    return "-" if rows is None else f"{rows:,}"


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    name, rows, state, licence = cells
    return f"  {name:{widths[0]}}  {rows:>{widths[1]}}  {state:{widths[2]}}  {licence}"


def _members(group: Group) -> list[str]:
    """The members in wrapped lines: one paragraph for each section, one for those in none."""
    sections = [member for member in group.members if member.name.startswith(f"{group.name}::")]
    others = [member.name for member in group.members if member not in sections]
    paragraphs = [("", others)] if others else []
    paragraphs += [(f"{section.title}: ", list(section.tasks())) for section in sections]
    return [line for label, names in paragraphs for line in _wrapped(label, names)]


def _wrapped(label: str, names: list[str], indent: str = "    ") -> list[str]:
    text = ", ".join(names) if len(names) <= _LISTED else f"{names[0]} … {names[-1]} ({len(names)} tasks)"
    return textwrap.wrap(
        label + text,
        width=max(40, shutil.get_terminal_size().columns),
        initial_indent=indent,
        subsequent_indent=f"{indent}  ",
        break_long_words=False,
        break_on_hyphens=False,
    )


def _tree(group: Group, indent: str) -> list[str]:
    """A line for each member; those of its sections one step further in."""
    lines = []
    width = max(len(member.name) for member in group.members)
    for member in group.members:
        rows = "" if member.rows is None else f"{member.rows:,} rows"
        weight = f"weight {group.weights[member.name]:g}" if member.name in group.weights else ""
        lines.append(f"{indent}{member.name:{width}}  {rows:>11}  {weight}".rstrip())
        if isinstance(member, Group):
            lines += _tree(member, f"{indent}  ")
    return lines
