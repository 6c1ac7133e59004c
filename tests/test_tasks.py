"""Preference tasks in whole runs of the host, with models whose answers are known."""

import json
import math

import numpy as np
import pytest
from conftest import ASSETS, NUMBERS, SUBSETS, needs_assets, preference_task
from lm_eval import simple_evaluate
from scripted import ROWS, ScriptedLM, evaluate, length

from skywork_rb_plugin import UserError, WeightedGroup

pytestmark = pytest.mark.usefixtures("official_data")


@needs_assets
def test_length_baseline_of_the_real_rows(task_manager, monkeypatch):
    """A length-only scorer reproduces the counts taken from the rows themselves: loading and grouping are right."""
    monkeypatch.setenv("SKYWORK_RB_DATA_ROOT", str(ASSETS / "mirror"))
    results, _ = evaluate(length, ["rewardbench"], task_manager, log_samples=True)
    for name, subset in SUBSETS.items():
        longer, shorter, equal = NUMBERS["length_baseline"]["subsets"][subset]
        samples = results["samples"][f"rewardbench_{name}"]
        margins = [s["filtered_resps"][0][0] - s["filtered_resps"][1][0] for s in samples]
        counts = [sum(m > 0 for m in margins), sum(m < 0 for m in margins), sum(m == 0 for m in margins)]
        assert counts == [longer, shorter, equal]
        assert results["results"][f"rewardbench_{name}"]["acc,none"] == longer / (longer + shorter + equal)


def test_names_and_tags(task_manager):
    """`rewardbench_*` matches the 23 subsets and the four tags only, so that the glob never meets a group."""
    matched = task_manager.match_tasks(["rewardbench_*"])
    tags = {f"rewardbench_{section}" for section in ("chat", "chat_hard", "safety", "reasoning")}
    assert set(matched) == {f"rewardbench_{name}" for name in SUBSETS} | tags
    assert len(task_manager.load(matched)["tasks"]) == 23


def test_metrics_filters_and_samples(task_manager, tmp_path):
    """All four metrics on rows with a win, a loss and a tie; --samples picks rows."""
    metrics = [{"metric": name} for name in ("acc", "margin", "ties", "bt_loss")]
    task = preference_task(ROWS, tmp_path, metric_list=metrics)
    results, _ = evaluate(length, [task], task_manager)
    row = results["results"]["mine"]
    assert row["acc,none"] == row["ties,none"] == pytest.approx(1 / 3)
    assert row["margin,none"] == pytest.approx((6 - 6 + 0) / 3)
    losses = [math.log1p(math.exp(-6)), 6 + math.log1p(math.exp(-6)), math.log(2)]
    assert row["bt_loss,none"] == pytest.approx(sum(losses) / 3)
    assert results["higher_is_better"]["mine"] == {"acc": True, "margin": True, "ties": False, "bt_loss": False}
    for number in (1, np.int64(1)):
        results, _ = evaluate(length, [task], task_manager, samples={"mine": [number]})
        assert [sample["doc"]["id"] for sample in results["samples"]["mine"]] == [8]


def test_sample_logs_show_prompt_responses_and_scores(task_manager, tmp_path):
    """What the host writes with --log_samples, and the configuration as the user wrote it."""
    task = preference_task(ROWS, tmp_path, where={"kind": ["a", "b"]}, doc_to_text="{{prompt}}")
    results, _ = evaluate(length, [task], task_manager)
    sample = results["samples"]["mine"][0]
    assert [list(map(str, pair)) for pair in sample["arguments"]] == [
        ["User: One?\n\nAssistant: ", "long answer"],
        ["User: One?\n\nAssistant: ", "short"],
    ]
    assert [response[0][0] for response in sample["resps"]] == [11.0, 5.0]
    assert results["n-samples"]["mine"]["original"] == 2
    written = json.loads(json.dumps(results["configs"]["mine"]))
    assert written["where"] == {"kind": ["a", "b"]}
    assert "rows.jsonl" in written["metadata"]["data_origin"]


