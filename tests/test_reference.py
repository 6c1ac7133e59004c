"""Scores of real RewardBench conversations against the official implementation's (reference/make_scores.py)."""

import json
from pathlib import Path

import pytest
from conftest import ASSETS, FAMILIES, needs_assets
from lm_eval.api.instance import Instance

from skywork_rb_plugin import Conversation, HFReward

pytestmark = needs_assets
ROWS_PER_SUBSET = 5


def sampled_rows():
    """The first rows of every subset: 115 rows, 230 conversations."""
    import datasets

    table = datasets.load_dataset(
        "parquet", data_files=str(ASSETS / "mirror" / "allenai" / "reward-bench" / "filtered.parquet"), split="train"
    )
    taken = {}
    for row in table:
        taken.setdefault(row["subset"], []).append(row)
    return [row for rows in taken.values() for row in rows[:ROWS_PER_SUBSET]]


@pytest.mark.parametrize("family", FAMILIES)
def test_scores_equal_the_official_implementation(family):
    """At least 200 conversations per family, float32, to 1e-4."""
    reference = json.loads((Path(__file__).parent / "reference" / f"scores-{family}.json").read_text())
    rows = sampled_rows()
    requests, expected = [], []
    for i, row in enumerate(rows):
        context = Conversation([{"role": "user", "content": row["prompt"]}])
        for j, response in enumerate((row["chosen"], row["rejected"])):
            requests.append(Instance("loglikelihood", row, (context, response), j, ("t", i, 1)))
            expected.append(reference[row["subset"]][str(row["id"])][j])
    model = HFReward(pretrained=str(ASSETS / "models" / f"tiny-{family}"), device="cpu", batch_size=8)
    found = [score for score, _ in model.loglikelihood(requests, disable_tqdm=True)]
    assert len(found) >= 200
    assert found == pytest.approx(expected, abs=1e-4)
    assert model.get_model_info()["reward"]["conversations_truncated"] == 0
