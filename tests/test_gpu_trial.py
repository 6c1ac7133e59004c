"""The trial on one GPU, in its tiny form: it ends by itself, writes what it found, and finds mistakes."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from conftest import TEMPLATE, make_tokenizer, write_rows

from skywork_rb_plugin.discovery import task_folder
from skywork_rb_plugin.scoring.masks import KeyBlock, TreeMask

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"
DEMO = Path(__file__).parent.parent / "skywork_rb_plugin" / "demo" / "model"


@pytest.fixture
def benchmarks(monkeypatch):
    """Has plain scripts import their neighbours."""
    monkeypatch.syspath_prepend(BENCHMARKS)


def run_main(module, monkeypatch, *arguments):
    """The command line of a script."""
    monkeypatch.setattr(sys, "argv", [module.__name__, *map(str, arguments)])
    module.main()


@pytest.fixture
def ids(tmp_path, benchmarks, monkeypatch):
    """A folder of token ids: the packaged pairs by the demo's tokenizer, for all families."""
    import make_token_ids

    run_main(make_token_ids, monkeypatch, "--out", tmp_path / "ids" / "llama-3.1.npz")
    for family in ("qwen-3", "gemma-2"):
        shutil.copy(tmp_path / "ids" / "llama-3.1.npz", tmp_path / "ids" / f"{family}.npz")
    return tmp_path / "ids"


