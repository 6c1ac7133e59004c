"""Which token of a pack sees which, in the three forms that attention takes: dense masks, a BlockMask, blocks of keys.

Everywhere token q sees token k when `k <= q < subtree_ends[k]` and, in a layer with a sliding window,
`depths[q] - depths[k] < window` (transformers, masking_utils.py, sliding_window_overlay, with depths for positions).
"""

import functools
import inspect
import itertools
from collections.abc import Callable
from typing import NamedTuple
from weakref import WeakValueDictionary

import numpy as np
import torch
import transformers
from torch.nn.attention.flex_attention import BlockMask

from skywork_rb_plugin.errors import UserError
from skywork_rb_plugin.scoring.prefix_tree import Pack

BLOCK = 128  # tokens; the only block size that FlexAttention supports everywhere
_EVERY_LAYER = "every layer"
# blocks as the backward pass wants them are not needed; torch before 2.11 always makes them
_NO_BACKWARD = (
    {"compute_q_blocks": False} if "compute_q_blocks" in inspect.signature(BlockMask.from_kv_blocks).parameters else {}
)


def send(tensor: torch.Tensor, device: torch.device) -> torch.Tensor:
    """A tensor of the CPU on the device; on a GPU without waiting for what it computes."""
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor.to(device)


def padded(values: np.ndarray, size: int) -> np.ndarray:
    """The values, followed by zeros up to `size`."""
    return np.pad(values, (0, size - len(values)))


def layer_windows(config: transformers.PretrainedConfig) -> dict[str, int | None]:
    """The sliding window in tokens, or None, of each kind of layer; one kind, `every layer`, if they are all alike.

    Raises:
        UserError: there are layers other than full and sliding-window attention, such as recurrent ones.
    """
    config = config.get_text_config()
    window = getattr(config, "sliding_window", None)
    kinds = getattr(config, "layer_types", None)
    if kinds is None:
        return {_EVERY_LAYER: window}
    if others := sorted(set(kinds) - {"full_attention", "sliding_attention"}):
        raise UserError(f"found layers of the kind {', '.join(others)}, expected full or sliding-window attention")
    return {kind: window if kind == "sliding_attention" else None for kind in sorted(set(kinds))}


class KeyBlock(NamedTuple):
    """Some queries of a pack in a row, the keys that any of them sees, and which sees which.

    Attributes:
        queries: their tokens.
        keys: indices of tokens; a slice where they are in a row, which copies nothing.
        mask: 0 where a query sees a key and -inf elsewhere, (queries, keys); repeated for each head that shares the keys.
    """

    queries: slice
    keys: torch.Tensor | slice
    mask: torch.Tensor


class TreeBlockMask(BlockMask):
    """A BlockMask that is made anew on the device of the layers it goes to.

    What moves a layer's inputs to its device (accelerate's hooks) calls `to`, and BlockMask's own leaves behind what its
    mask_mod reads.
    """

    made: Callable[[torch.device], BlockMask]

    def to(self, device: torch.device | str | int) -> BlockMask:
        """The mask of the same pack there."""
        return self.made(torch.device(device))


