"""What an accuracy means: calibration and length, against computations by hand."""

import json
import math

import pytest
from conftest import preference_task, write_rows
from hypothesis import given
from hypothesis import strategies as st
from scripted import evaluate
from test_metrics import measure, row_of

from skywork_rb_plugin import UserError
from skywork_rb_plugin.discovery import task_folder
from skywork_rb_plugin.metrics.diagnostics import expected_calibration_error, mean_of_some

margins = st.lists(st.floats(-30, 30), min_size=1, max_size=40)


def probability(margin):
    """That the chosen response is preferred."""
    return 1 / (1 + math.exp(-margin))


@given(margins)
def test_calibration_by_its_definition(margins):
    """Bins of confidence, each by how far its accuracy is from its mean confidence."""
    rows = [measure(row_of([margin, 0.0], [0]), "ece", "brier") for margin in margins]
    sure = [max(probability(margin), probability(-margin)) for margin in margins]
    error = 0.0
    for lowest in range(10):
        low, high = 0.5 + 0.05 * lowest, 0.55 + 0.05 * lowest
        members = [i for i, p in enumerate(sure) if int((p - 0.5) * 20) == lowest or (lowest == 9 and p == 1)]
        assert all(low - 1e-9 <= sure[i] <= high + 1e-9 for i in members)
        if members:
            accuracy = sum(margins[i] > 0 for i in members) / len(members)
            error += len(members) / len(margins) * abs(accuracy - sum(sure[i] for i in members) / len(members))
    assert expected_calibration_error([row["ece"] for row in rows]) == pytest.approx(error, abs=1e-9)
    for row, margin in zip(rows, margins, strict=True):
        assert row["brier"] == pytest.approx((1 - probability(margin)) ** 2)


def test_length_is_told_apart():
    """Where the chosen response is the longer one, where it is the shorter one, and the rest, which count in neither."""
    names = ("acc_by_length", "acc_chosen_longer", "acc_chosen_shorter")
    assert tuple(measure(row_of([2.0, 1.0], [0], [9, 5]), *names).values()) == (1.0, 1.0, None)
    assert tuple(measure(row_of([1.0, 2.0, 0.0], [0], [3, 5, 4]), *names).values()) == (0.0, None, 0.0)
    assert tuple(measure(row_of([2.0, 1.0], [0], [5, 5]), *names).values()) == (0.0, None, None)
    assert mean_of_some([1.0, None, 0.0]) == 0.5
    assert math.isnan(mean_of_some([None]))


def test_diagnostics_beside_the_score(tmp_path, task_manager):
    """Opt-in metrics of one task, through the host."""
    from lm_eval.utils import make_table

    rows = [
        {"prompt": "p", "chosen": "long answer 2", "rejected": "1"},
        {"prompt": "p", "chosen": "0", "rejected": "long answer 1"},
        {"prompt": "p", "chosen": "3", "rejected": "1"},
    ]
    names = ["acc", "margin", "brier", "ece", "acc_by_length", "acc_chosen_longer", "acc_chosen_shorter"]
    task = preference_task(rows, tmp_path, metric_list=names)
    results, _ = evaluate(lambda _, response: float(response.split()[-1]), [task], task_manager)
    found = {name: results["results"]["mine"][f"{name},none"] for name in names}
    assert found["acc"] == pytest.approx(2 / 3)
    assert found["margin"] == pytest.approx((1 - 1 + 2) / 3)
    assert found["brier"] == pytest.approx(sum((1 - probability(m)) ** 2 for m in (1, -1, 2)) / 3)
    # margins 1 and -1 share a bin with accuracy 1/2, margin 2 is alone in its
    assert found["ece"] == pytest.approx((2 * abs(0.5 - probability(1)) + abs(1 - probability(2))) / 3)
    assert found["acc_by_length"] == pytest.approx(1 / 3)
    assert (found["acc_chosen_longer"], found["acc_chosen_shorter"]) == (1.0, 0.0)
    # a baseline of the data has no better direction: no arrow in the table, null in the results file
    lines = {line.split("|")[5].strip(): line.split("|")[6].strip() for line in make_table(results).splitlines()[2:]}
    assert lines == dict(zip(names, ("↑", "↑", "↓", "↓", "", "↑", "↑"), strict=True))
    assert json.loads(json.dumps(results["higher_is_better"]))["mine"]["acc_by_length"] is None


def test_log_likelihoods_per_character():
    """The longer response may have the lower sum and the higher mean; a tie is wrong; an empty response counts as one."""
    assert measure(row_of([-6.0, -4.0], [0], [12, 4]), "acc_norm") == {"acc_norm": 1.0}
    assert measure(row_of([-4.0, -6.0], [0], [4, 12]), "acc_norm") == {"acc_norm": 0.0}
    assert measure(row_of([-4.0, -12.0], [0], [4, 12]), "acc_norm") == {"acc_norm": 0.0}
    assert measure(row_of([-1.0, -4.0], [0], [0, 2]), "acc_norm") == {"acc_norm": 1.0}


def test_metrics_from_the_command_line(data_root, monkeypatch):
    """`--metadata metrics=…` adds metrics to shipped tasks, and those that are means to their groups."""
    from lm_eval.tasks import TaskManager

    monkeypatch.setenv("SKYWORK_RB_DATA_ROOT", str(data_root))
    metadata = {"metrics": "acc_norm, ece,acc_both_orders"}
    manager = TaskManager(include_path=str(task_folder()), include_defaults=False, metadata=metadata)
    results, _ = evaluate(lambda _, r: -len(r) - r.startswith("bad"), ["rewardbench"], manager, limit=2)
    row = results["results"]["rewardbench_hep_go"]
    assert (row["acc,none"], row["acc_norm,none"]) == (0.0, 1.0)
    assert 0 < row["ece,none"] < 1
    assert "acc_both_orders,none" not in row
    for group in ("rewardbench", "rewardbench::chat"):
        assert results["groups"][group]["acc_norm,none"] == 1.0
        assert "ece,none" not in results["groups"][group]
    manager = TaskManager(include_path=str(task_folder()), include_defaults=False, metadata={"metrics": ["bleu"]})
    with pytest.raises(UserError, match="--metadata metrics: found 'bleu', expected one of acc, acc_half_ties"):
        manager.load(["rewardbench_hep_go"])


def test_metric_without_rows_in_a_group_of_the_host(tmp_path, task_manager):
    """NaN, which the host can add up: text would end the run with everything computed."""
    from lm_eval.tasks import TaskManager

    write_rows(tmp_path / "rows.jsonl", [{"prompt": "p", "chosen": "longer", "rejected": "x"}])
    (tmp_path / "mine.yaml").write_text(
        "task: mine\nclass: !function skywork_rb_plugin.PreferenceTask\ndataset_path: json\ntest_split: train\n"
        "dataset_kwargs: {data_files: rows.jsonl}\nmetric_list: [acc, acc_chosen_shorter]\n"
    )
    (tmp_path / "stock.yaml").write_text(
        "group: stock\ntask: [mine]\naggregate_metric_list: [{metric: acc}, {metric: acc_chosen_shorter}]\n"
    )
    manager = TaskManager(include_path=str(tmp_path), include_defaults=False)
    results, _ = evaluate(lambda _, response: len(response), ["stock"], manager)
    assert results["groups"]["stock"]["acc,none"] == 1.0
    assert math.isnan(results["groups"]["stock"]["acc_chosen_shorter,none"])
