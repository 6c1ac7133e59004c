"""`new-task`: what it takes the columns of datasets of every shape for, and that the host runs it so."""

import pytest
from test_new_task import PAIR, accuracy, one_task_manager, pair, write  # noqa: F401  a fixture for every test

from skywork_rb_plugin import UserError

TURN = "\n\nHuman: Hi\n\nAssistant: says"


@pytest.mark.parametrize(
    ("rows", "options", "keys", "expected"),
    [
        ([{"prompt": "p", "chosen": "x 1", "rejected": "y 2"}], [], {}, 0.0),
        ([{"id": 1, "chosen": "p p x 2", "rejected": "p p y 1", "prompt_category": "math"}], [], {}, 1.0),
        ([{"prompt_id": "a", "question": "p", "chosen": "x 2", "rejected": ["y 1"]}], [], {"doc_to_text": "question"}, 1.0),
        ([{"chosen": f"{TURN} 2", "rejected": f"{TURN} 1"}], [],
         {"doc_to_choice": "!function skywork_rb_plugin.tasks.transcripts.chosen_and_rejected"}, 1.0),
        (pair("label", "B>A"), [],
         {"doc_to_choice": ["response_a", "response_b"], "doc_to_target": {"label": {"A>B": 0, "B>A": 1}}}, 1.0),
        (pair("winner", "response_a", "response_b"), [],
         {"doc_to_choice": ["response_a", "response_b"],
          "doc_to_target": {"winner": {"response_a": 0, "response_b": 1}}}, 0.5),
        (pair("label", "A>B", "B>A", "B>A"), ["--target", "label", "--first", "B>A"],
         {"doc_to_choice": ["response_a", "response_b"], "doc_to_target": {"label": {"B>A": 0, "A>B": 1}}}, 1 / 3),
        (pair("winner", "a", "b", response_a=["says 1", "says 0"], response_b=["says 2", "says 3"]), [],
         {"doc_to_choice": ["response_a", "response_b"], "doc_to_target": {"winner": {"a": 0, "b": 1}}}, 0.5),
        (pair("better", "A", "B", "B"), [],
         {"doc_to_choice": ["response_a", "response_b"], "doc_to_target": {"better": {"A": 0, "B": 1}}}, 2 / 3),
        ([{"input": "p", "output_1": "x 1", "output_2": "y 2", "label": label} for label in (1, 2)], [],
         {"doc_to_text": "input", "doc_to_choice": ["output_1", "output_2"],
          "doc_to_target": {"label": {1: 0, 2: 1}}}, 0.5),
        (pair("preference", 1, 0, output_0="x 1", output_1="y 2"), [],
         {"doc_to_choice": ["output_0", "output_1"], "doc_to_target": {"preference": {0: 0, 1: 1}}}, 0.5),
        (pair("labels", 1, 0, human_ref_A="x 1", human_ref_B="y 2"),
         ["--responses", "human_ref_A", "human_ref_B", "--target", "labels", "--first", "1"],
         {"doc_to_choice": ["human_ref_A", "human_ref_B"], "doc_to_target": {"labels": {1: 0, 0: 1}}}, 0.5),
        (pair("preferred", True, False), ["--target", "preferred", "--first", "False"],
         {"doc_to_choice": ["response_a", "response_b"], "doc_to_target": {"preferred": {False: 0, True: 1}}}, 0.5),
        ([{"prompt": "p", **PAIR, "tokens_a": 9, "tokens_b": 3, "score_a": 3, "score_b": 7.5}], [],
         {"doc_to_choice": ["response_a", "response_b"], "doc_to_scores": ["score_a", "score_b"],
          "metric_list": ["acc", "pair_acc"]}, 1.0),
        ([{"prompt": "p", **{f"response_{i}": f"says {i}" for i in "123"}, **{f"score_{i}": int(i) for i in "123"}}], [],
         {"doc_to_choice": ["response_1", "response_2", "response_3"],
          "doc_to_scores": ["score_1", "score_2", "score_3"], "metric_list": ["acc", "pair_acc"]}, 1.0),
        ([{"prompt": "p", "responses": ["x 1", "y 2", "z 3"], "ratings": [1, 2, 3]}], [],
         {"doc_to_choice": "responses", "doc_to_scores": "ratings", "metric_list": ["acc", "pair_acc"]}, 1.0),
        ([{"input": "p", "targets": {"choices": ["x 1", "y 2"], "labels": [0, 1]}}], [],
         {"doc_to_text": "input", "doc_to_choice": "{{targets.choices}}", "doc_to_scores": "{{targets.labels}}",
          "metric_list": ["acc", "pair_acc"]}, 1.0),
        ([{"prompt": "p", **PAIR, "meta": {"winner": who}} for who in ("response_b", "tie")], [],
         {"doc_to_choice": ["response_a", "response_b"], "where": {"meta.winner": ["response_b"]},
          "doc_to_target": {"{{meta.winner}}": {"response_b": 1}}}, 1.0),
        ([{"prompt": "p", "preferred": "x 2", "dispreferred": ["y 1", "z 0"]}],
         ["--responses", "preferred", "dispreferred"], {"doc_to_choice": ["preferred", "dispreferred"]}, 1.0),
        ([{f"conversation_{side}": [{"role": "user", "content": "p"}, {"role": "assistant", "content": f"says {n}"}]
           for side, n in (("a", 1), ("b", 2))} | {"winner": "model_b"}],
         ["--responses", "conversation_a", "conversation_b", "--target", "winner"],
         {"doc_to_choice": ["conversation_a", "conversation_b"], "doc_to_target": {"winner": {"model_b": 1}}}, 1.0),
        ([{"ask": "p", "good": "x 2", "bad": "y 1"}], ["--prompt", "ask", "--responses", "good", "bad"],
         {"doc_to_text": "ask", "doc_to_choice": ["good", "bad"]}, 1.0),
        ([{"prompt": "p", "all": ["x 2", "y 1"], "best": 1}], ["--responses", "all", "--target", "best"],
         {"doc_to_choice": "all", "doc_to_target": "best"}, 0.0),
        (pair("my.winner", "response_b"), ["--target", "my.winner"],
         {"doc_to_choice": ["response_a", "response_b"], "doc_to_target": {"my.winner": {"response_b": 1}}}, 1.0),
        ([{"a.b": "p", "yes: no": "x 2", "- 1": "y 1"}], ["--prompt", "a.b", "--responses", "yes: no", "- 1"],
         {"doc_to_text": "a.b", "doc_to_choice": ["yes: no", "- 1"]}, 1.0),
    ],
)  # fmt: skip
def test_shapes(tmp_path, capsys, rows, options, keys, expected):
    """What is guessed from names and values, or said; and the YAML runs."""
    assert write(rows, tmp_path, *options) == keys
    assert accuracy(tmp_path)["acc,none"] == pytest.approx(expected)
    out = capsys.readouterr().out
    assert "all of them read. The first one, as the task reads it:" in out
    assert f"--include_path {tmp_path} --tasks mine" in out


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        # columns of published sets, on rows of our own: Orca, AlpacaFarm, preference-bench, UltraInteract, Dahoas' HH, …
        ([{"system": "s", "question": "q", "chosen": "x", "rejected": "y"}], "found system beside question .*role: system"),
        ([{"instruction": "i", "input": "j", "output_1": "x", "output_2": "y", "preference": 1}], "found input beside instru"),
        ([{"instruction": "i", "orig_instruction": "j", "chosen": "x", "rejected": "y"}], "found orig_instruction beside"),
        ([{"prompt": "i", "initial_reason_steps": "j", "chosen": "x", "rejected": "y"}], "found initial_reason_steps beside"),
        ([{"trajectory": [{"role": "user"}], "chosen": "Step 1: x", "rejected": "Step 1: y"}], "found no prompt"),
        ([{"title": "How?", "chosen": "You should x", "rejected": "You should y"}], "found no prompt"),
        ([{"prompt": "\n\nHuman: Hi\n\nAssistant:", "chosen": "x", "rejected": "y"}], "marks of speakers, expected the prompt"),
        ([{"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "x"}], "chosen": "x",
           "rejected": "y"}], "found in column 'messages' .* turns of an assistant"),
        ([{"prompt": "p", **PAIR, "chosen": "a", "rejected": "b"}], "found chosen and rejected beside other responses"),
        ([{"prompt": "p", **PAIR, "severity_score": 1, "harm_score_a": 1, "harm_score_b": 2}], "but nothing that says"),
        ([{"prompt": "p", **PAIR, "score_a": 1, "score_b": 2, "winner": "a"}], r"may say which .* \(winner, score_a, score_b"),
        ([{"prompt": "p", **PAIR, "quality_a": 1, "quality_b": 2, "reward_a": 2, "reward_b": 1}], "found several that may say which"),
        ([{"prompt": "p", **PAIR, "draft_response_a": "x", "draft_response_b": "y", "label": "A"}], "found several that may be"),
        ([{"prompt": "p", "responses": ["x", "y"], "quality_ranking": [2, 1]}], "nothing that says which is preferred"),
        ([{"prompt": "p", "responses": ["x", "y", "z"], "labels": [1, 1, 0]}], "nothing that says which is preferred"),
        ([{"prompt": "p", "responses": ["x", "y"], "labels": labels} for labels in ([0, 1], None)], "nothing that says"),
        (pair("overall_preference_strength", 1, 2, output_1="x", output_2="y"), "nothing that says which is preferred"),
        (pair("winner", "v2", "v1", output_1="x", output_2="y"), "found the labels 'v1', 'v2' in column 'winner'"),
        (pair("labels", 0, 1), "found the labels 0, 1 in column 'labels' .*response_a: say --target"),
        (pair("label", 1, 2), "found the labels 1, 2 in column 'label'"),
        (pair("label", 1, 1, output_1="x", output_2="y"), "found the labels 1 in column 'label'"),
        (pair("preferred", True, False), "found the labels False, True in column 'preferred'"),
        (pair("preference", ["A"], ["B"]), "but nothing that says which is preferred"),
        (pair("winner", "response_a", None), "found the labels 'response_a', None in column 'winner'"),
        (pair("winner", "response_a", "nobody"), "found the labels 'nobody', 'response_a' in column 'winner'"),
        ([{"prompt": "p", **PAIR, "tokens_a": 5, "tokens_b": 1}], r"found responses \(response_a, response_b\) but nothing"),
        ([{"prompt": "p", **PAIR, "toxicity_score_a": 5, "toxicity_score_b": 1}], "but nothing that says which is preferred"),
        ([{"prompt": "p", "responses": ["x", "y"], "labels": [2, 1]}], r"found responses \(responses\) but nothing"),
        ([{"prompt": "p", "response": "x", "rating": 1, "quality": 2}], r"found several that .* \(rating, quality\)"),
        ([{"prompt": "p", "answer": "x", "output": "y", "score": 2}], "found several that may be the responses"),
        ([{"prompt": "p", "c_root_id_A": "x", "c_root_id_B": "y", "labels": 0}], "found no responses in the columns"),
        ([{"prompt": "p", "model_a": "x", "model_b": "y", "winner": "model_a"}], "found no responses in the columns"),
        ([{"conversation_a": "x", "conversation_b": "y", "winner": "model_a"}], "found no responses in the columns"),
        ([{"meta": {"prompt": "p"}, "response": "x", "score": 1}], "found no prompt in the columns"),
    ],
)  # fmt: skip
def test_what_is_not_plain_is_asked_for(tmp_path, rows, message):
    """No guess that could be wrong: names of models, ids, ranks, lengths, labels that may count from 0 or 1."""
    with pytest.raises(UserError, match=message):
        write(rows, tmp_path)
    assert not list(tmp_path.glob("*.yaml"))


