"""`score`: what it reads, what it writes, and that rewards are those of the model."""

import json
from pathlib import Path

import pytest
import torch
import transformers
from conftest import make_model, write_rows
from families import states
from families import token_ids as token_ids_of
from scored_files import conversations, counts_of, cut, lines_of, many, score
from test_docs import code_of

import skywork_rb_plugin as rb
from skywork_rb_plugin import UserError

ROWS = many()


@pytest.fixture(scope="module")
def demo():
    """The packaged model."""
    return rb.load("demo", device="cpu")


def test_rows_come_as_they_were_with_their_rewards(demo, tmp_path, capsys):
    """Bytes, order and unicode; the last line counts."""
    written = score(tmp_path, ROWS)
    expected = cut(demo.score(conversations(ROWS)), 4)
    assert [row.pop("rewards") for row in written] == [pytest.approx(rewards, abs=1e-5) for rewards in expected]
    assert written == ROWS
    given, got = ((tmp_path / name).read_bytes().splitlines() for name in ("data.jsonl", "out.jsonl"))
    assert all(new.startswith(old[:-1] + b', "rewards": [') for old, new in zip(given, got, strict=True))
    assert "6 rows, 24 conversations, " in capsys.readouterr().out


def test_rewards_are_those_of_a_forward_pass(tmp_path):
    """Each conversation alone, by transformers' own decoder and the head's weights."""
    folder = make_model(tmp_path / "model")
    messages = [
        [{"role": "user", "content": prompt}, {"role": "assistant", "content": response}]
        for prompt, response in conversations(ROWS)
    ]
    weight = transformers.AutoModelForSequenceClassification.from_pretrained(folder).score.weight
    last = torch.stack([hidden[-1] for hidden in states(folder, token_ids_of(folder, messages))])
    written = score(tmp_path, ROWS, model=folder)
    rewards = [reward for row in written for reward in row["rewards"]]
    assert rewards == pytest.approx((last @ weight.T).flatten().tolist(), abs=1e-5)


def test_a_conversation_is_a_prompt_and_a_response_or_messages(demo, tmp_path):
    """And `chosen` beside `rejected`, whose rewards are in this order; text is taken as it is, columns as they are called."""
    [row] = many(1, 2)
    prompt, (one, other) = row["prompt"], row["responses"]
    first, second = demo.score([(prompt, one), (prompt, other)])
    turns = [{"role": "user", "content": prompt}]
    answer = {"role": "assistant", "content": one}
    for shape, key, expected in (
        ({"prompt": prompt, "response": one}, "reward", first),
        ({"prompt": turns, "response": one}, "reward", first),
        ({"messages": [*turns, answer]}, "reward", first),
        ({"question": prompt, "answer": other}, "reward", second),
        ({"prompt": prompt, "chosen": one, "rejected": other}, "rewards", [first, second]),
        ({"chosen": [*turns, answer], "rejected": [*turns, {**answer, "content": other}]}, "rewards", [first, second]),
        ({"prompt": prompt, "response_a": one, "response_b": other}, "rewards", [first, second]),
        ({"prompt": prompt, "responses": [one]}, "rewards", [first]),
    ):
        [written] = score(tmp_path, [shape], "--overwrite")
        assert written.pop(key) == pytest.approx(expected, abs=1e-5)
        assert written == shape
    shape = {"a": prompt, "b": other, "rewards": 7}
    [written] = score(tmp_path, [shape], "--overwrite", "--prompt", "a", "--responses", "b", "--reward", "r")
    assert written == {**shape, "r": pytest.approx(second, abs=1e-5)}
    shape = {"prompt": turns, "replies": [[answer], [{**answer, "content": other}]]}
    [written] = score(tmp_path, [shape], "--overwrite", "--responses", "replies")
    assert written == {**shape, "rewards": pytest.approx([first, second], abs=1e-5)}


def test_other_formats(demo, tmp_path):
    """Parquet, CSV, a JSON list and a folder: the same rewards; CSV keeps its text as text."""
    import datasets

    expected = cut(demo.score(conversations(ROWS)), 4)
    data = datasets.Dataset.from_list(ROWS)
    (tmp_path / "folder").mkdir()
    data.to_parquet(tmp_path / "data.parquet")
    write_rows(tmp_path / "folder" / "train.jsonl", ROWS)
    (tmp_path / "data.json").write_text(json.dumps(ROWS))
    for name in ("data.parquet", "data.json", "folder"):
        written = score(tmp_path, None, "--overwrite", data=name)
        assert [row.pop("rewards") for row in written] == [pytest.approx(rewards, abs=1e-5) for rewards in expected]
        assert written == ROWS
    (tmp_path / "data.csv").write_text('id,prompt,response\n007,"One\ntwo?",3\n')
    [written] = score(tmp_path, None, "--overwrite", data="data.csv")
    [reward] = demo.score([("One\ntwo?", "3")])
    assert written == {"id": "007", "prompt": "One\ntwo?", "response": "3", "reward": pytest.approx(reward, abs=1e-5)}


