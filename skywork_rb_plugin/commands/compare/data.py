"""A comparison as data for JSON; docs/compare.md explains the keys."""

from skywork_rb_plugin import __version__
from skywork_rb_plugin.commands.compare.found import Differs, Found, Pair
from skywork_rb_plugin.commands.compare.words import conclusions, estimates, published
from skywork_rb_plugin.report.evidence import Difference
from skywork_rb_plugin.report.paired import LEVEL, METHODS
from skywork_rb_plugin.report.settings import settings


def as_data(found: Found) -> dict:
    """All that is known, scores as the results files have them."""
    return {
        "plugin_version": __version__,
        "level": LEVEL,
        "tests": found.tests,
        "methods": METHODS,
        "runs": {
            label: {"name": run.name, "model": run.model, "date": run.date, "path": str(run.path), "settings": settings(run)}
            for label, run in found.runs.items()
        },
        "comparisons": [_pair(pair, found.tests) for pair in found.pairs],
        "missed_by_all": [
            {"name": line.name, "missed": missed, "rows": rows} for line, missed, rows in found.missed
        ],
        "differing_settings": [
            {"setting": one.name, "values": dict(zip(found.runs, one.values, strict=True)), "tasks": list(one.tasks)}
            for one in found.differing
        ],
        "estimates": list(estimates(found)),
        "published": list(published(found)),
    }  # fmt: skip


def _pair(pair: Pair, tests: int) -> dict:
    first, second = pair.labels
    return {
        "first": first,
        "second": second,
        "lines": [_line(one) for one in pair.comparison.differences],
        "conclusions": list(conclusions(pair, tests)),
        "left_out": pair.comparison.left_out,
        "other_members": pair.comparison.regrouped,
        "rows": [_row(row, pair.labels) for row in pair.rows],
    }


def _line(one: Difference) -> dict:
    first, second, test = one.first, one.second, one.test
    return {
        "name": first.name,
        "title": first.title,
        "path": list(first.path),
        "is_task": first.is_task,
        "metric": first.metric,
        "filter": first.filter,
        "higher_is_better": first.higher_is_better,
        "first": {"value": first.value, "stderr": first.error},
        "second": {"value": second.value, "stderr": second.error},
        "difference": None if None in (first.value, second.value) else second.value - first.value,
        "low": test and test.low,
        "high": test and test.high,
        "p": test and test.p,
        "p_adjusted": one.adjusted,
        "method": test and test.method,
        "rows": {
            "both_right": one.both,
            "only_first_right": one.only_first,
            "only_second_right": one.only_second,
            "none_right": one.neither,
        },
    }


def _row(row: Differs, labels: tuple[str, str]) -> dict:
    (prompt, first), (_, second) = (one.texts(row.line.filter) for one in (row.first, row.second))
    return {
        "task": row.first.task,
        "doc_id": row.first.doc_id,
        "right": labels[0] if row.first_is_right else labels[1],
        "prompt": prompt,
        "responses": first if first == second else dict(zip(labels, (first, second), strict=True)),
        "notes": dict(zip(labels, (row.first.note, row.second.note), strict=True)),
    }
