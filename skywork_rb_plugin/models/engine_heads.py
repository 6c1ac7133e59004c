"""Heads that vLLM computes itself: which they are, and what becomes of its numbers."""

import dataclasses
from collections.abc import Callable
from typing import NamedTuple

import torch
import transformers
from transformers.modeling_layers import GenericForSequenceClassification

from skywork_rb_plugin.errors import UserError
from skywork_rb_plugin.heads.checkpoint import Checkpoint
from skywork_rb_plugin.heads.families.process import second
from skywork_rb_plugin.heads.family import Family, Loaded
from skywork_rb_plugin.heads.head import Head

# what makes of vLLM's raw numbers, (reads, k), those that the family's layers give
Values = Callable[[torch.Tensor], torch.Tensor]


class EngineHead(NamedTuple):
    """A head, and how vLLM is asked for its numbers.

    Attributes:
        head: the family's; its `values` takes vLLM's numbers.
        task: vLLM's, `classify` for those of the last token or `token_classify` for those of all.
        config: values of the model's config by which vLLM takes it for what it is.
    """

    head: Head
    task: str
    config: dict[str, object]


def engine_head(
    family: Family, checkpoint: Checkpoint, tokenizer: transformers.PreTrainedTokenizerBase, pad_id: int | None
) -> EngineHead:
    """The head of a checkpoint, of which nothing is loaded but what the head is made of.

    Raises:
        UserError: vLLM has no such head; or the checkpoint lacks something of it.
    """
    if family.name not in _READ or checkpoint.adapter is not None:
        raise _unknown(family, checkpoint)
    family.loading(checkpoint)
    return _READ[family.name](family, checkpoint, tokenizer, pad_id)


def _classifier(family: Family, checkpoint: Checkpoint, tokenizer, pad_id: int | None) -> EngineHead:
    """One linear layer `score` at the last token."""
    checkpoint.config.update(family.loading(checkpoint))
    return _linear(family, checkpoint, tokenizer, pad_id)


def _value_head(family: Family, checkpoint: Checkpoint, tokenizer, pad_id: int | None) -> EngineHead:
    """The same on a model that does not call itself a classifier."""
    if not checkpoint.has("score.weight"):
        raise _unknown(family, checkpoint)
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
    head = family.head(Loaded(checkpoint, model, tokenizer, pad_id))
    config = {"architectures": [type(model).__name__], "num_labels": checkpoint.config.num_labels}
    return EngineHead(dataclasses.replace(head, **changes), "classify", config)


def _of_class(suffix: str, values: Values) -> Callable[..., EngineHead]:
    """Layers that a class of vLLM's own computes at every token."""

    def make(family: Family, checkpoint: Checkpoint, tokenizer, pad_id: int | None) -> EngineHead:
        if not any(name.endswith(suffix) for name in checkpoint.architectures):
            raise _unknown(family, checkpoint)
        model = _without_weights(transformers.AutoModel, family, checkpoint)
        head = family.head(Loaded(checkpoint, model, tokenizer, pad_id))
        return EngineHead(dataclasses.replace(head, values=values, dtype=None), "token_classify", {})

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
    what = f", with an adapter {checkpoint.adapter}" if checkpoint.adapter is not None else ""
    return UserError(
        f"found {checkpoint.name} ({checkpoint.architecture}{what}), read by the head {family.name}, expected one that vLLM "
        f"computes, by the heads {', '.join(_READ)}; --model hf-reward reads it"
    )


_READ: dict[str, Callable[..., EngineHead]] = {
    "classifier": _classifier,
    "openrlhf": _value_head,
    "mlp": _of_class("Qwen2ForRewardModel", lambda numbers: numbers),
    "qwen-prm": _of_class("Qwen2ForProcessRewardModel", second),
    "token-classifier": _of_class("ForTokenClassification", second),
}
