"""What the host's trackers make of our results: W&B and Trackio on this machine alone, the hub as a server here."""

import copy
import json
import math
import sqlite3
from contextlib import closing

import datasets
import pytest
from conftest import write_rows
from hub_server import hub
from test_cli import LM_EVAL, run
from test_processbench import ROWS as SOLUTIONS
from test_processbench import StepLM
from test_processbench import evaluate as evaluate_steps

from skywork_rb_plugin import PreferenceTask, ProcessTask, WeightedGroup

PAIRS = [
    {"prompt": "One?", "chosen": "long answer", "rejected": "short", "source": "alpacaeval-easy"},
    {"prompt": "Two?", "chosen": "yes", "rejected": "never", "source": "hep-cpp"},
]
LISTS = [
    {"id": "ref:1", "prompt": "One?", "responses": ["right 1", "wrong"], "preferred": [0]},
    {"id": "tied:1", "prompt": "Two?", "responses": ["right 12", "right 1", "no"], "preferred": [0, 1]},
]


@pytest.fixture(scope="module")
def results(task_manager, tmp_path_factory):
    """Of a group with a section, whose tasks have metrics of all kinds: numbers, and what only an aggregation reads."""
    folder = tmp_path_factory.mktemp("rows")

    def task(name, rows, kind=PreferenceTask, **settings):
        files = {"data_files": write_rows(folder / f"{name}.jsonl", rows)}
        data = {"dataset_path": "json", "dataset_kwargs": files, "test_split": "train"}
        return {"task": name, "class": kind, **data, **settings}

    lists = {"doc_to_choice": "responses", "doc_to_target": "preferred", "score": "ties", "metric_list": ["score"]}
    section = {"group": "section", "members": [task("pairs", PAIRS, metric_list=["acc", "margin", "ece"])]}
    group = {"task": "ours", "class": WeightedGroup, "group_alias": "Ours", "members": [section]}
    others = [
        task("lists", LISTS, **lists),
        task("whole", PAIRS, score="rewardbench", metric_list=["score", "reasoning", "safety"]),
        task("steps", SOLUTIONS, ProcessTask, score="processbench", metric_list=["f1", "acc_error"]),
    ]
    return evaluate_steps(StepLM(lambda _, response: float(len(response))), task_manager, [group, *others])


def track(logger, results):
    """What `lm_eval run` does with its loggers."""
    results = copy.deepcopy(results)
    samples = results.pop("samples")
    logger.post_init(results)
    logger.log_eval_result()
    logger.log_eval_samples(samples)


def test_wandb(results, tmp_path, monkeypatch):
    """Group, section and task rows with our metrics, and a table of samples for each task, whatever its metrics are."""
    wandb = pytest.importorskip("wandb")
    from lm_eval.loggers import WandbLogger

    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    logger = WandbLogger({"project": "p", "dir": str(tmp_path)})
    try:
        track(logger, results)
        logged = dict(logger.run.summary)
    finally:
        wandb.finish()
    assert logged["ours/acc"] == logged["ours::section/acc"] == logged["pairs/acc"] == 0.5
    assert logged["ours/acc_stderr"] == results["results"]["ours"]["acc_stderr,none"]
    assert logged["pairs/margin"] == 2.0
    assert logged["pairs/ece_stderr"] == "N/A"
    assert logged["lists/score"] == results["results"]["lists"]["score,none"]
    assert math.isnan(logged["whole/safety"])
    tables = {}
    for file in (tmp_path / "wandb").rglob("*.table.json"):
        table = json.loads(file.read_text())
        name = file.name.partition("_eval_results_")[0]
        tables[name] = [dict(zip(table["columns"], row, strict=True)) for row in table["data"]]
    groups = {(row["Groups"], row["Metric"]): row["Value"] for row in tables["group"]}
    assert groups["ours", "acc"] == groups["ours::section", "acc"] == "0.5"
    first, second = tables["pairs"]
    assert (first["data"], first["choices"]) == ("User: One?\n\nAssistant: ", "0. long answer\n1. short")
    assert [first["acc"], first["margin"], second["acc"], second["margin"]] == [1.0, 6.0, 0.0, -2.0]
    assert [(row["labels"], row["filtered_predictions"]) for row in tables["lists"]] == [("0", 0), ("[0, 1]", 0)]
    assert len(tables["whole"]) == 2
    assert len(tables["steps"]) == len(SOLUTIONS)


def test_trackio(results, tmp_path, monkeypatch):
    """The same rows as one step of metrics, and a trace for each sample with its values."""
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path))  # read when it is imported
    pytest.importorskip("trackio")
    from lm_eval.loggers import TrackioLogger

    logger = TrackioLogger({"project": "p"})
    track(logger, results)
    logger.finish()
    with closing(sqlite3.connect(tmp_path / "p.db")) as database:
        [logged] = filter(None, (json.loads(row) for (row,) in database.execute("select metrics from metrics")))
        traces = database.execute("select key, messages, metadata from traces order by step").fetchall()
    assert logged["ours/acc"] == logged["ours::section/acc"] == logged["pairs/acc"] == 0.5
    assert logged["pairs/margin"] == 2.0
    assert logged["lists/score"] == results["results"]["lists"]["score,none"]
    told = [(json.loads(messages), json.loads(metadata)) for key, messages, metadata in traces if key == "pairs/sample"]
    assert [metadata["margin"] for _, metadata in told] == [6.0, -2.0]
    assert "One?" in str(told[0][0])


def test_hub(tmp_path):
    """Results, samples and the card arrive, and `datasets` reads them there as the card says."""
    with hub() as (address, kept):
        here = {
            "HF_ENDPOINT": address, "HF_TOKEN": "hf_any", "HF_HUB_DISABLE_XET": "1", "HF_HUB_OFFLINE": "0",
            "HF_DATASETS_OFFLINE": "0", "HF_HOME": str(tmp_path / "home"),
        }  # fmt: skip
        run(
            *LM_EVAL, "run", "--model", "hf-reward", "--model_args", "pretrained=demo", "--tasks", "preference_demo",
            "--output_path", "out", "--log_samples", "--hf_hub_log_args",
            "hub_results_org=me,push_results_to_hub=True,push_samples_to_hub=True", cwd=tmp_path, **here,
        )  # fmt: skip
        [(repository, files)] = kept.items()
    assert repository == "me/lm-eval-results-private"
    [results] = [json.loads(content) for name, content in files.items() if name.startswith("demo/results_")]
    assert results["results"]["preference_demo"]["acc,none"] == pytest.approx(0.8571, abs=1e-4)
    for name, content in files.items():
        (tmp_path / "copy" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "copy" / name).write_bytes(content)
    rows = datasets.load_dataset(
        str(tmp_path / "copy"), "demo__preference_demo_safety", split="latest", cache_dir=str(tmp_path / "cache")
    )
    assert len(rows) == 28
    told = rows[0]["doc"]["skywork_rb"]
    assert told["margin"] == told["rewards"][0] - told["rewards"][1] == pytest.approx(1.9405, abs=1e-3)
    assert '"acc,none": 0.8571428571428571' in files["README.md"].decode()
