"""Models with random weights in the shapes of published ones: weights change the scores, not the speed."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import torch
import transformers

from skywork_rb_plugin.scoring.attention import attention_for


class Shape(NamedTuple):
    """A model's shape: what makes its config, with changes as keywords, and whose tokenizer its token ids come from."""

    config: Callable[..., transformers.PretrainedConfig]
    tokenizer: str


# config.json of meta-llama/Llama-3.1-8B, Qwen/Qwen3-0.6B, google/gemma-2-9b and google/gemma-2-27b on the hub
SHAPES = {
    "llama-8b": Shape(partial(
        transformers.LlamaConfig, vocab_size=128256, hidden_size=4096, intermediate_size=14336, num_hidden_layers=32,
        num_attention_heads=32, num_key_value_heads=8, max_position_embeddings=131072, rope_theta=500000.0,
        rms_norm_eps=1e-5,
    ), "llama-3.1"),
    "qwen-0.6b": Shape(partial(
        transformers.Qwen3Config, vocab_size=151936, hidden_size=1024, intermediate_size=3072, num_hidden_layers=28,
        num_attention_heads=16, num_key_value_heads=8, head_dim=128, max_position_embeddings=40960,
        rope_theta=1000000.0, rms_norm_eps=1e-6,
    ), "qwen-3"),
    "gemma-9b": Shape(partial(
        transformers.Gemma2Config, vocab_size=256000, hidden_size=3584, intermediate_size=14336, num_hidden_layers=42,
        num_attention_heads=16, num_key_value_heads=8, head_dim=256, query_pre_attn_scalar=256, sliding_window=4096,
        attn_logit_softcapping=50.0, final_logit_softcapping=30.0, max_position_embeddings=8192,
    ), "gemma-2"),
    "gemma-27b": Shape(partial(
        transformers.Gemma2Config, vocab_size=256000, hidden_size=4608, intermediate_size=36864, num_hidden_layers=46,
        num_attention_heads=32, num_key_value_heads=16, head_dim=128, query_pre_attn_scalar=144, sliding_window=4096,
        attn_logit_softcapping=50.0, final_logit_softcapping=30.0, max_position_embeddings=8192,
    ), "gemma-2"),
}  # fmt: skip


# of the same kinds, for trying things out
_TINY = {
    "vocab_size": 4096, "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "head_dim": 32,
}  # fmt: skip


def shape_config(shape: str, tiny: bool = False) -> transformers.PretrainedConfig:
    """The config of a shape, or a tiny one of its kind; the highest id, which no token ids use, is the pad token."""
    config = SHAPES[shape].config(**(_TINY if tiny else {}))
    config.pad_token_id = config.vocab_size - 1
    return config


def random_classifier(
    config: transformers.PretrainedConfig, dtype: torch.dtype, device: torch.device
) -> transformers.PreTrainedModel:
    """A classifier with one label, made on the device, with the attention that it would be loaded with."""
    config.num_labels = 1
    with device:
        model = transformers.AutoModelForSequenceClassification.from_config(
            config, dtype=dtype, **attention_for(config, None)
        )
    return model.eval()
