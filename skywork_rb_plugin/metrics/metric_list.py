"""Which metrics a task computes: what its YAML lists and what `--metadata metrics=…` adds, checked against the table."""

import difflib
from collections.abc import Collection, Mapping

from skywork_rb_plugin.errors import UserError
from skywork_rb_plugin.metrics.metric import Metric
from skywork_rb_plugin.metrics.table import TABLE, rules_of

# what a YAML says of a metric
_SETTINGS = ("metric", "aggregation", "higher_is_better")


def metric_configs(
    task: str | None,
    listed: object,
    extra: object,
    known: Mapping[str, Metric],
    aggregations: Collection[str],
    others: bool = False,
) -> list[dict]:
    """The host's `metric_list` for what a YAML lists and `--metadata metrics=…` adds.

    Args:
        task: its name, for messages.
        listed: names or mappings with `metric`; None: the first of `known`.
        extra: names, as a list or separated by commas; what only other kinds of task have is left out.
        known: the metrics this task can have, by name.
        aggregations: the names of the host's aggregations.
        others: whether the YAML may name more, since a `process_results` of its own makes them.

    Raises:
        UserError: a name is no metric, or needs a `score` beside it; a setting of a metric is not what it should be.
    """

    def refuse(found: str, expected: str) -> None:
        raise UserError(f"task {task}: found {found} in metric_list, expected {expected}")

    if listed == []:
        refuse("nothing", f"one of {', '.join(known)}")
    configs = {}
    for metric in listed if isinstance(listed, list) else [listed or next(iter(known))]:
        metric = dict(metric) if isinstance(metric, Mapping) else {"metric": metric}
        name = metric.get("metric")
        if isinstance(name, str) and name in known:
            config = {**_config(known[name]), **metric}
        elif others and isinstance(name, str):
            config = {"aggregation": "mean", "higher_is_better": True, **metric}
        else:
            raise UserError(f"task {task}: found metric {name!r}, expected {_expected(name, known)}")
        if unknown := sorted(map(str, set(config) - set(_SETTINGS))):
            refuse(f"{', '.join(unknown)} of {name}", f"only {', '.join(_SETTINGS)}")
        aggregation, better = config["aggregation"], config["higher_is_better"]
        if not callable(aggregation) and aggregation not in list(aggregations):
            refuse(f"aggregation {aggregation!r} of {name}", _aggregations(aggregation, known, aggregations))
        if not (better is None or isinstance(better, bool)):
            refuse(f"higher_is_better {better!r} of {name}", "true, false or null")
        configs[name] = config
    for name in extra_metrics(extra):
        if name in known and name not in configs:
            configs[name] = _config(known[name])
    return list(configs.values())


def extra_metrics(extra: object) -> list[str]:
    """The metrics that `--metadata metrics=…` adds to every task, from a list or text with commas.

    Raises:
        UserError: a name is no metric of this plugin.
    """
    names = [name.strip() for name in extra.split(",")] if isinstance(extra, str) else extra or []
    names = names if isinstance(names, list) else [names]
    known = list(dict.fromkeys(metric.name for metric in TABLE))
    if unknown := [name for name in names if name not in known]:
        raise UserError(f"--metadata metrics: found {unknown[0]!r}, expected one of {', '.join(known)}")
    return names


def _config(metric: Metric) -> dict:
    return {
        "metric": metric.name,
        "aggregation": metric.aggregation.name,
        "higher_is_better": metric.higher_is_better,
    }


def _aggregations(name: object, known: Mapping[str, Metric], aggregations: Collection[str]) -> str:
    """Words for the few that may be meant: those like `name`, and those of the task's metrics; the host has many more."""
    near = difflib.get_close_matches(name, aggregations, 3) if isinstance(name, str) else []
    ours = [metric.aggregation.name for metric in known.values()]
    return f"one that lm-eval has, such as {', '.join(dict.fromkeys([*near, *ours]))}, or a !function"


def _expected(name: object, known: Mapping[str, Metric]) -> str:
    row_type = next(iter(known.values())).row_type
    rules = rules_of(row_type, name) if isinstance(name, str) else []
    return f"`score: NAME` beside it: {', '.join(rules)}" if rules else f"one of {', '.join(known)}"
