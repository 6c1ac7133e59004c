"""Our commands, `python -m skywork_rb_plugin COMMAND …`, in a folder with a few files."""

import json
from unittest.mock import patch

from conftest import write_rows
from scripted import ROWS

from bad_inputs.case import Area, Place, host, line, scored
from skywork_rb_plugin import commands
from skywork_rb_plugin.commands.new_task import command as new_task
from skywork_rb_plugin.commands.overlap import command as overlap

LABELLED = [{"prompt": "One?", "answer_a": "x", "answer_b": "y", "winner": label} for label in ("a", "b", "tie")]
FILES = {
    "rows.jsonl": ROWS,
    "labelled.jsonl": LABELLED,
    "odd.jsonl": [{"x": 1, "y": True}],
    "null.jsonl": [{"prompt": None, "chosen": None, "rejected": None}],
    "late.jsonl": [*ROWS, {"id": 10, "prompt": "Four?", "chosen": None, "rejected": "x", "kind": "d"}],
    "rated.jsonl": [
        {"prompt": "One?", "response": "a", "score": "high"},
        {"prompt": "One?", "response": "b", "score": "low"},
    ],
}


def attempt(arguments: str, place: Place):
    """Run a command; its names of tasks are looked up in the tests' own TaskManager."""
    for name, rows in FILES.items():
        write_rows(place.folder / name, rows)
    (place.folder / "empty.jsonl").write_text("")
    (place.folder / "text.txt").write_text("text")
    (place.folder / "cut.jsonl").write_text(json.dumps(ROWS[0])[:30])
    (place.folder / "empty_folder").mkdir()
    (place.folder / "taken.yaml").write_text("x")
    name, *rest = arguments.split(" ")
    with (
        patch.object(new_task, "task_manager", lambda: place.task_manager),
        patch.object(overlap, "task_manager", lambda include_path: place.task_manager),
        patch("builtins.print"),
    ):
        commands.run(name, [word.replace("~", " ") for word in rest])


_NEW = "new-task --name mine --dataset"
_NEW_TASK = {
    "new-task": host("new-task", "argparse: usage: python -m skywork_rb_plugin new-task"),
    "new-task of pairs": scored(f"{_NEW} rows.jsonl"),
    "new-task without --name": host("new-task --dataset rows.jsonl", "the following arguments are required: --name"),
    "new-task without --dataset": host("new-task --name mine", "the following arguments are required: --dataset"),
    "new-task with an unknown flag": host(f"{_NEW} rows.jsonl --xyzzy", "unrecognized arguments: --xyzzy"),
    "new-task with a word too many": host(f"{_NEW} rows.jsonl more", "unrecognized arguments: more"),
    "new-task with a flag without value": host(f"{_NEW} rows.jsonl --split", "argument --split: expected one argument"),
    "new-task: --name with a blank": line(
        "new-task --name a~b --dataset rows.jsonl", "--name: found 'a b', expected letters"
    ),
    "new-task: --name with a slash": line("new-task --name a/b --dataset rows.jsonl", "--name: found 'a/b'"),
    "new-task: --name that is empty": line("new-task --name= --dataset rows.jsonl", "--name: found ''"),
    "new-task: --name with a dot in front": line("new-task --name .a --dataset rows.jsonl", "--name: found '.a'"),
    "new-task: --name of RewardBench": line(
        "new-task --name rewardbench_x --dataset rows.jsonl", "--name: found rewardbench_x"
    ),
    "new-task: --name of a task": line(
        "new-task --name preference_demo --dataset rows.jsonl", "a task of lm-eval or of this"
    ),
    "new-task: --name that is taken": line(
        "new-task --name taken --dataset rows.jsonl", "found taken.yaml, expected no such"
    ),
    "new-task: --name of 300 letters": line(f"new-task --name {'a' * 300} --dataset rows.jsonl", "--name"),
    "new-task: --output absent": line(f"{_NEW} rows.jsonl --output absent", "--output: found no folder absent"),
    "new-task: --output is a file": line(f"{_NEW} rows.jsonl --output text.txt", "--output: found no folder text.txt"),
    "new-task: no such file": line(f"{_NEW} absent.jsonl", "--dataset: found no file absent.jsonl"),
    "new-task: no such folder": line(f"{_NEW} ./absent", "--dataset: found no file ./absent"),
    "new-task: no such dataset": line(f"{_NEW} no/such-set", "no/such-set"),
    "new-task: an empty name of a dataset": line(f"{_NEW} ", "--dataset"),
    "new-task: an empty file": line(f"{_NEW} empty.jsonl", "--dataset: found empty.jsonl, an empty file"),
    "new-task: a damaged file": line(f"{_NEW} cut.jsonl", "could not load the json files"),
    "new-task: a file of another kind": line(f"{_NEW} text.txt", "--dataset: found text.txt, a file of another format"),
    "new-task: an empty folder": line(f"{_NEW} empty_folder", "could not load the folder"),
    "new-task: a folder of several sets": line(f"{_NEW} .", "could not load the folder"),
    "new-task: --config beside a file": line(
        f"{_NEW} rows.jsonl --config x", "--config: found x beside the file rows.jsonl"
    ),
    "new-task: --split absent": line(f"{_NEW} rows.jsonl --split test", "--split: found no split 'test'"),
    "new-task: columns that say nothing": line(f"{_NEW} odd.jsonl", "in the columns x (number), y (other)"),
    "new-task: columns of null": line(f"{_NEW} null.jsonl", "null.jsonl"),
    "new-task: a bad row at the end": line(f"{_NEW} late.jsonl", "row 3 (id 10): found None"),
    "new-task: --prompt absent": line(f"{_NEW} rows.jsonl --prompt promt", "--prompt: found no column 'promt'"),
    "new-task: --prompt of numbers": line(f"{_NEW} rows.jsonl --prompt id", "found 7"),
    "new-task: --prompt that is a response": scored(f"{_NEW} rows.jsonl --prompt chosen"),
    "new-task: --responses absent": line(
        f"{_NEW} rows.jsonl --responses choosen rejected", "--responses: found no column 'choosen'"
    ),
    "new-task: one response": line(f"{_NEW} rows.jsonl --responses chosen", "chosen"),
    "new-task: one response twice, which is noted": scored(f"{_NEW} rows.jsonl --responses chosen chosen"),
    "new-task: responses of numbers": line(f"{_NEW} rows.jsonl --responses id chosen", "found 7"),
    "new-task: --target absent": line(f"{_NEW} labelled.jsonl --target winer", "--target: found no column 'winer'"),
    "new-task: --target without --responses": scored(f"{_NEW} labelled.jsonl --target winner"),
    "new-task: --first that is no label": line(
        f"{_NEW} labelled.jsonl --target winner --first zzz", "found the labels 'a', 'b', 'tie' in column 'winner'"
    ),
    "new-task: --first without --target": line(f"{_NEW} rows.jsonl --first x", "--first"),
    "new-task: --scores absent": line(f"{_NEW} rated.jsonl --scores scor", "--scores: found no column 'scor'"),
    "new-task: --scores of text": line(f"{_NEW} rated.jsonl --responses response --scores score", "score"),
    "new-task: --scores beside --target": line(f"{_NEW} labelled.jsonl --scores winner --target winner", "--target"),
    "new-task: three scores for two responses": line(
        f"{_NEW} rows.jsonl --responses chosen rejected --scores id id id",
        "found [7, 7, 7] for `doc_to_scores`, expected 2 numbers",
    ),
}

