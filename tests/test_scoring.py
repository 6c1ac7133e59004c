"""Scoring by prefix tree: the same rewards as one conversation at a time, in every way a model can attend."""

import math
import random

import pytest
import torch
import transformers
from conftest import FAMILIES, make_model, make_tokenizer
from lm_eval.api.instance import Instance

from skywork_rb_plugin import Conversation, HFReward, UserError
from skywork_rb_plugin.scoring import budget as budgets
from skywork_rb_plugin.scoring.batches import ahead, chunks
from skywork_rb_plugin.scoring.masks import KeyBlock, TreeMask

CPU = {"device": "cpu", "batch_size": 4}
WORDS = ["the", "quick", "brown", "fox", "answers", "a", "question", "about", "code", "and", "returns", "early"]


def rows(count=12, seed=0):
    """Prompts with several responses that begin alike, as in the code subsets; some far longer than Gemma's window."""
    pick = random.Random(seed)
    found = []
    for _ in range(count):
        prompt = " ".join(pick.choices(WORDS, k=pick.randint(3, 30)))
        beginning = " ".join(pick.choices(WORDS, k=pick.randint(1, 20)))
        found.append(
            (prompt, [f"{beginning} {' '.join(pick.choices(WORDS, k=pick.randint(1, 12)))}" for _ in range(2)])
        )
    return found


def requests(pairs):
    """Requests as a task makes them."""
    return [
        Instance("loglikelihood", {}, (Conversation([{"role": "user", "content": prompt}]), response), j, ("t", i, 1))
        for i, (prompt, responses) in enumerate(pairs)
        for j, response in enumerate(responses)
    ]


def scores(model, pairs):
    """Rewards in the order of the requests."""
    return [score for score, _ in model.loglikelihood(requests(pairs), disable_tqdm=True)]


def family_of(name, folder, **settings):
    """A tiny random classifier of a further family, saved; for models that take one mask, or windows in some layers."""
    shape = {
        "vocab_size": 320, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
        "num_key_value_heads": 2, "head_dim": 8, "max_position_embeddings": 512, "initializer_range": 0.2, "num_labels": 1,
        "pad_token_id": make_tokenizer().pad_token_id, "bos_token_id": 0, "eos_token_id": 1, **settings,
    }  # fmt: skip
    if not hasattr(transformers, f"{name}ForSequenceClassification"):
        pytest.skip(f"this transformers has no classifier of the family {name}")
    torch.manual_seed(0)
    config = getattr(transformers, f"{name}Config")(**shape)
    getattr(transformers, f"{name}ForSequenceClassification")(config).save_pretrained(folder)
    make_tokenizer().save_pretrained(folder)
    return str(folder)


@pytest.mark.parametrize("attention", ["prefix_tree", "sdpa", "eager", "flex_attention"])
@pytest.mark.parametrize("family", FAMILIES)
def test_every_attention_gives_the_scores_of_padded_batches(models, family, attention, caplog):
    """To 1e-5 in float32, with conversations longer than Gemma-2's sliding window of 16 tokens."""
    if (family, attention) == ("gemma-2", "sdpa"):
        pytest.skip("sdpa drops the soft-capping and is refused")
    expected = scores(HFReward(models[family], scoring="padded", **CPU), rows())
    options = {} if attention == "prefix_tree" else {"attn_implementation": attention}
    # uncompiled: what torch compiles of FlexAttention for CPUs can't read the mask's tensors
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
        model.scorer, "_start", lambda pack: started.append(pack) or most.append(len(started)) or start(pack)
    )
    monkeypatch.setattr(model.scorer, "_finish", lambda one, *rest: started.pop() and finish(one, *rest))
    assert scores(model, rows()) == pytest.approx(expected, abs=1e-6)
    assert max(most) == 2
    once = iter([True])

    def fails_once(pack):
        if len(started) == 1 and next(once, False):
            raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate")
        started.append(pack)
        return start(pack)

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

    def third_fails(pack):
        if len(kept) >= 6:
            raise KeyboardInterrupt
        return start(pack)

    model.scorer._start = third_fails
    model.cache_hook.add_partial = lambda kind, args, answer: kept.append(answer)
    with pytest.raises(KeyboardInterrupt):
        scores(model, rows())
    assert 6 <= len(kept) < 24
    assert all(math.isfinite(score) for score, _ in kept)


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


