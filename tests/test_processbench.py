"""ProcessBench: its metrics against the authors' formula, its task under a process model and under those that are none."""

import json
import math
import re

import numpy as np
import pytest
import torch
from conftest import make_model, write_rows
from families import states
from hypothesis import given
from hypothesis import strategies as st
from rewards import load
from scripted import ScriptedLM
from test_docs import fields_of_samples
from test_process_heads import SYSTEM, qwen

import skywork_rb_plugin as rb
from skywork_rb_plugin import ProcessTask, UserError
from skywork_rb_plugin.metrics.diagnostics import mean_of_some
from skywork_rb_plugin.metrics.process import Solution, acc_correct, acc_error, f1, verdict

SPLITS = ("gsm8k", "math", "olympiadbench", "omnimath")
ROWS = [
    {"id": "a-0", "problem": "2 + 2?", "steps": ["Two and two.", "So 4."], "label": -1},
    {"id": "a-1", "problem": "2 + 3?", "steps": ["Two and three.", "So 6.", "The answer is 6."], "label": 1},
    {"id": "a-2", "problem": "2 + 4?", "steps": ["It is 6."], "label": -1},
    {"id": "a-3", "problem": "2 + 5?", "steps": ["It is 8.\n\nI think.", "Or 9."], "label": 0},
]


def write_processbench(root, rows=ROWS):
    """A small copy of the dataset in a data root."""
    folder = root / "Qwen" / "ProcessBench"
    folder.mkdir(parents=True)
    lines = ["---", "configs:", "- config_name: default", "  data_files:"]
    for split in SPLITS:
        write_rows(folder / f"{split}.json", rows)
        lines += [f"  - split: {split}", f"    path: {split}.json"]
    (folder / "README.md").write_text("\n".join([*lines, "---", ""]))


@pytest.fixture
def copy(tmp_path, monkeypatch):
    """The data root with the copy."""
    write_processbench(tmp_path / "data")
    monkeypatch.setenv("SKYWORK_RB_DATA_ROOT", str(tmp_path / "data"))


class StepLM(ScriptedLM):
    """A process reward model whose score of a step is scripted."""

    steps, of_one_response = "last", True


def evaluate(model, manager, tasks=("processbench",), **options):
    """A run of the harness."""
    import lm_eval

    return lm_eval.simple_evaluate(model=model, tasks=list(tasks), task_manager=manager, bootstrap_iters=10, **options)


def mine(tmp_path, rows=ROWS, **settings):
    """A task on rows of one's own."""
    return {
        "task": "mine", "class": ProcessTask, "dataset_path": "json", "test_split": "train",
        "dataset_kwargs": {"data_files": write_rows(tmp_path / "rows.jsonl", rows)}, "score": "processbench",
        "metric_list": ["f1", "acc_error", "acc_correct", "acc"], **settings,
    }  # fmt: skip


SOLUTIONS = st.lists(st.floats(0, 1), min_size=1, max_size=5).flatmap(
    lambda scores: st.builds(Solution, st.integers(-1, len(scores) - 1), st.just(scores), st.just(0.5))
)


@given(st.lists(SOLUTIONS, min_size=1, max_size=30))
def test_f1_is_the_authors(rows):
    """As code/run_eval.py of QwenLM/ProcessBench has it, in percent, but where it divides by 0."""
    predictions = []
    for row in rows:
        wrong = [i for i in range(len(row.scores)) if not row.scores[i] >= 0.5]
        predictions.append(wrong[0] if wrong else -1)
    match = np.array([prediction == row.label for prediction, row in zip(predictions, rows, strict=True)])
    erroneous = np.array([row.label != -1 for row in rows])
    found = f1([verdict(row) for row in rows])
    if erroneous.all() or not erroneous.any():
        assert math.isnan(found)
        return
    error, correct = match[erroneous].mean() * 100, match[~erroneous].mean() * 100
    assert mean_of_some(map(acc_error, rows)) * 100 == pytest.approx(error)
    assert mean_of_some(map(acc_correct, rows)) * 100 == pytest.approx(correct)
    assert found * 100 == pytest.approx(2 * error * correct / (error + correct) if error + correct else 0)


