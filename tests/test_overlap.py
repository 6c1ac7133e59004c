"""`overlap`: how both sides are read, the report and the file it writes, bad input."""

import json
import os
import re
import subprocess
import sys

import datasets
import pytest
from conftest import preference_task, write_rows

from skywork_rb_plugin import UserError
from skywork_rb_plugin.commands.overlap import command as overlap
from skywork_rb_plugin.commands.overlap.ngrams import find_overlap
from skywork_rb_plugin.commands.overlap.prompts import (
    evaluation_prompts,
    find_tasks,
    open_training,
    training_turns,
    turns_of,
)
from skywork_rb_plugin.commands.overlap.report import check_output, report, write_contaminated

LONG = "Name the nine largest rivers of Europe and the seas that they reach"
MESSAGES = [{"role": "system", "content": "Answer briefly."}, {"role": "user", "content": LONG}]


@pytest.fixture
def run(tmp_path, monkeypatch, task_manager):
    """Run the command in this process on training rows, with the tests' one TaskManager."""

    def call(rows, *options):
        monkeypatch.setattr(overlap, "task_manager", lambda include_path: task_manager)
        overlap.main(["--train", write_rows(tmp_path / "train.jsonl", rows), "--tasks", "preference_demo", *options])

    return call


@pytest.mark.parametrize(
    "row",
    [
        {"prompt": LONG, "chosen": "Volga", "rejected": "no"},
        {"prompt": MESSAGES, "chosen": [{"role": "assistant", "content": "a"}], "rejected": "b"},
        {"chosen": [*MESSAGES, {"role": "assistant", "content": "a"}],
         "rejected": [*MESSAGES, {"role": "assistant", "content": "b"}]},
        {"chosen": f"{LONG} Volga, Danube", "rejected": f"{LONG} no idea"},
        {"chosen": f"\n\nHuman: {LONG}\n\nAssistant: a", "rejected": f"\n\nHuman: {LONG}\n\nAssistant: b"},
    ],
    ids=["strings", "messages", "conversations", "implicit", "transcripts"],
)  # fmt: skip
def test_training_formats(row):
    """The prompt of every preference format is read as our tasks read it, without the responses."""
    [(place, turns)] = training_turns({"train": [row]}, None)
    assert place == ("train", 0)
    assert turns[-1] == LONG.lower().split()
    assert turns[:-1] in ([], [["answer", "briefly"]])


def test_assistant_turns_do_not_count():
    """What the assistant said before is no part of the prompt; a column of one's own may hold whole conversations."""
    turns = [
        {"role": "user", "content": "one"},
        {"role": "assistant", "content": "two"},
        {"role": "user", "content": "three"},
    ]
    assert turns_of(turns) == [["one"], ["three"]]
    assert list(training_turns({"t": [{"text": turns}]}, "text")) == [(("t", 0), [["one"], ["three"]])]


def test_files_folders_and_splits(tmp_path):
    """Every format gives the same rows; a folder gives its splits, or the one asked for."""
    rows = [{"prompt": f"{LONG} {i}", "chosen": "a", "rejected": "b", "other": i} for i in range(3)]
    table = datasets.Dataset.from_list(rows)
    write_rows(tmp_path / "a.jsonl", rows)
    (tmp_path / "a.json").write_text(json.dumps(rows))
    table.to_parquet(tmp_path / "a.parquet")
    table.to_csv(tmp_path / "a.csv")
    folder = tmp_path / "folder"
    folder.mkdir()
    write_rows(folder / "train.jsonl", rows)
    write_rows(folder / "test.jsonl", rows[:1])
    expected = [row["prompt"] for row in rows]
    for name in ("a.jsonl", "a.json", "a.parquet", "a.csv"):
        [(found, opened)] = open_training(str(tmp_path / name)).items()
        assert found == str(tmp_path / name)
        assert list(opened["prompt"]) == expected
    splits = open_training(str(folder))
    assert {name: len(opened) for name, opened in splits.items()} == {f"{folder}[train]": 3, f"{folder}[test]": 1}
    assert [*map(len, open_training(str(folder), "test", "prompt").values())] == [1]


def test_tasks_by_name(task_manager):
    """A group, a member of it and a glob: each task once."""
    members = [f"preference_demo_{name}" for name in ("chat", "chat_hard", "reasoning", "safety")]
    tasks = find_tasks(f"preference_demo, {members[0]},preference_demo_*", task_manager)
    assert sorted(task.task_name for task in tasks) == sorted(members)
    with pytest.raises(UserError, match="found no task, group or tag 'nothing', expected for --tasks what"):
        find_tasks("preference_demo,nothing", task_manager)


