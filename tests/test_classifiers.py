"""Classifiers with one label or more, through the harness, against their hidden states and weights."""

import pytest
import torch
from families import by_tree_and_padded, states, token_ids
from rewards import load
from tiny_checkpoints import decoder, numbers, write

from skywork_rb_plugin import UserError


def classifier(folder, family="llama", labels=1, **config):
    """A causal classifier; its rewards are read at the last token."""
    names = {str(i): f"label {i}" for i in range(labels)}
    config, tensors = decoder(
        family, architectures=[f"{family.capitalize()}ForSequenceClassification"], num_labels=labels, id2label=names,
        label2id={name: int(i) for i, name in names.items()}, **config,
    )  # fmt: skip
    tensors["score.weight"] = numbers("score.weight", (labels, 32))
    return write(folder, config, tensors), torch.from_numpy(tensors["score.weight"])


@pytest.mark.parametrize("family", ["llama", "qwen2", "mistral"])
def test_one_label(task_manager, tmp_path, family):
    """The logit at the last token."""
    folder, weight = classifier(tmp_path / "model", family)
    expected = [float(weight[0] @ hidden[-1]) for hidden in states(folder, token_ids(folder))]
    by_tree, padded, info = by_tree_and_padded(folder, task_manager, tmp_path)
    assert by_tree == pytest.approx(expected, abs=1e-5)
    assert padded == pytest.approx(expected, abs=1e-5)
    assert info["head"].endswith("ForSequenceClassification, one label")


@pytest.mark.parametrize("label", [1, "label 1"])
def test_one_of_several_labels(task_manager, tmp_path, label):
    """By number or name: its logit, and none of the others."""
    folder, weight = classifier(tmp_path / "model", labels=3)
    expected = [float(weight[1] @ hidden[-1]) for hidden in states(folder, token_ids(folder))]
    by_tree, padded, info = by_tree_and_padded(folder, task_manager, tmp_path, label=label)
    assert by_tree == pytest.approx(expected, abs=1e-5)
    assert padded == pytest.approx(expected, abs=1e-5)
    assert info["head"] == "LlamaForSequenceClassification, label 1"


def test_labels_that_are_not_there(tmp_path):
    """None is taken in silence."""
    folder, _ = classifier(tmp_path / "model", labels=3)
    with pytest.raises(
        UserError, match=r"has 3 labels \(label 0, label 1, label 2\), expected a reward model with one, or"
    ):
        load(folder)
    with pytest.raises(UserError, match=r"found label=good, but .* has 3 labels"):
        load(folder, label="good")
    with pytest.raises(UserError, match=r"found label=3, but .* has 3 labels"):
        load(folder, label=3)


def test_options_of_another_head_are_refused(tmp_path):
    """Not passed over."""
    folder, _ = classifier(tmp_path / "model")
    with pytest.raises(
        UserError, match=r"found steps=min in --model_args, which the head classifier of .* has no use for"
    ):
        load(folder, steps="min")
