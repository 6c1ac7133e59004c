"""InternLM2's reward models, on transformers' Llama: InternLM2 is one with other names, and its projections in one tensor."""

import re

import torch
import transformers

from skywork_rb_plugin.errors import UserError
from skywork_rb_plugin.heads.checkpoint import Checkpoint
from skywork_rb_plugin.heads.families.value_heads import ValueHead
from skywork_rb_plugin.heads.family import Loaded

# of the token where the reward is read, if the config does not say it
_REWARD_TOKEN = 92527
# names in InternLM2 -> in transformers' LlamaModel
_NAMES = {
    "tok_embeddings.": "embed_tokens.",
    "attention.wo.": "self_attn.o_proj.",
    "attention_norm.": "input_layernorm.",
    "ffn_norm.": "post_attention_layernorm.",
    "feed_forward.w1.": "mlp.gate_proj.",
    "feed_forward.w3.": "mlp.up_proj.",
    "feed_forward.w2.": "mlp.down_proj.",
}
_PACKED = "attention.wqkv."


class InternLM2Config(transformers.LlamaConfig):
    """Its config.json without the code that comes with it."""

    model_type = "internlm2"


transformers.AutoConfig.register(InternLM2Config.model_type, InternLM2Config, exist_ok=True)


class InternLM2(ValueHead):
    """A linear layer without bias, read at a token that ends the conversation."""

    name = "internlm2"
    models = "internlm2-1_8b-reward, -7b and -20b: v_head on InternLM2 (its tokenizer may need trust_remote_code=True)"
    source = (
        "allenai/reward-bench, rewardbench/models/internlm.py; the decoder from InternLM/lmdeploy, "
        "lmdeploy/pytorch/models/internlm2.py"
    )
    layer = "v_head"
    auto_class = "LlamaModel"

    def answers(self, checkpoint: Checkpoint) -> bool:
        """Whether it is an InternLM2 with a value head."""
        return checkpoint.setting("model_type") == "internlm2" and checkpoint.has("v_head.weight")

    def append(self, loaded: Loaded) -> tuple[int, ...]:
        """The reward token."""
        return (loaded.checkpoint.setting("reward_token_id") or _REWARD_TOKEN,)

    def translated(self, checkpoint: Checkpoint) -> tuple[transformers.PretrainedConfig, dict[str, torch.Tensor]]:
        """A Llama's config, and the weights by its names; all of them go through the CPU's memory.

        Raises:
            UserError: a tensor has not the shape that the config says; or there is an adapter, which names InternLM2's layers.
        """
        if checkpoint.adapter:
            raise UserError(
                f"found peft={checkpoint.adapter} with {checkpoint.name}, expected it merged into the checkpoint: an adapter of "
                "InternLM2 does not fit the Llama that its weights become here"
            )
        values = {**checkpoint.config.to_dict(), "model_type": "llama", "architectures": ["LlamaModel"]}
        values["attention_bias"] = any(name.endswith(f"{_PACKED}bias") for name in checkpoint.names)
        values.pop("auto_map", None)
        config = transformers.LlamaConfig.from_dict(values)
        config._commit_hash = getattr(checkpoint.config, "_commit_hash", None)
        weights = {}
        for name, tensor in checkpoint.tensors(name for name in checkpoint.names if name.startswith("model.")).items():
            inner = name.removeprefix("model.")
            if _PACKED in inner:
                for part, some in zip("qkv", _unpacked(checkpoint, name, tensor, config), strict=True):
                    weights[inner.replace(_PACKED, f"self_attn.{part}_proj.")] = some
            else:
                weights[re.sub("|".join(map(re.escape, _NAMES)), lambda found: _NAMES[found[0]], inner)] = tensor
        return config, weights


def _unpacked(
    checkpoint: Checkpoint, name: str, packed: torch.Tensor, config: transformers.LlamaConfig
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Queries, keys and values from a tensor that has, of each key head, its query heads, itself and its value head."""
    groups = config.num_attention_heads // config.num_key_value_heads
    width = config.hidden_size // config.num_attention_heads
    rows = config.num_key_value_heads * (groups + 2) * width
    if packed.shape[0] != rows:
        raise UserError(
            f"{checkpoint.name} ({checkpoint.architecture}) has {name} of the shape {tuple(packed.shape)}, expected {rows} "
            f"rows: {config.num_attention_heads} query heads and {config.num_key_value_heads} of keys and values, {width} wide"
        )
    heads = packed.view(config.num_key_value_heads, groups + 2, width, *packed.shape[1:])
    queries, keys, values = heads.split([groups, 1, 1], dim=1)
    return queries.flatten(0, 2), keys.flatten(0, 2), values.flatten(0, 2)
