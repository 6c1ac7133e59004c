"""hf-dpo: two tiny language models through the harness, against the log-probabilities of the models themselves."""

import json
import math
import weakref

import pytest
import torch
import transformers
from families import ROWS, by_tree_and_padded, conversations, run
from tiny_checkpoints import decoder, write

import skywork_rb_plugin as rb
from skywork_rb_plugin import UserError

# of sums: 1e-6 for each of some 60 tokens
SUM = 6e-5
PAIRS = [(row["prompt"], row[which]) for row in ROWS for which in ("chosen", "rejected")]


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Two language models of each of two architectures: the policy and the reference."""
    root, found = tmp_path_factory.mktemp("policies"), {}
    for family in ("llama", "gemma2"):
        for seed in (0, 1):
            config, tensors = decoder(family, lm_head=True, seed=seed)
            found.setdefault(family, []).append(write(root / f"{family}{seed}", config, tensors))
    return found


def load(policy, **options):
    """The model as the command line makes it."""
    return rb.load(str(policy), model="hf-dpo", **{"device": "cpu", "batch_size": 4, **options})


def likelihoods(folder, messages=None):
    """Of each conversation the log-probabilities of its response's tokens, each conversation alone; and all its tokens."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager")
    found, sequences = [], []
    for one in messages or conversations():
        whole, prompt = (tokenizer.apply_chat_template(some, tokenize=False) for some in (one, one[:-1]))
        assert whole.startswith(prompt)
        ids, before = (tokenizer(text, add_special_tokens=False).input_ids for text in (whole, prompt))
        assert ids[: len(before)] == before
        ids = [tokenizer.bos_token_id, *ids, tokenizer.eos_token_id]
        with torch.no_grad():
            logits = model(torch.tensor([ids])).logits[0].double().log_softmax(-1)
        found.append([logits[i - 1, ids[i]].item() for i in range(1 + len(before), len(ids))])
        sequences.append(tuple(ids))
    return found, sequences


@pytest.mark.parametrize("family", ["llama", "gemma2"])
def test_with_a_reference(task_manager, tmp_path, folders, family):
    """The sum under the policy minus the sum under the reference, by tree and in padded batches."""
    policy, reference = folders[family]
    expected = [
        sum(own) - sum(other) for own, other in zip(likelihoods(policy)[0], likelihoods(reference)[0], strict=True)
    ]
    by_tree, padded, info = by_tree_and_padded(policy, task_manager, tmp_path, model="hf-dpo", ref_model=reference)
    assert by_tree == pytest.approx(expected, abs=SUM)
    assert padded == pytest.approx(expected, abs=SUM)
    assert info["head"] == "log-probabilities of the response's tokens, sum, minus the reference's"
    assert (info["reference"], info["beta"], info["ref_free_type"]) == (reference, 1.0, None)
    assert info["reference_checkpoint"].startswith("files ")
    assert info["conversations_scored"] == len(set(map(tuple, PAIRS)))


def test_shared_prompts_are_computed_once_by_each_model(task_manager, tmp_path, folders):
    """Tokens forwarded are the different beginnings, without the last token, which is only asked about."""
    policy, reference = folders["llama"]
    _, info = run(policy, task_manager, tmp_path, model="hf-dpo", ref_model=reference, scoring="tree")
    _, sequences = likelihoods(policy)
    beginnings = {ids[:n] for ids in sequences for n in range(1, len(ids))}
    assert info["tokens_forwarded"] == 2 * len(beginnings)
    # of all requests, both models: each conversation alone
    assert info["tokens_saved"] == 2 * sum(len(ids) - 1 for ids in sequences) - info["tokens_forwarded"]


@pytest.mark.parametrize("family", ["llama", "gemma2"])
def test_without_a_reference(task_manager, tmp_path, folders, family):
    """Their mean, their sum, or minus their norm; the mean where nothing is said."""
    policy, _ = folders[family]
    tokens, _ = likelihoods(policy)
    kinds = {
        "avg": [sum(some) / len(some) for some in tokens],
        "sum": list(map(sum, tokens)),
        "norm": [-math.hypot(*some) for some in tokens],
    }
    for kind, expected in kinds.items():
        assert load(policy, ref_free_type=kind).score(PAIRS) == pytest.approx(
            expected, abs=1e-5 if kind == "avg" else SUM
        )
    by_tree, padded, info = by_tree_and_padded(policy, task_manager, tmp_path, model="hf-dpo")
    assert by_tree == pytest.approx(kinds["avg"], abs=1e-5)
    assert padded == pytest.approx(kinds["avg"], abs=1e-5)
    assert (info["reference"], info["ref_free_type"]) == (None, "avg")


def test_beta_is_a_factor(folders):
    """With a reference and without; the cache of another beta is another's."""
    policy, reference = folders["llama"]
    for options in ({"ref_model": reference}, {"ref_free_type": "norm"}):
        one, tenth = load(policy, **options), load(policy, beta=0.1, **options)
        assert tenth.score(PAIRS) == pytest.approx([score / 10 for score in one.score(PAIRS)], rel=1e-6)
        assert one.fingerprint() != tenth.fingerprint()


