"""`new-task`: the YAML it writes, files and folders of every kind, and what it says of bad input."""

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


def pair(label, *values, **responses):
    """Rows with a label; the second response is the better one by the scorer."""
    responses = responses or PAIR
    return [{"prompt": "p", **responses, label: value} for value in values]


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
        ([{**GOOD, "system": None}, {**GOOD, "system": "Be kind."}], [], "found system beside prompt in json files"),
        ([GOOD], ["--first", "1"], "--first: found 1 without a label, expected it with --target COLUMN"),
        ([GOOD], ["--target", "prompt", "--scores", "prompt"], "found --target and --scores, expected one of them"),
        ([GOOD], ["--target", "nosuch"], "--target: found no column 'nosuch' in json files"),
        ([GOOD], ["--scores", "nope"], "--scores: found no column 'nope' in json files"),
        ([GOOD], ["--name", "arc_easy"], "--name: found arc_easy, a task of lm-eval or of this plugin"),
        ([GOOD], ["--name", "rewardbench2_math"], "--name: found rewardbench2_math, a task of lm-eval or of this plugin"),
        ([GOOD], ["--prompt", "ask"], "--prompt: found no column 'ask' in json files .*, expected one of prompt, chosen"),
        ([GOOD, {**GOOD, "chosen": None}], [], "task mine, row 1: found None, expected .*, in chosen"),
        ([GOOD], ["--split", "test"], "--split: found no split 'test' in the json files .*, expected one of train"),
        ([GOOD], ["--name", "a" * 300], "--name: found a name of 300 bytes, expected 200 at most: files are called by it"),
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


def test_force_replaces_a_yaml_and_nothing_else(tmp_path):
    """Not the data that a link with the YAML's name leads to; what can't be used after all is put back, byte for byte."""
    rows = write_rows(tmp_path / "rows.jsonl", [GOOD])
    (tmp_path / "mine.yaml").symlink_to(rows)
    with pytest.raises(UserError, match=r"found .*mine.yaml, a link to .*rows.jsonl, expected a YAML to replace"):
        write([GOOD], tmp_path, "--force")
    assert (tmp_path / "rows.jsonl").read_text().startswith('{"prompt"')
    (tmp_path / "folder.yaml").mkdir()
    with pytest.raises(UserError, match=r"found .*folder.yaml, a folder, expected a YAML to replace"):
        write([GOOD], tmp_path, "--force", name="folder")
    (tmp_path / "mine.yaml").unlink()
    (tmp_path / "mine.yaml").write_bytes(b"caf\xe9")
    with pytest.raises(UserError, match="row 1: found None"):
        write([GOOD, {**GOOD, "chosen": None}], tmp_path, "--force")
    assert (tmp_path / "mine.yaml").read_bytes() == b"caf\xe9"


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
