"""What happens while packs are scored: memory runs out, numbers overflow, the run ends early."""

import math

import pytest
import torch
from trees import CPU, rows, scores

from skywork_rb_plugin import HFReward, UserError
from skywork_rb_plugin.scoring.batches import ahead, chunks


def test_out_of_memory_halves_the_budget_and_loses_nothing(models, caplog, monkeypatch):
    """Said once; every conversation is scored, and each exactly once."""
    model = HFReward(models["qwen-3"], tokens_per_pack=2000, **CPU)
    expected = scores(model, rows())
    forward, sizes = model.scorer._decoder.forward, []

    def small_only(input_ids, **kwargs):
        if input_ids.numel() > 300:
            raise RuntimeError("[enforce fail at alloc_cpu.cpp:1] DefaultCPUAllocator: can't allocate memory: 9 bytes")
        sizes.append(input_ids.numel())
        return forward(input_ids=input_ids, **kwargs)

    monkeypatch.setattr(model.scorer._decoder, "forward", small_only)
    kept = []
    model.cache_hook.add_partial = lambda kind, args, answer: kept.append(args)
    assert scores(model, rows()) == pytest.approx(expected, abs=1e-5)
    assert len(kept) == len(set(kept)) == 24
    assert caplog.text.count("Out of memory with a pack of") == 1
    assert model.scorer.budget <= 300
    assert len(sizes) < 24  # not conversation by conversation
    with pytest.raises(UserError, match=r"out of memory with a single conversation of \d+ tokens; expected a shorter"):
        scores(model, [("word " * 450, ["yes", "no"])])


def test_out_of_memory_after_an_overflow(models, monkeypatch, caplog):
    """Conversations scored alone because of a NaN may run out of memory too, and that is one line as well."""
    model = HFReward(models["llama-3.1"], tokens_per_pack=2000, **CPU)
    with torch.no_grad():
        model.model.get_input_embeddings().weight[model.tokenizer("Z", add_special_tokens=False).input_ids] = math.nan
    kept, forward = [], model.scorer._decoder.forward

    def small_only(input_ids, **kwargs):
        if 100 < input_ids.numel() < 150:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate")
        return forward(input_ids=input_ids, **kwargs)

    monkeypatch.setattr(model.scorer._decoder, "forward", small_only)
    model.cache_hook.add_partial = lambda kind, args, answer: kept.append(args[1])
    pairs = [("Question?", ["fine", "good"]), ("Question?", ["Z", "zzz " * 25])]
    with pytest.raises(UserError, match="out of memory with a single conversation"):
        scores(model, pairs)
    assert set(kept) <= {"fine", "good"}


def test_packs_underway_together(models, monkeypatch):
    """As on a GPU: the next pack starts before the scores of the one before are read; none is lost when memory runs out."""
    model = HFReward(models["qwen-3"], tokens_per_pack=300, **CPU)
    expected = scores(model, rows())
    model.scorer._at_once = 2
    started, most = [], []
    start, finish = model.scorer._start, model.scorer._finish
    monkeypatch.setattr(
        model.scorer,
        "_start",
        lambda pack, reads: started.append(pack) or most.append(len(started)) or start(pack, reads),
    )
    monkeypatch.setattr(model.scorer, "_finish", lambda one, *rest: started.pop() and finish(one, *rest))
    assert scores(model, rows()) == pytest.approx(expected, abs=1e-6)
    assert max(most) == 2
    once = iter([True])

    def fails_once(pack, reads):
        if len(started) == 1 and next(once, False):
            raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate")
        started.append(pack)
        return start(pack, reads)

    monkeypatch.setattr(model.scorer, "_start", fails_once)
    assert scores(model, rows()) == pytest.approx(expected, abs=1e-5)
    assert model.scorer._halved


def test_other_errors_of_the_model_are_not_swallowed(models, monkeypatch):
    """Only running out of memory is worth another try."""
    model = HFReward(models["qwen-3"], **CPU)

    def broken(**kwargs):
        raise RuntimeError("broken")

    monkeypatch.setattr(model.scorer._decoder, "forward", broken)
    with pytest.raises(RuntimeError, match="broken"):
        scores(model, rows(2))
    assert model.model.config._attn_implementation == "sdpa"


def test_answers_reach_the_cache_pack_by_pack(models):
    """What was scored before an error is kept."""
    model = HFReward(models["llama-3.1"], tokens_per_pack=200, **CPU)
    kept, start = [], model.scorer._start

    def third_fails(pack, reads):
        if len(kept) >= 6:
            raise KeyboardInterrupt
        return start(pack, reads)

    model.scorer._start = third_fails
    model.cache_hook.add_partial = lambda kind, args, answer: kept.append(answer)
    with pytest.raises(KeyboardInterrupt):
        scores(model, rows())
    assert 6 <= len(kept) < 24
    assert all(math.isfinite(score) for score, _ in kept)


def test_the_log_says_how_it_was_scored_and_what_an_interruption_leaves(models, caplog, monkeypatch):
    """One line when loaded, one at the end, one on Ctrl-C."""
    caplog.set_level("INFO", logger="lm_eval")
    model = HFReward(models["qwen-3"], tokens_per_pack=100, **CPU)
    assert "Scoring by prefix tree: prefix_tree attention, packs of 100 tokens." in caplog.text
    scores(model, rows(2))
    assert "Scored 4 conversations in" in caplog.text
    start = model.scorer._start
    packs = []

    def interrupted(pack, reads):
        if packs:
            raise KeyboardInterrupt
        packs.append(pack)
        return start(pack, reads)

    monkeypatch.setattr(model.scorer, "_start", interrupted)
    with pytest.raises(KeyboardInterrupt):
        scores(model, rows())
    done = len(packs[0].conversations)
    assert f"Interrupted: scores of {done} of 24 conversations are lost: --use_cache keeps them." in caplog.text
    HFReward(models["qwen-3"], scoring="padded", **CPU)
    assert "Scoring in padded batches of 4." in caplog.text


def test_texts_are_cut_into_pieces_that_begin_alike():
    """Every text once, neighbours in the alphabet together, the piece with the longest first."""
    texts = ["b" * 50, "a1", "a2", "b2", "c", "a3"]
    pieces = chunks(texts, 6)
    assert sorted(i for piece in pieces for i in piece) == list(range(6))
    assert [texts[i] for i in pieces[0]] == ["b2", "b" * 50]
    assert [texts[i] for i in pieces[1]] == ["a1", "a2", "a3"]
    assert chunks([], 5) == [[]]


def test_items_are_made_ahead_and_errors_arrive():
    """One item at a time in another thread; what it raises is raised where the items are used."""

    def items():
        yield 1
        yield 2
        raise ValueError("third")

    stream = ahead(items())
    assert [next(stream), next(stream)] == [1, 2]
    with pytest.raises(ValueError, match="third"):
        next(stream)
