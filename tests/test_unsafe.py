"""Rows whose texts the report folds are known by whole words in names."""

import pytest

from skywork_rb_plugin.report.unsafe import is_unsafe


@pytest.mark.parametrize(
    "name",
    [
        "rewardbench_donotanswer", "do-not-answer", "refusals-dangerous", "rm_bench_safety_refuse", "PKU-SafeRLHF", "unsafe",
        "hhh_alignment", "anthropic_harmless", "harmful_qa", "HarmBench", "toxigen", "realtoxicityprompts", "hatecheck",
        "crows_pairs_english", "advbench", "strongreject", "wmdp_bio",
    ],
)  # fmt: skip
def test_unsafe(name):
    """By the name of a task or a column's part."""
    assert is_unsafe(name, doc={})
    assert is_unsafe("mine", doc={"category": name})


@pytest.mark.parametrize("name", ["harmony", "charming_tales", "pharma", "math-prm", "whatever", "crowsnest", "refuge"])
def test_harmless(name):
    """A word that has another in it is another word; other columns' contents count for nothing."""
    assert not is_unsafe(name, doc={"subset": name, "prompt": "how to harm"})