def test_models_without_trees_get_padded_batches(tmp_path, caplog):
    """An encoder scores as before under auto, and scoring=tree says why it can't."""
    caplog.set_level("INFO", logger="lm_eval")
    tokenizer = make_tokenizer()
    config = transformers.BertConfig(
        vocab_size=320, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4, num_labels=1,
        pad_token_id=tokenizer.pad_token_id,
    )  # fmt: skip
    torch.manual_seed(0)
    transformers.BertForSequenceClassification(config).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    model = HFReward(str(tmp_path), **CPU)
    found = scores(model, rows(3))
    assert model.get_model_info()["reward"]["scoring"] == "padded"
    assert "can't score BertForSequenceClassification by prefix trees (expected a causal decoder with" in caplog.text
    assert found == pytest.approx(scores(HFReward(str(tmp_path), device="cpu", batch_size=1), rows(3)), abs=1e-5)
    with pytest.raises(UserError, match=r"can't score Bert.* expected scoring=auto or scoring=padded"):
        HFReward(str(tmp_path), scoring="tree", **CPU)


@pytest.mark.parametrize(("dtype", "spread"), [("float32", 0.2), ("float32", 0.02), ("bfloat16", 0.2)])
def test_a_model_that_ignores_the_tree_is_found_out(tmp_path, monkeypatch, caplog, dtype, spread):
    """The scores of some short conversations are compared with padded batches before any is trusted."""
    folder = make_model(tmp_path, initializer_range=spread)

    def all_before(self, layer):
        return [
            KeyBlock(0, self.size, torch.arange(self.size), torch.ones(self.size, self.size, dtype=torch.bool).tril())
        ]

    monkeypatch.setattr(TreeMask, "key_blocks", all_before)
    model = HFReward(folder, dtype=dtype, **CPU)
    assert "Prefix trees do not work with prefix_tree: score" in caplog.text
    assert model.get_model_info()["reward"]["attention"] == "sdpa"  # the next best way
    padded = scores(HFReward(folder, dtype=dtype, scoring="padded", **CPU), rows(3))
    assert scores(model, rows(3)) == pytest.approx(padded, abs=1e-5 if dtype == "float32" else 0.05)


def test_what_depends_on_more_than_the_tree_is_refused(tmp_path):
    """Attention in both directions; rotary positions that grow with the longest conversation of a pack."""
    both = family_of("Gemma3Text", tmp_path / "both", use_bidirectional_attention=True, sliding_window=64)
    with pytest.raises(UserError, match="found attention in both directions, expected a causal decoder"):
        HFReward(both, scoring="tree", **CPU)
    factors = {"short_factor": [1.0] * 4, "long_factor": [3.0] * 4}
    rope = {"rope_type": "longrope", "original_max_position_embeddings": 64, "rope_theta": 10000.0, **factors}
    growing = family_of("Phi3", tmp_path / "rope", rope_parameters=rope, original_max_position_embeddings=64)
    assert HFReward(growing, **CPU).scorer.name == "padded"
    with pytest.raises(UserError, match=r"positions of the kind longrope.* with max_length=64 they don't"):
        HFReward(growing, scoring="tree", **CPU)
    assert HFReward(growing, max_length=64, **CPU).scorer.name == "tree"


def test_an_attention_that_was_asked_for_and_fails_is_one_line(models, monkeypatch):
    """Padded batches would fail with it too, after a while."""
    from skywork_rb_plugin.scoring.scorer import TreeScorer

    def broken(self, pack):
        raise NotImplementedError("no compiler\nand pages of why")

    monkeypatch.setattr(TreeScorer, "_start", broken)
    with pytest.raises(UserError) as error:
        HFReward(models["qwen-3"], attn_implementation="eager", **CPU)
    assert str(error.value).endswith(
        "(eager: NotImplementedError: no compiler); leave attn_implementation=eager out of --model_args, or add scoring=padded"
    )
    assert HFReward(models["qwen-3"], **CPU).scorer.name == "padded"
    with pytest.raises(UserError, match="found --batch_size 0, expected a whole number above 0, or auto"):
        HFReward(models["qwen-3"], batch_size=0, device="cpu")