class TreeMask:
    """Visibility in one pack, for each kind of layer.

    Args:
        pack: the pack.
        config: the model's config.
        size: tokens; the pack is padded to this with tokens that see only themselves.
        device: of the model's inputs; where its layers are on others, masks are made there too, once for each.
    """

    def __init__(self, pack: Pack, config: transformers.PretrainedConfig, size: int, device: torch.device) -> None:
        self.size, self.device, self._windows = size, device, layer_windows(config)
        self._kinds = getattr(config.get_text_config(), "layer_types", None)
        self.depths = torch.from_numpy(padded(pack.depths, size))
        ends = np.concatenate([pack.subtree_ends, np.arange(len(pack) + 1, size + 1, dtype=np.int32)])
        self.subtree_ends = torch.from_numpy(ends)
        self._there = {torch.device("cpu"): (self.subtree_ends, self.depths)}
        self._number = next(_numbers)
        _trees[self._number] = self
        self._key_blocks: dict[tuple, list[KeyBlock]] = {}
        self._block_masks: dict[tuple, TreeBlockMask] = {}

    def dense(self, dtype: torch.dtype) -> torch.Tensor | dict[str, torch.Tensor]:
        """Masks (1, 1, size, size): True where a token is seen or, of a float `dtype`, 0 there and its minimum elsewhere."""
        tokens = torch.arange(self.size, device=self.device)

        def mask(window: int | None) -> torch.Tensor:
            sees = self._rule(window, self.device)(None, None, tokens[:, None], tokens[None, :])[None, None]
            if dtype == torch.bool:
                return sees
            return torch.zeros_like(sees, dtype=dtype).masked_fill(~sees, torch.finfo(dtype).min)

        return self._for_model(mask)

    def flex(self) -> BlockMask | dict[str, BlockMask]:
        """BlockMasks for FlexAttention, made from what is known of each block; `size` must be a multiple of 128."""
        return self._for_model(lambda window: self._block_mask(window, self.device))

    def key_blocks(
        self, layer: int, repeats: int = 1, dtype: torch.dtype = torch.float32, device: torch.device | None = None
    ) -> list[KeyBlock]:
        """Blocks of 128 queries, `repeats` times each, with the keys that a layer on a device lets them see."""
        window = self._windows[self._kinds[layer] if self._kinds else _EVERY_LAYER]
        wanted = window, repeats, dtype, device or self.device
        if wanted not in self._key_blocks:
            self._key_blocks[wanted] = self._find_key_blocks(*wanted)
        return self._key_blocks[wanted]

    def of_layer(self, layer: int) -> torch.Tensor:
        """This and a layer's index as numbers, (2,), from which `tree_of` has both: compiled graphs take tensors alone."""
        return torch.tensor([self._number, layer])

    def _for_model(self, make: Callable[[int | None], object]):
        """One mask, or a dict of them for a model with several kinds of layers."""
        masks = {kind: make(window) for kind, window in self._windows.items()}
        return masks if self._kinds else masks[_EVERY_LAYER]

    def _find_key_blocks(
        self, window: int | None, repeats: int, dtype: torch.dtype, device: torch.device
    ) -> list[KeyBlock]:
        tokens = torch.arange(self.size)
        sees = self._rule(window, tokens.device)
        blocks = []
        for start in range(0, self.size, BLOCK):
            queries = tokens[start : start + BLOCK]
            stop = start + len(queries)
            candidates = tokens[:stop][self.subtree_ends[:stop] > start]
            seen = sees(None, None, queries[:, None], candidates[None, :])
            used = seen.any(0)
            mask = torch.zeros(len(queries), int(used.sum()), dtype=dtype).masked_fill(~seen[:, used], -torch.inf)
            keys = _in_a_row(candidates[used])
            keys = keys if isinstance(keys, slice) else keys.to(device)
            blocks.append(KeyBlock(slice(start, stop), keys, mask.repeat(repeats, 1).to(device)))
        return blocks

    def _block_mask(self, window: int | None, device: torch.device) -> TreeBlockMask:
        if (window, device) not in self._block_masks:
            some, every = self._block_states(window)
            lists = []
            for blocks in (some & ~every, every):
                # the indices of the blocks that count first, in order
                lists += [
                    blocks.sum(-1, dtype=torch.int32),
                    (~blocks).to(torch.int8).argsort(dim=-1, stable=True).int(),
                ]
            lists = [send(tensor[None, None], device) for tensor in lists]
            made = TreeBlockMask.from_kv_blocks(
                *lists, BLOCK_SIZE=BLOCK, mask_mod=self._rule(window, device), **_NO_BACKWARD
            )
            made.made = functools.partial(self._block_mask, window)
            self._block_masks[window, device] = made
        return self._block_masks[window, device]

    def _block_states(self, window: int | None) -> tuple[torch.Tensor, torch.Tensor]:
        """Of each (query block, key block): may some pair see each other (never wrongly False), and does every pair."""
        ends, depths = self.subtree_ends.view(-1, BLOCK), self.depths.view(-1, BLOCK)
        first = torch.arange(0, self.size, BLOCK)[:, None]
        before = torch.ones(len(first), len(first), dtype=torch.bool).tril(-1)
        some = before & (ends.amax(-1)[None] > first)
        every = before & (ends.amin(-1)[None] >= first + BLOCK)
        if window is not None:
            some &= depths.amin(-1)[:, None] - depths.amax(-1)[None] < window
            every &= depths.amax(-1)[:, None] - depths.amin(-1)[None] < window
        return some | torch.eye(len(first), dtype=torch.bool), every

    def _rule(self, window: int | None, device: torch.device) -> Callable:
        """Who sees whom, as FlexAttention's mask_mod takes it: `(batch, head, q, k) -> bool`."""
        if device not in self._there:
            self._there[device] = (send(self.subtree_ends, device), send(self.depths, device))
        subtree_ends, depths = self._there[device]

        def sees(batch, head, q, k):
            visible = (k <= q) & (q < subtree_ends[k])
            return visible if window is None else visible & (depths[q] - depths[k] < window)

        return sees


def tree_of(numbers: torch.Tensor) -> tuple[TreeMask, int]:
    """The inverse of `TreeMask.of_layer`, as long as that tree is in use."""
    number, layer = numbers.tolist()
    return _trees[number], layer


_trees: WeakValueDictionary[int, TreeMask] = WeakValueDictionary()
_numbers = itertools.count()


def _in_a_row(indices: torch.Tensor) -> torch.Tensor | slice:
    """The same, as a slice if they are in a row."""
    first, last = indices[0].item(), indices[-1].item()
    return slice(first, last + 1) if last - first + 1 == len(indices) else indices
