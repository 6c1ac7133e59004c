"""The one line after a run: right numbers, once, and never in the way."""

import re
import shlex

import pytest
from conftest import preference_task, write_rows
from scripted import ROWS, ScriptedLM, evaluate, length

import skywork_rb_plugin as rb
from skywork_rb_plugin import WeightedGroup
from skywork_rb_plugin.summary import how_to_go_on, scores_of


def lines(caplog):
    """What was logged since the last time by the module that sums up."""
    found = [record.getMessage() for record in caplog.records if record.name.endswith("skywork_rb_plugin.summary")]
    caplog.clear()
    return found


@pytest.fixture(autouse=True)
def seen(caplog):
    """As a user sees it: INFO and above."""
    caplog.set_level("INFO", logger="lm_eval")


def run(task_manager, model="hf-reward", tasks=("preference_demo",), **options):
    """A run of the harness with its tracker, as the command has one; returns both."""
    from lm_eval import simple_evaluate
    from lm_eval.loggers import EvaluationTracker

    tracker = EvaluationTracker(output_path=options.pop("output_path", None))
    results = simple_evaluate(
        model=model, model_args=None if isinstance(model, ScriptedLM) else {"pretrained": "demo"}, tasks=list(tasks),
        task_manager=task_manager, evaluation_tracker=tracker, bootstrap_iters=10, device="cpu", **options,
    )  # fmt: skip
    return results, tracker


def test_scores_costs_and_the_command(task_manager, tmp_path, caplog):
    """The numbers of the results file, the folder that the host writes, and no second line that says as much."""
    results, tracker = run(task_manager, output_path=str(tmp_path / "a b"), log_samples=True)
    assert "Scored" not in caplog.text
    [line] = lines(caplog)
    counts = results["config"]["reward"]
    asked = counts["tokens_forwarded"] + counts["tokens_saved"]
    assert re.fullmatch(
        r"Preference demo acc 0\.8571 ± 0\.0331; scored 224 conversations in \d+\.\d s: "
        rf"{asked:,} tokens asked for, {counts['tokens_forwarded']:,} forwarded, none cut\. For a report: .*",
        line,
    )
    samples = results.pop("samples")
    tracker.save_results_aggregated(results, samples)
    [file] = tmp_path.rglob("results_*.json")
    command = shlex.split(line.partition("For a report: ")[2])
    assert command == ["python", "-m", "skywork_rb_plugin", "report", str(file.parent), "-o", "report.html"]


def test_what_is_missing_for_a_report(task_manager, tmp_path, caplog):
    """The flags on the command line; nothing from Python; a file's folder where the path is one."""
    run(task_manager, limit=2, log_samples=False)
    assert lines(caplog)[0].endswith(" --output_path FOLDER --log_samples would keep what a report needs.")
    run(task_manager, limit=2, log_samples=False, output_path=str(tmp_path))
    assert lines(caplog)[0].endswith(" cut. --log_samples would keep what a report needs.")
    results, tracker = run(task_manager, limit=2, log_samples=True, output_path=str(tmp_path / "mine.json"))
    tracker.save_results_aggregated(results, results.pop("samples"))
    [file] = tmp_path.rglob("mine_*.json")
    assert f" report {file.parent} -o " in lines(caplog)[0]
    model = rb.load("demo", max_length=30)
    evaluated = {"tasks": ["preference_demo_chat"], "task_manager": task_manager, "limit": 2, "bootstrap_iters": 0}
    from lm_eval import simple_evaluate

    results = simple_evaluate(model=model, **evaluated)
    cut, tokens = (results["config"]["reward"][f"{what}_truncated"] for what in ("conversations", "tokens"))
    [line] = lines(caplog)
    assert line.startswith("preference_demo_chat acc ")
    assert " ± " not in line
    assert line.endswith(f" forwarded, {cut} cut by {tokens} tokens.")
    assert cut > 0
    # the same model once more: what this run took
    simple_evaluate(model=model, **evaluated)
    assert "scored 4 conversations" in lines(caplog)[0]


def test_rewards_from_the_cache(task_manager, tmp_path, caplog):
    """A second run scores nothing."""
    for words in ("scored 224 conversations", "all rewards came from the cache"):
        run(task_manager, use_cache=str(tmp_path / "cache"))
        [line] = lines(caplog)
        assert words in line


