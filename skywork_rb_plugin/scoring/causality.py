"""Which models prefix trees suit: what a token means in them must depend on nothing but the tokens before it."""

from collections.abc import Iterator, Mapping

import torch
import transformers

from skywork_rb_plugin.errors import UserError
from skywork_rb_plugin.heads.checkpoint import is_encoder


def causal_model(model: torch.nn.Module, max_length: int) -> transformers.PreTrainedModel:
    """The model inside a PEFT adapter, or itself, if its decoder is causal.

    Args:
        model: a model of transformers or one with an adapter.
        max_length: of a conversation, in tokens.

    Raises:
        UserError: what a token means in it depends on more than what comes before it.
    """
    inner = unwrapped(model)
    config = inner.config.get_text_config()
    if looks_ahead(config):
        raise UserError("found attention in both directions, expected a causal decoder")
    for kind, length in _growing_ropes(config):
        if max_length > length:
            raise UserError(
                f"found rotary positions of the kind {kind}, which depend on the longest conversation of a batch beyond "
                f"{length} tokens; with max_length={length} they don't"
            )
    return inner


def looks_ahead(config: transformers.PretrainedConfig) -> bool:
    """Whether tokens see those after them."""
    both = getattr(config, "is_causal", True) is False or getattr(config, "use_bidirectional_attention", False)
    return bool(both) or is_encoder(config)


def unwrapped(model: torch.nn.Module) -> transformers.PreTrainedModel:
    """The model inside a PEFT adapter, whose layers the adapter changed, or itself.

    Raises:
        UserError: the adapter works on prompts, not on layers.
    """
    if getattr(getattr(model, "active_peft_config", None), "is_prompt_learning", False):
        raise UserError("found an adapter that adds tokens to prompts")
    return model.get_base_model() if hasattr(model, "get_base_model") else model


def _growing_ropes(config: transformers.PretrainedConfig) -> Iterator[tuple[str, int]]:
    """Rotary positions that change with the length of the input (transformers, modeling_rope_utils.py), and from where."""
    ropes = getattr(config, "rope_parameters", None) or getattr(config, "rope_scaling", None) or {}
    for rope in ropes.values() if all(isinstance(value, Mapping) for value in ropes.values()) else [ropes]:
        kind = rope.get("rope_type", rope.get("type"))
        if kind in ("dynamic", "longrope"):
            trained = rope.get("original_max_position_embeddings") or getattr(
                config, "original_max_position_embeddings", None
            )
            yield kind, trained or config.max_position_embeddings
