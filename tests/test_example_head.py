"""A stranger's package with a head, from wheels: found by its entry point, listed with its origin, read as it says."""

import json
import re
from pathlib import Path

import pytest
import torch
from families import conversations, states, token_ids
from test_docs import code_of
from tiny_checkpoints import decoder, numbers, write
from wheels import ROOT, Environment, build

FOLDER = ROOT / "tests" / "example_head"


def test_the_page_shows_the_package():
    """docs/heads.md has its two files, and the head is short."""
    [code] = code_of("docs/heads.md", "python")
    assert code == (FOLDER / "example_head.py").read_text(encoding="utf-8")
    assert len(code.splitlines()) < 40
    [toml] = code_of("docs/heads.md", "toml")
    assert toml in (FOLDER / "pyproject.toml").read_text(encoding="utf-8")


def test_an_installed_head_reads_its_model(tmp_path):
    """`pip install` of both wheels, then `lm_eval run`: no more is needed; `info` tells whose the head is."""
    (tmp_path / "dist").mkdir()
    environment = Environment(tmp_path)
    environment.install(*(build("wheel", source, tmp_path / "dist") for source in (ROOT, FOLDER)))
    config, tensors = decoder("llama")
    tensors.update({name: numbers(name, (1, 32)) for name in ("warmth.weight", "chill.weight")})
    folder = write(tmp_path / "thermo-rm", config, tensors)
    environment.call(
        environment.python, "-m", "lm_eval", "run", "--model", "hf-reward", "--model_args", f"pretrained={folder}",
        "--tasks", "preference_demo_chat", "--limit", "2", "--log_samples", "--output_path", "out",
    )  # fmt: skip
    [results] = Path(tmp_path, "out").rglob("results_*.json")
    assert json.loads(results.read_text())["config"]["reward"]["head"] == "thermometer (example-head 1.0)"
    [log] = Path(tmp_path, "out").rglob("samples_*.jsonl")
    samples = [json.loads(line) for line in log.read_text().splitlines()]
    warmth, chill = (torch.from_numpy(tensors[f"{name}.weight"])[0] for name in ("warmth", "chill"))
    assert len(samples) == 2
    for sample in samples:
        sequences = token_ids(folder, conversations([sample["doc"]]))
        for ids, hidden, answer in zip(sequences, states(folder, sequences), sample["filtered_resps"], strict=True):
            start = len(ids) - 1 - ids[::-1].index(4)  # <|assistant|>
            expected = float(warmth @ hidden[-1] - chill @ hidden[start] / 2)
            assert float(answer[0]) == pytest.approx(expected, abs=1e-5)
    listed = environment.call(environment.python, "-m", "skywork_rb_plugin", "info").stdout
    line = r"^  thermometer +Thermo-RM: a decoder with the tensors warmth.weight and chill.weight  \(hf-reward, example-head 1.0\)$"
    assert re.search(line, listed, re.MULTILINE)
