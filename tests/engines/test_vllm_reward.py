"""vllm-reward: what vLLM's engine gives beside hf-reward, on tiny checkpoints; `make test-vllm` runs it."""

import dataclasses
import json
from pathlib import Path

import pytest
import transformers
from beside_hf import LENGTH, PAIRS, checkpoint, in_hf, in_vllm
from conftest import FAMILIES, make_tokenizer, preference_task
from lm_eval import simple_evaluate

from skywork_rb_plugin import UserError
from skywork_rb_plugin.models import vllm_options

AsyncEngineArgs = pytest.importorskip("vllm").AsyncEngineArgs

CAPPED = {"query_pre_attn_scalar": 32, "sliding_window": 64, "attn_logit_softcapping": 0.5}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """A checkpoint of each family; Gemma-2's soft-capping is tight enough to be seen."""
    root = tmp_path_factory.mktemp("models")
    settings = {"gemma-2": CAPPED}
    found = {family: checkpoint(root / family, family, **settings.get(family, {})) for family in FAMILIES}
    pool_by_the_mean(Path(found["llama-3.1"]))
    return found


def pool_by_the_mean(folder):
    """Add the files of sentence-transformers that say so; vLLM goes by them where it is not told otherwise."""
    kinds = {"": "sentence_transformers.models.Transformer", "1_Pooling": "sentence_transformers.models.Pooling"}
    modules = [{"idx": i, "name": str(i), "path": path, "type": kinds[path]} for i, path in enumerate(kinds)]
    (folder / "modules.json").write_text(json.dumps(modules))
    (folder / "1_Pooling").mkdir()
    pooling = {"word_embedding_dimension": 64, "pooling_mode_mean_tokens": True, "pooling_mode_cls_token": False}
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(pooling))


@pytest.fixture(scope="module", params=FAMILIES)
def models(request, folders):
    """One family's checkpoint in vLLM and in this process; an engine at a time."""
    folder = folders[request.param]
    model = in_vllm(folder)
    yield model, in_hf(folder)
    model.scorer.engine.close()


def test_rewards_are_those_of_hf_reward(models):
    """Logits of three families, the last token that is no pad token, cut from the left after the BOS."""
    model, hf = models
    expected = hf.score(PAIRS)
    assert model.score(PAIRS) == pytest.approx(expected, abs=1e-4)
    assert len(set(expected)) == len(PAIRS)
    assert max(map(abs, expected)) > 1  # which no sigmoid gives
    assert model.head_name() == hf.head_name()
    assert model.scorer.attention == "vLLM CPU_ATTN"


def test_few_prompts_are_under_way(models):
    """A killed run loses no more than these."""
    model, _ = models
    taken = []

    def prompts():
        for i in range(2000):
            taken.append(i)
            yield i, [5, 6, 7 + i % 200]

    results = model.scorer.engine.run(prompts())
    next(results)
    results.close()
    assert len(taken) == 512


def test_a_conversation_that_vllm_refuses(models):
    """The line does not say that the engine has stopped."""
    model, _ = models
    with pytest.raises(UserError, match=r"^vLLM refused a conversation \("):
        list(model.scorer.engine.run([(0, [5] * (LENGTH + 1))]))


def test_a_run_of_the_harness(models, task_manager, tmp_path):
    """The results file says what ran, how many were cut and what the cache saved; each sample has its tokens."""
    model, hf = models
    rows = [{"prompt": prompt, "chosen": text, "rejected": f"{text} or not"} for prompt, text in PAIRS]
    ours, theirs = (
        simple_evaluate(
            model=one,
            tasks=[preference_task(rows, tmp_path)],
            task_manager=task_manager,
            log_samples=True,
            bootstrap_iters=0,
        )
        for one in (model, hf)
    )
    info, expected = ours["config"]["reward"], theirs["config"]["reward"]
    assert info["engine"].startswith("vLLM ")
    assert (info["dtype"], info["head_dtype"], info["scoring"]) == ("float32", "float32", "engine")
    assert (info["prefix_caching"], info["block_size"]) == (True, 32)
    for name in (
        "conversations_scored",
        "conversations_truncated",
        "tokens_truncated",
        "max_length",
        "chat_template_sha256",
    ):
        assert info[name] == expected[name], name
    assert info["conversations_truncated"] == 2
    assert info["tokens_saved"] > 0
    assert ours["results"]["mine"]["acc,none"] == theirs["results"]["mine"]["acc,none"]
    for one, other in zip(ours["samples"]["mine"], theirs["samples"]["mine"], strict=True):
        one, other = one["doc"]["skywork_rb"], other["doc"]["skywork_rb"]
        assert (one["tokens"], one["cut"]) == (other["tokens"], other["cut"])


def test_soft_capping_is_seen(folders, tmp_path):
    """Without it Gemma-2's rewards would differ: that they are equal says something."""
    uncapped = checkpoint(tmp_path / "uncapped", "gemma-2", **CAPPED | {"attn_logit_softcapping": None})
    capped, other = in_hf(folders["gemma-2"]).score(PAIRS), in_hf(uncapped).score(PAIRS)
    assert max(abs(a - b) for a, b in zip(capped, other, strict=True)) > 0.01


@pytest.mark.parametrize(
    ("options", "line"),
    [
        # names of vLLM's own
        *[
            ({name: "x"}, f"found {name} in --model_args, expected")
            for name in (
                "runner", "convert", "model_impl", "tokenizer_mode", "tokenizer_revision", "model_weights", "config_format",
                "hf_config_path", "code_revision", "ignore_patterns", "io_processor_plugin", "worker_extension_cls",
                "data_parallel_rank", "enable_lora", "default_mm_loras",
            )
        ],
        ({"tensor_paralel_size": 2}, "which neither vllm-reward nor vLLM has, did you mean tensor_parallel_size"),
        ({"tensor_parallel_size": 3}, "vLLM .* could not start .* with .*tensor_parallel_size=3"),
    ],
    ids=str,
)  # fmt: skip
def test_options_that_it_refuses(folders, options, line):
    """One line each."""
    with pytest.raises(UserError, match=line) as caught:
        in_vllm(folders["llama-3.1"], **options)
    assert "\n" not in str(caught.value)


def test_a_class_that_vllm_does_not_have(tmp_path):
    """Known before the engine starts."""
    config = transformers.HeliumConfig(
        vocab_size=320, hidden_size=64, head_dim=32, intermediate_size=64, num_hidden_layers=1, num_attention_heads=2,
        num_key_value_heads=1, pad_token_id=2, num_labels=1,
    )  # fmt: skip
    transformers.HeliumForSequenceClassification(config).save_pretrained(tmp_path)
    make_tokenizer().save_pretrained(tmp_path)
    with pytest.raises(
        UserError, match=r"found the class HeliumForSequenceClassification in .*, which vLLM does not have"
    ):
        in_vllm(tmp_path)


def test_our_lists_name_options_of_vllm():
    """Another release may have others."""
    listed = {*vllm_options._OURS, *vllm_options._NO_MATTER}
    assert listed <= {field.name for field in dataclasses.fields(AsyncEngineArgs)}
