"""hf-dpo against the rewards that reward-bench's own DPOInference gave (tests/reference/make_dpo.py)."""

import json
from pathlib import Path

import pytest
import transformers
from conftest import ASSETS, SAMPLES, make_tokenizer
from tiny_checkpoints import decoder, write

import skywork_rb_plugin as rb

DPO = json.loads((Path(__file__).parent / "reference" / "dpo.json").read_text(encoding="utf-8"))
SIDES = ("chosen", "rejected")


def tokenizer_of(case):
    """The tests' own tokenizer, or a real one from the assets."""
    if case["tokenizer"] == "conftest.make_tokenizer":
        return make_tokenizer()
    if ASSETS is None:
        pytest.skip("SKYWORK_RB_ASSETS is not set")
    return transformers.AutoTokenizer.from_pretrained(ASSETS / "tokenizers" / case["tokenizer"])


def pairs_of(case):
    """(prompt, response) of each row, all that were chosen first."""
    rows = DPO["pairs"]
    if case["rows"] != "pairs":
        if SAMPLES is None:
            pytest.skip("SKYWORK_RB_SAMPLES is not set")
        lines = (SAMPLES / "rewardbench_v1_filtered.jsonl").read_text(encoding="utf-8").splitlines()
        known = {(row["subset"], row["id"]): row for row in map(json.loads, lines)}
        rows = [known[tuple(key)] for key in case["rows"]]
    return [(row["prompt"], row[side]) for side in SIDES for row in rows]


# real tokenizers on real rows, the tests' own on pairs of our own wording: the other two add nothing
@pytest.mark.parametrize("name", ["tiny pairs", "llama-3.1 rewardbench", "qwen-3 rewardbench"])
def test_rewards_are_the_reference_implementations(tmp_path, name):
    """With a reference, and without in all three ways; as many tokens, with a merged one where there is one."""
    case = DPO["cases"][name]
    tokenizer, pairs = tokenizer_of(case), pairs_of(case)
    policy, reference = (
        write(tmp_path / part, *decoder(seed=seed, **case["decoder"]), tokenizer=tokenizer)
        for part, seed in case["seeds"].items()
    )
    kinds = ("reference", "avg", "norm", "sum") if name == "tiny pairs" else ("reference",)
    sums = [sum_ for side in SIDES for sum_ in case["rewards"]["sum"][side]]
    for kind in kinds:
        options = {"ref_model": reference} if kind == "reference" else {"ref_free_type": kind}
        model = rb.load(policy, model="hf-dpo", device="cpu", **options)
        expected = [reward for side in SIDES for reward in case["rewards"][kind][side]]
        for found, reward, sum_ in zip(model.score(pairs), expected, sums, strict=True):
            # the reference adds up in float32, thousands with a reference model, and 7 digits were written
            assert found == pytest.approx(
                reward, abs=1e-4 + (2**-22 * abs(sum_) if kind in ("reference", "sum") else 0)
            )
    messages = [
        [
            *(prompt if isinstance(prompt, list) else [{"role": "user", "content": prompt}]),
            {"role": "assistant", "content": text},
        ]
        for prompt, text in pairs
    ]
    encoded = model.renderer.encode(model.renderer.render_all(messages))
    assert [ids.marks[0] for ids in encoded] == case["tokens"]["prompt"] * 2
    assert [len(ids) - ids.marks[0] for ids in encoded] == [count for side in SIDES for count in case["tokens"][side]]