def test_models_that_take_turns(folders, monkeypatch):
    """The same numbers, call after call; whoever's turn it is not is gone from memory, and still told of."""
    policy, reference = folders["gemma2"]
    expected = load(policy, ref_model=reference, keep_both=True).score(PAIRS)
    model = load(policy, ref_model=reference, keep_both=False)
    assert model._reference is None
    parameters, fingerprint = model.get_model_info()["model_num_parameters"], model.fingerprint()
    weights, seen = weakref.ref(model._model), []
    load_reference = model._load_reference
    monkeypatch.setattr(model, "_load_reference", lambda: seen.append(weights()) or load_reference())
    for _ in range(2):
        assert model.score(PAIRS) == pytest.approx(expected, abs=1e-6)
        info = json.loads(json.dumps(model.get_model_info(), default=str))
        assert (info["model_num_parameters"], info["model_dtype"]) == (parameters, "torch.float32")
        assert model.fingerprint() == fingerprint
    assert seen[0] is None
    assert len(seen) == 2


@pytest.mark.parametrize(("free", "both"), [(2.0, True), (1.0, False)])
def test_whether_both_stay_goes_by_the_free_memory(folders, monkeypatch, free, both):
    """Another of the policy's size, and some room."""
    from skywork_rb_plugin.models import reference

    policy, other = folders["llama"]
    size = transformers.AutoModelForCausalLM.from_pretrained(policy, dtype=torch.float32).get_memory_footprint()
    monkeypatch.setattr(reference, "free_memory", lambda device: int(free * size))
    assert (load(policy, ref_model=other)._reference is not None) is both
    assert (load(policy, ref_model=other, keep_both=not both)._reference is not None) is not both


def test_loaded_models_are_as_they_were(folders):
    """In training mode before and after; none is freed."""
    policy, reference = folders["llama"]
    expected = load(policy, ref_model=reference).score(PAIRS)
    own, other = (transformers.AutoModelForCausalLM.from_pretrained(folder).train() for folder in (policy, reference))
    tokenizer = transformers.AutoTokenizer.from_pretrained(policy)
    model = rb.load(own, model="hf-dpo", ref_model=other, tokenizer=tokenizer, batch_size=4, keep_both=False)
    for _ in range(2):
        assert model.score(PAIRS) == pytest.approx(expected, abs=1e-6)
        assert all(module.training for each in (own, other) for module in each.modules())
    with pytest.raises(UserError, match=r"found ref_model=LlamaForCausalLM, which is the policy itself"):
        rb.load(own, model="hf-dpo", ref_model=own, tokenizer=tokenizer)


def test_an_adapter_against_its_base(folders, tmp_path):
    """What DPO with LoRA leaves: the base is the reference, without the adapter."""
    import peft

    torch.manual_seed(0)
    base, _ = folders["llama"]
    config = peft.LoraConfig(r=2, target_modules=["q_proj"], init_lora_weights=False)
    adapted = peft.get_peft_model(transformers.AutoModelForCausalLM.from_pretrained(base), config)
    adapted.save_pretrained(tmp_path / "adapter")
    adapted.merge_and_unload().save_pretrained(tmp_path / "merged")
    transformers.AutoTokenizer.from_pretrained(base).save_pretrained(tmp_path / "merged")
    expected = load(tmp_path / "merged", ref_model=base).score(PAIRS)
    assert max(map(abs, expected)) > 0.01
    for both in (True, False):
        model = load(base, peft=str(tmp_path / "adapter"), ref_model=base, keep_both=both)
        assert model.score(PAIRS) == pytest.approx(expected, abs=SUM)


def test_an_adapter_with_rows_of_its_own(folders, tmp_path):
    """One that was trained with as many rows as the tokenizer has brings them, and the softmax runs over these."""
    import peft

    torch.manual_seed(0)
    base, _ = folders["llama"]
    model = transformers.AutoModelForCausalLM.from_pretrained(base)
    model.resize_token_embeddings(len(tokenizer := transformers.AutoTokenizer.from_pretrained(base)))
    adapted = peft.get_peft_model(model, peft.LoraConfig(r=2, target_modules=["q_proj"], init_lora_weights=False))
    adapted.save_pretrained(tmp_path / "adapter", save_embedding_layers=True)
    adapted.merge_and_unload().save_pretrained(tmp_path / "merged")
    tokenizer.save_pretrained(tmp_path / "merged")
    found = load(base, peft=str(tmp_path / "adapter")).score(PAIRS)
    assert found == pytest.approx(load(tmp_path / "merged").score(PAIRS), abs=1e-5)


def test_the_shorter_length_of_the_two_holds(folders, tmp_path):
    """The reference's, where it reads less; more is refused before any weights are loaded."""
    policy, _ = folders["llama"]
    config, tensors = decoder("llama", lm_head=True, seed=1, max_position_embeddings=60)
    short = write(tmp_path / "short", config, tensors)
    model = load(policy, ref_model=short)
    assert model.get_model_info()["reward"]["max_length"] == 60
    assert all(map(math.isfinite, model.score(PAIRS)))
    (tmp_path / "short" / "model.safetensors").unlink()
    with pytest.raises(UserError, match=r"found max_length=100, expected at most 60, the length that .*short states"):
        load(policy, ref_model=short, max_length=100)