def test_one_response_per_row(tmp_path, capsys):
    """Rows are grouped by their prompt; what is left out is said."""
    rows = [{"prompt": f"p{i % 3}", "response": f"says {i}", "helpfulness": min(i, 4), "length": i} for i in range(5)]
    keys = write(rows, tmp_path)
    assert keys == {
        "group_by": "prompt", "doc_to_choice": "response", "doc_to_scores": "helpfulness",
        "metric_list": ["acc", "pair_acc"],
    }  # fmt: skip
    assert accuracy(tmp_path)["acc,none"] == 1.0
    out = capsys.readouterr().out
    assert "2 prompts of 5 rows, all of them read." in out
    assert "  other      says 0\n  preferred  says 3\n" in out


def test_ties_are_left_out_by_where(tmp_path, capsys):
    """Labels that say neither, as in Chatbot Arena's votes."""
    rows = [{"prompt": "p", **PAIR, "winner": winner} for winner in ("model_a", "tie", "model_b", "tie (bothbad)")]
    keys = write(rows, tmp_path)
    assert keys["where"] == {"winner": ["model_a", "model_b"]}
    out = capsys.readouterr().out
    assert (
        "Labels, by what they were taken for:\n  response_a: 1 rows with 'model_a'\n  left out: 1 rows with 'tie'\n"
        in out
    )
    assert keys["doc_to_target"] == {"winner": {"model_a": 0, "model_b": 1}}
    assert accuracy(tmp_path)["acc,none"] == 0.5
