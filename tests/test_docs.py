"""The pages say what the code says: parts of them are written from it. `make docs` (or running this file) writes them."""

import re
from pathlib import Path

from skywork_rb_plugin.metrics.table import TABLE

ROOT = Path(__file__).parent.parent
ARROWS = {True: "↑", False: "↓", None: ""}


def metrics_table():
    """The README's table: every metric, of which tasks, the direction that is better, and what it is."""
    rows = [("metric", "of tasks with", "", "what"), ("---", "---", "---", "---")]
    for metric in TABLE:
        tasks = f"`score: {metric.rule}`" if metric.rule else f"{metric.row_type.kind} rows"
        rows.append((f"`{metric.name}`", tasks, ARROWS[metric.higher_is_better], metric.description))
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


# (page, name between the markers <!-- name --> and <!-- /name -->) -> what writes that part
WRITTEN = {("README.md", "metrics"): metrics_table}


def updated(page, name, text):
    """The page's text with what lies between the two markers replaced."""
    start, end = f"<!-- {name} -->\n", f"\n<!-- /{name} -->"
    before, _, rest = (ROOT / page).read_text(encoding="utf-8").partition(start)
    _, marker, after = rest.partition(end)
    assert marker, f"{page}: found no {start!r} before {end!r}"
    return f"{before}{start}\n{text}\n{end}{after}"


def code_of(page, language):
    """The contents of the page's fenced blocks in a language, in order."""
    return re.findall(
        rf"^```{language}\n(.*?)^```$", (ROOT / page).read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
    )


def fields_of_samples():
    """The names that docs/samples.md explains, of its two tables."""
    tables = (ROOT / "docs" / "samples.md").read_text(encoding="utf-8").split("|---|---|\n")[1:]
    return [re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE) for table in tables]


def test_written_parts_are_up_to_date():
    """`make docs` would change nothing."""
    for (page, name), write in WRITTEN.items():
        assert (ROOT / page).read_text(encoding="utf-8") == updated(page, name, write()), "run `make docs`"


if __name__ == "__main__":
    for (page, name), write in WRITTEN.items():
        (ROOT / page).write_text(updated(page, name, write()), encoding="utf-8")
