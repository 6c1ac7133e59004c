"""`check`: what it tells of a model, that it exits with 1 where something is wrong, and its JSON."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import TEMPLATE, make_model, make_tokenizer
from families import states, token_ids
from rewards import load
from safetensors.torch import load_file, save_file

from skywork_rb_plugin import UserError
from skywork_rb_plugin.commands.check.command import main
from skywork_rb_plugin.models import known_models
from skywork_rb_plugin.models.reward_lm import RewardLM
from skywork_rb_plugin.rendering.rendered import PROBES


def check(capsys, *arguments):
    """Its exit code and what it prints."""
    with pytest.raises(SystemExit) as end:
        main([str(argument) for argument in arguments])
    return end.value.code, capsys.readouterr().out


def test_the_command_tells_what_a_model_is(tmp_path, models):
    """The real one, as JSON: rewards and tokens as they are without us."""
    folder = models["qwen-3"]
    done = subprocess.run(
        [sys.executable, "-m", "skywork_rb_plugin", "check", folder, "--json", "--model_args", "max_length=100"],
        cwd=tmp_path, env={**os.environ, "PYTHONWARNINGS": "ignore"}, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout)
    sequences = token_ids(folder, [list(probe) for probe in PROBES])
    weight = load_file(Path(folder) / "model.safetensors")["score.weight"][0]
    expected = [float(weight @ hidden[-1]) for hidden in states(folder, sequences)]
    for name in ("alone", "batch", "tree"):
        assert found["rewards"][name] == pytest.approx(expected, abs=1e-5)
    assert found["family"] == {
        "name": "classifier", "origin": "built in",
        "source": "transformers, modeling_layers.py, GenericForSequenceClassification",
    }  # fmt: skip
    assert [one for one, _ in found["tokens"]["first"]] == sequences[0][:6]
    assert [one for one, _ in found["tokens"]["last"]] == sequences[0][-6:]
    assert found["tokens"]["read"] == [{"position": len(sequences[0]) - 1, "token": [1, "<|end|>"]}]
    assert (found["tokens"]["bos"], found["max_length"], found["problems"]) == (1, 100, [])
    assert found["versions"]["torch"]
    assert found["memory"]["weights"] == 4 * found["parameters"]


def test_for_a_reader(models, capsys):
    """The same in lines, which end in a verdict."""
    code, out = check(capsys, models["gemma-2"], "--device", "cpu")
    assert code == 0
    assert out.endswith("\n\nfine\n")
    for line in (
        "family          classifier (built in), as in transformers",
        "BOS tokens      1",
        "  tree  ",
        "  batch ",
    ):
        assert f"\n{line}" in out


def test_what_is_wrong_is_told(tmp_path, capsys):
    """Two BOS tokens, and a head that was never trained; each a line, and the exit code."""
    folder = make_model(tmp_path / "model", tokenizer=make_tokenizer("{{ bos_token }}" + TEMPLATE))
    weights = load_file(Path(folder) / "model.safetensors")
    save_file(
        {**weights, "score.weight": weights["score.weight"] * 0}, Path(folder) / "model.safetensors", {"format": "pt"}
    )
    code, out = check(capsys, folder, "--device", "cpu")
    assert code == 1
    assert "wrong: found 2 BOS tokens at the start of a conversation, expected one: look at the chat template\n" in out
    assert (
        "wrong: 3 different conversations all have the reward 0, expected different ones: is the head trained?" in out
    )
    assert "warning: 3 different short conversations all have the reward 0" in out
    code, out = check(capsys, folder, "--device", "cpu", "--json")
    assert (code, len(json.loads(out)["problems"])) == (1, 2)


def test_a_model_that_does_not_load_is_one_line_or_json(tmp_path, capsys):
    """As everywhere; under --json it is part of the report."""
    folder = make_model(tmp_path / "lm", classifier=False)
    with pytest.raises(UserError, match="found no head that reads"):
        main([folder, "--device", "cpu"])
    code, out = check(capsys, folder, "--device", "cpu", "--json")
    assert code == 1
    assert json.loads(out)["error"].startswith("found no head that reads")
    with pytest.raises(
        UserError, match=r"found pretrained=… in --model_args, expected the model as the first argument"
    ):
        main([folder, "--model_args", "pretrained=x"])


def test_a_known_model_is_compared_with_its_published_rewards(tmp_path, capsys, monkeypatch):
    """Only in the dtype that they were published in; beyond the tolerance the exit code says so."""
    folder = make_model(tmp_path / "Some" / "Tiny-RM")
    own = RewardLM.score(load(folder), [PROBES[0]])[0]
    table = f"""
sources: {{card: {{what: its card, date: 2024-09}}}}
conversations: {{hello: {json.dumps(PROBES[0])}}}
models:
  Some/Tiny-RM:
    family: classifier
    licence: null
    rewards:
      - {{source: card, conversation: hello, reward: {own + 0.01}, dtype: float32, tolerance: TOLERANCE}}
      - {{source: card, conversation: hello, reward: 1000, dtype: bfloat16, tolerance: 1}}
"""
    for tolerance, code in ((0.02, 0), (0.005, 1)):
        text = table.replace("TOLERANCE", str(tolerance))
        monkeypatch.setattr(known_models, "known_models", lambda text=text: known_models.read(text))
        found, out = check(capsys, folder, "--device", "cpu")
        assert found == code
        assert f"  known: {own + 0.01:g} expected, {own:g} found (its card, 2024-09)" in out
        assert ("wrong: found the reward" in out) == (code == 1)
