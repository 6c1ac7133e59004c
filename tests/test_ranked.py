"""Data that scores responses instead of naming the chosen one, and lines that name the file of a bad row."""

import pytest
from conftest import preference_task
from scripted import evaluate

from skywork_rb_plugin import UserError

SCORED = [
    {"q": "One?", "answers": ["a 1", "b 3", "c 2"], "marks": [2, 9.5, 4]},
    {"q": "Two?", "answers": ["a 3", "b 1", "c 2"], "marks": [1, 1, 1]},
    {"q": "Three?", "answers": ["a 3", "b 1", "c 2"], "marks": [0, 5, 5]},
]
LISTS = {"doc_to_text": "q", "doc_to_choice": "answers", "doc_to_scores": "marks"}


def number(context, response):
    """The scorer: the number that a response ends with."""
    return float(response.split()[-1])


def test_lists_of_responses_with_scores(task_manager, tmp_path, caplog):
    """The highest score is preferred, every pair counts for pair_acc, a row without a difference is left out and said."""
    task = preference_task(SCORED, tmp_path, metric_list=["acc", "pair_acc"], **LISTS)
    results, _ = evaluate(number, [task], task_manager)
    row = results["results"]["mine"]
    # first row: 3 > 2 > 1 as the data; third: b and c are better than a, but score less
    assert row["acc,none"] == 0.5
    assert row["pair_acc,none"] == 0.5
    assert results["n-samples"]["mine"]["original"] == 2
    assert "mine: 1 of 3 rows are left out, whose responses all have the same score (data: json files" in caplog.text
    assert [sample["target"] for sample in results["samples"]["mine"]] == ["1", "[1, 2]"]


def test_lists_of_structures(task_manager, tmp_path):
    """As UltraFeedback has them: each completion with its text and its score."""
    rows = [{"prompt": "p", "completions": [{"response": f"says {i}", "overall_score": i} for i in (2.5, 1.0)]}]
    task = preference_task(
        rows, tmp_path, doc_to_choice="{{completions | map(attribute='response') | list}}",
        doc_to_scores="{{completions | map(attribute='overall_score') | list}}",
    )  # fmt: skip
    results, model = evaluate(number, [task], task_manager)
    assert results["results"]["mine"]["acc,none"] == 1.0
    assert [response for _, response in model.requests] == ["says 2.5", "says 1.0"]


def test_fields_that_hold_lists(task_manager, tmp_path):
    """A label means a field with all its responses; an empty list prefers nothing."""
    rows = [{"prompt": "p", "a": ["x 1", "x 2"], "b": ["y 3", "y 4"], "label": "b"}]
    task = preference_task(rows, tmp_path, doc_to_choice=["a", "b"], doc_to_target={"label": {"a": 0, "b": 1}})
    results, _ = evaluate(number, [task], task_manager)
    assert results["results"]["mine"]["acc,none"] == 1.0
    assert results["samples"]["mine"][0]["target"] == [2, 3]
    rows[0]["a"] = []
    with pytest.raises(
        UserError, match="row 0: found 0 preferred and 2 other responses, expected at least one of each"
    ):
        evaluate(number, [preference_task(rows, tmp_path, doc_to_choice=["a", "b"])], task_manager)


def test_a_column_for_each_score(task_manager, tmp_path):
    """Two responses, each with a column of its own for its score."""
    rows = [{"prompt": "p", "a": "says 1", "b": "says 2", "score_a": "3", "score_b": 4.5}]
    task = preference_task(rows, tmp_path, doc_to_choice=["a", "b"], doc_to_scores=["score_a", "score_b"])
    assert evaluate(number, [task], task_manager)[0]["results"]["mine"]["acc,none"] == 1.0


def test_rows_of_one_response_each(task_manager, tmp_path):
    """`group_by` makes one row of all responses to a prompt, also where the prompt is messages."""
    prompt = [{"role": "user", "content": "One?"}]
    rows = [
        {"prompt": prompt, "response": "a 1", "helpfulness": 3},
        {"prompt": [{"role": "user", "content": "Two?"}], "response": "b 7", "helpfulness": 1},
        {"prompt": prompt, "response": "c 2", "helpfulness": 1},
        {"prompt": [{"role": "user", "content": "Two?"}], "response": "d 9", "helpfulness": 2},
        {"prompt": [{"role": "user", "content": "Alone?"}], "response": "e 9", "helpfulness": 2},
    ]
    settings = {"group_by": "prompt", "doc_to_choice": "response", "doc_to_scores": "helpfulness"}
    results, model = evaluate(number, [preference_task(rows, tmp_path, **settings)], task_manager)
    assert results["results"]["mine"]["acc,none"] == 0.5
    assert [response for _, response in model.requests] == ["a 1", "c 2", "b 7", "d 9"]
    assert model.requests[0][0].messages == tuple(prompt)


