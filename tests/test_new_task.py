"""`new-task`: what it writes for datasets of every shape, and that the host runs it."""

import subprocess
import sys

import datasets
import pytest
import yaml
from conftest import SAMPLES, write_rows
from scripted import evaluate

from skywork_rb_plugin import UserError
from skywork_rb_plugin.commands.new_task import command as new_task
from skywork_rb_plugin.commands.new_task.yaml_file import Function, yaml_of


def number(context, response):
    """The scorer: the number that a response ends with."""
    return float(response.split()[-1])


@pytest.fixture(autouse=True)
def one_task_manager(monkeypatch, task_manager):
    """Names are looked up in the tests' own TaskManager: building one takes seconds."""
    monkeypatch.setattr(new_task, "task_manager", lambda: task_manager)


def read_yaml(file):
    """The keys of a task's YAML, functions by name."""
    loader = type("Loader", (yaml.SafeLoader,), {})
    loader.add_constructor("!function", lambda loader, node: f"!function {node.value}")
    return yaml.load(file.read_text(encoding="utf-8"), loader)


def write(rows, folder, *options, name="mine"):
    """Run the command on rows; returns the YAML's own keys, without those every task has."""
    file = write_rows(folder / "rows.jsonl", rows)
    new_task.main(["--dataset", file, "--name", name, "--output", str(folder), *options])
    keys = read_yaml(folder / f"{name}.yaml")
    assert keys.pop("class") == "!function skywork_rb_plugin.PreferenceTask"
    assert (keys.pop("task"), keys.pop("output_type")) == (name, "pairwise_preference")
    assert (keys.pop("dataset_path"), keys.pop("dataset_kwargs")) == ("json", {"data_files": "rows.jsonl"})
    assert (keys.pop("test_split"), keys.pop("metadata")) == ("train", {"version": 1.0})
    return keys


def accuracy(folder):
    """Run the YAML through the host."""
    from lm_eval.tasks import TaskManager

    manager = TaskManager(include_path=str(folder), include_defaults=False)
    return evaluate(number, ["mine"], manager)[0]["results"]["mine"]


PAIR = {"response_a": "says 1", "response_b": "says 2"}
TURN = "\n\nHuman: Hi\n\nAssistant: says"


def pair(label, *values, **responses):
    """Rows with a label; the second response is the better one by the scorer."""
    responses = responses or PAIR
    return [{"prompt": "p", **responses, label: value} for value in values]


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


@pytest.mark.parametrize(
    "value",
    ["yes: no", "- 1", "{{a.b}}", "on", "null", "1", "1e5", "", "ünï 🙂", "a: #b", "x" * 300, [True, 1, "1", 1.0, None], {1: 0, "1": 1}],
)  # fmt: skip
def test_yaml_keeps_every_value(tmp_path, value):
    """Words and numbers that YAML could take for something else; one line for each innermost value."""
    config = {"task": "t", "class": Function("a.b.C"), "same": value, "twice": value, "metadata": {"version": 1.0}}
    (tmp_path / "t.yaml").write_text(yaml_of(config), encoding="utf-8")
    assert read_yaml(tmp_path / "t.yaml") == {**config, "class": "!function a.b.C"}
    assert yaml_of(config).count("\n") == 5


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


@pytest.mark.parametrize("ending", ["json", "parquet", "csv"])
def test_other_formats(tmp_path, ending):
    """A file elsewhere is named by its full path."""
    table = datasets.Dataset.from_list([{"prompt": "ünïcode", "chosen": "x 2", "rejected": "y 1"}])
    (tmp_path / "data").mkdir()
    (tmp_path / "tasks").mkdir()
    file = tmp_path / "data" / f"rows.{ending}"
    getattr(table, f"to_{ending}")(str(file))
    new_task.main(["--dataset", str(file), "--name", "mine", "--output", str(tmp_path / "tasks")])
    assert f"dataset_kwargs: {{data_files: {file}}}" in (tmp_path / "tasks" / "mine.yaml").read_text()
    assert accuracy(tmp_path / "tasks")["acc,none"] == 1.0


