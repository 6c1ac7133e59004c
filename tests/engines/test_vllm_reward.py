"""vllm-reward: what vLLM's engine gives beside hf-reward, on tiny checkpoints; `make test-vllm` runs it."""

import psutil
import pytest
from beside_hf import in_hf, in_vllm
from conftest import FAMILIES, TEMPLATE, make_model, make_tokenizer, preference_task
from lm_eval import simple_evaluate

from skywork_rb_plugin import UserError

pytest.importorskip("vllm")

PAIRS = [
    *[("Question?", text) for text in ("short", "a much longer response that goes on", "x", "Grüße, 你好 🙂")],
    *[(f"Question {i}?", f"answer {i} " * i) for i in range(1, 20)],
    ("Question?", "one that ends in pad tokens<|pad|><|pad|>"),
    ("Too long?", "the quick brown fox " * 200),
]
# heads of a size that vLLM has on a CPU
SIZE = {"hidden_size": 64, "head_dim": 32}
CAPPED = {"query_pre_attn_scalar": 32, "sliding_window": 64, "attn_logit_softcapping": 0.5}
# no marker after a response, so that it may end in pad tokens
OPEN = TEMPLATE.replace("<|end|>", "")
ROWS = [
    {"prompt": f"Question {i}?", "chosen": f"answer {i} " * (i % 50), "rejected": f"no {i}", "id": i}
    for i in range(700)
]


def checkpoint(folder, family, **settings):
    """A classifier with one label."""
    return make_model(folder, family, tokenizer=make_tokenizer(OPEN), **SIZE, **settings)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """A checkpoint of each family; Gemma-2's soft-capping is tight enough to be seen."""
    root = tmp_path_factory.mktemp("models")
    settings = {"gemma-2": CAPPED}
    return {family: checkpoint(root / family, family, **settings.get(family, {})) for family in FAMILIES}


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


def test_two_ranks_and_a_kill(folders, task_manager, tmp_path, monkeypatch):
    """Two devices give the same; a run whose engine dies ends in one line, and on one device goes on from the cache."""
    before = set(psutil.Process().children(recursive=True))
    model = in_vllm(folders["qwen-3"], tensor_parallel_size=2, max_num_seqs=16)
    hf = in_hf(folders["qwen-3"])
    assert model.score(PAIRS) == pytest.approx(hf.score(PAIRS), abs=1e-4)
    assert model.scorer.settings()["tensor_parallel_size"] == 2
    started = set(psutil.Process().children(recursive=True)) - before
    run = model.scorer.engine.run

    def killed(prompts):
        for i, results in enumerate(run(prompts)):
            yield results
            if i == 5:
                for process in started:
                    process.kill()

    def evaluate(model):
        return simple_evaluate(
            model=model,
            tasks=[preference_task(ROWS, tmp_path)],
            task_manager=task_manager,
            use_cache=str(tmp_path / "cache"),
            log_samples=True,
            bootstrap_iters=0,
        )

    monkeypatch.setattr(model.scorer.engine, "run", killed)
    with pytest.raises(UserError, match=r"vLLM stopped while it scored .*; its own lines in the log say why"):
        evaluate(model)
    model.scorer.engine.close()
    again = in_vllm(folders["qwen-3"])
    found = evaluate(again)
    assert 0 < found["config"]["reward"]["conversations_scored"] < 2 * len(ROWS)
    rewards = [float(answer[0][0]) for sample in found["samples"]["mine"] for answer in sample["resps"]]
    conversations = [(row["prompt"], row[which]) for row in ROWS for which in ("chosen", "rejected")]
    assert rewards == pytest.approx(hf.score(conversations), abs=1e-4)
    again.scorer.engine.close()


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"tensor_paralel_size": 2}, "which neither vllm-reward nor vLLM has, did you mean tensor_parallel_size"),
        ({"max_model_len": 100}, "found max_model_len in --model_args, expected max_length in its place"),
        ({"runner": "generate"}, "found runner in --model_args, expected it left out: vllm-reward sets it"),
        ({"head_dtype": "half"}, "found head_dtype='half', expected model or float32"),
        ({"tensor_parallel_size": 3}, "vLLM .* could not start .* with .*tensor_parallel_size=3"),
    ],
)
def test_options_that_it_refuses(folders, options, line):
    """One line each."""
    with pytest.raises(UserError, match=line) as caught:
        in_vllm(folders["llama-3.1"], **options)
    assert "\n" not in str(caught.value)
