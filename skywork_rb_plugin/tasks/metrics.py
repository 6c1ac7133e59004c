"""Metrics of one preference document, computed from the scores of its responses. Needs no torch."""

import math
from collections.abc import Collection, Mapping, Sequence

from skywork_rb_plugin.errors import UserError
from skywork_rb_plugin.tasks.diagnostics import DIAGNOSTICS
from skywork_rb_plugin.tasks.scores import BY_SCORE, SCORES

# metric -> whether higher is better
METRICS = {"acc": True, "pair_acc": True, "margin": True, "ties": False, "bt_loss": False}
METRICS |= {"acc_both_orders": True, "inconsistent": False, "unparsable": False}
METRICS |= {name: higher for name, (higher, _) in DIAGNOSTICS.items()} | dict.fromkeys(BY_SCORE, True)

# metric -> the host's name for how documents become one number
PREFERENCE_METRICS = dict.fromkeys(("acc", "pair_acc", "margin", "ties", "bt_loss"), "mean")
PREFERENCE_METRICS |= {name: aggregation for name, (_, aggregation) in DIAGNOSTICS.items()}
JUDGE_METRICS = dict.fromkeys(("acc", "acc_both_orders", "inconsistent", "unparsable"), "mean")


def preference_metrics(
    scores: Sequence[float], preferred: Collection[int], pairs: Sequence[tuple[int, int]]
) -> dict[str, float]:
    """Compare the preferred responses' scores with the others'.

    Args:
        scores: one score per response, in any unit; log-likelihoods in nats for plain language models.
        preferred: indices of the preferred responses; at least one response must not be among them.
        pairs: indices of a better and a worse response, as the data ranks them; at least one pair.

    Returns:
        acc: 1.0 if every preferred response outscores every other, strictly, else 0.0. A tie is wrong, as in
            allenai/reward-bench, scripts/run_rm.py (`1 if chosen > rejected else 0`).
        pair_acc: the share of pairs whose better response outscores the worse one, strictly.
        margin: best preferred score minus best other score, in units of the scores.
        ties: 1.0 if the worst preferred and the best other response score the same, else 0.0.
        bt_loss: Bradley-Terry negative log-likelihood in nats, -log sigmoid(preferred - other), averaged over all
            pairs of a preferred and another response (Ouyang et al. 2022, arXiv:2203.02155, equation 1).
    """
    good = [score for i, score in enumerate(scores) if i in preferred]
    other = [score for i, score in enumerate(scores) if i not in preferred]
    losses = [_softplus(b - a) for a in good for b in other]
    return {
        "acc": float(min(good) > max(other)),
        "pair_acc": sum(scores[i] > scores[j] for i, j in pairs) / len(pairs),
        "margin": max(good) - max(other),
        "ties": float(min(good) == max(other)),
        "bt_loss": sum(losses) / len(losses),
    }


def metric_configs(
    task: str | None, listed: object, extra: object, known: Mapping[str, str], others: bool = False
) -> list[dict]:
    """The host's `metric_list` for what a YAML lists and `--metadata metrics=…` adds.

    Args:
        task: its name, for messages.
        listed: names or mappings with `metric`; None: the first of `known`.
        extra: names, as a list or separated by commas; what only other kinds of task have is left out.
        known: the metrics this task can have, and the host's name of each one's aggregation.
        others: whether the YAML may name more, since a `process_results` of its own makes them.

    Raises:
        UserError: a name is no metric, or needs a `score` beside it.
    """
    configs = {}
    for metric in listed if isinstance(listed, list) else [listed or next(iter(known))]:
        metric = dict(metric) if isinstance(metric, Mapping) else {"metric": metric}
        name = metric.get("metric")
        if others and isinstance(name, str) and name not in known:
            configs[name] = {"aggregation": "mean", "higher_is_better": True, **metric}
            continue
        if not isinstance(name, str):
            raise UserError(f"task {task}: found metric {name!r}, expected one of {', '.join(known)}")
        if name in BY_SCORE and name not in known:
            scores = ", ".join(score for score, other in SCORES.items() if name in other.aggregations)
            raise UserError(f"task {task}: found metric {name!r}, expected `score: NAME` beside it: {scores}")
        if name not in known:
            raise UserError(f"task {task}: found metric {name!r}, expected one of {', '.join(known)}")
        configs[name] = {"aggregation": known[name], "higher_is_better": METRICS[name], **metric}
    for name in extra_metrics(extra):
        if name in known and name not in configs:
            configs[name] = {"metric": name, "aggregation": known[name], "higher_is_better": METRICS[name]}
    return list(configs.values())


def extra_metrics(extra: object) -> list[str]:
    """The metrics that `--metadata metrics=…` adds to every task, from a list or text with commas.

    Raises:
        UserError: a name is no metric of this plugin.
    """
    names = [name.strip() for name in extra.split(",")] if isinstance(extra, str) else extra or []
    names = names if isinstance(names, list) else [names]
    if unknown := [name for name in names if not isinstance(name, str) or name not in METRICS]:
        listed = ", ".join(dict.fromkeys([*PREFERENCE_METRICS, *JUDGE_METRICS]))
        raise UserError(f"--metadata metrics: found {unknown[0]!r}, expected one of {listed}")
    return names


def register_metrics() -> None:
    """Make the host find our metrics; otherwise it looks for them on the hub."""
    import lm_eval.api.metrics  # noqa: F401  the host imports its own metrics only while its registry is empty

    from skywork_rb_plugin.host import metric_registry, register_metric

    for name, higher_is_better in METRICS.items():
        if name not in metric_registry:
            register_metric(metric=name, higher_is_better=higher_is_better, aggregation="mean")(_passthrough)


def _passthrough(items):
    """The host asks for a function; a document's value comes from `process_results`."""
    return items


def _softplus(x: float) -> float:
    """log(1 + e^x) without overflow."""
    return max(x, 0.0) + math.log1p(math.exp(-abs(x)))