def test_folder_with_splits_and_configurations(tmp_path):
    """A folder as the hub would have it: the configuration and the split that were asked for, else `test`."""
    folder = tmp_path / "data"
    folder.mkdir()
    for split, chosen in (("train", "x 0"), ("test", "x 2")):
        write_rows(folder / f"{split}.jsonl", [{"prompt": "p", "chosen": chosen, "rejected": "y 1"}])
    (folder / "README.md").write_text(
        "---\nconfigs:\n- config_name: one\n  data_files:\n  - split: train\n    path: train.jsonl\n"
        "  - split: test\n    path: test.jsonl\n- config_name: two\n  data_files: test.jsonl\n---\n"
    )
    options = ["--dataset", str(folder), "--name", "mine", "--output", str(tmp_path), "--config", "one"]
    new_task.main(options)
    text = (tmp_path / "mine.yaml").read_text()
    assert "test_split: test\n" in text
    assert "dataset_name: one\n" in text
    assert accuracy(tmp_path)["acc,none"] == 1.0
    new_task.main([*options, "--split", "train", "--force"])
    assert accuracy(tmp_path)["acc,none"] == 0.0
    with pytest.raises(UserError, match=r"--split: found no split 'dev' in the folder .*, expected one of train, test"):
        new_task.main([*options, "--split", "dev", "--force"])
    with pytest.raises(
        UserError, match=r"could not load the folder .*pick one among the available configs: .*one.*two"
    ):
        new_task.main([*options[:-2], "--force"])


GOOD = {"prompt": "p", "chosen": "x", "rejected": "y"}


@pytest.mark.parametrize(
    ("rows", "options", "message"),
    [
        ([{"a": "x", "b": 1}], [], r"found no responses in the columns a \(text\), b \(number\) of json files .*, expected"),
        ([{"prompt": "x", "b": 1}], [], r"found no responses in the columns prompt \(text\), b \(number\)"),
        ([{"prompt": "p", **PAIR}], [], r"found responses \(response_a, response_b\) but nothing that says which is pref"),
        ([{"prompt": "p", **PAIR, "label": "x"}], [], "found the labels 'x' in column 'label' .*, expected to know which"),
        ([{"prompt": "p", **PAIR, "label": "x"}], ["--first", "y"], "found the labels 'x' in column 'label'"),
        (pair("choice_id", 1), ["--responses", "response_a", "response_b"], "but nothing that says which is preferred"),
        (pair("label", "A>B"), ["--responses", "response_b", "response_a"], "found the labels 'A>B' in column 'label'"),
        (pair("label", "one", "three", response_1="a", response_2="b", response_3="c"),
         ["--target", "label", "--first", "one"], "found the labels 'one', 'three' in column 'label'"),
        (pair("label", "x", "y", "z"), ["--target", "label", "--first", "x"], "found the labels 'x', 'y', 'z' in column"),
        ([GOOD], ["--first", "1"], "--first: found 1 without a label, expected it with --target COLUMN"),
        ([GOOD], ["--target", "prompt", "--scores", "prompt"], "found --target and --scores, expected one of them"),
        ([GOOD], ["--target", "nosuch"], "--target: found no column 'nosuch' in json files"),
        ([GOOD], ["--scores", "nope"], "--scores: found no column 'nope' in json files"),
        ([GOOD], ["--name", "arc_easy"], "--name: found arc_easy, a task of lm-eval or of this plugin"),
        ([GOOD], ["--name", "rewardbench2_math"], "--name: found rewardbench2_math, a task of lm-eval or of this plugin"),
        ([GOOD], ["--prompt", "ask"], "--prompt: found no column 'ask' in json files .*, expected one of prompt, chosen"),
        ([GOOD, {**GOOD, "chosen": None}], [], "task mine, row 1: found None, expected .*, in chosen"),
        ([GOOD], ["--split", "test"], "--split: found no split 'test' in the json files .*, expected one of train"),
        ([GOOD], ["--name", "a b"], "--name: found 'a b', expected letters, digits"),
        ([GOOD], ["--name", "rewardbench_mine"], "expected another beginning: `rewardbench_\\*` are RewardBench's subsets"),
        ([GOOD], ["--output", "nowhere"], "--output: found no folder nowhere, expected one to write mine.yaml to"),
        ([], [], "--dataset: found .*rows.jsonl, an empty file, expected a .jsonl"),
        ([GOOD], ["--config", "one"], "--config: found one beside the file .*rows.jsonl, expected it with a folder"),
        ([GOOD], ["--dataset", "../none.txt"], "--dataset: found no file ../none.txt, expected a .jsonl"),
        ([GOOD], ["--dataset", "none.jsonl"], "--dataset: found no file none.jsonl, expected a .jsonl, .json, .parquet"),
        ([GOOD], ["--dataset", "no/such"], "could not load the hub dataset no/such .*check --dataset.* `hf download no/such"),
    ],
)  # fmt: skip
def test_bad_input_gets_one_line_and_no_file(tmp_path, rows, options, message):
    """What was found, what was expected, which flag; nothing is written."""
    with pytest.raises(UserError, match=message):
        write(rows, tmp_path, *options)
    assert not list(tmp_path.glob("*.yaml"))


