"""How a model attends within packs: FlexAttention, dense masks, or attention over blocks of keys, written here.

Dense masks cost the square of a pack's length although a token sees few others. FlexAttention skips what no token of a
block sees, but needs a compiler for the device; `attend_by_blocks` skips it with plain tensor operations.
"""

from dataclasses import dataclass

import torch
import transformers
from torch.nn.functional import scaled_dot_product_attention

from skywork_rb_plugin.errors import UserError
from skywork_rb_plugin.scoring.masks import TreeMask, layer_windows

BY_BLOCKS = "prefix_tree"  # our name among transformers' attention implementations
_MASKS = {"sdpa": "dense", "eager": "dense", "flex_attention": "flex", BY_BLOCKS: "blocks"}


def attend_by_blocks(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: None,
    scaling: float | None = None,
    softcap: float | None = None,
    prefix_tree: TreeMask | None = None,
    **kwargs,
) -> tuple[torch.Tensor, None]:
    """Attention of one pack, each block of queries over the keys that it sees; an attention function of transformers.

    Args:
        module: the attention layer.
        query: (1, heads, tokens, size per head).
        key: (1, key-value heads, tokens, size per head).
        value: (1, key-value heads, tokens, size per head).
        attention_mask: not used.
        scaling: factor of the logits; default: 1 / sqrt(size per head).
        softcap: logits become `softcap * tanh(logits / softcap)` (transformers, models/gemma2/modeling_gemma2.py).
        prefix_tree: who sees whom.
        kwargs: what other attention functions take.

    Returns:
        (1, tokens, heads, size per head), and no weights.

    Raises:
        NotImplementedError: the model's attention needs more than this.
    """
    if prefix_tree is None:
        raise NotImplementedError("the model does not hand on what its attention is called with")
    if kwargs.get("s_aux") is not None or kwargs.get("position_bias") is not None:
        raise NotImplementedError("attention sinks and position biases")
    repeats = query.shape[1] // key.shape[1]
    attend = _soft_capped(softcap) if softcap is not None else scaled_dot_product_attention
    scaling = query.shape[-1] ** -0.5 if scaling is None else scaling
    attended = []
    for block in prefix_tree.key_blocks(module.layer_idx):
        keys = key[:, :, block.keys].repeat_interleave(repeats, dim=1)
        values = value[:, :, block.keys].repeat_interleave(repeats, dim=1)
        queries = query[:, :, block.start : block.stop]
        attended.append(attend(queries, keys, values, attn_mask=block.sees, scale=scaling))
    return torch.cat(attended, dim=2).transpose(1, 2).contiguous(), None


def _soft_capped(softcap: float):
    def attend(query, key, value, attn_mask, scale):
        logits = torch.tanh(query @ key.transpose(-1, -2) * (scale / softcap)) * softcap
        weights = logits.masked_fill(~attn_mask, -torch.inf).softmax(-1, dtype=torch.float32)
        return weights.to(query.dtype) @ value

    return attend


transformers.AttentionInterface.register(BY_BLOCKS, attend_by_blocks)


@dataclass(frozen=True)
class TreeAttention:
    """One way to attend within packs.

    Attributes:
        implementation: its name among transformers' attention implementations.
        fixed_shapes: whether packs must be padded to few sizes, because something is compiled for each.
    """

    implementation: str
    fixed_shapes: bool = False

    def arguments(self, mask: TreeMask, dtype: torch.dtype) -> dict:
        """What the decoder is called with to attend so."""
        kind = _MASKS[self.implementation]
        if kind == "blocks":
            return {"attention_mask": None, "prefix_tree": mask}
        if kind == "flex":
            return {"attention_mask": mask.flex()}
        return {"attention_mask": mask.dense(torch.bool if self.implementation == "sdpa" else dtype)}


def tree_attentions(
    model: transformers.PreTrainedModel, requested: str | None, device: torch.device, compiled: bool
) -> list[TreeAttention]:
    """The ways to attend within packs that may suit a model and device, best first.

    Args:
        model: the classifier as it was loaded.
        requested: `attn_implementation` if the user gave one; it is the only candidate then.
        device: where the model runs.
        compiled: whether the decoder is going to be compiled, which needs fixed shapes and no Python in between.

    Raises:
        UserError: no way is possible; the line says why.
    """
    layer_windows(model.config)
    if requested and requested not in _MASKS:
        raise UserError(f"attn_implementation={requested} can't attend to prefix trees; {', '.join(_MASKS)} can")
    names = [requested or model.config._attn_implementation]
    # a BlockMask can't follow the layers from one GPU to the next
    one_device = len(set((getattr(model, "hf_device_map", None) or {}).values())) < 2
    if not requested and device.type == "cuda" and one_device:
        names.insert(0, "flex_attention")
    elif not requested and device.type != "cuda" and not compiled:
        names.insert(0, BY_BLOCKS)
    names = [name for name in dict.fromkeys(names) if name in _MASKS and not (compiled and name == BY_BLOCKS)]
    if not names:
        raise UserError(f"found attention {model.config._attn_implementation}, expected one of {', '.join(_MASKS)}")
    return [TreeAttention(name, compiled or _MASKS[name] == "flex") for name in names]


def attention_for(
    config: transformers.PretrainedConfig, requested: str | None, may_flash: bool = False
) -> dict[str, str]:
    """The attention to load a model with, as keyword arguments; empty leaves it to transformers.

    sdpa drops the soft-capping of Gemma-2's attention logits, which changes scores: transformers 4.51 to 5.19 do so
    silently. The leaderboard ran Gemma-2 with flash_attention_2 or eager attention; eager is what is chosen here, or
    flash_attention_2 if `may_flash` and it is installed.

    Raises:
        UserError: sdpa was asked for and the model has soft-capping.
    """
    if getattr(config.get_text_config(), "attn_logit_softcapping", None) is None:
        return {}
    if requested == "sdpa":
        raise UserError(
            "found attn_implementation=sdpa for a model with soft-capped attention, which sdpa ignores; expected eager, "
            "flex_attention or flash_attention_2 (leave attn_implementation out to have one chosen)"
        )
    if requested:
        return {}
    flash = may_flash and transformers.utils.is_flash_attn_2_available()
    return {"attn_implementation": "flash_attention_2" if flash else "eager"}
