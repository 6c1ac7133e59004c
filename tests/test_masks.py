"""The three forms of visibility against a definition from the conversations themselves."""

import inspect

import pytest
import torch
import transformers
from hypothesis import given, settings
from hypothesis import strategies as st

from skywork_rb_plugin import UserError
from skywork_rb_plugin.scoring.masks import BLOCK, TreeMask, layer_windows
from skywork_rb_plugin.scoring.prefix_tree import pack_conversations

CPU = torch.device("cpu")
forests = st.lists(st.lists(st.integers(0, 1), min_size=1, max_size=90).map(tuple), min_size=1, max_size=12)


def config_of(windows):
    """A config with one kind of layer, or with one layer of each of two kinds."""
    if isinstance(windows, list):
        return transformers.Qwen2Config(
            num_hidden_layers=2, layer_types=["full_attention", "sliding_attention"], use_sliding_window=True,
            sliding_window=windows[1],
        )  # fmt: skip
    return transformers.MistralConfig(sliding_window=windows)


def by_definition(pack, size, window):
    """Token q sees token k when k's conversation beginning is a beginning of q's, and not too far back."""
    paths: dict[int, tuple] = {}
    for i, ids in enumerate(pack.sequences):
        node = int(pack.nodes(i, len(ids) - 1))
        for length in range(len(ids), 0, -1):
            paths[node] = ids[:length]
            # the parent: the last node before this one that holds the shorter beginning
            node = next((n for n in range(node - 1, -1, -1) if pack.depths[n] == length - 2), None)
    sees = torch.zeros(size, size, dtype=torch.bool)
    for q in range(size):
        if q not in paths:
            sees[q, q] = True  # padding
            continue
        for k, path in paths.items():
            near = window is None or len(paths[q]) - len(path) < window
            sees[q, k] = paths[q][: len(path)] == path and near
    return sees


def of_blocks(mask, layer):
    """The dense form of the blocks of keys."""
    sees = torch.zeros(mask.size, mask.size, dtype=torch.bool)
    for block in mask.key_blocks(layer):
        sees[block.queries, block.keys] = block.mask == 0
    return sees


def of_block_mask(mask):
    """The dense form of a BlockMask: whole blocks where it says full, its rule within partial blocks, else nothing."""
    size = mask.kv_indices.shape[-1] * BLOCK
    sees = torch.zeros(size, size, dtype=torch.bool)
    tokens = torch.arange(size)
    rule = mask.mask_mod(None, None, tokens[:, None], tokens[None, :])
    for counts, indices, full in (
        (mask.kv_num_blocks, mask.kv_indices, False),
        (mask.full_kv_num_blocks, mask.full_kv_indices, True),
    ):
        for row, count in enumerate(counts[0, 0].tolist()):
            for column in indices[0, 0, row, :count].tolist():
                area = (slice(row * BLOCK, (row + 1) * BLOCK), slice(column * BLOCK, (column + 1) * BLOCK))
                sees[area] = True if full else rule[area]
    return sees


@given(forests, st.sampled_from([None, 3, 40, [None, 5]]))
@settings(max_examples=40, deadline=None)
def test_all_forms_say_the_same(sequences, windows):
    """Dense, FlexAttention and blocks of keys, with and without sliding windows and padding."""
    [pack] = pack_conversations(dict(enumerate(sequences)), 10**6)
    size = -(-len(pack) // BLOCK) * BLOCK
    config = config_of(windows)
    mask = TreeMask(pack, config, size, CPU)
    kinds = {"full_attention": None, "sliding_attention": windows[1]} if isinstance(windows, list) else {None: windows}
    dense, additive, flex = mask.dense(torch.bool), mask.dense(torch.float32), mask.flex()
    for layer, (kind, window) in enumerate(kinds.items()):
        expected = by_definition(pack, size, window)
        pick = (lambda form: form[kind]) if kind else (lambda form: form)  # noqa: B023
        assert torch.equal(pick(dense)[0, 0], expected)
        assert torch.equal(pick(additive)[0, 0] == 0, expected)
        assert torch.equal(of_blocks(mask, layer), expected)
        assert torch.equal(of_block_mask(pick(flex)), expected)


def test_unshared_blocks_are_skipped():
    """The point of a BlockMask: of 16 conversations of 128 tokens each sees only itself and the first block is shared."""
    sequences = {i: [*range(128), *[500 + i] * 128] for i in range(15)}
    [pack] = pack_conversations(sequences, 10**6)
    mask = TreeMask(pack, transformers.LlamaConfig(), len(pack), CPU).flex()
    assert len(pack) == 16 * 128
    assert mask.kv_num_blocks[0, 0].tolist() == [1] * 16  # its own block, causal
    assert mask.full_kv_num_blocks[0, 0].tolist() == [0] + [1] * 15  # the shared beginning
    if "compute_q_blocks" in inspect.signature(type(mask).from_kv_blocks).parameters:  # from torch 2.11 on
        assert mask.q_indices is None  # of use only backwards


def test_layers_of_other_kinds_are_refused():
    """Recurrent layers see everything before them in the pack, whatever the mask says."""
    config = transformers.Qwen2Config(num_hidden_layers=2)
    config.layer_types = ["full_attention", "linear_attention"]
    with pytest.raises(UserError, match="found layers of the kind linear_attention, expected full or sliding-window"):
        layer_windows(config)