def test_a_task_of_another_kind_is_refused():
    """One line names it."""
    from types import SimpleNamespace

    manager = SimpleNamespace(match_tasks=lambda names: names, load=lambda names: {"tasks": {"arc": object()}})
    with pytest.raises(UserError, match="found arc, expected for --tasks preference tasks only"):
        find_tasks("arc", manager)
    manager.load = lambda names: 1 / 0
    with pytest.raises(UserError, match=r"could not load arc \(ZeroDivisionError: division by zero\), check --tasks"):
        find_tasks("arc", manager)


def test_report_and_output(tmp_path, task_manager):
    """A task with known overlap: the counts, the worst example and the lines of the output file."""
    responses = {"chosen": [{"role": "assistant", "content": "a"}], "rejected": [{"role": "assistant", "content": "b"}]}
    messages = [MESSAGES[1:], MESSAGES, [{"role": "user", "content": "Hi"}]]
    rows = [{"id": f"x-{i}", "prompt": prompt, **responses} for i, prompt in enumerate(messages, 1)]
    tasks = task_manager.load([preference_task(rows, tmp_path)])["tasks"].values()
    prompts = evaluation_prompts(tasks)
    assert [prompt.id for prompt in prompts] == ["x-1", "x-2", "x-3"]
    training = {"pairs.jsonl": [{"prompt": text} for text in ("Bonjour", f"{LONG}?", "Please: " + LONG)]}
    turns = training_turns(training, "prompt")
    overlaps = find_overlap([prompt.turns for prompt in prompts], turns, 8, 0.5)
    # the second prompt has 15 words, so eight 8-grams, of which two begin in its system message
    assert [found.share for found in overlaps] == [1, 6 / 8, 0]
    text = report(prompts, overlaps, 3, 8, 0.5, None)
    assert re.search(r"^mine +3 +2 +2 +1$", text, re.MULTILINE)
    assert re.search(r"^total +3 +2 +2 +1$", text, re.MULTILINE)
    assert "1 evaluation prompts have fewer than 8 words" in text
    assert re.search(
        r"^mine +0 +x-1 +1\.00 +pairs.jsonl:1 +name the nine largest rivers of europe and$", text, re.MULTILINE
    )
    assert "2 of 3 training rows have a share of 0.5 or more of an evaluation prompt: --output FILE lists them." in text
    out = tmp_path / "out.jsonl"
    for _ in range(2):
        check_output(str(out))
        write_contaminated(out, prompts, overlaps)
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    rows = {"pairs.jsonl": [1, 2]}
    assert lines == [
        {"task": "mine", "row": 0, "id": "x-1", "share": 1.0, "identical": True, "training_rows": rows},
        {"task": "mine", "row": 1, "id": "x-2", "share": 0.75, "identical": False, "training_rows": rows},
    ]
    with pytest.raises(UserError, match=r"could not write --output .*nowhere"):
        write_contaminated(tmp_path / "nowhere" / "out.jsonl", prompts, overlaps)


def test_nothing_in_common(run, capsys):
    """The report says so."""
    run([{"prompt": "zyx wvu tsr", "chosen": "a", "rejected": "b"}])
    text = capsys.readouterr().out
    assert re.search(r"^total +112 +0 +0 +0$", text, re.MULTILINE)
    assert "Largest shares" not in text
    assert text.endswith("No training row has a share of 0.5 or more: nothing to drop.\n")


def test_an_earlier_report_is_all_that_output_replaces(run, tmp_path, monkeypatch):
    """Training rows, whatever the way to them, a YAML or a note are refused before anything is computed, and kept."""
    rows = [{"prompt": f"{LONG} {i}", "chosen": "a", "rejected": "b"} for i in range(2)]
    train = tmp_path / "train.jsonl"
    (tmp_path / "link.jsonl").symlink_to(train)
    (tmp_path / "list.json").write_text('[{"prompt": "p"}]')
    (tmp_path / "notes.txt").write_bytes(b"\xff notes")
    for name in ("train.jsonl", "link.jsonl", "list.json", "notes.txt"):
        before = (tmp_path / name).read_bytes() if name.startswith(("list", "notes")) else None
        with pytest.raises(
            UserError, match=f"--output .*{name}: found a file that is no earlier report of this command"
        ):
            run(rows, "--output", str(tmp_path / name))
        assert (tmp_path / name).read_bytes() == (before or train.read_bytes())
        assert train.read_text().count("\n") == 2
    monkeypatch.setattr(overlap, "open_training", lambda *_: pytest.fail("read too early"))
    for name, found in (("", "a folder"), ("none/out.jsonl", f"no folder {tmp_path}/none")):
        with pytest.raises(UserError, match=f"--output .*: found {found}, expected the name of a file in a folder"):
            run(rows, "--output", str(tmp_path / name))
    with pytest.raises(UserError, match="could not write --output"):
        run(rows, "--output", "a" * 300)
    check_output("/dev/null")


