"""Which way of scoring is chosen for a model, and what is refused."""

import pytest
import torch
import transformers
from conftest import FAMILIES, make_model, make_tokenizer
from trees import CPU, family_of, rows, scores

from skywork_rb_plugin import HFReward, UserError
from skywork_rb_plugin.scoring import budget as budgets
from skywork_rb_plugin.scoring.masks import KeyBlock, TreeMask


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


@pytest.fixture
def all_before(monkeypatch):
    """An attention that heeds no tree: every token sees all before it."""

    def key_blocks(self, layer, repeats, dtype, device):
        mask = torch.full((self.size, self.size), -torch.inf, dtype=dtype).triu(1)
        return [KeyBlock(slice(self.size), slice(self.size), mask.repeat(repeats, 1))]

    monkeypatch.setattr(TreeMask, "key_blocks", key_blocks)


@pytest.mark.parametrize(("dtype", "spread"), [("float32", 0.2), ("float32", 0.02), ("bfloat16", 0.2)])
def test_a_model_that_ignores_the_tree_is_found_out(tmp_path, all_before, caplog, dtype, spread):
    """Some short conversations are tried in a tree and alone before any score is trusted."""
    folder = make_model(tmp_path, initializer_range=spread)
    model = HFReward(folder, dtype=dtype, **CPU)
    assert "Prefix trees do not work with prefix_tree: hidden states off by" in caplog.text
    assert model.get_model_info()["reward"]["attention"] == "sdpa"  # the next best way
    padded = scores(HFReward(folder, dtype=dtype, scoring="padded", **CPU), rows(3))
    assert scores(model, rows(3)) == pytest.approx(padded, abs=1e-5 if dtype == "float32" else 0.05)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_rounding_is_told_from_mistakes(tmp_path, dtype, all_before, monkeypatch):
    """Of random models in half precision every right tree is taken and every one that heeds nothing is refused.

    Rounding moves the rewards of some of these by more than what no tree at all does to the rewards of others.
    """
    folders = [
        make_model(
            tmp_path / f"{family}-{spread}-{layers}", family, initializer_range=spread, num_hidden_layers=layers,
            hidden_size=64, head_dim=16,
        )
        for family in FAMILIES
        for spread in (0.02, 0.1, 0.3)
        for layers in (2, 6)
    ]  # fmt: skip

    def attentions(scoring):
        return {HFReward(folder, dtype=dtype, scoring=scoring, **CPU).scorer.attention for folder in folders}

    assert "prefix_tree" not in attentions("auto")
    monkeypatch.undo()
    assert attentions("tree") == {"prefix_tree"}


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_model_that_makes_its_own_positions_is_found_out(tmp_path, monkeypatch, caplog, dtype):
    """Whatever attention it has: its tokens would be where the pack has them, not where their conversations do."""
    caplog.set_level("INFO", logger="lm_eval")
    folder = make_model(tmp_path)
    forward = transformers.LlamaModel.forward

    def by_itself(self, *args, position_ids=None, **kwargs):
        return forward(self, *args, **kwargs)

    monkeypatch.setattr(transformers.LlamaModel, "forward", by_itself)
    model = HFReward(folder, dtype=dtype, **CPU)
    assert model.scorer.name == "padded"
    assert "prefix_tree: the model makes positions of its own: other position_ids change nothing" in caplog.text


@pytest.mark.parametrize("attention", ["prefix_tree", "eager"])
def test_values_of_another_size_than_keys(tmp_path, attention):
    """DeepSeek's attention has values that are smaller than its queries."""
    shape = {"q_lora_rank": 16, "kv_lora_rank": 16, "qk_rope_head_dim": 8, "qk_nope_head_dim": 8, "v_head_dim": 12}
    experts = {
        "n_routed_experts": 4,
        "num_experts_per_tok": 2,
        "n_group": 1,
        "topk_group": 1,
        "first_k_dense_replace": 1,
    }
    folder = family_of("DeepseekV3", tmp_path, **shape, **experts, num_key_value_heads=4, moe_intermediate_size=16)
    expected = scores(HFReward(folder, scoring="padded", **CPU), rows())
    model = HFReward(folder, scoring="tree", attn_implementation=attention, **CPU)
    assert scores(model, rows()) == pytest.approx(expected, abs=1e-5)


