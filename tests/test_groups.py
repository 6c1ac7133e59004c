"""Weighted groups: official numbers, members, weights, what is refused."""

import copy
import json
import math
import re

import pytest
from conftest import NUMBERS, SUBSETS, preference_task, write_rows
from scripted import ROWS, evaluate, length

from skywork_rb_plugin import UserError, WeightedGroup
from skywork_rb_plugin.discovery import task_folder

pytestmark = pytest.mark.usefixtures("official_data")


def right_up_to(context, continuation):
    """Score of synthetic rows such that each subset gets its golden accuracy: the first k rows are right."""
    subset = context.split(" of ")[1].split("?")[0]
    kind, number = continuation.split()
    right = int(number) < round(NUMBERS["golden"]["subsets"][subset] * NUMBERS["subset_counts"][subset])
    return float((kind == "good") == right)


def test_golden_table_comes_out(task_manager):
    """23 subset accuracies of a published model give its 4 published sections and score (source in numbers.json)."""
    results, _ = evaluate(right_up_to, ["rewardbench"], task_manager, log_samples=False)
    table, golden = results["results"], NUMBERS["golden"]
    for name, subset in SUBSETS.items():
        assert table[f"rewardbench_{name}"]["acc,none"] == pytest.approx(golden["subsets"][subset], abs=1e-12)
    for section, score in golden["sections"].items():
        row = table[f"rewardbench::{section.lower().replace(' ', '_')}"]
        assert row["alias"] == section
        assert row["acc,none"] == pytest.approx(score, abs=1e-12)
    assert table["rewardbench"]["acc,none"] == pytest.approx(golden["overall"], abs=1e-12)
    assert {name: results["n-samples"][f"rewardbench_{name}"]["effective"] for name in SUBSETS} == {
        name: NUMBERS["subset_counts"][subset] for name, subset in SUBSETS.items()
    }


def test_standard_errors_are_those_of_independent_strata(task_manager):
    """sqrt(sum((w se)^2)) / sum(w), computed here from the subsets' own errors and the official counts."""
    results, _ = evaluate(right_up_to, ["rewardbench"], task_manager, log_samples=False)
    table, sections = results["results"], []
    for section, subsets in NUMBERS["sections"].items():
        weights = [984 if subset == "math-prm" else NUMBERS["subset_counts"][subset] for subset in subsets]
        rows = [table["rewardbench_" + subset.lower().replace("-", "_")] for subset in subsets]
        variance = sum((weight * row["acc_stderr,none"]) ** 2 for weight, row in zip(weights, rows, strict=True))
        sections.append(math.sqrt(variance) / sum(weights))
        found = table[f"rewardbench::{section.lower().replace(' ', '_')}"]["acc_stderr,none"]
        assert found == pytest.approx(sections[-1], rel=1e-12)
    overall = math.sqrt(sum(error**2 for error in sections)) / 4
    assert table["rewardbench"]["acc_stderr,none"] == pytest.approx(overall, rel=1e-12)


def test_limit_keeps_official_weights_and_says_so(task_manager, caplog):
    """Under --limit the subsets weigh what they weigh in the whole."""
    with caplog.at_level("WARNING", logger="lm_eval"):
        results, _ = evaluate(right_up_to, ["rewardbench"], task_manager, limit=10, log_samples=False)
    table = results["results"]
    subsets = NUMBERS["sections"]["Reasoning"]
    weights = {subset: 984 if subset == "math-prm" else 164 for subset in subsets}
    expected = sum(table["rewardbench_" + s.replace("-", "_")]["acc,none"] * w for s, w in weights.items()) / 1968
    assert table["rewardbench::reasoning"]["acc,none"] == pytest.approx(expected, abs=1e-12)
    assert "Group rewardbench is an estimate: 230 of 2985 documents" in caplog.text
    caplog.clear()
    with caplog.at_level("WARNING", logger="lm_eval"):
        evaluate(right_up_to, ["rewardbench"], task_manager, log_samples=False)
    assert "estimate" not in caplog.text


def test_groups_nest_take_inline_members_and_pass_metadata(task_manager, tmp_path):
    """A user's group with rewardbench, an inline task and an inline sub-group as members."""
    inner = {"group": "inner", "weight": 3, "members": [{**preference_task(ROWS, tmp_path), "task": "inner_task"}]}
    group = {
        "task": "ours",
        "class": WeightedGroup,
        "members": [{"task": "rewardbench", "weight": 5}, preference_task(ROWS, tmp_path), inner],
        "metadata": {"version": 2, "mark": "m"},
    }

    def score(context, continuation):
        return right_up_to(context, continuation) if " of " in context else length(context, continuation)

    results, _ = evaluate(score, [group], task_manager, log_samples=False)
    table = results["results"]
    expected = (5 * NUMBERS["golden"]["overall"] + 3 * (1 / 3) + 3 * (1 / 3)) / 11
    assert table["ours"]["acc,none"] == pytest.approx(expected, abs=1e-12)
    assert results["versions"]["ours"] == "2"
    assert results["configs"]["mine"]["metadata"]["mark"] == "m"
    assert results["group_subtasks"]["ours"] == ["rewardbench", "mine", "ours::inner"]
    shares = results["configs"]["rewardbench_math_prm"]["metadata"]["shares"]
    assert shares == pytest.approx({"rewardbench::reasoning": 1 / 2, "rewardbench": 1 / 8, "ours": 5 / 11 / 8})
    assert results["configs"]["mine"]["metadata"]["shares"] == {"ours": pytest.approx(3 / 11)}