def test_system_instruction_and_chat_template_reach_the_conversation(task_manager, tmp_path):
    """--system_instruction becomes the system message; a model's own template gets the messages."""
    task = preference_task(ROWS, tmp_path)
    _, model = evaluate(length, [task], task_manager, system_instruction="Be kind.")
    assert model.requests[0][0].messages[0] == {"role": "system", "content": "Be kind."}

    class Templated(type(model)):
        tokenizer_name = "test"

        def apply_chat_template(self, history, add_generation_prompt=True):
            return json.dumps([history, add_generation_prompt])

        def chat_template(self, name=False):
            return "test"

    templated = Templated(length)
    simple_evaluate(
        model=templated,
        tasks=[task],
        task_manager=task_manager,
        apply_chat_template=True,
        system_instruction="Be kind.",
    )
    history, generation = json.loads(templated.requests[0][0])
    assert [message["role"] for message in history] == ["system", "user"]
    assert generation is True


def test_predict_only_write_out_and_cached_requests(task_manager, tmp_path, monkeypatch, caplog):
    """The host's other ways to run: no metrics, a printed example, requests pickled and read back."""
    monkeypatch.setattr("lm_eval.caching.cache.PATH", str(tmp_path / "requests"))
    group = {"task": "ours", "class": WeightedGroup, "members": [preference_task(ROWS, tmp_path)]}
    results, _ = evaluate(length, [group], task_manager, predict_only=True)
    assert not any(key.startswith("acc") for key in {**results["results"]["ours"], **results["results"]["mine"]})
    with caplog.at_level("INFO", logger="lm_eval"):
        first, _ = evaluate(length, [group], task_manager, write_out=True, cache_requests=True)
    assert "User: One?" in caplog.text
    assert list((tmp_path / "requests").iterdir())
    again, model = evaluate(length, [group], task_manager, cache_requests=True)
    assert again["results"]["mine"] == first["results"]["mine"]
    assert model.requests[0][0].messages[0]["content"] == "One?"


def test_registering_twice_changes_nothing(task_manager):
    """The hook wraps the host's function once."""
    from lm_eval.tasks._index import TaskIndex

    from skywork_rb_plugin import register

    build = TaskIndex.build
    register()
    assert TaskIndex.build is build
    assert not hasattr(build.without_plugin, "without_plugin")


def test_cached_requests_know_the_rows_and_how_they_are_read(task_manager, tmp_path, monkeypatch):
    """The host's own key holds neither: changed rows, settings or --samples must not get old requests."""
    monkeypatch.setattr("lm_eval.caching.cache.PATH", str(tmp_path / "requests"))

    def accuracy(rows, **options):
        settings = options.pop("settings", {})
        task = preference_task(rows, tmp_path, **settings)
        return evaluate(length, [task], task_manager, cache_requests=True, **options)[0]["results"]["mine"]["acc,none"]

    assert accuracy(ROWS[:2]) == 0.5
    assert accuracy(ROWS[:1]) == 1.0
    assert accuracy(ROWS, samples={"mine": [1, 2]}) == 0.0
    assert accuracy(ROWS, limit=1) == 1.0
    assert accuracy(ROWS, settings={"where": {"kind": "b"}}) == 0.0
    assert accuracy(ROWS) == pytest.approx(1 / 3)
    # the same rows, read in another way
    assert accuracy(ROWS, settings={"doc_to_choice": ["rejected", "chosen"]}) == pytest.approx(1 / 3)
    assert accuracy(ROWS, settings={"doc_to_text": "kind"}) == pytest.approx(1 / 3)
    files = sorted(path.name for path in (tmp_path / "requests").iterdir())
    assert len(files) == 7
    assert accuracy(ROWS) == pytest.approx(1 / 3)
    assert sorted(path.name for path in (tmp_path / "requests").iterdir()) == files  # the same run finds its requests


