"""Layers on several GPUs (`parallelize=True`): masks follow them, and the one with the least memory decides.

The GPUs are pretended (tests/places.py), accelerate's hooks and the numbers are real.
"""

import logging

import pytest
import torch
from accelerate import dispatch_model
from places import Places
from trees import CPU, family_of, rows, scores

from skywork_rb_plugin import HFReward
from skywork_rb_plugin.scoring import attention, budget, compiled_layers


class Event:
    """A CUDA event of nothing."""

    def record(self, stream):
        """At once."""

    def synchronize(self):
        """Nothing to wait for."""


def plain_flex(query, key, value, score_mod, block_mask, scale, enable_gqa):
    """What FlexAttention computes, of what it is given on the query's device."""
    tokens = torch.arange(query.shape[2], device=query.device)
    blocks = block_mask.kv_indices + block_mask.full_kv_num_blocks[..., None] + block_mask.kv_num_blocks[..., None]
    sees = block_mask.mask_mod(None, None, tokens[:, None], tokens[None, :]) & (blocks.sum() + tokens[0] >= 0)
    key, value = (tensor.repeat_interleave(query.shape[1] // key.shape[1], dim=1) for tensor in (key, value))
    return torch.nn.functional.scaled_dot_product_attention(query, key, value, attn_mask=sees, scale=scale)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A model whose later layers have a window."""
    windows = {"use_sliding_window": True, "sliding_window": 16, "max_window_layers": 1, "num_hidden_layers": 3}
    return family_of("Qwen3", tmp_path_factory.mktemp("windows"), **windows)


@pytest.fixture
def loaded(folder, monkeypatch):
    """It on the CPU with its scores, and then with its layers on two GPUs."""
    one = HFReward(folder, **CPU)
    expected = scores(one, rows(4))
    first, second = "cuda:0", "cuda:1"
    places = {"model.embed_tokens": first, "model.rotary_emb": first, "model.layers.0": first}
    places |= dict.fromkeys(["model.layers.1", "model.layers.2", "model.norm", "score"], second)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (2**34, 2**34))
    monkeypatch.setattr(torch.cuda, "Event", Event)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: None)
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda tensor: tensor)
    empty = torch.empty
    monkeypatch.setattr(torch, "empty", lambda *size, pin_memory=False, **options: empty(*size, **options))
    monkeypatch.setattr(attention, "compiled_apart", lambda function: plain_flex)
    with Places():
        yield dispatch_model(one.model, places, main_device=first), one.tokenizer, expected


@pytest.mark.parametrize("requested", [None, "prefix_tree", "sdpa"])
def test_masks_follow_the_layers(loaded, requested, caplog):
    """By tree with every attention, and FlexAttention is what is chosen, as on one GPU."""
    model, tokenizer, expected = loaded
    chosen = {"attn_implementation": requested} if requested else {}
    with caplog.at_level(logging.INFO):
        spread = HFReward(model, tokenizer=tokenizer, batch_size=4, **chosen)
    settings = spread.scorer.settings()
    assert (settings["scoring"], settings["attention"]) == ("tree", requested or "flex_attention"), caplog.text
    assert scores(spread, rows(4)) == pytest.approx(expected, abs=1e-5)


def test_the_device_with_the_least_memory_decides(loaded, monkeypatch):
    """Activations need room on each."""
    model, *_ = loaded
    free = {"cuda:0": 2**40, "cuda:1": 0}
    monkeypatch.setattr(budget, "free_memory", lambda device: free[str(device)])
    assert budget.automatic_budget(model, "flex_attention", torch.device("cuda:0")) == 512


def test_layers_that_are_compiled_keep_their_devices(loaded, monkeypatch):
    """What brings the inputs there is still called; one function is compiled for each device."""
    model, tokenizer, expected = loaded
    compiled = []
    monkeypatch.setattr(compiled_layers, "compiled_apart", lambda function, dynamic: compiled.append(1) or function)
    spread = HFReward(model, tokenizer=tokenizer, scoring="tree", compile=True, **{**CPU, "device": "cuda:0"})
    assert scores(spread, rows(4)) == pytest.approx(expected, abs=1e-5)
    assert len(compiled) == 2


@pytest.mark.parametrize("scoring", ["tree", "padded"])
def test_weights_that_are_offloaded(folder, tmp_path, scoring):
    """To the disk, where the memory that is allowed is too small; nothing is pretended."""
    few = {"parallelize": True, "max_cpu_memory": "60KB", "offload_folder": str(tmp_path)}
    model = HFReward(folder, scoring=scoring, **few, **CPU)
    assert "disk" in model.model.hf_device_map.values()
    assert scores(model, rows(4)) == pytest.approx(scores(HFReward(folder, **CPU), rows(4)), abs=1e-5)