@pytest.mark.parametrize(
    ("rows", "settings", "message"),
    [
        (SCORED, {**LISTS, "doc_to_scores": "mark"}, "row 0: found no column 'mark', expected one of q, answers, marks"),
        ([{**SCORED[0], "marks": [1, 2]}], LISTS, r"row 0: found \[1, 2\] for `doc_to_scores`, expected 3 numbers"),
        ([{**SCORED[0], "marks": ["x", "y", "z"]}], LISTS, "row 0: found .* for `doc_to_scores`, expected numbers"),
        ([SCORED[0], {**SCORED[1], "marks": [1, 2, None]}], LISTS, "row 1: found .* expected numbers"),
        (SCORED[1:2], LISTS, "found no rows in split 'train', expected some"),
        (SCORED, {**LISTS, "doc_to_target": 0}, "found doc_to_target beside doc_to_scores, expected one of them"),
        (SCORED, {**LISTS, "official_rows": "three"}, "found official_rows: three, expected a number of rows"),
        (SCORED, {**LISTS, "group_by": ["q"]}, r"found group_by: \['q'\], expected the name of a column"),
        (SCORED, {**LISTS, "metric_list": [["acc"]]}, r"found metric \['acc'\], expected one of acc"),
        (SCORED, {**LISTS, "group_by": "kind"}, "found no column 'kind' for `group_by`, expected one of q, answers"),
        (SCORED, {}, r"row 0: found no column 'chosen' \(columns: q, answers, marks\), expected `chosen` and `rejected`"),
        (SCORED, {**LISTS, "where": {"q": "Four?"}}, r"found no row with q in \['Four\?'\]; there is 'One\?', 'Three\?'"),
        (SCORED, {**LISTS, "test_split": "test"}, "found no split 'test', expected one of train"),
        ([{"prompt": "p", "a": "x", "b": "y", "label": "C"}],
         {"doc_to_choice": ["a", "b"], "doc_to_target": {"label": {"A": 0, "B": 1}}},
         "row 0: found 'C' in column 'label', expected 'A' or 'B'"),
    ],
    ids=["no column", "numbers", "words", "null", "all equal", "both", "count", "groups", "metric", "group", "names", "where", "split", "label"],
)  # fmt: skip
def test_bad_data_gets_one_line_with_task_row_and_file(task_manager, tmp_path, rows, settings, message):
    """What was found, what was expected, in which row of which file."""
    task = preference_task(rows, tmp_path, **settings)
    with pytest.raises(UserError, match=f"task mine.*{message}") as caught:
        evaluate(number, [task], task_manager)
    assert "\n" not in str(caught.value)
    if message.startswith(("row", "found no")):
        assert str(caught.value).endswith(f"(data: json files {tmp_path}/rows.jsonl)")


def test_rows_are_counted_in_the_file(task_manager, tmp_path):
    """The row's number is that of the split, whatever `where` left out; equal responses are pointed out so too."""
    rows = [{"prompt": "p", "chosen": "a 1", "rejected": "b 2", "kind": kind} for kind in "xyzy"]
    rows[3]["rejected"] = None
    task = preference_task(rows, tmp_path, where={"kind": "y"})
    with pytest.raises(UserError, match="task mine, row 3: found None"):
        evaluate(number, [task], task_manager)


def test_rows_of_groups_are_counted_in_the_file(task_manager, tmp_path):
    """Under `where` and `group_by` together it is the number of the group's first row."""
    rows = [{"prompt": f"p{i}", "response": f"a {i}", "score": i, "kind": i % 2} for i in (1, 2, 3, 2, 3, 3)]
    rows[4]["score"] = "high"
    settings = {"group_by": "prompt", "doc_to_choice": "response", "doc_to_scores": "score", "where": {"kind": 1}}
    with pytest.raises(UserError, match=r"task mine, row 2: found .*'high'"):
        evaluate(
            number,
            [preference_task([{**row, "score": str(row["score"])} for row in rows], tmp_path, **settings)],
            task_manager,
        )


def test_fields_of_structures_keep_their_type(task_manager, tmp_path):
    """`{{column.field}}` alone is the value itself: messages stay messages, and null is no text."""
    said = [{"role": "assistant", "content": "x 2"}]
    rows = [{"m": {"q": "p", "a": said, "b": "y 1"}}]
    settings = {"doc_to_text": "{{m.q}}", "doc_to_choice": ["{{m.a}}", "{{ m.b }}"]}
    _, model = evaluate(number, [preference_task(rows, tmp_path, **settings)], task_manager)
    assert [response for _, response in model.requests] == ["x 2", "y 1"]
    rows[0]["m"]["b"] = None
    with pytest.raises(UserError, match="task mine, row 0: found None, expected a string"):
        evaluate(number, [preference_task(rows, tmp_path, **settings)], task_manager)


def test_equal_responses_are_pointed_out_with_their_file(task_manager, tmp_path, caplog):
    """They count as wrong, and a line says so."""
    rows = [{"prompt": "p", "chosen": "a 1", "rejected": "a 1"}, {"prompt": "p", "chosen": "a 1", "rejected": "b 0"}]
    results, _ = evaluate(number, [preference_task(rows, tmp_path)], task_manager)
    assert results["results"]["mine"]["acc,none"] == 0.5
    assert "in 1 rows a preferred response is the same as another one (row 0), expected different ones" in caplog.text
    assert f"(data: json files {tmp_path}/rows.jsonl)" in caplog.text
