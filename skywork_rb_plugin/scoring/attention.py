"""Which attention a model runs with: within packs, and as it is loaded."""

import functools
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass

import torch
import transformers
from torch.nn.attention.flex_attention import flex_attention

from skywork_rb_plugin.errors import UserError
from skywork_rb_plugin.scoring.attend import BY_BLOCKS, BY_FLEX, compiled_apart
from skywork_rb_plugin.scoring.budget import devices_of
from skywork_rb_plugin.scoring.masks import TreeMask, layer_windows

_MASKS = {"sdpa": "dense", "eager": "dense", "flex_attention": "flex", BY_BLOCKS: "blocks"}
# those that run by functions of our own
OURS = frozenset(name for name, kind in _MASKS.items() if kind != "dense")


@dataclass(frozen=True)
class TreeAttention:
    """One way to attend within packs.

    Attributes:
        implementation: its name for users: transformers', or ours.
        fixed_shapes: whether packs must be padded to few sizes, because something is compiled for each.
        spread: whether the layers are on several devices.
    """

    implementation: str
    fixed_shapes: bool = False
    spread: bool = False

    @property
    def registered(self) -> str:
        """Its name among transformers' attention implementations."""
        return BY_FLEX if self.implementation == "flex_attention" else self.implementation

    @functools.cached_property
    def flex(self) -> Callable:
        """FlexAttention for the one model."""
        if not self.spread:
            return compiled_apart(flex_attention)
        # torch counts what it compiles for each device, and stops at 8
        compiled = defaultdict(lambda: compiled_apart(flex_attention))
        return lambda query, *args, **kwargs: compiled[query.device](query, *args, **kwargs)

    def arguments(self, mask: TreeMask, dtype: torch.dtype) -> dict:
        """What the decoder is called with to attend so."""
        kind = _MASKS[self.implementation]
        if kind == "blocks":
            return {"attention_mask": None, "prefix_tree": mask}
        if kind == "flex":
            return {"attention_mask": mask.flex(), "flex": self.flex}
        return {"attention_mask": mask.dense(torch.bool if self.implementation == "sdpa" else dtype)}


def tree_attentions(
    model: transformers.PreTrainedModel, requested: str | None, device: torch.device, compiled: bool
) -> list[TreeAttention]:
    """The ways to attend within packs that may suit a model and device, best first.

    Args:
        model: the classifier as it was loaded.
        requested: `attn_implementation` if the user gave one; it is the only candidate then.
        device: where the model runs.
        compiled: whether the layers are going to be compiled, which needs fixed shapes but for attention by blocks.

    Raises:
        UserError: no way is possible; the line says why.
    """
    layer_windows(model.config)
    if requested and requested not in _MASKS:
        raise UserError(f"attn_implementation={requested} can't attend to prefix trees; {', '.join(_MASKS)} can")
    names = [requested or model.config._attn_implementation]
    if not requested:
        names.insert(0, "flex_attention" if device.type == "cuda" else BY_BLOCKS)
    names = [name for name in dict.fromkeys(names) if name in _MASKS]
    if not names:
        raise UserError(f"found attention {model.config._attn_implementation}, expected one of {', '.join(_MASKS)}")
    fixed = {"flex": True, "dense": compiled, "blocks": False}
    spread = len(devices_of(model, device)) > 1
    return [TreeAttention(name, fixed[_MASKS[name]], spread) for name in names]


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