def test_a_head_that_the_model_itself_does_not_use_is_found_out(tmp_path, monkeypatch, caplog):
    """A model whose own forward makes something else of its logit is scored by that forward."""
    caplog.set_level("INFO", logger="lm_eval")
    folder = make_model(tmp_path)
    forward = transformers.LlamaForSequenceClassification.forward

    def halved(self, *args, **kwargs):
        output = forward(self, *args, **kwargs)
        output.logits = output.logits / 2
        return output

    before = scores(HFReward(folder, **CPU), rows(3))
    monkeypatch.setattr(transformers.LlamaForSequenceClassification, "forward", halved)
    model = HFReward(folder, **CPU)
    assert "its hidden states give a short conversation the reward" in caplog.text
    assert scores(model, rows(3)) == pytest.approx([score / 2 for score in before], abs=1e-5)


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

    def broken(self, pack, reads):
        raise NotImplementedError("no compiler\nand pages of why")

    monkeypatch.setattr(TreeScorer, "states", broken)
    with pytest.raises(UserError) as error:
        HFReward(models["qwen-3"], attn_implementation="eager", **CPU)
    assert str(error.value).endswith(
        "(eager: NotImplementedError: no compiler); leave attn_implementation=eager out of --model_args, or add scoring=padded"
    )
    assert HFReward(models["qwen-3"], **CPU).scorer.name == "padded"


def test_attention_by_its_name_in_the_results(models):
    """What the results file calls the attention can be asked for; others are refused in one line."""
    named = HFReward(models["gemma-2"], attn_implementation="prefix_tree", **CPU)
    assert scores(named, rows(3)) == scores(HFReward(models["gemma-2"], **CPU), rows(3))
    with pytest.raises(UserError, match="attn_implementation=prefix_tree with scoring=padded, expected scoring=tree"):
        HFReward(models["gemma-2"], attn_implementation="prefix_tree", scoring="padded", **CPU)


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
    assert budgets.automatic_budget(model, "flex_attention", cpu) == 2048
    need = budgets.activation_bytes(model, "eager", 1024)
    monkeypatch.setattr(budgets, "free_memory", lambda device: 2 * need)
    assert budgets.automatic_budget(model, "eager", cpu) == 1024
    assert budgets.automatic_budget(model, "prefix_tree", cpu) == 2048
    monkeypatch.setattr(budgets, "free_memory", lambda device: 0)
    assert budgets.automatic_budget(model, "eager", cpu) == 512


def test_budget_on_a_gpu_goes_by_the_attention(models, monkeypatch):
    """Dense masks of 8192 tokens would put a quarter of all operations into pairs that are masked."""
    model = transformers.AutoModelForSequenceClassification.from_pretrained(models["llama-3.1"])
    monkeypatch.setattr(budgets, "free_memory", lambda device: 2**40)
    found = {
        name: budgets.automatic_budget(model, name, torch.device("cuda"))
        for name in ("flex_attention", "sdpa", "eager")
    }
    assert found == {"flex_attention": 8192, "sdpa": 2048, "eager": 2048}


@pytest.mark.parametrize(
    ("error", "memory"),
    [
        (RuntimeError("CUDA error: out of memory\nCUDA kernel errors might be asynchronously reported"), True),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"), True),
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"), True),
        (RuntimeError("CUDA error: an illegal memory access was encountered"), False),
        (ValueError("out of memory"), False),
    ],
)
def test_which_errors_say_that_memory_ran_out(error, memory):
    """torch's allocator, the driver and cuBLAS each in their own words."""
    assert budgets.out_of_memory(error) is memory