def test_best_keeps_the_first_of_the_best(tmp_path):
    """In the place of all responses, with its reward; of pairs too."""
    rewards = [row["rewards"] for row in score(tmp_path, ROWS)]
    doubled = [{**row, "responses": [*row["responses"], *reversed(row["responses"])]} for row in ROWS]
    written = score(tmp_path, doubled, "--best", output="best.jsonl")
    for row, old, each in zip(written, ROWS, rewards, strict=True):
        best = old["responses"][each.index(max(each))]
        assert row == {"id": old["id"], "prompt": old["prompt"], "response": best, "ü": "é", "reward": pytest.approx(max(each), abs=1e-5)}  # fmt: skip
        assert list(row) == ["id", "prompt", "response", "ü", "reward"]
    pairs = [{"prompt": row["prompt"], "chosen": row["responses"][0], "rejected": row["responses"][1]} for row in ROWS]
    written = score(tmp_path, pairs, "--best", output="pairs.jsonl")
    assert [row["response"] for row in written] == [
        row["responses"][each[1] > each[0]] for row, each in zip(ROWS, rewards, strict=True)
    ]
    assert {tuple(row) for row in written} == {("prompt", "response", "reward")}


def test_options_are_those_of_the_harness(demo, tmp_path):
    """A system prompt, the first rows alone, padded batches, JSON for --model_args."""
    options = ("--limit", "2", "--system_instruction", "Be brief.", "--batch_size", "3")
    write_rows(tmp_path / "data.jsonl", ROWS)
    written = score(tmp_path, ROWS, *options, "--model_args", '{"pretrained": "demo", "scoring": "padded"}')
    system = {"role": "system", "content": "Be brief."}
    whole = [
        [system, {"role": "user", "content": prompt}, {"role": "assistant", "content": response}]
        for prompt, response in conversations(ROWS[:2])
    ]
    expected = [pytest.approx(rewards, abs=1e-5) for rewards in cut(demo.score(whole), 4)]
    assert [row["rewards"] for row in written] == expected


def test_what_windows_share_no_more_is_little(demo, tmp_path, monkeypatch):
    """Rewards are the same, also where a single row is more than a window; a prompt's responses are computed together."""
    from skywork_rb_plugin.commands.score import windows

    one = [row["rewards"] for row in score(tmp_path, ROWS)]
    together = counts_of(tmp_path / "out.jsonl")
    monkeypatch.setattr(windows, "CHARACTERS", 10)
    several = [row["rewards"] for row in score(tmp_path, ROWS, output="windows.jsonl")]
    assert several == [pytest.approx(rewards, abs=1e-5) for rewards in one]
    apart = counts_of(tmp_path / "windows.jsonl")
    assert apart.tokens_asked == together.tokens_asked
    # the template's header, once a row
    assert together.tokens_forwarded < apart.tokens_forwarded < together.tokens_forwarded + 6 * 10


def test_what_is_cut_is_counted(tmp_path, capsys):
    """In the last line."""
    score(tmp_path, ROWS, model="demo,max_length=24")
    assert 0 < counts_of(tmp_path / "out.jsonl").conversations_truncated <= 24
    assert f"{counts_of(tmp_path / 'out.jsonl').conversations_truncated} conversations cut" in capsys.readouterr().out


def test_a_score_that_is_no_number_names_its_row_and_keeps_the_others(tmp_path):
    """The rows before are written."""
    from skywork_rb_plugin.commands.score.journal import Journal

    folder = make_model(tmp_path / "model")
    model = transformers.AutoModelForSequenceClassification.from_pretrained(folder)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    with torch.no_grad():
        model.get_input_embeddings().weight[tokenizer("Z", add_special_tokens=False).input_ids] = torch.nan
    model.save_pretrained(folder)
    rows = [*ROWS, {"prompt": "Is it?", "responses": ["yes", "Z", "no"]}]
    with pytest.raises(UserError, match=r"row 6, response 1: found score nan .* the same command goes on from there"):
        score(tmp_path, rows, model=folder)
    assert len(Journal(tmp_path / "out.jsonl")._kept["rewards"]) == 26


def test_a_conversation_that_the_template_refuses_names_its_row(tmp_path):
    """And its response."""
    template = "{% for m in messages %}{% if 'no' in m.content %}{{ raise_exception('no no') }}{% endif %}{{ m.content }}{% endfor %}"
    (tmp_path / "t.jinja").write_text(template)
    options = ("--model_args", f"pretrained=demo,chat_template={tmp_path / 't.jinja'}")
    with pytest.raises(
        UserError, match=r"row 6, response 1: the chat template of .* refuses .*no no.* goes on from there"
    ):
        score(tmp_path, [*ROWS, {"prompt": "Is it?", "responses": ["yes", "no"]}], *options)


def test_the_page_shows_what_comes(tmp_path):
    """The example's last row, with all its responses and with the best."""
    example = Path(__file__).parent.parent / "examples" / "best_of_n" / "answers.jsonl"
    every, best = map(json.loads, code_of("docs/score.md", "json"))
    for shown, *options in ((every,), (best, "--best")):
        *_, written = score(tmp_path, lines_of(example), *options, "--overwrite")
        assert list(written) == list(shown)
        [name] = {"reward", "rewards"} & set(shown)
        assert written.pop(name) == pytest.approx(shown.pop(name), abs=1e-4)
        assert written == shown
