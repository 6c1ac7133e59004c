"""The scripts of examples/cluster, as a scheduler would run them, on revisions of a model on a hub of the tests."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from conftest import make_model, write_rows
from hub_server import commit_of, hub
from reports import Page
from safetensors.torch import load_file, save_file
from test_docs import ROOT

import skywork_rb_plugin as rb
from skywork_rb_plugin import commands

SCRIPTS = ROOT / "examples" / "cluster"
PAIRS = [{"prompt": f"Question {i}?", "chosen": f"yes {i * i}", "rejected": f"no {i}"} for i in range(12)]
TASK = (
    "task: mine\nclass: !function skywork_rb_plugin.PreferenceTask\ndataset_path: json\n"
    "dataset_kwargs: {data_files: mine.jsonl}\ntest_split: train\n"
)


@pytest.fixture
def revisions(tmp_path):
    """Folders of two revisions of tests/tiny, which have other heads."""
    folders = {name: Path(make_model(tmp_path / f"revision-{name}")) for name in ("1", "2")}
    file = folders["2"] / "model.safetensors"
    weights = load_file(file)
    weights["score.weight"] = torch.randn(weights["score.weight"].shape, generator=torch.Generator().manual_seed(5))
    save_file(weights, file, metadata={"format": "pt"})
    return folders


def test_array_sweep_and_report(revisions, tmp_path, monkeypatch, capfd):
    """A task of the array runs its line; a sweep of the file skips that and runs the rest; the page tells the two apart."""
    write_rows(tmp_path / "mine.jsonl", PAIRS)
    (tmp_path / "mine.yaml").write_text(TASK)
    (tmp_path / "checkpoints.txt").write_text("# the last two\ntests/tiny,revision=1\ntests/tiny,revision=2\n")
    monkeypatch.chdir(tmp_path)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    for name, value in {"PATH": path, "HF_HOME": tmp_path / "hf", "HF_HUB_OFFLINE": "0", "TASKS": "mine"}.items():
        monkeypatch.setenv(name, str(value))
    flags = ["--include_path", "."]
    monkeypatch.setenv("FLAGS", " ".join(flags))
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "2")
    with hub({("tests/tiny", name): folder for name, folder in revisions.items()}) as (address, _):
        monkeypatch.setenv("HF_ENDPOINT", address)
        script(SCRIPTS / "slurm_array.sbatch")
        assert [path.name for path in (tmp_path / "results").glob("tests*")] == ["tests__tiny@2"]
        same = ["--model", "hf-reward", "--tasks", "mine", "--log_samples", *flags]
        capfd.readouterr()
        commands.run("sweep", ["--checkpoints", "checkpoints.txt", "--output_path", "results", *same])
    printed = capfd.readouterr().out
    assert "1 of 2 checkpoints have their results and are skipped\n[1/1] tests/tiny@1, log in " in printed
    scores = {}
    for name, folder in revisions.items():
        [results] = (tmp_path / "results" / f"tests__tiny@{name}").glob("*/results_*.json")
        data = json.loads(results.read_text())
        assert data["config"]["model_sha"] == commit_of("tests/tiny", name)
        [log] = results.parent.glob("samples_mine_*.jsonl")
        rewards = [json.loads(line)["doc"]["skywork_rb"]["rewards"] for line in log.read_text().splitlines()]
        model = rb.load(str(folder), device="cpu")
        expected = [model.score([(row["prompt"], row["chosen"]), (row["prompt"], row["rejected"])]) for row in PAIRS]
        assert rewards == [pytest.approx(pair, abs=1e-4) for pair in expected]
        scores[name] = 100 * data["results"]["mine"]["acc,none"]
        assert f"tests/tiny@{name}  {scores[name]:.2f} ± " in " ".join(printed.split(" ")).replace("   ", "  ")
    script(SCRIPTS / "report.sbatch")
    page = Page((tmp_path / "report.html").read_text(encoding="utf-8"))
    [table] = [rows for caption, rows in page.tables.items() if caption and caption.startswith("mine")]
    assert set(table[0]) >= {"tiny@1", "tiny@2"}


def script(file):
    """Run it by bash, as on a node."""
    done = subprocess.run(["bash", str(file)], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