_TRAIN = "overlap --tasks preference_demo_chat --train"
_OVERLAP = {
    "overlap": host("overlap", "the following arguments are required: --train, --tasks"),
    "overlap of pairs": scored(f"{_TRAIN} rows.jsonl"),
    "overlap: no such file": line(f"{_TRAIN} absent.jsonl", "--train: found no file absent.jsonl"),
    "overlap: no such dataset": line(f"{_TRAIN} no/such-set", "no/such-set"),
    "overlap: an empty file": line(f"{_TRAIN} empty.jsonl", "--train: found empty.jsonl, an empty file"),
    "overlap: a damaged file": line(f"{_TRAIN} cut.jsonl", "could not load the json files"),
    "overlap: a file of another kind": line(f"{_TRAIN} text.txt", "--train: found text.txt, a file of another format"),
    "overlap: a folder without files": line(f"{_TRAIN} empty_folder", "could not load the folder"),
    "overlap: other columns": line(f"{_TRAIN} odd.jsonl", "found no column 'chosen' or 'rejected' in odd.jsonl"),
    "overlap: a prompt of null": line(f"{_TRAIN} null.jsonl", "null.jsonl, row 0: found"),
    "overlap: --split absent": line(f"{_TRAIN} rows.jsonl --split test", "found no split 'test' in rows.jsonl"),
    "overlap: --prompt absent": line(f"{_TRAIN} rows.jsonl --prompt promt", "found no column 'promt' in rows.jsonl"),
    "overlap: --prompt of numbers": line(f"{_TRAIN} rows.jsonl --prompt id", "rows.jsonl, row 0: found 7"),
    "overlap: the same file twice": scored(f"{_TRAIN} rows.jsonl rows.jsonl"),
    "overlap: --ngram 0": line(f"{_TRAIN} rows.jsonl --ngram 0", "found --ngram 0, expected 1 or more words"),
    "overlap: --ngram -3": line(f"{_TRAIN} rows.jsonl --ngram -3", "found --ngram -3"),
    "overlap: --ngram of text": host(f"{_TRAIN} rows.jsonl --ngram x", "argument --ngram: invalid int value: 'x'"),
    "overlap: --ngram half": host(f"{_TRAIN} rows.jsonl --ngram 1.5", "argument --ngram: invalid int value: '1.5'"),
    "overlap: --ngram of a million": scored(f"{_TRAIN} rows.jsonl --ngram 1000000"),
    "overlap: --threshold 0": line(f"{_TRAIN} rows.jsonl --threshold 0", "found --threshold 0, expected a fraction"),
    "overlap: --threshold 2": line(f"{_TRAIN} rows.jsonl --threshold 2", "found --threshold 2"),
    "overlap: --threshold nan": line(f"{_TRAIN} rows.jsonl --threshold nan", "found --threshold nan"),
    "overlap: --threshold of text": host(
        f"{_TRAIN} rows.jsonl --threshold x", "argument --threshold: invalid float value"
    ),
    "overlap: no such task": line("overlap --train rows.jsonl --tasks xyzzy", "found no task, group or tag 'xyzzy'"),
    "overlap: an empty task": line("overlap --train rows.jsonl --tasks ,", "found no task, group or tag ''"),
    "overlap: --output in no folder": line(f"{_TRAIN} rows.jsonl --output absent/a.jsonl", "--output absent/a.jsonl"),
    "overlap: --output is a folder": line(
        f"{_TRAIN} rows.jsonl --output empty_folder", "--output empty_folder: found a folder, expected"
    ),
    "overlap: --output is the training file": line(f"{_TRAIN} rows.jsonl --output rows.jsonl", "rows.jsonl"),
}

