"""Metrics of one row against independent computations, and the table they stand in."""

import math
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skywork_rb_plugin.metrics.judge import Verdicts
from skywork_rb_plugin.metrics.metric import Row
from skywork_rb_plugin.metrics.table import TABLE, is_share, metrics_of, rules_of

SCORES = st.lists(st.integers(-3, 3).map(float), min_size=2, max_size=6)


def row_of(scores, preferred, lengths=None, **columns):
    """A row whose data only tells which responses are preferred."""
    pairs = [(i, j) for i in preferred for j in range(len(scores)) if j not in preferred]
    return Row(columns, scores, preferred, pairs, lengths or [1] * len(scores))


def measure(row, *names, rule=None):
    """The row's values of the metrics of those names, as a task computes them."""
    known = metrics_of(type(row), rule)
    return {name: known[name].of_row(row) for name in names or known}


@given(SCORES, st.data())
def test_metrics_equal_their_definitions(scores, data):
    """acc by comparing all pairs, bt_loss by the logarithm of the sigmoid itself."""
    indices = st.sets(st.integers(0, len(scores) - 1), min_size=1, max_size=len(scores) - 1)
    row = row_of(scores, data.draw(indices))
    pairs = [(scores[i], scores[j]) for i, j in row.pairs]
    metrics = measure(row, "acc", "acc_half_ties", "pair_acc", "margin", "ties", "bt_loss")
    assert metrics["acc"] == float(all(good > other for good, other in pairs))
    assert metrics["pair_acc"] == sum(good > other for good, other in pairs) / len(pairs)
    worst, best = min(good for good, _ in pairs), max(other for _, other in pairs)
    assert metrics["acc_half_ties"] == (0.5 if worst == best else float(worst > best))
    assert metrics["margin"] == max(a for a, _ in pairs) - max(b for _, b in pairs)
    assert metrics["ties"] == float(min(a for a, _ in pairs) == max(b for _, b in pairs))
    losses = [-math.log(1 / (1 + math.exp(b - a))) for a, b in pairs]
    assert metrics["bt_loss"] == pytest.approx(sum(losses) / len(losses), rel=1e-12)


def test_tie_is_wrong():
    """The official rule: chosen must be greater."""
    assert measure(row_of([1.0, 1.0], [0]), "acc") == {"acc": 0.0}


def test_bt_loss_of_large_margins_is_finite():
    """No overflow where a reward model is very sure, right or wrong."""
    assert measure(row_of([-2000.0, 2000.0], [0]), "bt_loss") == {"bt_loss": 4000.0}
    assert measure(row_of([2000.0, -2000.0], [0]), "bt_loss") == {"bt_loss": 0.0}


def test_names_are_unique_among_the_metrics_of_a_task():
    """A name may stand for another thing under another rule, or of other rows, and only there."""
    keys = [(metric.row_type, metric.rule, metric.name) for metric in TABLE]
    assert len(set(keys)) == len(keys)
    assert metrics_of(Row)["acc"] is not metrics_of(Verdicts)["acc"]
    assert rules_of(Row) == ["best_of", "ties", "rm_bench", "rewardbench", "m_rewardbench"]
    assert rules_of(Row, "hard") == ["rm_bench"]
    assert rules_of(Verdicts) == []


def test_default_metric_comes_first():
    """A YAML without a metric_list gets its rule's score, or else acc."""
    assert next(iter(metrics_of(Row))) == next(iter(metrics_of(Verdicts))) == "acc"
    for rule in rules_of(Row):
        assert list(metrics_of(Row, rule)) == [m.name for m in TABLE if m.rule == rule] + list(metrics_of(Row))
        assert next(iter(metrics_of(Row, rule))) == "score"


def test_aggregations_of_one_name_are_one():
    """The host knows an aggregation by its name alone."""
    aggregations = {metric.aggregation for metric in TABLE}
    assert len({aggregation.name for aggregation in aggregations}) == len(aggregations)


def test_metrics_know_nothing_of_models_tasks_and_the_host():
    """All modules of the package together import none of them, but for what registers the table with the host."""
    script = (
        "import importlib, pkgutil, sys, skywork_rb_plugin.metrics as package\n"
        "for module in pkgutil.iter_modules(package.__path__, package.__name__ + '.'): importlib.import_module(module.name)\n"
        "print(*{'.'.join(name.split('.')[:2]) if name.startswith('skywork') else name.split('.')[0] for name in sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    imported = set(done.stdout.split())
    assert "skywork_rb_plugin.metrics" in imported
    assert not imported & {f"skywork_rb_plugin.{name}" for name in ("heads", "host", "models", "scoring", "tasks")}
    assert not imported & {"lm_eval", "torch", "datasets", "transformers", "numpy"}


@pytest.mark.parametrize(
    ("name", "values", "expected"),
    [
        ("acc", [0.4, None], True),
        ("score", [-0.01, 1.01], True),
        ("bt_loss", [0.3, 0.7], False),
        ("ece", [0.1], False),
        ("exact_match", [0.0], True),
        ("prompt_level_strict_acc", [0.5], True),
        ("pass@1", [0.5], True),
        ("perplexity", [0.9], False),
        ("brier_score", [0.9], False),
        ("f1", [0.4, 81.5], False),
    ],
)
def test_shares(name, values, expected):
    """What is told in percent is decided by the metric, and not by the values of one line."""
    assert is_share(name, values) is expected