@pytest.mark.parametrize("scoring", ["tree", "padded"])
def test_a_process_model(copy, task_manager, tmp_path, scoring):
    """Scores, predictions and F1 from a forward pass of each whole solution, steps that hold a blank line aside."""
    folder, chat, layers = qwen(tmp_path / "model")
    scores = []
    for row in ROWS:
        text = "".join(f"{step}<extra_0>" for step in row["steps"]).replace("8.\n\nI", "8.<extra_0>I")
        ids = chat.encode(
            f"<|im_start|>system\n{SYSTEM}<|im_end|>\n<|im_start|>user\n{row['problem']}<|im_end|>\n<|im_start|>assistant\n"
            f"{text}<|im_end|>\n"
        )
        [hidden] = states(folder, [ids])
        scores.append(layers(hidden[torch.tensor(ids) == chat.encode("<extra_0>")[0]])[-len(row["steps"]) :])
    args = {"pretrained": folder, "dtype": "float32", "steps": "last", "scoring": scoring}
    found = evaluate("hf-reward", task_manager, ["processbench_math"], model_args=args, device="cpu", log_samples=True)
    told = [sample["doc"]["skywork_rb"] for sample in found["samples"]["processbench_math"]]
    assert [one["scores"] for one in told] == [pytest.approx(some, abs=1e-5) for some in scores]
    predictions = [next((i for i, score in enumerate(some) if score < 0.5), -1) for some in scores]
    assert [one["prediction"] for one in told] == predictions
    right = [prediction == row["label"] for prediction, row in zip(predictions, ROWS, strict=True)]
    error, correct = (right[1] + right[3]) / 2, (right[0] + right[2]) / 2
    results = found["results"]["processbench_math"]
    assert (results["acc_error,none"], results["acc_correct,none"]) == (error, correct)
    assert results["f1,none"] == pytest.approx(2 * error * correct / (error + correct) if error + correct else 0)
    assert results["f1_stderr,none"] == "N/A"
    assert found["config"]["reward"]["conversations_scored"] == sum(len(row["steps"]) for row in ROWS)


def by_number(context, response):
    """Steps that say 6 or more in 2 + 3 are wrong, and the first of 2 + 4."""
    return 0.2 if re.search(r"[69]\.$", response) else 0.5


def test_the_group_is_the_mean_of_four(copy, task_manager):
    """Scores at the threshold are right; a row with one step is asked twice, any other as often as it has steps."""
    model = StepLM(lambda context, response: by_number(context, response) if "2 + 2" not in context else 0.9)
    found = evaluate(model, task_manager)
    # right: a-0 (-1), a-1 (1); wrong: a-2 (0), a-3 (1)
    for name in SPLITS:
        results = found["results"][f"processbench_{name}"]
        assert [results[f"{metric},none"] for metric in ("acc_error", "acc_correct", "f1")] == [0.5, 0.5, 0.5]
    assert found["groups"]["processbench"]["f1,none"] == 0.5
    assert found["groups"]["processbench"]["f1_stderr,none"] == "N/A"
    assert len(model.requests) == 4 * (2 + 3 + 2 + 2)
    assert model.requests[3][1] == "Two and three.\n\nSo 6."


