"""Heads that vLLM computes itself: which they are, and what becomes of its numbers."""

import dataclasses
from collections.abc import Callable
from typing import NamedTuple

import torch
import transformers
from transformers.modeling_layers import GenericForSequenceClassification

from skywork_rb_plugin.errors import UserError
from skywork_rb_plugin.heads.checkpoint import Checkpoint
from skywork_rb_plugin.heads.families.classifier import Classifier
from skywork_rb_plugin.heads.families.openrlhf import OpenRLHF, head_prefix
from skywork_rb_plugin.heads.families.process import QwenProcess, TokenClassifier, second
from skywork_rb_plugin.heads.families.value_heads import Mlp
from skywork_rb_plugin.heads.family import Family, Loaded
from skywork_rb_plugin.heads.head import Head
from skywork_rb_plugin.models.engine_checks import check_tensors

# what makes of vLLM's raw numbers, (reads, k), those that the family's layers give
Values = Callable[[torch.Tensor], torch.Tensor]


class EngineHead(NamedTuple):
    """A head, and how vLLM is asked for its numbers.

    Attributes:
        head: the family's; its `values` takes vLLM's numbers.
        task: vLLM's, `classify` for those of the last token or `token_classify` for those of all.
        config: values of the model's config by which vLLM takes it for what it is.
        loaded: what the head is made of; the model has no weights.
    """

    head: Head
    task: str
    config: dict[str, object]
    loaded: Loaded


def engine_head(
    family: Family, checkpoint: Checkpoint, tokenizer: transformers.PreTrainedTokenizerBase, pad_id: int | None
) -> EngineHead:
    """The head of a checkpoint, of which nothing is loaded but what the head is made of.

    Raises:
        UserError: vLLM has no such head; or the checkpoint lacks something of it, or has more.
    """
    # a plugin's family may have the name of ours
    if (make := _READ.get(type(family))) is None:
        raise _unknown(family, checkpoint)
    found = make(family, checkpoint, tokenizer, pad_id)
    check_tensors(family, checkpoint, found.loaded.model)
    return found


def _classifier(family: Family, checkpoint: Checkpoint, tokenizer, pad_id: int | None) -> EngineHead:
    """One linear layer `score` at the last token."""
    checkpoint.config.update(family.loading(checkpoint))
    return _linear(family, checkpoint, tokenizer, pad_id)


def _value_head(family: Family, checkpoint: Checkpoint, tokenizer, pad_id: int | None) -> EngineHead:
    """The same on a model that does not call itself a classifier."""
    if (prefix := head_prefix(checkpoint)) != "score":
        raise UserError(
            f"found value_head_prefix {prefix} in {checkpoint.name} ({checkpoint.architecture}), expected score, which vLLM "
            "reads; --model hf-reward reads it by any name"
        )
    checkpoint.config.num_labels = 1
    return _linear(family, checkpoint, tokenizer, pad_id, values=lambda logits: logits)


def _linear(family: Family, checkpoint: Checkpoint, tokenizer, pad_id: int | None, **changes) -> EngineHead:
    model = _without_weights(transformers.AutoModelForSequenceClassification, family, checkpoint)
    if not isinstance(model, GenericForSequenceClassification):
        raise _unknown(family, checkpoint)
    expected = tuple(model.score.weight.shape)
    if (found := tuple(checkpoint.tensor("score.weight").shape)) != expected:
        raise UserError(
            f"{checkpoint.name} ({checkpoint.architecture}) has score.weight of the shape {found}, expected {expected}"
        )
    model.score = torch.nn.Identity()  # vLLM has applied it
    loaded = Loaded(checkpoint, model, tokenizer, pad_id)
    head = dataclasses.replace(family.head(loaded), **changes)
    config = {"architectures": [type(model).__name__], "num_labels": checkpoint.config.num_labels}
    return EngineHead(head, "classify", config, loaded)


def _of_class(suffix: str, values: Values) -> Callable[..., EngineHead]:
    """Layers that a class of vLLM's own computes at every token."""

    def make(family: Family, checkpoint: Checkpoint, tokenizer, pad_id: int | None) -> EngineHead:
        if not any(name.endswith(suffix) for name in checkpoint.architectures):
            raise _unknown(family, checkpoint)
        model = _without_weights(transformers.AutoModel, family, checkpoint)
        loaded = Loaded(checkpoint, model, tokenizer, pad_id)
        head = dataclasses.replace(family.head(loaded), values=values, dtype=None)
        return EngineHead(head, "token_classify", {}, loaded)

    return make


def _without_weights(auto: type, family: Family, checkpoint: Checkpoint) -> transformers.PreTrainedModel:
    """The model's parts in their shapes, which take no memory.

    Raises:
        UserError: transformers has no such model.
    """
    try:
        with torch.device("meta"):
            return auto.from_config(checkpoint.config, attn_implementation="eager")
    except Exception as error:
        raise _unknown(family, checkpoint) from error


def _unknown(family: Family, checkpoint: Checkpoint) -> UserError:
    names = ", ".join(one.name for one in _READ)
    return UserError(
        f"found {checkpoint.name} ({checkpoint.architecture}), read by the head {family.name}, expected one that vLLM "
        f"computes, by the heads {names}; --model hf-reward reads it"
    )


_READ: dict[type[Family], Callable[..., EngineHead]] = {
    Classifier: _classifier,
    OpenRLHF: _value_head,
    Mlp: _of_class("Qwen2ForRewardModel", lambda numbers: numbers),
    QwenProcess: _of_class("Qwen2ForProcessRewardModel", second),
    TokenClassifier: _of_class("ForTokenClassification", second),
}