def test_tasks_and_groups_without_weights_are_pointed_out(task_manager, tmp_path, caplog):
    """Rows and ones do not add up to what most people mean."""
    with caplog.at_level("WARNING", logger="lm_eval"):
        members = ["rewardbench", preference_task(ROWS, tmp_path)]
        task_manager.load([{"task": "ours", "class": WeightedGroup, "members": members}])
        assert "Group ours mixes tasks, which weigh their numbers of rows (mine), with groups" in caplog.text
        caplog.clear()
        task_manager.load(["rewardbench"])
    assert "mixes" not in caplog.text


def test_group_without_a_members_metric_is_not_available(task_manager, tmp_path):
    """N/A, never NaN, where a member lacks the metric; its standard error too."""
    group = {
        "task": "ours",
        "class": WeightedGroup,
        "aggregate_metric_list": [{"metric": "margin"}],
        "members": [
            {**preference_task(ROWS, tmp_path), "metric_list": [{"metric": "margin"}]},
            {**preference_task(ROWS, tmp_path), "task": "other"},
        ],
    }
    results, _ = evaluate(length, [group], task_manager)
    assert results["results"]["ours"]["margin,none"] == "N/A"
    assert results["results"]["ours"]["margin_stderr,none"] == "N/A"
    single = {
        **group,
        "members": [{**preference_task(ROWS[:1], tmp_path)}],
        "aggregate_metric_list": [{"metric": "acc"}],
    }
    results, _ = evaluate(length, [single], task_manager)
    assert results["results"]["ours"]["acc,none"] == 1.0
    assert results["results"]["ours"]["acc_stderr,none"] == "N/A"


def test_group_from_a_file_without_the_hook(task_manager, tmp_path, monkeypatch):
    """A TaskManager with only --include_path, as where the start-up file is absent, still finds the members."""
    from lm_eval.tasks import TaskManager

    monkeypatch.setattr("skywork_rb_plugin.discovery._indexes", [])
    monkeypatch.setattr("lm_eval.tasks._index.TaskIndex.build", task_build_without_plugin())
    manager = TaskManager(include_path=str(task_folder()), include_defaults=False)
    groups = manager.load(["rewardbench"])["groups"]
    assert [len(group) for group in groups.values()] == [4, 5, 6, 5, 7]


def task_build_without_plugin():
    """The host's own TaskIndex.build."""
    from lm_eval.tasks._index import TaskIndex

    return staticmethod(getattr(TaskIndex.build, "without_plugin", TaskIndex.build))


def test_group_finds_members_of_its_own_task_manager(task_manager, tmp_path):
    """Not of one that was made later."""
    from lm_eval.tasks import TaskManager

    folder = tmp_path / "deep"
    folder.mkdir()
    write_rows(folder / "pairs.jsonl", ROWS)
    (folder / "group.yaml").write_text(
        "task: ours\nclass: !function skywork_rb_plugin.WeightedGroup\nmembers: [my_pairs]\n"
    )
    (tmp_path / "mine.yaml").write_text(
        "class: !function skywork_rb_plugin.PreferenceTask\ntask: my_pairs\ndataset_path: json\n"
        "dataset_kwargs: {data_files: {test: deep/pairs.jsonl}}\ntest_split: test\n"
    )
    first = TaskManager(include_path=str(tmp_path), include_defaults=False)
    TaskManager(include_path=str(task_folder()), include_defaults=False)
    assert list(first.load(["ours"])["tasks"]) == ["my_pairs"]


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ({"members": ["no_such_task"]}, "found no task, tag or group 'no_such_task'"),
        ({"members": []}, "found no `members`"),
        ({"members": [{"task": "rewardbench_hep_go", "weight": 0}]}, "found weight 0 of"),
        ({"members": ["rewardbench_hep_go"] * 2}, "found rewardbench_hep_go twice"),
        ({"members": [{"members": ["rewardbench_hep_go"]}]}, "found a sub-group without a name"),
        ({"members": ["rewardbench_hep_go"], "weights": [1]}, "found weights, expected only"),
        ({"members": [5]}, "found member 5, expected a name, or a mapping with `task: NAME`"),
        ({"members": [{"task": ["a", "b"]}]}, "found member {'task': ['a', 'b']}, expected a name"),
        (
            {"members": [{"task": "rewardbench_hep_go", "wieght": 2}]},
            "group ours, member rewardbench_hep_go: task rewardbench_hep_go: found wieght (did you mean weight?)",
        ),
        (
            {"members": ["rewardbench", {"task": "rewardbench_hep_go", "where": {"id": [1, 3]}}]},
            "found rewardbench_hep_go more than once, with different settings",
        ),
        (
            {"members": ["rewardbench_hep_go"], "aggregate_metric_list": {"metric": "acc", "weight_by_size": False}},
            "found ['weight_by_size'] in aggregate_metric_list, expected only `metric` and `filter_list`",
        ),
        (
            {"members": ["rewardbench_hep_go"], "aggregate_metric_list": [{"metric": "acc", "filter_list": 5}]},
            "group ours: found filter_list: 5 of acc in aggregate_metric_list, expected a name or a list of names",
        ),
        (
            {"members": ["rewardbench_hep_go"], "aggregate_metric_list": [{"metric": "acc", 5: 1, "x": 2}]},
            "found ['5', 'x'] in aggregate_metric_list",
        ),
        ({"members": ["rewardbench_hep_go"], 5: 1, "x": 2}, "group ours: found 5, x, expected only"),
        (
            {"members": [{"task": "new", "dataset_path": "json", "dataset_kwargs": {"data_files": "absent.jsonl"}}]},
            "group ours: found new defined here, of which lm-eval makes no task (",
        ),
    ],
)
def test_bad_group_gets_one_line(task_manager, settings, line):
    """What was found, what was expected, in which group."""
    with pytest.raises(UserError) as error:
        task_manager.load([{"task": "ours", "class": WeightedGroup, **settings}])
    assert line in str(error.value)