def test_predict_only(task_manager, tmp_path, caplog):
    """No scores, and no report of them; models of others say nothing then."""
    run(task_manager, predict_only=True, limit=1, output_path=str(tmp_path))
    assert re.fullmatch(r"No scores; scored 8 conversations in .* none cut\.", *lines(caplog))
    evaluate(length, ["preference_demo"], task_manager, predict_only=True)
    assert lines(caplog) == []


def test_other_models(task_manager, tmp_path, caplog):
    """Score and error of our groups or tasks, once; beside tasks of others, and where a model writes text."""
    results, _ = evaluate(length, ["preference_demo"], task_manager)
    row = results["results"]["preference_demo"]
    assert lines(caplog) == [f"Preference demo acc {row['acc,none']:.4f} ± {row['acc_stderr,none']:.4f}."]
    tasks = ["preference_demo_chat", "preference_demo_safety"]
    evaluate(length, tasks, task_manager, limit=1)
    [line] = lines(caplog)
    assert re.fullmatch(r"preference_demo_chat acc \d\.0000, preference_demo_safety acc \d\.0000\.", line)
    members = [{**preference_task(ROWS, tmp_path), "task": "mine_too"}]
    groups = [{"task": name, "class": WeightedGroup, "members": members} for name in ("one",)]
    words = {
        "task": "words", "dataset_path": "json", "test_split": "train", "doc_to_text": "q", "doc_to_target": "a",
        "dataset_kwargs": {"data_files": write_rows(tmp_path / "words.jsonl", [{"q": "1?", "a": "1"}])},
        "output_type": "generate_until", "metric_list": [{"metric": "exact_match"}],
    }  # fmt: skip
    evaluate(
        lambda *request: float(len(request[-1])) if len(request) > 1 else "1",
        ["preference_demo", *groups, words],
        task_manager,
    )
    [line] = lines(caplog)
    assert re.fullmatch(r"Preference demo acc \S+ ± \S+, one acc 0\.3333 ± \S+\.", line)


def test_direct_scoring_has_a_line_of_its_own(caplog):
    """Outside a run there is none to sum up."""
    rb.load("demo").score([("Question?", "Answer.")])
    assert "Scored 1 conversations in" in caplog.text
    assert lines(caplog) == []


def test_scores_in_words():
    """Groups first, N/A where there is no number, filters by name, few of many."""
    rows = {
        "task": {"alias": "task", "sample_len": 1, "exact_match,strict": 0.5, "exact_match_stderr,strict": "N/A"},
        "inner": {"alias": "inner", "acc,none": 1.0},
        "group": {"alias": "Group", "acc,none": "N/A", "acc_stderr,none": "N/A"},
        "nan": {"f1,none": float("nan"), "f1_stderr,none": 0.1},
        "bare": {"alias": "bare", "sample_len": 3, "bypass,none": 999},
    }
    found = scores_of(rows, {"group": ["inner"]})
    assert found == ["Group acc N/A", "task exact_match (strict) 0.5000", "nan f1 N/A ± 0.1000"]
    many = {f"task_{i}": {"acc,none": 0.5} for i in range(23)}
    assert scores_of(many, {})[-2:] == ["task_4 acc 0.5000", "and 18 more"]
    assert scores_of({}, {}) == []


def test_a_strange_host_loses_no_run(task_manager, monkeypatch, caplog):
    """What is not as expected costs the line, and no more."""
    monkeypatch.setattr("skywork_rb_plugin.summary.scores_of", lambda *_: 1 / 0)
    results, _ = run(task_manager, limit=1)
    assert results["config"]["reward"]["conversations_scored"] == 8
    assert evaluate(length, ["preference_demo"], task_manager)[0]["results"]["preference_demo"]["acc,none"] > 0
    assert lines(caplog) == []
    assert how_to_go_on(None) == ""


def test_each_run_of_a_model_counts_for_itself(task_manager, caplog, monkeypatch):
    """In the results file and in the line, also after a run that failed once it had scored."""
    from lm_eval import simple_evaluate

    model = rb.load("demo", device="cpu")
    given = {"model": model, "tasks": ["preference_demo_chat"], "task_manager": task_manager, "bootstrap_iters": 0}
    first = simple_evaluate(**given, limit=5)["config"]["reward"]
    with monkeypatch.context() as patched:
        patched.setattr(rb.PreferenceTask, "process_results", None)
        with pytest.raises(TypeError):
            simple_evaluate(**given, limit=20)
    second = simple_evaluate(**given, limit=2)["config"]["reward"]
    assert (first["conversations_scored"], second["conversations_scored"]) == (10, 4)
    assert "scored 4 conversations in " in lines(caplog)[-1]
