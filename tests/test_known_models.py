"""The table of known models."""

import re
from statistics import fmean

import pytest

from skywork_rb_plugin.models import known_models
from skywork_rb_plugin.models.known_models import find, read

TABLE = """
sources: {card: {what: its card, date: 2024-09, settings: {max_length: 2048}}}
models:
  Some/Tiny-RM:
    family: classifier
    licence: null
    settings: {source: card, max_length: 512, system_prompt: none, dtype: float32, not_attention: eager}
    published:
      rewardbench: {source: card, score: 92.5, sections: {chat: 95.8, safety: 90.8}}
  Some/Other-RM:
    family: mlp
    licence: null
    settings: {source: card, system_prompt: Think.}
"""
# allenai/reward-bench, rewardbench/models/__init__.py, REWARD_MODEL_CONFIG
REWARD_BENCH = {
    "ShikaiChen/LDL-Reward-Gemma-2-27B-v0.1",
    "berkeley-nest/Starling-RM-7B-alpha",
    "Nexusflow/Starling-RM-34B",
    "openbmb/UltraRM-13b",
    "openbmb/Eurus-RM-7b",
    "llm-blender/PairRM-hf",
    "mightbe/Better-PairRM",
    "stanfordnlp/SteamSHP-flan-t5-xl",
    "stanfordnlp/SteamSHP-flan-t5-large",
    "IDEA-CCNL/Ziya-LLaMA-7B-Reward",
    "PKU-Alignment/beaver-7b-v1.0-reward",
    "PKU-Alignment/beaver-7b-v1.0-cost",
    "PKU-Alignment/beaver-7b-v2.0-reward",
    "PKU-Alignment/beaver-7b-v2.0-cost",
    "RLHFlow/pair-preference-model-LLaMA3-8B",
    "RLHFlow/ArmoRM-Llama3-8B-v0.1",
    "Ray2333/GRM-Gemma-2B-sftreg",
    "Ray2333/GRM-llama3-8B-sftreg",
    "internlm/internlm2-20b-reward",
    "internlm/internlm2-7b-reward",
    "internlm/internlm2-1_8b-reward",
    "nicolinho/QRM-Llama3.1-8B",
    "nicolinho/QRM-Llama3-8B",
    "Ray2333/GRM-Gemma2-2B-sftreg",
    "Ray2333/GRM-llama3.2-3B-sftreg",
    "Qwen/WorldPM-72B",
    "infly/INF-ORM-Llama3.1-70B",
    "Skywork/Skywork-VL-Reward-7B",
}
PARTS = {
    "rewardbench": {"chat", "chat_hard", "safety", "reasoning"},
    "rewardbench2": {"factuality", "precise_if", "math", "safety", "focus", "ties"},
    "rm_bench": {"chat", "code", "math", "safety"},
    "judgebench": {"knowledge", "reasoning", "math", "coding"},
    "judgebench-categories": {"knowledge", "reasoning", "math", "coding"},
    "rewardbench-with-priors": {"prior_sets", "rewardbench"},
}


@pytest.fixture
def table(monkeypatch):
    """A table with two models of the tests' own."""
    monkeypatch.setattr(known_models, "known_models", lambda: read(TABLE))


def test_packaged_table_is_whole():
    """Each number has a source and a part that the group computes; wholes are the means of their parts."""
    models = known_models.known_models()
    assert not REWARD_BENCH - set(models)
    for model in models.values():
        for benchmark, published in model.published.items():
            assert set(published.sections) <= PARTS[benchmark], (model.name, benchmark)
            if published.score and set(published.sections) == PARTS[benchmark] and benchmark != "judgebench":
                assert published.score == pytest.approx(fmean(published.sections.values()), abs=0.06), model.name
        for known in model.rewards:
            assert [message["role"] for message in known.conversation][-2:] == ["user", "assistant"]
            assert known.tolerance > 0
    assert sum(len(model.rewards) for model in models.values()) >= 8


@pytest.mark.parametrize(
    ("found", "instead", "line"),
    [
        (
            "licence: null\n    settings: {source: card, max",
            "settings: {source: card, max",
            "Some/Tiny-RM: found no licence",
        ),
        (
            "family: mlp",
            "family: mlp\n    note: text",
            "Some/Other-RM: found note, expected only family, licence, settings",
        ),
        ("{source: card, score", "{score", "Some/Tiny-RM, rewardbench: found no source"),
        ("{source: card, system", "{source: cart, system", "settings: found source 'cart', expected one of card"),
        ("score: 92.5", "score: high", "rewardbench: found ['high', 95.8, 90.8], expected scores in percent"),
        ("what: its card, ", "", "source card: found no what"),
        (
            "{max_length: 2048}",
            "{length: 2048}",
            "source card, settings: found length, expected only max_length, dtype",
        ),
    ],
)
def test_bad_table(found, instead, line):
    """Is told by the entry, not read in part."""
    assert found in TABLE
    with pytest.raises(ValueError, match=re.escape(line)):
        read(TABLE.replace(found, instead, 1))


@pytest.mark.usefixtures("table")
def test_names_that_a_model_goes_by():
    """Hub names in any case, folders, the hub's cache; not a branch that holds other weights, nor a name alone."""
    commit = "a" * 40
    for name in (
        "Some/Tiny-RM",
        "some/tiny-rm",
        "/data/Some/Tiny-RM/",
        f"/home/me/.cache/huggingface/hub/models--Some--Tiny-RM/snapshots/{commit}",
    ):
        assert find([name]).name == "Some/Tiny-RM", name
    for revision in ("main", commit):
        assert find(["no/other", "Some/Tiny-RM"], revision).name == "Some/Tiny-RM"
    for names, revision in (
        (["Some/Tiny-RM"], "step-100"),
        (["/data/Tiny-RM"], None),
        (["Other/Tiny-RM"], None),
        ([""], None),
    ):
        assert find(names, revision) is None
