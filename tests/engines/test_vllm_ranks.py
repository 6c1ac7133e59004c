"""vllm-reward on several devices, and an engine that dies; `make test-vllm` runs it."""

import psutil
import pytest
import torch
from beside_hf import PAIRS, checkpoint, in_hf, in_vllm
from conftest import preference_task
from lm_eval import simple_evaluate

from skywork_rb_plugin import UserError

pytest.importorskip("vllm")

ROWS = [
    {"prompt": f"Question {i}?", "chosen": f"answer {i} " * (i % 50), "rejected": f"no {i}", "id": i}
    for i in range(700)
]


def test_two_replicas_of_a_checkpoint_in_half_precision(tmp_path):
    """Both get prompts; rewards differ from those in this process by rounding, and are of the head's dtype."""
    folder = checkpoint(tmp_path / "m", "qwen-3", dtype=torch.bfloat16)
    model, hf = in_vllm(folder, data_parallel_size=2), in_hf(folder)
    replicas, send = set(), model.scorer.engine._running[0].add_request

    def spy(*arguments, **options):
        replicas.add(options["data_parallel_rank"])
        return send(*arguments, **options)

    model.scorer.engine._running[0].add_request = spy
    pairs = [*PAIRS, *((f"Question {i}?", "yes") for i in range(100))]
    expected, rewards = hf.score(pairs), model.score(pairs)
    model.scorer.engine.close()
    assert replicas == {0, 1}
    assert rewards == pytest.approx(expected, abs=0.02 * max(map(abs, expected)))
    assert rewards == [torch.tensor(reward).bfloat16().item() for reward in rewards]
    settings = model.scorer.settings()
    assert (settings["dtype"], settings["head_dtype"], settings["data_parallel_size"]) == ("bfloat16", "bfloat16", 2)


def test_two_ranks_and_a_kill(task_manager, tmp_path, monkeypatch):
    """Two devices give the same; a run whose engine dies ends in one line, and on one device goes on from the cache."""
    before = set(psutil.Process().children(recursive=True))
    folder = checkpoint(tmp_path / "m", "qwen-3")
    model = in_vllm(folder, tensor_parallel_size=2, max_num_seqs=16)
    hf = in_hf(folder)
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
    again = in_vllm(folder)
    found = evaluate(again)
    assert 0 < found["config"]["reward"]["conversations_scored"] < 2 * len(ROWS)
    rewards = [float(answer[0][0]) for sample in found["samples"]["mine"] for answer in sample["resps"]]
    conversations = [(row["prompt"], row[which]) for row in ROWS for which in ("chosen", "rejected")]
    assert rewards == pytest.approx(hf.score(conversations), abs=1e-4)
    again.scorer.engine.close()