def test_sample_logs_limit_and_predict_only(copy, task_manager, tmp_path, caplog):
    """What a sample tells; two rows of one kind have no F1; without metrics nothing is computed."""
    model = StepLM(by_number)
    found = evaluate(model, task_manager, [mine(tmp_path, threshold=0.4)], log_samples=True, limit=2)
    told = [sample["doc"]["skywork_rb"] for sample in found["samples"]["mine"]]
    assert list(told[1]) == fields_of_samples()[2]
    assert json.loads(json.dumps(told[1])) == {
        "scores": [0.5, 0.2, 0.2], "threshold": 0.4, "prediction": 1, "label": 1, "right": True, "tokens": [None] * 3,
        "cut": [None] * 3,
    }  # fmt: skip
    assert [sample["target"] for sample in found["samples"]["mine"]] == [-1, 1]
    assert found["configs"]["mine"]["threshold"] == 0.4
    assert found["results"]["mine"]["acc,none"] == 1.0
    assert found["results"]["mine"]["acc_stderr,none"] == 0.0
    rows = [row for row in ROWS if row["label"] == -1]
    alone = evaluate(model, task_manager, [mine(tmp_path, rows)])
    assert math.isnan(alone["results"]["mine"]["f1,none"])
    assert "No F1: it takes solutions with a wrong step and without one, found 0 and 2." in caplog.text
    bare = evaluate(model, task_manager, [mine(tmp_path)], predict_only=True, log_samples=True)
    assert [sample["doc"]["skywork_rb"]["prediction"] for sample in bare["samples"]["mine"]] == [-1, 1, 0, 1]


def test_models_without_steps(copy, task_manager, tmp_path, caplog):
    """Log-likelihoods are refused, and scores of several steps in one; a plain reward model is warned of, once a task."""
    with pytest.raises(
        UserError, match="task processbench_math: found a model whose log-likelihoods or comparisons are no"
    ):
        evaluate(ScriptedLM(by_number), task_manager, ["processbench_math"])
    policy = rb.load(make_model(tmp_path / "lm", "qwen-3", classifier=False), model="hf-dpo", device="cpu")
    with pytest.raises(
        UserError, match="task processbench_math: found a model whose log-likelihoods or comparisons are no"
    ):
        evaluate(policy, task_manager, ["processbench_math"])
    folder, *_ = qwen(tmp_path / "model")
    with pytest.raises(UserError, match="found a model that makes one reward of its steps by steps=product, expected"):
        evaluate(load(folder), task_manager, ["processbench_math"])
    plain = load(make_model(tmp_path / "plain", "qwen-3"))
    found = evaluate(plain, task_manager, ["processbench_math"], use_cache=str(tmp_path / "cache"))
    assert 0 <= found["results"]["processbench_math"]["acc_correct,none"] <= 1
    assert caplog.text.count("processbench_math: the model is no process reward model") == 1


@pytest.mark.parametrize(
    ("row", "line"),
    [
        ({"label": 2}, r"found label 2, expected the first wrong step's index from 0 to 1, or -1 for none"),
        ({"label": None}, r"found label None, expected"),
        ({"steps": []}, r"found steps \[\], expected a list of texts"),
        ({"steps": None}, r"found NoneType for `doc_to_choice`, expected a list"),
        ({"problem": None}, r"found None, expected a string or a list of messages"),
    ],
)
def test_rows_that_do_not_fit(task_manager, tmp_path, row, line):
    """One line with the row, before any model is asked."""
    rows = [ROWS[1], {**ROWS[0], **row}]
    model = StepLM(by_number)
    with pytest.raises(UserError, match=r"task mine, row 1 \(id a-0\): " + line):
        evaluate(model, task_manager, [mine(tmp_path, rows)])
    assert not model.requests


def test_keys_that_do_not_fit(task_manager, tmp_path):
    """A threshold that is no number, a key of preferences, a column that is not there."""
    for settings, line in (
        ({"threshold": "half"}, "found threshold: half, expected a number"),
        ({"group_by": "id"}, "found group_by"),
        ({"doc_to_choice": "step"}, "found no column 'step', expected one of id, problem, steps, label, or Jinja"),
        ({"score": "ties"}, "found score: ties, expected one of processbench"),
    ):
        with pytest.raises(UserError, match=line):
            task_manager.load([mine(tmp_path, **settings)])
