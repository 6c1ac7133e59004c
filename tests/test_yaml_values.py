"""Values of a task's YAML that are not what they should be: one line when the task is made, before any model."""

import datetime
import json

import datasets
import pytest
from conftest import preference_task, write_rows
from lm_eval.tasks import TaskManager
from scripted import ROWS
from test_judge import judge_task

from skywork_rb_plugin import UserError, WeightedGroup

FILTERS = [{"name": "first", "filter": [{"function": "take_first"}]}]


def with_a_day(docs):
    """The rows with a date, as YAML has dates too."""
    return docs.add_column("day", [datetime.date(2024, 1, 31)] * len(docs))


def with_nan(docs):
    """The rows with a number that is none, and a response that is null in the second."""
    rows = [{**row, "score": float("nan"), "chosen": None if i == 1 else row["chosen"]} for i, row in enumerate(docs)]
    return datasets.Dataset.from_list(rows)


def refused(task_manager, task):
    """The one line with which it is refused."""
    with pytest.raises(UserError) as error:
        task_manager.load([task])
    line = str(error.value)
    assert "\n" not in line
    return line


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ({"metadata": 5}, "found metadata: 5, expected a mapping"),
        ({"metadata": {"data_root": 5}}, "found metadata data_root: 5, expected a folder"),
        ({"dataset_name": 5}, "found dataset_name: 5, expected text (a number in quotes)"),
        ({"test_split": 5}, "found test_split: 5, expected text (a number in quotes)"),
        ({"validation_split": ["a"]}, "found validation_split: ['a'], expected text"),
        ({"description": 5}, "found description: 5, expected text"),
        ({"description": "{{promt}}"}, "task mine, row 0 (id 7): UndefinedError: 'promt' is undefined"),
        ({"dataset_kwargs": ["x"]}, "found dataset_kwargs: ['x'], expected a mapping, such as {data_files: FILE}"),
        ({"dataset_kwargs": {"data_files": 5}}, "found dataset_kwargs data_files: 5, expected a file, a list of files"),
        (
            {"dataset_kwargs": {"data_files": {"train": 5}}},
            "found dataset_kwargs data_files: {'train': 5}, expected a file",
        ),
        (
            {"dataset_kwargs": {"data_files": None}},
            "found dataset_kwargs data_files: None, expected a file, a list of files",
        ),
        (
            {"dataset_kwargs": {"data_files": "rows.jsonl", "streaming": True}},
            "found IterableDatasetDict, expected splits in memory; leave out streaming and split",
        ),
        (
            {"dataset_path": "", "dataset_kwargs": {}},
            "found no dataset_path, expected a hub name, a folder or a format",
        ),
        ({"dataset_kwargs": {"data_files": []}}, "found dataset_kwargs data_files: [], expected a file"),
        ({"data_files": 5}, "found data_files, expected lm-eval's task keys"),
        ({5: 5}, "found 5, expected lm-eval's task keys"),
        ({"process_docs": "f"}, "found process_docs: f, expected a function: !function MODULE.NAME"),
        ({"process_results": "f"}, "found process_results: f, expected a function: !function MODULE.NAME"),
        ({"custom_dataset": "f"}, "found custom_dataset: f, expected a function: !function MODULE.NAME"),
        (
            {"filter_list": 5},
            "found filter_list: 5, expected [{name: NAME, filter: [{function: FUNCTION}]}] with one of",
        ),
        (
            {"filter_list": [{"name": "x", "filter": [{"function": "nope"}]}]},
            "'nope'}]}], expected [{name: NAME, filter",
        ),
        ({"filter_list": [{"name": "x"}]}, "found filter_list: [{'name': 'x'}], expected [{name: NAME, filter"),
        ({"doc_to_text": 5}, "found doc_to_text: 5, expected a column, Jinja, a list of messages or a !function"),
        ({"doc_to_text": {"a": "b"}}, "found doc_to_text: {'a': 'b'}, expected a column"),
        ({"doc_to_text": []}, "found doc_to_text: [], expected a column"),
        ({"doc_to_text": ["prompt"]}, "found doc_to_text: ['prompt'], expected a column"),
        ({"doc_to_choice": []}, "found doc_to_choice: [], expected a list of columns or Jinja (one for each response)"),
        ({"doc_to_choice": 5}, "found doc_to_choice: 5, expected a list of columns"),
        ({"doc_to_choice": ["chosen", 5]}, "found doc_to_choice: ['chosen', 5], expected a list of columns"),
        ({"doc_to_target": {"kind": 1}}, "found doc_to_target: {'kind': 1}, expected a column, Jinja, an index"),
        (
            {"doc_to_target": {"kind": {"a": None, "b": 0}}},
            "found doc_to_target: {'kind': {'a': None, 'b': 0}}, expected",
        ),
        ({"doc_to_target": 1.5}, "found doc_to_target: 1.5, expected a column, Jinja, an index"),
        ({"doc_to_scores": 5}, "found doc_to_scores: 5, expected a column with a list, a list of columns or Jinja"),
        ({"where": ["kind"]}, "found where: ['kind'], expected {column: value} or {column: [values]}"),
        ({"where": {"kind": {"a": 1}}}, "found where: {'kind': {'a': 1}}, expected {column: value}"),
        ({"where": {"kind": [["a"]]}}, "found where: {'kind': [['a']]}, expected {column: value}"),
        ({"where": {"kind": []}}, "found where: {'kind': []}, expected {column: value}"),
        ({"where": {5: "a"}}, "found where: {5: 'a'}, expected {column: value}"),
        ({"group_by": ["kind"]}, "found group_by: ['kind'], expected the name of a column"),
        ({"official_rows": True}, "found official_rows: True, expected a number of rows"),
        ({"score": ["ties"]}, "found score: ['ties'], expected one of best_of, ties"),
        ({"metric_list": []}, "found nothing in metric_list, expected one of acc"),
        ({"metric_list": 5}, "found metric 5, expected one of acc"),
        (
            {"metric_list": [{"metric": "ece", "aggregation": "meen"}]},
            "found aggregation 'meen' of ece in metric_list, expected one that lm-eval has, such as mean, ",
        ),
        (
            {"metric_list": [{"metric": "acc", "aggregation": ["mean"]}]},
            "found aggregation ['mean'] of acc in metric_list",
        ),
        (
            {"metric_list": [{"metric": "acc", "higher_is_better": 5}]},
            "found higher_is_better 5 of acc in metric_list, expected true, false or null",
        ),
        (
            {"metric_list": [{"metric": "acc", "aggregaton": "median"}]},
            "found aggregaton of acc in metric_list, expected only metric, aggregation, higher_is_better",
        ),
    ],
)
def test_bad_values_get_one_line(task_manager, tmp_path, monkeypatch, settings, line):
    """What was found, what was expected, of which task."""
    monkeypatch.chdir(tmp_path)
    found = refused(task_manager, {**preference_task(ROWS, tmp_path), **settings})
    assert found.startswith("task mine")
    assert line in found
    assert len(found) < 500


