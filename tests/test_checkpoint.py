"""What a checkpoint is told by: files of old formats, shards, variants, models in memory; and what is refused of it."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from conftest import make_model, make_tokenizer
from rewards import load
from safetensors.numpy import load_file, save_file
from test_classifiers import classifier
from tiny_checkpoints import decoder, numbers, write

import skywork_rb_plugin as rb
from skywork_rb_plugin import UserError
from skywork_rb_plugin.heads import plugins
from skywork_rb_plugin.heads.checkpoint import Checkpoint

PAIRS = [("Question?", "a response"), ("Question?", "another one")]


def value_head(folder, name="v_head.summary", **extra):
    """A Llama with a value head as of trl."""
    config, tensors = decoder("llama", architectures=["LlamaForCausalLM"])
    tensors.update({f"{name}.weight": numbers("v", (1, 32)), f"{name}.bias": np.ones(1, "f")})
    return write(folder, config, tensors, **extra)


def test_files_in_torch_s_old_format_are_read(tmp_path):
    """A classifier's and a head's, written before torch 1.6 or as if."""
    for folder, expected in ((classifier(tmp_path / "one")[0], "classifier"), (value_head(tmp_path / "two"), "v-head")):
        before = load(folder).score(PAIRS)
        weights = {name: torch.from_numpy(array) for name, array in load_file(f"{folder}/model.safetensors").items()}
        Path(folder, "model.safetensors").unlink()
        torch.save(weights, Path(folder, "pytorch_model.bin"), _use_new_zipfile_serialization=False)
        model = load(folder)
        assert model.family.family.name == expected
        assert model.score(PAIRS) == pytest.approx(before, abs=1e-6)


def test_shards_of_a_variant_and_one_that_is_gone(tmp_path):
    """By the names that transformers gives them."""
    folder = Path(value_head(tmp_path / "model"))
    tensors = load_file(folder / "model.safetensors")
    before = load(folder).score(PAIRS)
    (folder / "model.safetensors").unlink()
    head = {name: tensors.pop(name) for name in list(tensors) if name.startswith("v_head")}
    files = {"model.fp16-00001-of-00002.safetensors": tensors, "model.fp16-00002-of-00002.safetensors": head}
    for name, some in files.items():
        save_file(some, folder / name, {"format": "pt"})
    index = {"metadata": {}, "weight_map": {tensor: name for name, some in files.items() for tensor in some}}
    (folder / "model.safetensors.index.fp16.json").write_text(json.dumps(index))
    assert load(folder, variant="fp16").score(PAIRS) == pytest.approx(before, abs=1e-6)
    (folder / "model.fp16-00002-of-00002.safetensors").unlink()
    with pytest.raises(
        UserError, match=r"found no file model.fp16-00002-of-00002.safetensors of .*model, expected it whole"
    ):
        load(folder, variant="fp16")


def test_an_adapter_in_memory_with_a_head_of_its_own(tmp_path):
    """As a trainer holds it: what peft calls the head tells nothing, the class does."""
    from peft import LoraConfig, get_peft_model

    base = make_model(tmp_path / "base", classifier=False)
    model = transformers.AutoModelForSequenceClassification.from_pretrained(base, num_labels=1)
    wrapped = get_peft_model(model, LoraConfig(task_type="SEQ_CLS", target_modules=["q_proj"]))
    found = rb.load(wrapped, tokenizer=make_tokenizer(), device="cpu")
    assert found.family.family.name == "classifier"
    ids = found.renderer.encode(
        [found.renderer.render([{"role": "user", "content": "Q"}, {"role": "assistant", "content": "R"}])]
    )
    with torch.no_grad():
        expected = wrapped(input_ids=torch.tensor(ids)).logits[0, 0].item()
    assert found.score([("Q", "R")]) == pytest.approx([expected], abs=1e-5)


def test_a_classifier_trained_on_from_openrlhf_is_a_classifier(tmp_path):
    """The config keeps a key of the old head; what is to be normalized, or has another class, is OpenRLHF's."""
    for settings, name in (
        ({}, "classifier"),
        ({"normalize_reward": True, "mean": 0.0, "std": 1.0}, "openrlhf"),
        ({"architectures": ["RewardModel"]}, "openrlhf"),
    ):
        folder, _ = classifier(tmp_path / name / str(len(settings)), value_head_prefix="score")
        file = Path(folder, "config.json")
        file.write_text(json.dumps({**json.loads(file.read_text()), **settings}))
        assert load(folder).family.family.name == name


@pytest.mark.parametrize("name", ["regression_head.weight", "score_head.weight", "v_head.weight", "score.0.weight"])
@pytest.mark.parametrize("model_type", ["llama", "internlm2", "mistral"])
@pytest.mark.parametrize(
    "architecture", ["LlamaForSequenceClassification", "RewardModel", "LlamaForScore", "LlamaModel"]
)
def test_two_of_ours_never_answer(name, model_type, architecture):
    """Whatever an odd config calls itself."""
    config = transformers.LlamaConfig(architectures=[architecture], num_labels=1)
    config.model_type = model_type
    checkpoint = Checkpoint("odd", config)
    checkpoint.__dict__["names"] = frozenset({name, name.replace("weight", "bias"), "model.layers.0.x"})
    assert len([one for one in plugins.registered() if one.family.answers(checkpoint)]) <= 1


def test_what_a_head_can_not_take_is_refused(tmp_path):
    """A delta, whose weights would be the decoder's alone; a label that is no index."""
    folder = value_head(tmp_path / "model")
    with pytest.raises(UserError, match=r"found delta=.* with the head v-head, which is read from .*model alone"):
        load(folder, delta=folder)
    labels, _ = classifier(tmp_path / "labels", labels=2)
    with pytest.raises(UserError, match=r"found label=1\.0, but .* has 2 labels"):
        load(labels, label=1.0)


def test_an_adapter_s_files_are_of_the_revision_that_is_asked_for(monkeypatch):
    """As the host takes the adapter itself."""
    asked = []
    monkeypatch.setattr(
        "skywork_rb_plugin.heads.checkpoint.cached_file", lambda *a, **k: asked.append((a, k["revision"]))
    )
    checkpoint = Checkpoint(
        "b", transformers.LlamaConfig(), "org/base", adapter="org/adapter", files={"revision": "step-9"}
    )
    assert not checkpoint.names
    assert {revision for _, revision in asked} == {"step-9"}
    assert {where for (where, _), _ in asked} == {"org/base", "org/adapter"}