@pytest.mark.skipif(not shutil.which("g++"), reason="torch compiles for CPUs with g++")
def test_tiny_trial_ends_with_nothing_failed(ids, tmp_path):
    """The command: the scores of every attention are right, and a budget that is too large is halved."""
    command = [sys.executable, BENCHMARKS / "gpu_trial.py", "--tiny", "--ids", ids, "--out", tmp_path / "found.json"]
    stages = ["machine", "correctness", "out_of_memory"]
    # a pool of compilers takes longer to start than it saves
    quick = {"OMP_NUM_THREADS": "1", "TORCHINDUCTOR_COMPILE_THREADS": "1"}
    paths = os.pathsep.join(filter(None, [str(BENCHMARKS.parent), os.environ.get("PYTHONPATH")]))
    done = subprocess.run(
        [*command, "--only", *stages], env={**os.environ, **quick, "PYTHONPATH": paths}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads((tmp_path / "found.json").read_text())
    assert {stage: result["state"] for stage, result in found.items()} == dict.fromkeys(stages, "done")
    cases = found["correctness"]["steps"]
    assert len(cases) == 3
    for case in cases.values():
        ways = {"flex_attention", "prefix_tree"}
        assert ways < case.keys()
        assert all(case[f"{way}, off, tree"] < case[f"{way}, off, no tree"] / 3 for way in ways)
    [halved] = found["out_of_memory"]["steps"].values()
    assert halved["after"] < halved["budget before"]
    assert "- correctness: done" in done.stdout


def test_token_ids_are_those_of_the_model(ids, benchmarks):
    """One conversation is stored once, and rows keep their order."""
    from token_ids import TokenIds

    tokenizer = transformers.AutoTokenizer.from_pretrained(DEMO)
    rows = [json.loads(line) for line in (task_folder() / "preference_demo" / "pairs.jsonl").read_text().splitlines()]
    found = TokenIds.load(ids / "llama-3.1.npz")
    assert len(found.pairs) == len(rows)
    for (chosen, rejected), row in zip(found.pairs, rows, strict=True):
        for index, column in ((chosen, "chosen"), (rejected, "rejected")):
            messages = [{"role": "user", "content": row["prompt"]}, {"role": "assistant", "content": row[column]}]
            text = tokenizer.apply_chat_template(messages, tokenize=False)
            assert list(found.sequences[index]) == tokenizer(text, add_special_tokens=False)["input_ids"]
    assert sorted(found.texts) == [found.texts[i] for i in np.argsort(np.array(found.sequences, object))]


def test_equal_conversations_are_stored_once(tmp_path, benchmarks, monkeypatch):
    """Short rows are picked whole, and ids that a model does not know are folded."""
    import make_token_ids
    from token_ids import TokenIds

    make_tokenizer(TEMPLATE).save_pretrained(tmp_path / "tokenizer")
    rows = [
        {"prompt": "a", "chosen": "b", "rejected": "c" * 50},
        {"prompt": "a", "chosen": "b", "rejected": "d"},
        {"prompt": "a", "chosen": "d", "rejected": "b"},
    ]
    data = write_rows(tmp_path / "rows.jsonl", rows)
    options = "--tokenizer", tmp_path / "tokenizer", "--data", data, "--out", tmp_path / "ids.npz"
    run_main(make_token_ids, monkeypatch, *options)
    found = TokenIds.load(tmp_path / "ids.npz")
    assert found.order == [0, 1, 0, 2, 2, 0]
    short = found.first(5, 40)
    assert short.order == [0, 1, 1, 0]
    assert short.sequences == [found.sequences[0], found.sequences[2]]
    assert short.folded(300) is short
    assert short.folded(20).sequences == [tuple(token % 19 for token in ids) for ids in short.sequences]


def test_a_wrong_attention_is_a_failed_stage(ids, tmp_path, benchmarks, monkeypatch):
    """Every token sees all before it; the stages after it are done, and the file says which is wrong."""
    import gpu_trial
    import gpu_trial_checks
    from observed import Subject
    from shapes import random_classifier, shape_config
    from trial import Stage, Trial

    def key_blocks(self, layer, repeats, dtype, device):
        mask = torch.full((self.size, self.size), -torch.inf, dtype=dtype).triu(1)
        return [KeyBlock(slice(self.size), slice(self.size), mask.repeat(repeats, 1))]

    def check(trial):
        config = shape_config("llama-8b", tiny=True)
        subject = Subject(random_classifier(config, torch.float32, trial.device), trial.device)
        short = trial.ids("llama-3.1").folded(config.vocab_size).sequences[:4]
        trial.step("trees", lambda: subject.check(subject.tree("prefix_tree", 512), short))

    def run():
        trial = Trial(torch.device("cpu"), True, ids, tmp_path / "found.json", 60)
        trial.run([Stage("check", check), Stage("machine", gpu_trial_checks.machine)])
        results = json.loads((tmp_path / "found.json").read_text())
        assert results["machine"]["state"] == "done"
        return trial.failed, results["check"]

    failed, right = run()
    assert (failed, right["state"]) == (False, "done")
    monkeypatch.setattr(TreeMask, "key_blocks", key_blocks)
    failed, wrong = run()
    assert (failed, wrong["state"]) == (True, "failed")
    assert wrong["steps"]["trees"]["wrong"].startswith("hidden states off by")
    assert "  - trees: wrong: hidden states off by" in gpu_trial.summary({"check": wrong})


def test_time_is_kept(tmp_path, benchmarks):
    """What fails does not end the trial; what there is no time for is skipped, step by step and stage by stage."""
    from trial import Stage, Trial

    def work(trial):
        trial.step("breaks", lambda: 1 / 0)
        trial.step("goes on", lambda: {"found": 1})
        trial.step("long", lambda: {"found": 2}, seconds=1000)

    trial = Trial(torch.device("cpu"), True, tmp_path, tmp_path / "found.json", 500)
    trial.run([Stage("whole", work), Stage("out of time", work, most=-1), Stage("not begun", work, least=1000)])
    found = json.loads((tmp_path / "found.json").read_text())
    states = {"whole": "failed", "out of time": "done", "not begun": "skipped"}
    assert {name: result["state"] for name, result in found.items()} == states
    steps = found["whole"]["steps"]
    assert steps["breaks"]["failed"] == "ZeroDivisionError: division by zero"
    assert steps["goes on"] == {"found": 1}
    assert list(steps["long"]) == ["skipped"]
    assert {step: list(kept) for step, kept in found["out of time"]["steps"].items()} == {"stage": ["skipped"]}
    assert found["not begun"]["steps"] == {}


def test_what_is_missing_is_one_line(tmp_path, benchmarks, monkeypatch):
    """A GPU, and token ids: known before anything runs."""
    import gpu_trial

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(SystemExit, match="found no CUDA device, expected one, or --tiny"):
        run_main(gpu_trial, monkeypatch, "--ids", tmp_path)
    with pytest.raises(SystemExit, match=r"found no .*gemma-2\.npz, expected a file of make_token_ids\.py there"):
        run_main(gpu_trial, monkeypatch, "--tiny", "--ids", tmp_path, "--only", "gemma-9b")
