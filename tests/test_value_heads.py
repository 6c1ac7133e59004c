"""Value heads through the harness, by tree and in padded batches, against their hidden states and weights."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from conftest import make_tokenizer
from families import ROWS, states, token_ids
from rewards import load
from tiny_checkpoints import rebuild
from value_checkpoints import CLASSIFIER, GRM, MLP, PLAIN, SUMMARY, check, checkpoint, last, rewards, value

from skywork_rb_plugin.heads.pooling import before_first


@pytest.mark.parametrize(
    ("family", "architecture", "head", "layer", "config", "name"),
    [
        ("llama", "INFORMForSequenceClassification", MLP, "score", {}, "mlp"),
        ("qwen2", "Qwen2ForRewardModel", MLP, "score", {}, "mlp"),
        ("gemma2", "Gemma2ForCausalLM", SUMMARY, "v_head.summary", {"vhead_layer_type": "linear"}, "grm"),
        ("llama", "LlamaForCausalLM", GRM, "v_head.summary", {"vhead_layer_type": "mlp", "vhead_num_layers": 2}, "grm"),
        ("qwen3", "Qwen3ForCausalLM", SUMMARY, "v_head.summary", {"lm_head": True}, "v-head"),
        ("mistral", "MistralModel", {"v_head.weight": (1, 32)}, "v_head", {}, "v-head"),
        ("mistral", "EurusRewardModel", {"regression_head.weight": (1, 32)}, "regression_head", {}, "eurus"),
        ("qwen2", "Qwen2Model", {"value.weight": (1, 32)}, "value", {"value_head_prefix": "value"}, "openrlhf"),
    ],
)
def test_one_value_at_the_last_token(task_manager, tmp_path, caplog, family, architecture, head, layer, config, name):
    """By the layers that the config or the names say."""
    folder, tensors = checkpoint(tmp_path / "model", head, family, architectures=[architecture], **config)
    attention = {"attn_implementation": "eager"} if family == "gemma2" else {}
    # GRM's card and reward-bench tokenize the template's text, BOS and all
    ids = token_ids(folder, one_bos=name != "grm")
    assert [one[1] == 0 for one in ids] == [name == "grm"] * len(ids)
    check(folder, task_manager, tmp_path, caplog, last(folder, tensors, layer, ids), name, **attention)


def test_a_value_head_computes_in_float32(tmp_path):
    """In a model of half precision: trl's does, GRM's does not."""
    ids = [0, 7, 8, 9]
    folder, tensors = checkpoint(tmp_path / "trl", SUMMARY, lm_head=True)
    other, _ = checkpoint(tmp_path / "grm", SUMMARY, lm_head=True, vhead_layer_type="linear")
    half = transformers.AutoModel.from_pretrained(folder, dtype=torch.bfloat16).eval()
    with torch.no_grad():
        hidden = half(torch.tensor([ids])).last_hidden_state[0, -1]
    whole = value(tensors, hidden.float(), "v_head.summary")
    rounded = value({key: tensor.bfloat16() for key, tensor in tensors.items()}, hidden, "v_head.summary")
    found = [load(path, dtype="bfloat16", scoring="padded").scorer.score([ids])[0] for path in (folder, other)]
    assert found == pytest.approx([whole, rounded], abs=1e-6)
    assert abs(whole - rounded) > 1e-4


@pytest.mark.parametrize(("asks", "mean", "std"), [(False, 0.4, 1.7), (True, 0.4, 1.7)])
def test_openrlhf_normalizes_where_the_config_asks(tmp_path, asks, mean, std):
    """(r - mean) / std."""
    folder, tensors = checkpoint(
        tmp_path / "model", {"score.weight": (1, 32)}, architectures=["RewardModel"], normalize_reward=asks, mean=mean, std=std
    )  # fmt: skip
    expected = [(one - mean) / std if asks else one for one in last(folder, tensors, "score")]
    assert rewards(folder) == [pytest.approx(expected, abs=1e-5)] * 2


PADS = [{"prompt": "A?", "chosen": "One<|bos|> two.", "rejected": "One<|pad|> three, and <|pad|>so on."}, *ROWS]


@pytest.mark.parametrize(
    ("name", "head", "layer", "prefix", "pad"),
    [("starling", {"v_head.weight": (1, 32)}, "v_head", "transformer.", 0), ("mlp", MLP, "score", "model.", 2)],
)
def test_heads_that_are_read_before_the_first_pad_token(task_manager, tmp_path, caplog, name, head, layer, prefix, pad):
    """Starling's is the id 0, the MLPs' the config's; a text that has it inside is read there."""
    folder, tensors = checkpoint(
        tmp_path / "model", head, prefix=prefix, architectures=[CLASSIFIER], tokenizer=make_tokenizer(PLAIN, add_bos=False)
    )  # fmt: skip
    messages = [
        [{"role": "user", "content": row["prompt"]}, {"role": "assistant", "content": row[which]}]
        for row in PADS
        for which in ("chosen", "rejected")
    ]
    ids = token_ids(folder, messages)
    ends = [one.index(pad) if pad in one else len(one) for one in ids]
    found = states(folder, ids, {r"^transformer\.": ""} if prefix == "transformer." else None)
    expected = [value(tensors, hidden[end - 1], layer) for hidden, end in zip(found, ends, strict=True)]
    assert any(end < len(one) for one, end in zip(ids, ends, strict=True))
    check(folder, task_manager, tmp_path, caplog, expected, name, PADS)


@pytest.mark.parametrize(
    ("ids", "pad", "index"), [([5, 6, 7], 2, 2), ([5, 2, 7, 2], 2, 0), ([2, 5, 6], 2, 2), ([5, 6], None, 1)]
)
def test_before_the_first_pad_token(ids, pad, index):
    """The last token where there is none, or where it comes first."""
    assert before_first(ids, pad) == index


class Ready:
    """Conversations that are tokenized already."""

    def __init__(self, sequences):
        self.texts, self.encode = [""] * len(sequences), lambda indices: [sequences[i] for i in indices]
        self.done = frozenset()


REFERENCE = json.loads((Path(__file__).parent / "reference" / "heads.json").read_text())
OTHERS = ("qrm", "armorm", "ldl")  # heads of other kinds


@pytest.mark.parametrize("name", [name for name in REFERENCE["cases"] if not name.startswith(OTHERS)])
def test_rewards_are_those_of_the_reference_classes(tmp_path, name):
    """Which were scored once, with the same checkpoints (reference/make_heads.py)."""
    case = REFERENCE["cases"][name]
    # what the loader is told there, the config says here; a cost is negated by the reference's pipeline alone
    folder = rebuild(tmp_path / "model", {**case, "decoder": {**case["decoder"], **case.get("load", {})}})
    expected = np.array(case["rewards"]) * (-1 if name == "beaver-cost" else 1)
    attention = {"attn_implementation": "eager"} if case["decoder"]["model_type"] == "gemma2" else {}
    for scoring in ("tree", "padded"):
        scorer, found = load(folder, dtype="float32", scoring=scoring, **attention).scorer, {}
        for scored in scorer.run(Ready(REFERENCE["sequences"][case["sequences"]])):
            found.update(zip(scored.conversations, scored.scores, strict=True))
        assert [found[i] for i in range(len(expected))] == pytest.approx(expected, abs=1e-5)