def test_the_log_says_how_it_was_scored_and_what_an_interruption_leaves(models, caplog, monkeypatch):
    """One line when loaded, one at the end, one on Ctrl-C."""
    caplog.set_level("INFO", logger="lm_eval")
    model = HFReward(models["qwen-3"], tokens_per_pack=100, **CPU)
    assert "Scoring by prefix tree: prefix_tree attention, packs of 100 tokens." in caplog.text
    scores(model, rows(2))
    assert "Scored 4 conversations in" in caplog.text
    start = model.scorer._start
    packs = []

    def interrupted(pack):
        if packs:
            raise KeyboardInterrupt
        packs.append(pack)
        return start(pack)

    monkeypatch.setattr(model.scorer, "_start", interrupted)
    with pytest.raises(KeyboardInterrupt):
        scores(model, rows())
    done = len(packs[0].conversations)
    assert f"Interrupted: scores of {done} of 24 conversations are lost: --use_cache keeps them." in caplog.text
    HFReward(models["qwen-3"], scoring="padded", **CPU)
    assert "Scoring in padded batches of 4." in caplog.text


def test_attention_by_its_name_in_the_results(models):
    """What the results file calls the attention can be asked for; others are refused in one line."""
    named = HFReward(models["gemma-2"], attn_implementation="prefix_tree", **CPU)
    assert scores(named, rows(3)) == scores(HFReward(models["gemma-2"], **CPU), rows(3))
    with pytest.raises(UserError, match="attn_implementation=prefix_tree with scoring=padded, expected scoring=tree"):
        HFReward(models["gemma-2"], attn_implementation="prefix_tree", scoring="padded", **CPU)


def test_compiled_model_scores_the_same(models):
    """With one shape, so that it is compiled once."""
    expected = scores(HFReward(models["qwen-3"], **CPU), rows())
    model = HFReward(models["qwen-3"], compile=True, tokens_per_pack=512, **CPU)
    torch._dynamo.utils.counters.clear()
    assert scores(model, rows()) == pytest.approx(expected, abs=1e-5)
    info = model.get_model_info()["reward"]
    assert (info["scoring"], info["attention"]) == ("tree", "sdpa")
    assert (info["tokens_forwarded"] + info["tokens_padding"]) % 512 == 0
    assert (
        torch._dynamo.utils.counters["stats"]["unique_graphs"] == 0
    )  # nothing was compiled after the check at loading


@pytest.mark.parametrize(
    ("option", "line"),
    [
        ({"scoring": "trees"}, "found scoring=trees, expected auto, tree or padded"),
        ({"tokens_per_pack": 0}, "found tokens_per_pack=0, expected a whole number above 0, or auto"),
        ({"tokens_per_pack": "many"}, "found tokens_per_pack=many, expected a whole number above 0, or auto"),
        ({"compile": "yes"}, "found compile=yes, expected True or False"),
        ({"compile": True, "scoring": "padded"}, "found compile=True with scoring=padded, expected scoring=tree"),
    ],
)
def test_options_are_checked_before_anything_is_loaded(option, line):
    """One line each."""
    with pytest.raises(UserError, match=line):
        HFReward("no/such/model", **option)


def test_automatic_budget_fits_the_memory(models, monkeypatch):
    """As much as is useful, less where dense masks would not fit."""
    model = transformers.AutoModelForSequenceClassification.from_pretrained(models["gemma-2"])
    cpu = torch.device("cpu")
    assert budgets.automatic_budget(model, "prefix_tree", cpu) == 2048
    need = budgets.activation_bytes(model, "eager", 1024)
    monkeypatch.setattr(budgets, "free_memory", lambda device: 2 * need)
    assert budgets.automatic_budget(model, "eager", cpu) == 1024
    assert budgets.automatic_budget(model, "prefix_tree", cpu) == 2048
    monkeypatch.setattr(budgets, "free_memory", lambda device: 0)
    assert budgets.automatic_budget(model, "eager", cpu) == 512


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
