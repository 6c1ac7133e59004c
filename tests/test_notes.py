"""What a task says of its rows that is no error: once, with the rows."""

import pytest
from conftest import preference_task
from scripted import evaluate, length
from test_judge import judge_task

from skywork_rb_plugin.tasks.transcripts import chosen_and_rejected, messages_of


def test_responses_after_different_prompts_are_pointed_out(tmp_path, task_manager, caplog):
    """Message lists with user turns of their own are compared across prompts: said once, with the rows."""
    ask = [{"role": "user", "content": "One?"}]
    answer = [{"role": "assistant", "content": "yes"}]
    rows = [
        {"id": 4, "chosen": ask + answer, "rejected": [*ask, {"role": "assistant", "content": "no"}]},
        {"id": 5, "chosen": ask + answer, "rejected": [{"role": "user", "content": "Two?"}, *answer]},
    ]
    evaluate(length, [preference_task(rows, tmp_path)], task_manager)
    line = "mine: in 1 rows the responses follow different messages (row 1 (id 5)), expected one prompt for all"
    assert caplog.text.count(line) == 1


def test_equal_responses_are_pointed_out(tmp_path, task_manager, caplog):
    """They can't be told apart, so that they count as wrong; one line names the rows and the file."""
    rows = [{"prompt": "p", "chosen": "a", "rejected": "b"}, {"prompt": "p", "chosen": "c", "rejected": "c"}]
    results, _ = evaluate(lambda _, response: ord(response), [preference_task(rows, tmp_path)], task_manager)
    assert results["results"]["mine"]["acc,none"] == 0
    assert "mine: in 1 rows a preferred response is the same as another one (row 1), expected different" in caplog.text
    assert "rows.jsonl" in caplog.text


@pytest.mark.parametrize("kind", [preference_task, lambda rows, folder: judge_task(folder, rows=rows)])
def test_empty_responses_are_pointed_out(tmp_path, task_manager, caplog, kind):
    """They are scored all the same; a blank one is empty too, and the rows are counted, not the responses."""
    rows = [
        {"prompt": "p", "chosen": "", "rejected": " \n"},
        {"prompt": "p", "chosen": "a", "rejected": "b"},
        {"prompt": "p", "chosen": "a", "rejected": "\t"},
    ]
    task = kind(rows, tmp_path)
    evaluate(lambda *_: "[[A]]" if len(_) == 1 else 0.0, [task], task_manager)
    line = f"{task['task']}: in 2 rows a response is empty (row 0, 2), expected text: it is scored as it is"
    assert caplog.text.count(line) == 1


def test_roles_by_other_names_are_pointed_out(tmp_path, task_manager, caplog):
    """The user's own template may know them: one line for each name, with the usual one; `critic` is no other name."""
    turns = [("human", "a"), ("gpt", "b"), ("human", "c"), ("critic", "d")]
    prompt = [{"role": role, "content": content} for role, content in turns]
    rows = [{"prompt": prompt[:3], "chosen": "x", "rejected": "y"}, {"prompt": prompt, "chosen": "x", "rejected": "y"}]
    _, model = evaluate(length, [preference_task(rows, tmp_path)], task_manager)
    for role, usual in (("human", "user"), ("gpt", "assistant")):
        line = (
            f"mine: in 2 rows a message has the role {role!r} (row 0, 1), expected {usual!r}, unless the model's chat"
        )
        assert caplog.text.count(line) == 1
    assert "'critic'" not in caplog.text
    assert model.requests[0][0].messages == tuple(prompt[:3])


@pytest.mark.parametrize("cached", [False, True])
def test_joined_turns_are_pointed_out(tmp_path, task_manager, caplog, monkeypatch, cached):
    """Transcripts in which one speaker has two turns in a row: in the prompt, before a response, in both; requests that
    come from the host's cache are no reason to be silent."""
    monkeypatch.setattr("lm_eval.caching.cache.PATH", str(tmp_path / "requests"))
    plain = "\n\nHuman: a\n\nAssistant: b"
    rows = [
        {"chosen": plain, "rejected": "\n\nHuman: a\n\nAssistant: c\n\nAssistant: d"},
        {"chosen": plain, "rejected": "\n\nHuman: a\n\nAssistant: c"},
        {"chosen": "\n\nHuman: x\n\nHuman: a\n\nAssistant: b", "rejected": "\n\nHuman: x\n\nHuman: a\n\nAssistant: c"},
    ]
    task = preference_task(rows, tmp_path, doc_to_choice=chosen_and_rejected)
    if cached:
        evaluate(length, [task], task_manager, cache_requests=True)
        caplog.clear()
    _, model = evaluate(length, [task], task_manager, cache_requests=cached)
    line = "mine: in 2 rows one speaker has two turns in a row (row 0, 2), expected them to alternate"
    assert caplog.text.count(line) == 1
    assert [response for _, response in model.requests] == ["b", "c\n\nd", "b", "c", "b", "c"]
    assert model.requests[4][0].messages == ({"role": "user", "content": "x\n\na"},)


def test_transcripts():
    """Turns of one speaker in a row are one message; what is no transcript is refused."""
    text = "\n\nHuman: a: b\n\nAssistant: c\n\nHuman: d\n\nHuman: e\n\nAssistant:"
    assert messages_of(text) == [
        {"role": "user", "content": "a: b"},
        {"role": "assistant", "content": "c"},
        {"role": "user", "content": "d\n\ne"},
        {"role": "assistant", "content": ""},
    ]
    assert chosen_and_rejected({"chosen": text, "rejected": text}) == [messages_of(text)] * 2
    with pytest.raises(ValueError, match="found 'Hello', expected a transcript that begins with Human: or Assistant:"):
        messages_of("Hello")