_INFO = {
    "info: an unknown task": line("info --task xyzzy", "--task: found no benchmark, section, tag or task 'xyzzy'"),
    "info: a misspelt task": line("info --task rewardbnch", "expected one such as rewardbench"),
    "info: a task in capitals": line("info --task REWARDBENCH", "'REWARDBENCH'"),
    "info: an empty task": scored("info --task="),
    "info: a glob": line("info --task rewardbench_*", "'rewardbench_*'"),
    "info: a task as JSON": scored("info --json --task rewardbench"),
    "info: an unknown flag": host("info --xyzzy", "unrecognized arguments: --xyzzy"),
    "info: a word too many": host("info rewardbench", "unrecognized arguments: rewardbench"),
}

_SWEEP = "sweep --tasks preference_demo --output_path out"
_REVISIONS = f"{_SWEEP} --model_args pretrained=o/a --revisions 1"
_SWEEPS = {
    "sweep of nothing": host(_SWEEP, "one of the arguments --revisions --checkpoints is required"),
    "sweep: both kinds": host(f"{_REVISIONS} --checkpoints text.txt", "not allowed with argument --revisions"),
    "sweep: an unknown flag": host(f"{_REVISIONS} --xyzzy", "unrecognized arguments: --xyzzy"),
    "sweep: revisions of no model": line(f"{_SWEEP} --revisions 1", "found no pretrained= in --model_args"),
    "sweep: a revision beside --revisions": line(
        f"{_SWEEP} --model_args pretrained=o/a,revision=2 --revisions 1", "found revision=2 in --model_args"
    ),
    "sweep: a revision twice": line(f"{_REVISIONS} 2 1", "--revisions: found o/a@1 twice"),
    "sweep: revisions that differ in capitals": line(f"{_REVISIONS},a,A", "found o/a@a and o/a@A, which would share"),
    "sweep: no such file": line(f"{_SWEEP} --checkpoints absent.txt", "--checkpoints: can't read absent.txt"),
    "sweep: an empty file": line(f"{_SWEEP} --checkpoints empty.jsonl", "found no checkpoint in empty.jsonl"),
    "sweep: a file of rows": line(f"{_SWEEP} --checkpoints rows.jsonl", "rows.jsonl, line 1: found"),
    "sweep: an argument in both places": line(
        f"{_SWEEP} --checkpoints text.txt --model_args pretrained=o/a",
        "found pretrained= in --model_args and in text.txt",
    ),
    "sweep: --only past the end": line(f"{_REVISIONS} --only 2", "found --only 2, expected a number from 1 to 1"),
    "sweep: --config": line(f"{_REVISIONS} --config a.yaml", "found --config, which can't be used here"),
    "sweep: --cache_requests": line(f"{_REVISIONS} --cache_requests true", "found --cache_requests"),
    "sweep: no --tasks": line("sweep --revisions 1 --model_args pretrained=o/a --output_path out", "found no --tasks"),
    "sweep: no --output_path": line("sweep --revisions 1 --tasks x", "--output_path: found none"),
    "sweep: --output_path is a file": line(
        "sweep --revisions 1 --tasks x --output_path text.txt", "--output_path: found text.txt, expected a folder"
    ),
    "sweep: flags that the host refuses": line(
        f"{_REVISIONS} --fewshot_as_multiturn true", "found flags of `run` that can't be used"
    ),
}

AREA = Area("our commands", {**_NEW_TASK, **_OVERLAP, **_INFO, **_SWEEPS}, attempt)
