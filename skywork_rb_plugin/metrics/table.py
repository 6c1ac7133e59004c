"""The table of metrics, and what is asked of it. A new metric is a function and an entry in one of the files it is made of."""

from skywork_rb_plugin.metrics import diagnostics, judge, preference, process, rewardbench2, rm_bench, sections
from skywork_rb_plugin.metrics.metric import MEAN, Metric

# in the order of messages and of the docs; the first of a kind of row is that task's default
TABLE: tuple[Metric, ...] = (
    *preference.METRICS,
    *diagnostics.METRICS,
    *rewardbench2.METRICS,
    *rm_bench.METRICS,
    *sections.METRICS,
    *judge.METRICS,
    *process.METRICS,
)


def metrics_of(row_type: type, rule: str | None = None) -> dict[str, Metric]:
    """The metrics that a task with such rows can have, by name: those of its rule, then those of every such task."""
    own = {metric.name: metric for metric in TABLE if (metric.row_type, metric.rule) == (row_type, rule)}
    general = {metric.name: metric for metric in TABLE if (metric.row_type, metric.rule) == (row_type, None)}
    return own | {name: metric for name, metric in general.items() if name not in own}


def rules_of(row_type: type, name: str | None = None) -> list[str]:
    """The rules that a task with such rows can name (`score: RULE`); of those, the ones that have the metric `name`."""
    wanted = [metric for metric in TABLE if metric.row_type is row_type and name in (None, metric.name)]
    return list(dict.fromkeys(metric.rule for metric in wanted if metric.rule is not None))


def says_something_as_a_mean(name: str) -> bool:
    """Whether a group may average what its members have under this name.

    A mean of means says something, and so does what a benchmark's rule makes; a calibration error's mean does not.
    """
    return any(metric.rule is not None or metric.aggregation == MEAN for metric in TABLE if metric.name == name)