def test_values_of_many_kinds_are_taken(task_manager, tmp_path):
    """What may be written in more than one way still may."""
    rows = [{**row, "n": i, "ok": i > 0, "both": [row["chosen"], row["rejected"]]} for i, row in enumerate(ROWS)]
    message = [{"role": "user", "content": "prompt"}]
    for settings in (
        {"doc_to_text": message, "doc_to_choice": "both", "doc_to_target": 0},
        {"doc_to_text": lambda doc: doc["prompt"], "doc_to_choice": lambda doc: doc["both"], "doc_to_target": [0]},
        {"doc_to_choice": ["chosen", "{{rejected}}"], "doc_to_target": {"kind": {"a": 0, "b": 1, "c": 1}}},
        {"doc_to_choice": ["chosen", "rejected"], "doc_to_scores": ["n", 0.5]},
        {"where": {"n": [0, 1], "ok": False}, "filter_list": FILTERS, "official_rows": 1},
        {"where": {"day": datetime.date(2024, 1, 31)}, "process_docs": with_a_day},
        {"metric_list": "acc", "metadata": {"data_root": tmp_path}},
        {"metadata": {"data_root": None}, "where": None},
        {"metric_list": [{"metric": "margin", "aggregation": "median", "higher_is_better": None}]},
        {"metric_list": [{"metric": "margin", "aggregation": max, "higher_is_better": False}, "acc"]},
        {"process_docs": lambda docs: docs, "process_results": lambda doc, results: {"acc": 1.0}},
    ):
        task_manager.load([preference_task(rows, tmp_path, **settings)])["tasks"]["mine"].build_all_requests()


def test_a_row_with_nan_has_its_number(task_manager, tmp_path):
    """It is not equal to itself."""
    rows = [{**row, "score": 0.5} for row in ROWS]
    assert "task mine, row 1 (id 8): found None, expected a string" in refused(
        task_manager, preference_task(rows, tmp_path, process_docs=with_nan, where={"kind": ["b", "c"]})
    )


def test_empty_metadata_is_none(tmp_path):
    """`metadata:` with nothing after it is as good as absent, as any other key; in a task, a group and a member."""
    write_rows(tmp_path / "pairs.jsonl", ROWS)
    (tmp_path / "mine.yaml").write_text(
        "class: !function skywork_rb_plugin.PreferenceTask\ntask: pairs\ndataset_path: json\n"
        "dataset_kwargs: {data_files: pairs.jsonl}\ntest_split: train\nmetadata:\n"
    )
    (tmp_path / "ours.yaml").write_text(
        "class: !function skywork_rb_plugin.WeightedGroup\ntask: ours\nmetadata:\n"
        "members: [{task: pairs, metadata: null, where: {kind: a}}]\n"
    )
    manager = TaskManager(include_path=str(tmp_path), include_defaults=False)
    assert "_metadata" not in manager.load(["pairs"])["tasks"]["pairs"].config.metadata
    loaded = manager.load(["ours"])
    assert "_metadata" not in {**loaded["groups"]["ours"].metadata, **loaded["tasks"]["pairs"].config.metadata}