def test_not_finite_score_of_any_model_is_an_error(task_manager, tmp_path):
    """Comparisons with NaN would count as wrong, or even as right."""
    with pytest.raises(UserError, match=r"task mine, row 0 \(id 7\): found scores \[nan, 1.0\], expected finite"):
        evaluate(
            lambda context, response: math.nan if "long" in response else 1.0,
            [preference_task(ROWS, tmp_path)],
            task_manager,
        )


def test_answers_that_are_none_get_one_line(task_manager, tmp_path):
    """As from a score cache that another program wrote."""

    class Broken(ScriptedLM):
        def loglikelihood(self, requests, disable_tqdm=False):
            return [(None, False)] * len(requests)

    with pytest.raises(UserError) as error:
        simple_evaluate(model=Broken(length), tasks=[preference_task(ROWS, tmp_path)], task_manager=task_manager)
    line = "task mine, row 0 (id 7): found [(None, False), (None, False)] from the model or its score cache, expected a pair"
    assert str(error.value).startswith(line)


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"limit": 0}, "task mine: found --limit for 0 rows, expected 1 or more"),
        ({"limit": -1}, "task mine: found --limit for -3 rows, expected 1 or more"),
        ({"samples": {"mine": [0, 3, 99]}}, "task mine: found 3, 99 in --samples, expected numbers of rows, 0 to 2"),
        ({"samples": {"mine": [-1]}}, "task mine: found -1 in --samples, expected numbers of rows, 0 to 2"),
        ({"samples": {"mine": ["a"]}}, "task mine: found 'a' in --samples, expected numbers of rows, 0 to 2"),
    ],
)
def test_rows_that_are_not_there(task_manager, tmp_path, options, line):
    """Asked for by number, or none at all."""
    with pytest.raises(UserError) as error:
        evaluate(length, [preference_task(ROWS, tmp_path)], task_manager, **options)
    assert str(error.value).startswith(line)


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ({"where": {"colour": "red"}}, "found no column 'colour' for `where`, expected one of id, prompt"),
        ({"where": {"kind": "z"}}, "found no row with kind in ['z']; there is 'a', 'b', 'c'"),
        ({"test_split": "validation"}, "found no split 'validation', expected one of train"),
        ({"num_fewshot": 2}, "found num_fewshot 2, expected 0"),
        ({"output_type": "generate_until"}, "found output_type 'generate_until', expected 'pairwise_preference'"),
        (
            {"metric_list": [{"metric": "bleu"}]},
            "found metric 'bleu', expected one of acc, acc_half_ties, pair_acc, margin, ties, bt_loss",
        ),
        ({"metric_list": [{"metric": len}]}, "found metric <built-in function len>, expected one of acc"),
        ({"where": "a"}, "found where: a, expected {column: value}"),
        ({"gen_prefix": "Answer:"}, "found gen_prefix, which PreferenceTask does not use"),
        ({"dataset_path": None}, "found no dataset_path, expected a hub name"),
        ({"doc_to_text": "{{promt}}"}, "mine, row 0 (id 7): UndefinedError: 'promt' is undefined"),
        ({"doc_to_text": [{"role": "user"}]}, "row 0 (id 7): found {'role': 'user'}, expected a message"),
        ({"doc_to_choice": ["response a", "chosen"]}, "found no column 'response a', expected one of id"),
        ({"wher": {"kind": "a"}}, "found wher (did you mean where?), expected lm-eval's task keys or doc_to_text"),
        ({"doc_to_text": "question"}, "mine, row 0 (id 7): found no column 'question', expected one of id"),
        ({"dataset_kwargs": {"data_files": "absent.jsonl"}}, "could not load the json files absent.jsonl"),
    ],
)
def test_bad_yaml_gets_one_line(task_manager, tmp_path, settings, line):
    """What was found, what was expected, where."""
    with pytest.raises(UserError) as error:
        task_manager.load([preference_task(ROWS, tmp_path, **settings)])
    assert line in str(error.value)
    assert "\n" not in str(error.value)
