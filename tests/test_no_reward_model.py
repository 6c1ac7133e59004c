"""Checkpoints that are no reward model of the kind that hf-reward reads: one line that names what was found."""

import json
from pathlib import Path

import pytest
import torch
from conftest import make_model
from rewards import load
from safetensors.torch import load_file, save_file

from skywork_rb_plugin import UserError


def test_language_model_is_no_reward_model(tmp_path):
    """transformers would fill the head with random numbers and go on."""
    folder = make_model(tmp_path / "lm", classifier=False)
    line = r"found no head that reads .*lm \(LlamaForCausalLM; tensors beside the layers: .*lm_head.weight.* --model hf-dpo, .* --model hf\)"
    with pytest.raises(UserError, match=line):
        load(folder)
    with pytest.raises(UserError, match=r"lacks score.weight \(LlamaForCausalLM\).* expected a reward model"):
        load(folder, head="classifier")


@pytest.mark.parametrize("name", ["critic.weight", "reward.out.weight"])
def test_a_head_of_another_name_is_named(tmp_path, name):
    """Its owner has a reward model: no word of --model hf."""
    folder = tmp_path / "lm"
    make_model(folder, classifier=False)
    weights = load_file(folder / "model.safetensors")
    save_file({**weights, name: torch.zeros(1, 32)}, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(UserError, match=rf"found no head that reads .*{name}"):
        load(folder)


def test_several_labels_are_refused(tmp_path):
    """Which of them would be the reward?"""
    folder = make_model(tmp_path / "labels", num_labels=3)
    line = (
        r"labels \(LlamaForSequenceClassification\) has 3 labels \(LABEL_0, LABEL_1, LABEL_2\), expected a reward model"
    )
    with pytest.raises(UserError, match=line):
        load(folder)


@pytest.mark.parametrize(
    ("architecture", "line"),
    [
        ("ForTokenClassification", r"found no head that reads .*steps \(Qwen2ForTokenClassification;"),
        (
            "ForProcessRewardModel",
            r"found no tensor score.0.weight in .*steps \(Qwen2ForProcessRewardModel\), expected the",
        ),
        (
            "ForPrmModel",
            r"found no tensor v_head.summary.weight in .*steps \(Qwen2ForPrmModel\), expected the head to be",
        ),
    ],
)
def test_a_model_of_steps_without_its_head_is_named_as_one(tmp_path, architecture, line):
    """Before its weights are loaded; no word of --model hf, nor of labels as if fewer would do."""
    folder = Path(make_model(tmp_path / "steps", num_labels=2))
    rewrite_config(folder, architectures=[f"Qwen2{architecture}"])
    (folder / "model.safetensors").unlink()
    with pytest.raises(UserError, match=line):
        load(folder)


def test_a_head_of_another_shape_is_named_with_it(tmp_path):
    """An architecture that says nothing of its labels."""
    folder = Path(make_model(tmp_path / "two", num_labels=2))
    rewrite_config(folder, architectures=["LlamaForSomething"])
    line = r"two \(LlamaForSomething\) has score.weight of (the shape \(2, 32\)|another shape), expected \(1, 32\)"
    with pytest.raises(UserError, match=line):
        load(folder)


def rewrite_config(folder, **settings):
    """Change a checkpoint's config.json."""
    file = folder / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **settings}))
