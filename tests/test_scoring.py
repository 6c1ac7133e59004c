"""Scoring by prefix tree: the same rewards as one conversation at a time, in every way a model can attend."""

import random

import pytest
import torch
import transformers
from conftest import FAMILIES
from trees import CPU, family_of, rows, scores

from skywork_rb_plugin import HFReward


@pytest.mark.parametrize("attention", ["prefix_tree", "sdpa", "eager", "flex_attention"])
@pytest.mark.parametrize("family", FAMILIES)
def test_every_attention_gives_the_scores_of_padded_batches(models, family, attention, caplog):
    """To 1e-5 in float32, with conversations longer than Gemma-2's sliding window of 16 tokens."""
    if (family, attention) == ("gemma-2", "sdpa"):
        pytest.skip("sdpa drops the soft-capping and is refused")
    expected = scores(HFReward(models[family], scoring="padded", **CPU), rows())
    options = {} if attention == "prefix_tree" else {"attn_implementation": attention}
    # uncompiled here, for the time it takes: test_compiled.py
    with torch.compiler.set_stance("force_eager"):
        model = HFReward(models[family], scoring="tree", tokens_per_pack=384, **CPU, **options)
        assert scores(model, rows()) == pytest.approx(expected, abs=1e-5)
    info = model.get_model_info()["reward"]
    assert (info["attention"], info["scoring"], info["tokens_per_pack"]) == (attention, "tree", 384)
    assert len(set(expected)) == len(expected)


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("Mistral", {"sliding_window": 24}),
        ("Mistral", {"sliding_window": None}),
        ("Qwen2", {"use_sliding_window": True, "sliding_window": 24, "max_window_layers": 1}),
        ("Phi3", {"sliding_window": 24}),
        ("Mixtral", {"sliding_window": None, "num_local_experts": 4}),
        ("Gemma3Text", {"sliding_window": 24, "layer_types": ["sliding_attention", "full_attention"]}),
    ],
)
def test_other_families_and_their_windows(tmp_path, name, settings):
    """One mask for all layers, a dict of masks, experts in place of one feed-forward layer."""
    folder = family_of(name, tmp_path, **settings)
    expected = scores(HFReward(folder, scoring="padded", **CPU), rows())
    for options in ({}, {"attn_implementation": "eager"}):
        model = HFReward(folder, scoring="tree", **CPU, **options)
        assert scores(model, rows()) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("family", FAMILIES)
def test_scores_do_not_depend_on_what_else_is_in_the_run(models, family):
    """One conversation alone, in another order, with another budget: within 1e-5 in float32."""
    model = HFReward(models[family], **CPU)
    expected = scores(model, rows())
    assert model.scorer.name == "tree"
    shuffled = rows()
    random.Random(1).shuffle(shuffled)
    by_prompt = dict(
        zip([prompt for prompt, _ in rows()], zip(expected[::2], expected[1::2], strict=True), strict=True)
    )
    again = scores(model, shuffled)
    assert again == pytest.approx([score for prompt, _ in shuffled for score in by_prompt[prompt]], abs=1e-5)
    assert scores(model, rows()[:1]) == pytest.approx(expected[:2], abs=1e-5)
    for budget in (1, 100, 700):
        assert scores(HFReward(models[family], tokens_per_pack=budget, **CPU), rows()) == pytest.approx(
            expected, abs=1e-5
        )


def test_tokens_are_counted(models):
    """Forwarded are the distinct beginnings of conversations, saved what more was asked for; padding is apart."""
    pairs = [*rows(), *rows()[:3]]
    tree = HFReward(models["llama-3.1"], tokens_per_pack=10**6, **CPU)
    padded = HFReward(models["llama-3.1"], scoring="padded", device="cpu", batch_size=5)
    assert scores(tree, pairs) == pytest.approx(scores(padded, pairs), abs=1e-5)
    render = tree.renderer.render
    texts = [
        render([{"role": "user", "content": prompt}, {"role": "assistant", "content": response}])
        for prompt, responses in pairs
        for response in responses
    ]
    ids = [tuple(one) for one in tree.renderer.encode(texts)]
    asked, distinct = sum(map(len, ids)), set(ids)
    nodes = len({one[:n] for one in distinct for n in range(1, len(one) + 1)})
    info = tree.get_model_info()["reward"]
    assert (info["tokens_forwarded"], info["tokens_saved"], info["tokens_padding"]) == (nodes, asked - nodes, 0)
    assert (info["conversations_scored"], info["tokens_truncated"]) == (24, 0)
    longest_first = sorted(map(len, distinct), reverse=True)
    batches = [longest_first[i : i + 5] for i in range(0, 24, 5)]
    info = padded.get_model_info()["reward"]
    alone = sum(longest_first)
    assert (info["tokens_forwarded"], info["tokens_saved"], info["tokens_per_pack"]) == (alone, asked - alone, None)
    assert info["tokens_padding"] == sum(len(batch) * batch[0] for batch in batches) - alone


def test_a_loaded_model_is_left_as_it_was(models):
    """Its own attention and layers, also after an error."""
    loaded = transformers.AutoModelForSequenceClassification.from_pretrained(models["llama-3.1"])
    model = HFReward(loaded, tokenizer=transformers.AutoTokenizer.from_pretrained(models["llama-3.1"]), batch_size=4)
    expected = scores(model, rows())
    assert model.scorer.name == "tree"
    assert loaded.config._attn_implementation == "sdpa"
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in loaded.modules())
    padded = HFReward(loaded, tokenizer=model.tokenizer, scoring="padded", batch_size=4)
    assert scores(padded, rows()) == pytest.approx(expected, abs=1e-5)
