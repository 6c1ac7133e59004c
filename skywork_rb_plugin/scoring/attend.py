"""Attention within packs, as attention functions of transformers: over blocks of keys, and by FlexAttention.

Dense masks cost the square of a pack's length although a token sees few others. FlexAttention skips what no token of a
block sees, but needs a compiler for the device; `attend_by_blocks` skips it with plain tensor operations.
"""

import inspect
from collections.abc import Callable

import torch
import transformers
from torch.nn.attention.flex_attention import BlockMask
from torch.nn.functional import scaled_dot_product_attention

from skywork_rb_plugin.scoring.masks import TreeMask, tree_of

# our names among transformers' attention implementations
BY_BLOCKS, BY_FLEX = "prefix_tree", "prefix_tree_flex"

# older releases of torch count what all models of a process compile of one function together, and stop at 8
_APART = {"isolate_recompiles": True} if "isolate_recompiles" in inspect.signature(torch.compile).parameters else {}


def compiled_apart(function: Callable, dynamic: bool = False) -> Callable:
    """The function, compiled for one model: what others compile of it does not count.

    Compiled for each shape it meets, what can't be compiled as a whole is an error, never slow in silence; so is, with a
    torch that can't count apart, the ninth shape of a process. If `dynamic`, for all shapes at once, in parts around what
    can't be compiled.
    """
    return torch.compile(function, dynamic=dynamic, fullgraph=not dynamic, **_APART)


def attend_by_blocks(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: None,
    scaling: float | None = None,
    softcap: float | None = None,
    prefix_tree: TreeMask | torch.Tensor | None = None,
    **kwargs,
) -> tuple[torch.Tensor, None]:
    """Attention of one pack, each block of queries over the keys that it sees.

    Where the layer is compiled this is one operator of its graph, since blocks have many shapes.

    Args:
        module: the attention layer.
        query: (1, heads, tokens, size per head).
        key: (1, key-value heads, tokens, size per head).
        value: (1, key-value heads, tokens, size per head of values).
        attention_mask: not used.
        scaling: factor of the logits; default: 1 / sqrt(size per head).
        softcap: logits become `softcap * tanh(logits / softcap)` (transformers, models/gemma2/modeling_gemma2.py).
        prefix_tree: who sees whom; in a compiled layer, that as a tensor (`TreeMask.of_layer`).
        kwargs: what other attention functions take.

    Returns:
        (1, tokens, heads, size per head of values), and no weights.

    Raises:
        NotImplementedError: the model's attention needs more than this.
    """
    _check(prefix_tree, kwargs)
    scaling = query.shape[-1] ** -0.5 if scaling is None else scaling
    if isinstance(prefix_tree, torch.Tensor):
        return _attend_in_graph(query, key, value, prefix_tree, scaling, softcap), None
    return _over_blocks(query, key, value, prefix_tree, module.layer_idx, scaling, softcap), None


def _over_blocks(query, key, value, tree: TreeMask, layer: int, scaling: float, softcap: float | None) -> torch.Tensor:
    _, heads, tokens, width = query.shape
    groups = key.shape[1]
    attend = _soft_capped(softcap) if softcap is not None else scaled_dot_product_attention
    attended = query.new_empty(tokens, heads, value.shape[-1])
    for block in tree.key_blocks(layer, heads // groups, query.dtype, query.device):
        # the heads that share keys become one head with more queries: no key is copied for each of them
        queries = query[:, :, block.queries].reshape(1, groups, -1, width)
        some = attend(queries, key[:, :, block.keys], value[:, :, block.keys], attn_mask=block.mask, scale=scaling)
        attended[block.queries] = some.reshape(heads, -1, value.shape[-1]).transpose(0, 1)
    return attended[None]


@torch.library.custom_op("skywork_rb_plugin::attend_by_blocks", mutates_args=())
def _attend_in_graph(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    tree: torch.Tensor,
    scaling: float,
    softcap: float | None,
) -> torch.Tensor:
    return _over_blocks(query, key, value, *tree_of(tree), scaling, softcap)


@_attend_in_graph.register_fake
def _(query, key, value, tree, scaling, softcap):
    return query.new_empty(1, query.shape[2], query.shape[1], value.shape[-1])


def attend_by_flex(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: BlockMask,
    scaling: float | None = None,
    softcap: float | None = None,
    flex: Callable | None = None,
    **kwargs,
) -> tuple[torch.Tensor, None]:
    """Attention of one pack by FlexAttention.

    transformers' own function compiles one FlexAttention for all models of a process, with shapes, windows and soft caps
    that become variables at the second: that fails, or ends uncompiled in silence (integrations/flex_attention.py). It also
    asks for the log-sum-exp, which nobody reads.

    Args:
        module: the attention layer.
        query: (1, heads, tokens, size per head).
        key: (1, key-value heads, tokens, size per head).
        value: (1, key-value heads, tokens, size per head).
        attention_mask: who sees whom.
        scaling: factor of the logits; default: 1 / sqrt(size per head).
        softcap: as for `attend_by_blocks`.
        flex: FlexAttention, compiled for this model.
        kwargs: what other attention functions take.

    Returns:
        (1, tokens, heads, size per head of values), and no weights.

    Raises:
        NotImplementedError: the model's attention needs more than this.
    """
    _check(flex, kwargs)
    heads, groups = query.shape[1], key.shape[1]
    if heads & (heads - 1):  # FlexAttention groups heads only by powers of two
        key, value = (tensor.repeat_interleave(heads // groups, dim=1) for tensor in (key, value))
    score_mod = None if softcap is None else _soft_cap(softcap)
    attended = flex(
        query, key, value, score_mod=score_mod, block_mask=attention_mask, scale=scaling,
        enable_gqa=heads != key.shape[1],
    )  # fmt: skip
    return attended.transpose(1, 2).contiguous(), None


def _check(handed_on: object, kwargs: dict) -> None:
    if handed_on is None:
        raise NotImplementedError("the model does not hand on what its attention is called with")
    if kwargs.get("s_aux") is not None or kwargs.get("position_bias") is not None:
        raise NotImplementedError("attention sinks and position biases")


def _soft_capped(softcap: float) -> Callable:
    def attend(query, key, value, attn_mask, scale):
        logits = torch.tanh(query @ key.transpose(-1, -2) * (scale / softcap)) * softcap
        weights = (logits + attn_mask).softmax(-1, dtype=torch.float32)
        return weights.to(query.dtype) @ value

    return attend


def _soft_cap(softcap: float) -> Callable:
    def score_mod(score, batch, head, q, k):
        return softcap * torch.tanh(score / softcap)

    return score_mod


transformers.AttentionInterface.register(BY_BLOCKS, attend_by_blocks)
transformers.AttentionInterface.register(BY_FLEX, attend_by_flex)
