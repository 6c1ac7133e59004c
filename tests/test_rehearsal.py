"""What a run would fail on after all scoring is tried on rows with stand-in answers before it."""

from statistics import variance

import pytest
from conftest import preference_task
from lm_eval import simple_evaluate
from scripted import ROWS, ScriptedLM, evaluate, length
from test_judge import judge_task

from skywork_rb_plugin import UserError


def styles(count):
    """A row of RM-Bench with so many styles."""
    return {"prompt": "p", "chosen": ["a"] * count, "rejected": ["b"] * count}


def refused(call, *args, **options):
    """The one line with which it is refused."""
    with pytest.raises(UserError) as error:
        call(*args, **options)
    line = str(error.value)
    assert "\n" not in line
    return line


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ({"score": "ties"}, "task mine, row 0 (id 7): found id 7, expected ref:N or tied:N"),
        ({"score": "rm_bench"}, "row 0 (id 7): found 1 chosen and 1 rejected responses, expected 3 styles of each"),
        ({"score": "m_rewardbench"}, "row 0 (id 7): found None in column 'source', expected one of alpacaeval-easy"),
        (
            {"metric_list": [{"metric": "ece", "aggregation": "mean"}]},
            "found aggregation mean of metric ece, which takes none of its values (TypeError: ",
        ),
        (
            {"metric_list": [{"metric": "acc", "aggregation": "f1"}]},
            "found aggregation f1 of metric acc, which takes none of its values (TypeError: ",
        ),
    ],
)
def test_rules_and_aggregations_that_fit_no_row(task_manager, tmp_path, settings, line):
    """The first row tells when the task is made, before any model is asked."""
    assert line in refused(task_manager.load, [preference_task(ROWS, tmp_path, **settings)])


def test_a_later_row_is_told_before_any_is_scored(task_manager, tmp_path):
    """With the row's number, while requests are built; rows that --limit leaves out do not matter."""
    line = "task mine, row 2: found 2 chosen and 2 rejected"
    task = preference_task([styles(3), styles(3), styles(2)], tmp_path, score="rm_bench")
    model = ScriptedLM(length)
    assert line in refused(simple_evaluate, model=model, tasks=[task], task_manager=task_manager, bootstrap_iters=0)
    assert model.requests == []
    evaluate(length, [task], task_manager, limit=1)


def test_an_aggregation_that_takes_not_all_rows_values(task_manager, tmp_path):
    """Some rows are tried when the task is made: here only the second one's value is null."""
    rows = [{"prompt": "p", "chosen": "ab", "rejected": "a"}, {"prompt": "p", "chosen": "a", "rejected": "ab"}]
    task = preference_task(rows, tmp_path, metric_list=[{"metric": "acc_chosen_longer", "aggregation": "mean"}])
    line = "found aggregation mean of metric acc_chosen_longer, which takes none of its values (TypeError: "
    assert line in refused(task_manager.load, [task])


def spread(values):
    """One over the range: a division by zero of values that are all alike."""
    return 1 / (max(values) - min(values))


def of_many(values):
    """One that wants more rows than there are in a part of them."""
    assert len(values) >= 3, "too few"
    return float(len(values))


def precision(values):
    """One over the variance, which `statistics` refuses for one value."""
    return 1 / variance(values)


@pytest.mark.parametrize(("aggregation", "value"), [(spread, 1 / 12), (of_many, 3.0), (precision, 1 / 36)])
def test_aggregations_of_a_set_of_rows(task_manager, tmp_path, aggregation, value):
    """What a function of the user's says of a row alone is no reason to stop, nor of the rows of one rank."""
    metrics = [{"metric": "margin", "aggregation": aggregation}]
    task = preference_task(ROWS, tmp_path, metric_list=metrics)
    results, _ = evaluate(length, [task], task_manager)
    assert results["results"]["mine"]["margin,none"] == pytest.approx(value)
    for rank in (0, 1):
        task_manager.load([task])["tasks"]["mine"].build_all_requests(rank=rank, world_size=2)
    task_manager.load([preference_task(ROWS[:1], tmp_path, metric_list=metrics)])


def test_a_row_is_read_as_often_as_needed(task_manager, tmp_path):
    """Once for its requests, and once more for its notes, its metrics and its preferred response together."""
    read = []

    def responses(doc):
        read.append(doc["id"])
        return [doc["chosen"], doc["rejected"]]

    task = preference_task(ROWS, tmp_path, doc_to_choice=responses, doc_to_target=0)
    task = task_manager.load([task])["tasks"]["mine"]
    read.clear()
    task.build_all_requests()
    assert sorted(read) == [7, 7, 8, 8, 9, 9]


def filters(**steps):
    """A `filter_list` of one pipeline: functions with their options."""
    return {"filter_list": [{"name": "mine", "filter": [{"function": name, **steps[name]} for name in steps]}]}


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        (
            filters(regex={}),
            "(id 7): found [['[invalid]'], ['[invalid]']] from filter_list: [{'name': 'mine', 'filter': [{'function': 'regex'}]}], exp",
        ),
        (filters(take_first_k={"k": 1}), "(id 7): found [[(0.84"),
        (filters(take_first_k={}), "task mine: found 'mine' in filter_list, which takes no answers such as [(0.8"),
        (
            filters(regex={"regex_pattern": "("}),
            "(error: missing ), unterminated subpattern at position 0), expected one",
        ),
        (filters(lowercase={}), "'tuple' object has no attribute 'lower'), expected one that does"),
        (
            {**filters(lowercase={}), "process_results": lambda doc, answers: {"acc": 1.0}},
            "found 'mine' in filter_list",
        ),
    ],
)
def test_filters_that_take_no_rewards(task_manager, tmp_path, settings, line):
    """They are of generated text; the first row tells when the task is made."""
    assert line in refused(task_manager.load, [preference_task(ROWS, tmp_path, **settings)])


