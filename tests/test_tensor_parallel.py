"""Ranks that compute each layer together (`tp_plan=auto` under torchrun) must send the same packs at the same time."""

import json
import os
import subprocess
import sys

import pytest
from trees import CPU, rows, scores

from skywork_rb_plugin import HFReward, UserError
from skywork_rb_plugin.scoring import scorer

# what each of two ranks runs: the second has less memory
PROGRAM = """
import json, os, sys
sys.path.insert(0, sys.argv[1])
from trees import rows, scores
from skywork_rb_plugin import HFReward
from skywork_rb_plugin.scoring import budget
rank = int(os.environ["RANK"])
budget.free_memory = lambda device: 2**40 if rank == 0 else 0
model = HFReward(sys.argv[2], tp_plan="auto", batch_size=4)
found = {"ranks": budget.ranks_within(model.model), "budget": model.scorer.budget, "scores": scores(model, rows(4))}
with open(f"{sys.argv[3]}/{rank}.json", "w") as file:
    json.dump(found, file)
"""


def test_ranks_agree_on_the_least_budget(models, tmp_path):
    """One with less memory than the others decides; the scores are those of one process."""
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", "2", str(program)]
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    tests = os.path.dirname(__file__)
    done = subprocess.run(
        [*command, tests, models["llama-3.1"], str(tmp_path)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found = [json.loads((tmp_path / f"{rank}.json").read_text()) for rank in range(2)]
    expected = scores(HFReward(models["llama-3.1"], **CPU), rows(4))
    for of_rank in found:
        assert (of_rank["ranks"], of_rank["budget"]) == (2, 512)
        assert of_rank["scores"] == pytest.approx(expected, abs=1e-5)


def test_a_rank_without_memory_ends_the_run(models, monkeypatch):
    """The others wait for it in the middle of a layer: none can go on with smaller packs."""
    model = HFReward(models["qwen-3"], tokens_per_pack=2000, **CPU)

    def full(input_ids, **kwargs):
        raise RuntimeError("CUDA error: out of memory")

    monkeypatch.setattr(model.scorer._decoder, "forward", full)
    monkeypatch.setattr(scorer, "ranks_within", lambda model: 2)
    with pytest.raises(
        UserError, match=r"out of memory with a pack of \d+ tokens on one of 2 ranks .* tokens_per_pack="
    ):
        scores(model, rows())