def test_what_is_worth_a_look_is_noted(tmp_path, capsys):
    """Equal responses and empty ones are no errors."""
    write([GOOD, {**GOOD, "rejected": "x"}, {**GOOD, "rejected": ""}], tmp_path)
    out = capsys.readouterr().out
    assert (
        "Note: 1 rows with a preferred response that equals another one.\nNote: 1 rows with an empty response.\n" in out
    )


def test_ctrl_c_leaves_nothing(tmp_path, monkeypatch):
    """The YAML that was being checked is gone, and there is no traceback."""
    from skywork_rb_plugin import PreferenceTask
    from skywork_rb_plugin.__main__ import main

    def interrupt(self, doc):
        raise KeyboardInterrupt

    file = write_rows(tmp_path / "rows.jsonl", [GOOD])
    monkeypatch.setattr(PreferenceTask, "choices", interrupt)
    monkeypatch.setattr(sys, "argv", ["x", "new-task", "--dataset", file, "--name", "mine", "--output", str(tmp_path)])
    with pytest.raises(SystemExit) as caught:
        main()
    assert caught.value.code == 130
    assert not list(tmp_path.glob("*.yaml"))


def test_an_existing_file_is_kept(tmp_path):
    """Unless --force says otherwise."""
    (tmp_path / "mine.yaml").write_text("precious")
    with pytest.raises(UserError, match=r"found .*mine.yaml, expected no such file: choose another --name, or --force"):
        write([GOOD], tmp_path)
    assert (tmp_path / "mine.yaml").read_text() == "precious"
    write([GOOD], tmp_path, "--force")


def test_the_command(tmp_path):
    """In a process of its own, with a name that looks like a pattern: the YAML, the first row, the next command."""
    write_rows(tmp_path / "rows[1].jsonl", [GOOD])
    (tmp_path / "my tasks").mkdir()
    command = [sys.executable, "-m", "skywork_rb_plugin", "new-task", "--dataset", "rows[1].jsonl", "--name", "mine"]
    command += ["--output", "my tasks"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("Wrote my tasks/mine.yaml:\n\n  task: mine\n")
    assert "  prompt     user: p\n  preferred  x\n  other      y\n" in done.stdout
    assert done.stdout.endswith("--include_path 'my tasks' --tasks mine\n")
    failed = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert failed.returncode == 1
    assert failed.stderr.splitlines()[-1].startswith("skywork-rb-plugin: found my tasks/mine.yaml, expected no")
    assert "Traceback" not in failed.stderr


@pytest.mark.skipif(SAMPLES is None, reason="SKYWORK_RB_SAMPLES is not set")
@pytest.mark.parametrize(
    ("name", "rows", "keys"),
    [
        ("rewardbench_v1_filtered", 2985, {}),
        ("rewardbench2_partial", 883, {}),
        ("llmbar_original", 419, {"doc_to_target": {"label": {1: 0, 2: 1}}}),
        ("hhh_alignment", 221, {"doc_to_choice": "{{targets.choices}}"}),
    ],
)
def test_real_data(tmp_path, capsys, name, rows, keys):
    """Every row of the published files is read without a flag."""
    new_task.main(["--dataset", str(SAMPLES / f"{name}.jsonl"), "--name", "mine", "--output", str(tmp_path)])
    assert f"{rows:,} rows, all of them read" in capsys.readouterr().out
    assert keys.items() <= read_yaml(tmp_path / "mine.yaml").items()
