"""Where value heads lie, and what is said where they are not whole."""

import numpy as np
import pytest
import torch
import transformers
from families import token_ids
from rewards import load
from value_checkpoints import CLASSIFIER, GRM, MLP, SUMMARY, checkpoint, last, rewards, value

from skywork_rb_plugin import UserError
from skywork_rb_plugin.heads import plugins
from skywork_rb_plugin.heads.checkpoint import Checkpoint
from skywork_rb_plugin.heads.families.classifier import Classifier
from skywork_rb_plugin.heads.families.value_heads import ValueHead


@pytest.mark.parametrize("file", ["value_head.safetensors", "value_head.bin"])
def test_a_value_head_in_a_file_of_its_own(tmp_path, file):
    """As LLaMA-Factory saves it."""
    folder, tensors = checkpoint(tmp_path / "model", {}, extra={file: SUMMARY}, lm_head=True)
    expected = last(folder, tensors, "v_head.summary")
    assert rewards(folder) == [pytest.approx(expected, abs=1e-5)] * 2


def test_a_prefix_of_the_whole_model(tmp_path):
    """As the wrapper's under DeepSpeed ZeRO-3."""
    folder, tensors = checkpoint(tmp_path / "model", SUMMARY, prefix="pretrained_model.model.")
    expected = last(folder, tensors, "v_head.summary", key_mapping={r"^pretrained_model\.(?:model\.)?": ""})
    assert rewards(folder)[0] == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("file", ["value_head.safetensors", "value_head.bin", "pytorch_model.bin"])
def test_a_value_head_beside_an_adapter(tmp_path, file):
    """The adapter was trained within a causal language model, and changes the scores; the base's own head gives way."""
    import peft

    base, _ = checkpoint(
        tmp_path / "base", {name: np.zeros(shape, "f") for name, shape in SUMMARY.items()}, lm_head=True
    )
    model = transformers.AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    settings = peft.LoraConfig(r=2, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM", init_lora_weights=False)
    torch.manual_seed(0)
    adapted = peft.get_peft_model(model, settings).eval()
    adapted.save_pretrained(tmp_path / "adapter")
    _, tensors = checkpoint(tmp_path / "other", {}, extra={file: SUMMARY})
    (tmp_path / "other" / file).rename(tmp_path / "adapter" / file)
    decoder = adapted.get_base_model().model
    with torch.no_grad():
        hidden = [decoder(torch.tensor([ids])).last_hidden_state[0, -1] for ids in token_ids(base)]
    expected = [value(tensors, state, "v_head.summary") for state in hidden]
    assert rewards(base, peft=str(tmp_path / "adapter")) == [pytest.approx(expected, abs=1e-5)] * 2
    assert expected != pytest.approx(last(base, tensors, "v_head.summary"), abs=1e-2)


def without(head, name, **others):
    """A head that lacks a tensor, or has another in its place."""
    return {**{key: shape for key, shape in head.items() if key != name}, **others}


@pytest.mark.parametrize(
    ("head", "config", "line"),
    [
        (without(MLP, "score.2.weight"), {}, r"no tensor score\.2\.weight in .*head to be whole; .*score\.2\.bias"),
        (
            without(without(MLP, "score.2.weight"), "score.2.bias"),
            {},
            r"no tensor score\.2\.weight in .*score\.0\.weight",
        ),
        (without(MLP, "score.0.weight"), {}, r"no tensor score\.0\.weight in .*score\.2\.bias"),
        (
            {**MLP, "score.2.weight": (2, 32)},
            {},
            r"has score\.2\.weight of the shape \(2, 32\), expected \(1, 32\).*score\.0",
        ),
        ({**MLP, "score.0.weight": (32, 30)}, {}, r"has score\.0\.weight of the shape \(32, 30\), expected \(32, 32\)"),
        ({**MLP, "score.0.bias": (30,)}, {}, r"has score\.0\.bias of the shape \(30,\), expected \(32,\)"),
        (without(SUMMARY, "v_head.summary.bias"), {}, r"no tensor v_head\.summary\.bias in .*v_head\.summary\.weight"),
        (
            without(GRM, "v_head.summary.2.weight"),
            {},
            r"no tensor v_head\.summary\.2\.weight in .*v_head\.summary\.0\.bias",
        ),
        ({"v_head.weight": (2, 32)}, {"architectures": [CLASSIFIER]}, r"has v_head\.weight of the shape \(2, 32\)"),
        (
            SUMMARY,
            {"vhead_layer_type": "mlp", "vhead_num_layers": 1},
            r"found 1 layers of v_head\.summary in .*vhead_num_layers=1 and",
        ),
        (
            {"regression_head.weight": (1, 30)},
            {},
            r"has regression_head\.weight of the shape \(1, 30\), expected \(1, 32\)",
        ),
        ({"score.weight": (1, 32)}, {"value_head_prefix": "value"}, r"no tensor value\.weight in .*score\.weight"),
        (
            {"score.weight": (1, 32)},
            {"value_head_prefix": "score", "normalize_reward": True, "mean": 0.4},
            r"found normalize_reward with mean 0\.4 and std None in config\.json of",
        ),
        ({"score_head.weight": (1, 32)}, {"bias": True}, r"no tensor score_head\.bias in .*score_head\.weight"),
        ({"score_head.weight": (1, 32)}, {"score_type": "worth"}, r"found score_type 'worth' in config\.json of"),
        ({"score_head.weight": (1, 32)}, {"var": [1.0, 2.0]}, r"found var \[1\.0, 2\.0\] of the normalizer of"),
    ],
)
def test_what_is_not_whole_is_one_line(tmp_path, monkeypatch, head, config, line):
    """With the tensors that there are, before the decoder is loaded."""
    monkeypatch.setattr(transformers.AutoModel, "from_pretrained", None)
    folder, _ = checkpoint(tmp_path / "model", head, **config)
    with pytest.raises(UserError, match=line) as caught:
        load(folder)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("head", "architecture"),
    [(SUMMARY, "Qwen2ForPrmModel"), ({**MLP, "score.2.weight": (2, 32)}, "Qwen2ForProcessRewardModel")],
)
def test_step_models_are_left_to_others(tmp_path, head, architecture):
    """By the class that their config names; the tensors are the same."""
    folder, _ = checkpoint(tmp_path / "model", head, architectures=[architecture])
    found = Checkpoint(folder, transformers.AutoConfig.from_pretrained(folder), folder)
    assert found.architectures == [architecture]
    ours = [one.family for one in plugins.registered() if isinstance(one.family, (ValueHead, Classifier))]
    assert len(ours) > 8
    assert not [family.name for family in ours if family.answers(found)]


def test_weights_under_another_name_are_told(tmp_path):
    """As Starling-RM-7B's, which come without anything else."""
    folder, _ = checkpoint(tmp_path / "model", {}, lm_head=True)
    (tmp_path / "model" / "model.safetensors").rename(tmp_path / "model" / "reward.pt")
    with pytest.raises(UserError, match=r"none: reward\.pt has to be called pytorch_model\.bin to be found\)"):
        load(folder)
