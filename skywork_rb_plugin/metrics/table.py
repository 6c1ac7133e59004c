"""The table of metrics, and what is asked of it. A new metric is a function and an entry in one of the files it is made of."""

import re
from collections.abc import Iterable

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

# metrics that the table does not have: lm-eval's, and what others call theirs
_SHARES = re.compile(r"(.*_)?(acc|accuracy|match|em|f1|mc1|mc2|pass@\d+)(_.*)?")


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


def is_share(name: str, values: Iterable[float | None]) -> bool:
    """Whether a metric is a share of rows, to be told in percent: as the table says, else by its name.

    Args:
        name: of the metric.
        values: scores in it; some tasks of others count to 100 under a name that is a share elsewhere.
    """
    mine = [metric.is_share for metric in TABLE if metric.name == name]
    shares = all(mine) if mine else _SHARES.fullmatch(name)
    # RewardBench 2's Ties lie between -0.01 and 1.01
    return bool(shares) and all(value is None or -0.01 <= value <= 1.01 for value in values)