def test_group_that_names_itself(tmp_path):
    """One line, no endless recursion."""
    from lm_eval.tasks import TaskManager

    (tmp_path / "loop.yaml").write_text(
        "task: loop\nclass: !function skywork_rb_plugin.WeightedGroup\nmembers: [loop]\n"
    )
    manager = TaskManager(include_path=str(tmp_path), include_defaults=False)
    with pytest.raises(UserError, match="group loop: found itself among its members"):
        manager.load(["loop"])


def test_stock_group_as_member_takes_overrides(task_manager, tmp_path):
    """The host's groups hand overrides to their tasks, which keep their names."""
    from lm_eval.tasks import TaskManager

    write_rows(tmp_path / "pairs.jsonl", ROWS)
    (tmp_path / "mine.yaml").write_text(
        "class: !function skywork_rb_plugin.PreferenceTask\ntask: my_pairs\ndataset_path: json\n"
        "dataset_kwargs: {data_files: pairs.jsonl}\ntest_split: train\n"
    )
    (tmp_path / "stock.yaml").write_text("group: stock\ntask: [my_pairs]\naggregate_metric_list: [{metric: acc}]\n")
    (tmp_path / "ours.yaml").write_text(
        "task: ours\nclass: !function skywork_rb_plugin.WeightedGroup\n"
        "members: [{group: stock, weight: 2, where: {kind: a}}]\n"
    )
    manager = TaskManager(include_path=str(tmp_path), include_defaults=False)
    results, _ = evaluate(length, ["ours"], manager)
    assert results["results"]["ours"]["acc,none"] == 1.0
    assert results["n-samples"]["my_pairs"]["original"] == 1


def test_member_with_a_class_is_defined_where_it_stands(task_manager, tmp_path):
    """Another TaskManager of the process may know another task by that name: its settings must not leak."""
    from lm_eval.tasks import TaskManager

    (tmp_path / "mine.yaml").write_text(
        "task: mine\nclass: !function skywork_rb_plugin.PreferenceTask\ndataset_path: json\ndoc_to_choice: [no, such]\n"
    )
    TaskManager(include_path=str(tmp_path), include_defaults=False)
    group = {"task": "ours", "class": WeightedGroup, "members": [preference_task(ROWS, tmp_path)]}
    assert evaluate(length, [group], task_manager)[0]["groups"]["ours"]["acc,none"] == pytest.approx(1 / 3)


def test_the_table_has_members_in_their_order(task_manager):
    """As the YAML lists them, where the host alone would sort them by name; what copies and writes results sees names."""
    from lm_eval.utils import make_table

    results, _ = evaluate(right_up_to, ["rewardbench"], task_manager, limit=1, log_samples=False)
    sections = re.findall(r"^\| - ([\w ]+?) *\|", make_table(results, "groups"), re.MULTILINE)
    assert sections == ["Chat", "Chat Hard", "Safety", "Reasoning"]
    rows = re.findall(r"^\|  - (rewardbench_\w+)", make_table(results), re.MULTILINE)
    assert rows[:6] == [
        f"rewardbench_{name}"
        for name in (
            "alpacaeval_easy",
            "alpacaeval_length",
            "alpacaeval_hard",
            "mt_bench_easy",
            "mt_bench_med",
            "mt_bench_hard",
        )
    ]
    assert make_table(copy.deepcopy(results)) == make_table(results)
    named = [f"rewardbench::{name}" for name in ("chat", "chat_hard", "safety", "reasoning")]
    assert json.loads(json.dumps(results["group_subtasks"]))["rewardbench"] == named