@pytest.mark.parametrize("content", ["null", "\n null\n", 'null\n{"prompt": "p", "chosen": "a", "rejected": "b"}\n'])
def test_a_file_that_begins_with_null(task_manager, tmp_path, content):
    """pyarrow would end the process; null in a later line is a row without columns."""
    task = preference_task(ROWS, tmp_path)
    file = tmp_path / "rows.jsonl"
    good = file.read_text()
    file.write_text(content)
    line = refused(task_manager, task)
    assert (
        line
        == f"task mine: found null at the beginning of {file}, expected rows such as {{…}}: leave it out of the file"
    )
    file.write_text(f"{good}null\n")
    assert "task mine, row 3 (id None): found" in refused(task_manager, {**task, "where": {"id": None}})


def test_values_of_a_judge(task_manager, tmp_path):
    """Its own keys too."""
    line = refused(task_manager, judge_task(tmp_path, generation_kwargs=5))
    assert line == "task mine: found generation_kwargs: 5, expected a mapping, such as {max_gen_toks: 1024}"
    assert "found 'anser' is undefined in `judge_prompt`" in refused(
        task_manager, judge_task(tmp_path, judge_prompt="{{anser}}")
    )
    line = "task mine: found judge_prompt: 5, expected Jinja of prompt, answer_a and answer_b"
    assert refused(task_manager, judge_task(tmp_path, judge_prompt=5)) == line


@pytest.mark.parametrize(
    ("changed", "line"),
    [
        ({"weight": 1e308}, "found weight 1e+308 of {"),
        ({"weight": 1e-200}, "expected a positive number between 1e-100 and 1e+100"),
        ({"weight": -1}, "found weight -1 of {"),
        ({"weight": "much"}, "found weight 'much' of {"),
        ({"weight": True}, "found weight True of {"),
        ({"weight": float("nan")}, "found weight nan of {"),
        ({"weight": 10**400}, "expected a positive number between"),
        ({"metadata": 5}, "group ours: found metadata: 5, expected a mapping, for member {"),
    ],
)
def test_bad_values_of_a_member(task_manager, tmp_path, changed, line):
    """A group's weights can be added and squared; each is named with its member."""
    member = {**preference_task(ROWS, tmp_path), **changed}
    assert line in refused(task_manager, {"task": "ours", "class": WeightedGroup, "members": [member]})


@pytest.mark.parametrize(
    ("metadata", "line"),
    [
        (5, "group ours: found metadata: 5, expected a mapping"),
        ({"data_root": 5}, "group ours: found metadata data_root: 5, expected a folder"),
    ],
)
def test_bad_metadata_of_a_group(task_manager, tmp_path, metadata, line):
    """It goes to every member: the group names it."""
    members = [preference_task(ROWS, tmp_path)]
    group = {"task": "ours", "class": WeightedGroup, "members": members, "metadata": metadata}
    assert refused(task_manager, group).startswith(line)


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.csv"])
@pytest.mark.parametrize("folder", [False, True])
def test_a_byte_that_is_no_utf8(task_manager, tmp_path, monkeypatch, name, folder):
    """The file and the line of the first one, whether the file is named or found in a folder; an encoding reads it."""
    # a folder called as a format is no reason to look there
    for other in ("json", "csv"):
        (tmp_path / other).mkdir()
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "data" / name
    file.parent.mkdir()
    row = json.dumps({"prompt": "p", "chosen": "a", "rejected": "é"}, ensure_ascii=False)
    lines = (
        ["prompt,chosen,rejected", "p,a,b", "p,a,é"] if name.endswith("csv") else [row.replace("é", "b")] * 2 + [row]
    )
    file.write_bytes("".join(f"{line}\n" for line in lines).encode("latin-1"))
    kind = "csv" if name.endswith("csv") else "json"
    source = {"dataset_path": str(file.parent), "dataset_kwargs": {}}
    if not folder:
        source = {"dataset_path": kind, "dataset_kwargs": {"data_files": str(file)}}
    task = {**preference_task([], tmp_path), **source}
    line = refused(task_manager, task)
    assert f"task mine: found a byte that is no UTF-8 in line 3 of {file} (" in line
    assert "), expected UTF-8: save the file so, or name its encoding in `dataset_kwargs: {encoding: …}`" in line
    if not folder:
        source["dataset_kwargs"]["encoding"] = "latin-1"
        docs = task_manager.load([task])["tasks"]["mine"].eval_docs
        assert docs[-1]["rejected"] == "é"