def test_the_report_outlives_an_output_that_fails(run, tmp_path, monkeypatch, capsys):
    """It is printed before the file is written."""
    monkeypatch.setattr(overlap, "check_output", lambda file: None)
    with pytest.raises(UserError, match="could not write --output"):
        run([{"prompt": "zyx", "chosen": "a", "rejected": "b"}], "--output", str(tmp_path / "none" / "out.jsonl"))
    assert "nothing to drop" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--ngram", "0"], "found --ngram 0, expected 1 or more words"),
        (["--threshold", "0"], "found --threshold 0, expected a fraction above 0 and at most 1"),
        (["--threshold", "1.5"], "found --threshold 1.5, expected a fraction"),
        (["--threshold", "nan"], "found --threshold nan, expected a fraction"),
        (["--split", "test"], "found no split 'test' in .*train.jsonl, expected for --split one of train"),
        (["--prompt", "text"], r"found no column 'text' in .*train.jsonl \(columns: prompt, chosen, rejected\)"),
        (["--prompt", "chosen"], r"train.jsonl, row 0: found None, expected a string or a list of messages"),
    ],
)
def test_bad_options(run, options, message):
    """One line: what was found, what was expected, the flag."""
    with pytest.raises(UserError, match=message):
        run([{"prompt": "q", "chosen": None, "rejected": "b"}], *options)


def test_responses_are_not_read_where_there_is_a_prompt(run, capsys):
    """A null response is none of this command's business."""
    run([{"prompt": "zyx", "chosen": None, "rejected": "b"}])
    assert "nothing to drop" in capsys.readouterr().out


def test_bad_training_files(tmp_path):
    """A missing file, another format, a broken file, no prompt."""
    cases = {
        "none.jsonl": "--train: found no file .*none.jsonl, expected a .jsonl, .json, .parquet, .csv file, a folder",
        "notes.txt": "notes.txt, a file of another format, expected a",
        "broken.jsonl": "could not load the json files .*broken.jsonl .*check --train",
        "sft.jsonl": r"found no column 'chosen' or 'rejected' in .*sft.jsonl \(columns: text\), expected .*--prompt COLUMN",
        "no/such": "could not load the hub dataset no/such .*check --train",
    }
    (tmp_path / "notes.txt").write_text("a")
    (tmp_path / "broken.jsonl").write_text("{")
    write_rows(tmp_path / "sft.jsonl", [{"text": "a"}])
    for name, message in cases.items():
        with pytest.raises(UserError, match=message):
            open_training(name if "/" in name else str(tmp_path / name))


def test_command(data_root, tmp_path):
    """The real command on official counts of rows; overlap found is no failure, bad input is one line."""
    prompts = ["Question 7 of hep-python?", "What about Question 0 of hep-cpp? It is short."]
    train = write_rows(tmp_path / "train.jsonl", [{"prompt": p, "chosen": "a", "rejected": "b"} for p in prompts])
    command = [
        sys.executable,
        "-m",
        "skywork_rb_plugin",
        "overlap",
        "--train",
        train,
        "--ngram",
        "4",
        "--threshold",
        "1",
    ]
    settings = {**os.environ, "SKYWORK_RB_DATA_ROOT": str(data_root), "HF_HUB_OFFLINE": "1"}

    def call(*options):
        return subprocess.run([*command, *options], env=settings, cwd=tmp_path, capture_output=True, text=True)

    done = call("--tasks", "rewardbench,rewardbench_hep_cpp", "--output", "out.jsonl")
    assert done.returncode == 0, done.stderr
    # every hep-* subset has a question 0 and a question 7; one is asked in the same words, one within a longer prompt
    for name, identical in (("hep_python", 1), ("hep_cpp", 0)):
        assert re.search(rf"^rewardbench_{name} +164 +2 +1 +{identical}$", done.stdout, re.MULTILINE)
    assert re.search(r"^total +2,985 +12 +2 +1$", done.stdout, re.MULTILINE)
    lines = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert {(line["task"], line["row"]): line["training_rows"] for line in lines} == {
        ("rewardbench_hep_python", 7): {train: [0]},
        ("rewardbench_hep_cpp", 0): {train: [1]},
    }
    failed = call("--tasks", "rewardbench", "--train", "none.jsonl")
    assert failed.returncode == 1
    assert failed.stderr.splitlines()[-1].startswith("skywork-rb-plugin: --train: found no file none.jsonl, expected a")
    assert "Traceback" not in failed.stderr
