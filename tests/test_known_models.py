"""The table of known models, and what a run says of its settings and scores beside it."""

import logging
import re
from statistics import fmean

import pytest
from conftest import make_model, preference_task
from scripted import ROWS

from skywork_rb_plugin.models import known_models
from skywork_rb_plugin.models.as_published import Used, compare_settings
from skywork_rb_plugin.models.known_models import find, read

TABLE = """
sources: {card: {what: its card, date: 2024-09, settings: {max_length: 2048}}}
models:
  Some/Tiny-RM:
    family: classifier
    licence: null
    settings: {source: card, max_length: 512, system_prompt: none, dtype: float32, not_attention: eager}
    published:
      preference_demo: {source: card, score: 92.5, sections: {chat: 95.8, safety: 90.8}}
  Some/Other-RM:
    family: other
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


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """The folder that ends in Some/Tiny-RM."""
    return make_model(tmp_path_factory.mktemp("hub") / "Some" / "Tiny-RM")


def run(folder, manager, tasks, caplog, limit=None, system_instruction=None, **options):
    """Lines of this part of the log of a run."""
    import lm_eval

    caplog.clear()
    with caplog.at_level("INFO", logger="lm_eval"):
        logging.getLogger("lm_eval").setLevel(logging.INFO)
        lm_eval.simple_evaluate(
            model="hf-reward",
            model_args={"pretrained": str(folder), "dtype": "float32", "attn_implementation": "sdpa", **options},
            tasks=tasks,
            task_manager=manager,
            device="cpu",
            batch_size=8,
            limit=limit,
            system_instruction=system_instruction,
            bootstrap_iters=0,
            log_samples=False,
        )
    return [record.getMessage() for record in caplog.records if record.name.endswith("as_published")]


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
            "family: other",
            "family: other\n    note: text",
            "Some/Other-RM: found note, expected only family, licence, settings",
        ),
        ("{source: card, score", "{score", "Some/Tiny-RM, preference_demo: found no source"),
        ("{source: card, system", "{source: cart, system", "settings: found source 'cart', expected one of card"),
        ("score: 92.5", "score: high", "preference_demo: found ['high', 95.8, 90.8], expected scores in percent"),
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


@pytest.mark.usefixtures("table")
def test_settings_that_are_not_the_recommended_ones(tiny, task_manager, tmp_path, caplog):
    """One line each, and none where all is as recommended."""
    tasks = [preference_task(ROWS, tmp_path)]
    assert run(tiny, task_manager, tasks, caplog) == []
    lines = run(
        tiny, task_manager, tasks, caplog, system_instruction="Be brief.", max_length=256, dtype="bfloat16",
        attn_implementation="eager",
    )  # fmt: skip
    expected = (
        "Some/Tiny-RM: it reads up to 256 tokens, less than the 512 that its authors recommend: max_length=512",
        "Some/Tiny-RM: it runs in bfloat16, its authors' example in float32: dtype=float32 in --model_args (its card,",
        "Some/Tiny-RM: its authors warn of eager",
        "Some/Tiny-RM: found a system prompt, its authors use none: leave out --system_instruction (its card, 2024-09)",
    )
    assert len(lines) == len(expected)
    for line, start in zip(lines, expected, strict=True):
        assert line.startswith(start)


@pytest.mark.usefixtures("table")
def test_recommended_system_prompt_is_missed_and_never_added(task_manager, tmp_path, caplog):
    """Nor is a head missed that is not there."""
    folder = make_model(tmp_path / "Some" / "Other-RM")
    tasks = [preference_task(ROWS, tmp_path)]
    missing = "Some/Other-RM: found no system prompt, its authors use 'Think.': --system_instruction gives it (its card, 2024-09)."
    assert run(folder, task_manager, tasks, caplog) == [missing]
    assert "Think." not in caplog.text.replace(missing, "")
    assert run(folder, task_manager, tasks, caplog, system_instruction="Think.") == []
    [line] = run(folder, task_manager, tasks, caplog, system_instruction="Guess.")
    assert "found another system prompt, its authors use 'Think.'" in line


@pytest.mark.parametrize(
    ("plain", "emptied", "said"), [("a", "a", 0), ("<system>You are<end>a", "<system><end>a", 1), ("a", None, 1)]
)
def test_an_empty_system_turn_that_the_template_does_not_write_is_missed(plain, emptied, said):
    """WorldPM's; a template that writes a text of its own there, or refuses such turns."""
    known = read(TABLE.replace("system_prompt: Think.", 'system_prompt: ""'))["Some/Other-RM"]
    used = Used("other", frozenset(["other"]), 512, "float32", "sdpa", plain, "", emptied)
    lines = [line for line in compare_settings(known, used) if "put an empty system turn before each prompt" in line]
    assert len(lines) == said


def test_notes_are_told(tiny, task_manager, tmp_path, caplog, monkeypatch):
    """What else decides its rewards, where it is loaded."""
    text = TABLE.replace(
        "    settings: {source: card, max_length: 512, system_prompt: none, dtype: float32, not_attention: eager}",
        "    notes: Read it aloud.",
    )
    monkeypatch.setattr(known_models, "known_models", lambda: read(text))
    assert run(tiny, task_manager, [preference_task(ROWS, tmp_path)], caplog) == ["Some/Tiny-RM: Read it aloud."]


def test_head_that_is_not_the_models_own(tiny, task_manager, tmp_path, caplog, monkeypatch):
    """Another head that answers is told, with the option that takes the model's own."""
    from skywork_rb_plugin.heads import plugins
    from skywork_rb_plugin.heads.families.classifier import Classifier

    class Mine(Classifier):
        name = "mine"

    ours = plugins.registered()
    monkeypatch.setattr(plugins, "registered", lambda: (plugins.Registered(Mine(), "a package 1.0"), *ours))
    monkeypatch.setattr(known_models, "known_models", lambda: read(TABLE))
    lines = run(tiny, task_manager, [preference_task(ROWS, tmp_path)], caplog)
    assert lines == [
        "Some/Tiny-RM: it is read by the head mine, its own is classifier: head=classifier in --model_args takes it."
    ]


@pytest.mark.usefixtures("table")
def test_full_run_stands_beside_the_published_scores(tiny, task_manager, caplog):
    """After all official rows, and only then."""
    [line] = run(tiny, task_manager, ["preference_demo"], caplog)
    head, *parts = line.split(", ")
    assert head.startswith("Preference demo of Some/Tiny-RM: score ")
    score = float(head.split("score ")[1].split()[0])
    assert 0 < score < 100
    assert f"(published 92.5, {score - 92.5:+.1f})" in line
    assert [part.split()[0] for part in parts[1:-1:2]] == ["preference_demo_chat", "preference_demo_safety"]
    assert line.endswith("; its card, 2024-09; published with max_length 2048")
    assert run(tiny, task_manager, ["preference_demo"], caplog, limit=2) == []