def test_filters_of_a_judges_replies(task_manager, tmp_path, caplog):
    """Text may be filtered, but stays text; a pipeline's answers are what a `process_results` is tried with."""
    first = filters(regex={"regex_pattern": r"\[\[[AB]\]\]"}, take_first={})
    reply = "[[A]], or is it not? [[B]]"
    results, _ = evaluate(lambda _: reply, [judge_task(tmp_path, **first)], task_manager)
    assert results["results"]["mine"]["acc,mine"] == 0.5
    line = "task mine, row 0 (id 0): found [['[[B]]'], ['[[B]]']] from filter_list: [{'name': 'mine', 'filter': [{'function': 'take_"
    assert line in refused(task_manager.load, [judge_task(tmp_path, **filters(take_first_k={"k": 1}))])
    other = filters(regex={"regex_pattern": "verdict: (.*)"}, take_first={})
    task_manager.load([judge_task(tmp_path, **other)])
    assert "found no verdict" not in caplog.text
    evaluate(lambda _: "verdict: none", [judge_task(tmp_path, **other)], task_manager)
    assert caplog.text.count("found no verdict") == 1
    seen = []
    own = {"process_results": lambda doc, answers: seen.append(answers) or {"acc": 1.0}, **filters(majority_vote={})}
    task_manager.load([preference_task(ROWS, tmp_path, **own)])
    assert [len(answers) for answers in seen[0]] == [1, 1]


def raises(doc, results):
    """A user's `process_results` with a bug."""
    return {"acc": doc["no such column"]}


def raises_late(doc, results):
    """One that knows only the first row, and writes into each."""
    doc["seen"] = True
    return {"acc": {7: 1.0}[doc["id"]]}


def gives_a_number(doc, results):
    """One that forgot the metric's name."""
    return 1.0


@pytest.mark.parametrize(
    "kind", [preference_task, lambda rows, folder, **settings: judge_task(folder, rows, **settings)]
)
@pytest.mark.parametrize(
    ("function", "line"),
    [
        (
            raises,
            "row 0 (id 7): process_results test_rehearsal.raises: KeyError: 'no such column'; it was tried on the",
        ),
        (
            gives_a_number,
            "row 0 (id 7): found float from process_results test_rehearsal.gives_a_number, expected {metric",
        ),
    ],
)
def test_own_process_results_is_tried_early(task_manager, tmp_path, kind, function, line):
    """On the first row, with answers of the kind that a model gives."""
    line_found = refused(task_manager.load, [kind(ROWS, tmp_path, process_results=function)])
    assert line in line_found
    assert line_found.count("KeyError") <= 1
    assert "with stand-in answers" in line_found


def test_own_process_results_gets_answers_as_of_a_model(task_manager, tmp_path):
    """Pairs of a float and a bool, one for each response; what it adds to the row stays out of requests."""
    seen = []

    def keeps(doc, results):
        seen.append(results)
        doc["mine"] = 1
        return {"acc": float(results[0][0] > results[1][0])}

    task = task_manager.load([preference_task(ROWS, tmp_path, process_results=keeps)])["tasks"]["mine"]
    [[first, second]] = seen
    assert all(type(score) is float and greedy is False for score, greedy in (first, second))
    assert first != second
    task.build_all_requests()
    assert len(seen) == 1
    assert all("mine" not in request.doc for request in task.instances)


def test_own_process_results_that_fails_late_loses_no_scores(task_manager, tmp_path):
    """One line with the row, the function and where scores survive; the next run asks the model nothing."""
    options = {"task_manager": task_manager, "bootstrap_iters": 0, "use_cache": str(tmp_path / "cache")}
    task = preference_task(ROWS, tmp_path, process_results=raises_late)
    model = ScriptedLM(length)
    line = refused(simple_evaluate, model=model, tasks=[task], **options)
    assert (
        "task mine, row 1 (id 8): process_results test_rehearsal.raises_late: KeyError: 8; scores survive only" in line
    )
    assert len(model.requests) == 6
    again = ScriptedLM(length)
    results = simple_evaluate(model=again, tasks=[preference_task(ROWS, tmp_path)], **options)
    assert results["results"]["mine"]["acc,none"] == pytest.approx(1 / 3)
    assert again.requests == []


def broken(*args, **kwargs):
    """A user's function with a bug."""
    raise OSError("no\nmore")


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ({"process_docs": broken}, "task mine: process_docs test_rehearsal.broken: OSError: no more (data: json files"),
        ({"process_docs": list}, "task mine: found list from process_docs builtins.list, expected a datasets.Dataset"),
        (
            {"custom_dataset": broken},
            "task mine: custom_dataset test_rehearsal.broken: OSError: no more (data: custom)",
        ),
        (
            {"custom_dataset": lambda **options: [1]},
            "found list from custom_dataset test_rehearsal.<lambda>, expected {split: datasets.Dataset}",
        ),
    ],
)
def test_own_functions_of_the_rows(task_manager, tmp_path, settings, line):
    """Which one, and what it did."""
    settings = {**settings, **({"dataset_kwargs": {}} if "custom_dataset" in settings else {})}
    found = refused(task_manager.load, [{**preference_task(ROWS, tmp_path), **settings}])
    assert line in found
    assert found.count("task mine") == found.count("(data: ") == 1
