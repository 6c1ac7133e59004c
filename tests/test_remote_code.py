"""Classifiers whose class comes with the checkpoint: run if that is asked for, and never taken for transformers' own."""

import pytest
import torch
import transformers
from families import conversations, states, token_ids
from rewards import load
from tiny_checkpoints import decoder, numbers, write

from skywork_rb_plugin import UserError

CODE = """
import torch
from transformers import LlamaModel, LlamaPreTrainedModel
from transformers.modeling_outputs import SequenceClassifierOutput


class MeanReward(LlamaPreTrainedModel):
    def __init__(self, config):
        super().__init__(config)
        self.model = LlamaModel(config)
        self.score = torch.nn.Linear(config.hidden_size, 1, bias=False)
        self.post_init()

    def forward(self, input_ids, attention_mask=None, **kwargs):
        hidden = self.model(input_ids, attention_mask=attention_mask).last_hidden_state * attention_mask.unsqueeze(-1)
        return SequenceClassifierOutput(logits=self.score(hidden).sum(1) / attention_mask.sum(1, keepdim=True))
"""


def remote(folder, architecture="MeanReward"):
    """A checkpoint with a class of its own; its tensors are those of LlamaForSequenceClassification."""
    config, tensors = decoder(
        "llama", architectures=[architecture], num_labels=1, id2label={"0": "LABEL_0"}, label2id={"LABEL_0": 0},
        auto_map={"AutoModelForSequenceClassification": "modeling_mean.MeanReward"},
    )  # fmt: skip
    tensors["score.weight"] = numbers("score.weight", (1, 32))
    return write(folder, config, tensors, extra={"modeling_mean.py": CODE}), torch.from_numpy(tensors["score.weight"])


def test_code_of_the_checkpoint_gives_the_rewards(tmp_path, monkeypatch):
    """With trust_remote_code: its own logits, in padded batches."""
    monkeypatch.setattr(transformers.dynamic_module_utils, "HF_MODULES_CACHE", str(tmp_path / "modules"))
    folder, weight = remote(tmp_path / "model")
    expected = [float((hidden @ weight[0]).mean()) for hidden in states(folder, token_ids(folder))]
    model = load(folder, dtype="float32", trust_remote_code=True)
    assert model.score([tuple(one) for one in conversations()]) == pytest.approx(expected, abs=1e-5)
    assert (model.head_name(), model.scorer.name) == ("MeanReward, one label", "padded")


def test_code_that_may_not_run_is_one_line(tmp_path):
    """Transformers would take a class of its own, whose tensors have the same names."""
    folder, _ = remote(tmp_path / "model")
    with pytest.raises(
        UserError,
        match=r"\(MeanReward\) is read by code that comes with it \(modeling_mean\.MeanReward\), expected trust_r",
    ):
        load(folder)


def test_code_that_transformers_has_by_now_need_not_run(tmp_path):
    """Where the architecture is one of its own."""
    folder, _ = remote(tmp_path / "model", "LlamaForSequenceClassification")
    assert load(folder).head_name() == "LlamaForSequenceClassification, one label"
