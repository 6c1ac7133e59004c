"""`python -m skywork_rb_plugin new-task`: from a dataset's columns to a task's YAML, checked on every row."""

import argparse
import os
import re
import shlex
import textwrap
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from skywork_rb_plugin.commands import argument_parser
from skywork_rb_plugin.commands.columns import Columns
from skywork_rb_plugin.commands.new_task.guess import keys_for
from skywork_rb_plugin.commands.new_task.yaml_file import Function, yaml_of
from skywork_rb_plugin.commands.task_manager import task_manager
from skywork_rb_plugin.errors import UserError

_SPLITS = ("test", "validation", "train")
# of a name: files of results begin with it, and file systems take 255 bytes
_LONGEST = 200
_EXPECTED = (
    "expected `chosen` and `rejected`, two responses with a label or scores, or a list of responses with scores: say with "
    "--prompt, --responses, --target and --scores which columns they are"
)


def main(arguments: list[str]) -> None:
    """Run the command.

    Raises:
        UserError: the dataset can't be read or understood, or the YAML can't be written.
    """
    options = _parser().parse_args(arguments)
    folder = Path(options.output)
    file = folder / f"{options.name}.yaml"
    _check_name(options.name, file, options.force)
    config = {
        "task": options.name,
        "class": Function("skywork_rb_plugin.PreferenceTask"),
        "output_type": "pairwise_preference",
        **dataset_keys(options.dataset, options.config, options.split, folder),
    }
    rows, split, origin = _rows(config, folder)
    config |= {"test_split": split}
    columns = Columns(rows, rows.column_names, origin, _EXPECTED)
    config |= keys_for(columns, options.prompt, options.responses, options.target, options.first, options.scores)
    text = yaml_of({**config, "metadata": {"version": 1.0}})
    task, notes = _write_and_read(file, text)
    seen = [*_seen(task, rows, "group_by" in config), *notes, *_labels(config, columns)]
    print(f"Wrote {file}:", textwrap.indent(text, "  "), sep="\n\n")
    print(*seen, sep="\n")
    print(
        f"\nIs that right? Then run it, with a model of your own or the packaged one:\n\n  {_command(task.task_name, folder)}"
    )


def dataset_keys(dataset: str, config: str | None, split: str | None, folder: Path) -> dict:
    """`dataset_path` and what belongs to it: for a file its format, with a path relative to the YAML if it lies below.

    Raises:
        UserError: a file that does not exist or whose format is not known.
    """
    from skywork_rb_plugin.tasks.data import file_format

    path = Path(dataset)
    keys: dict = {"test_split": split} if split else {}
    if kind := file_format(dataset, "--dataset"):
        if config:
            raise UserError(
                f"--config: found {config} beside the file {dataset}, expected it with a folder or a hub name"
            )
        inside = path.resolve().is_relative_to(folder.resolve())
        name = os.path.relpath(path.resolve(), folder.resolve()) if inside else str(path.resolve())
        return {"dataset_path": kind, "dataset_kwargs": {"data_files": name}, **keys}
    keys = {"dataset_path": str(path.resolve()) if path.is_dir() else dataset, **keys}
    return {**keys, "dataset_name": config} if config else keys


def _check_name(name: str, file: Path, force: bool) -> None:
    if not re.fullmatch(r"[A-Za-z0-9][\w.-]*", name):
        raise UserError(f"--name: found {name!r}, expected letters, digits, _, - and .")
    if (length := len(name.encode())) > _LONGEST:
        raise UserError(f"--name: found a name of {length} bytes, expected {_LONGEST} at most: files are called by it")
    if name.startswith("rewardbench_"):
        raise UserError(f"--name: found {name}, expected another beginning: `rewardbench_*` are RewardBench's subsets")
    if not file.parent.is_dir():
        raise UserError(f"--output: found no folder {file.parent}, expected one to write {file.name} to")
    if file.exists() and not force:
        raise UserError(f"found {file}, expected no such file: choose another --name, or --force to replace it")
    if file.is_dir() or file.resolve().suffix != file.suffix:
        found = "a folder" if file.is_dir() else f"a link to {file.resolve()}"
        raise UserError(f"found {file}, {found}, expected a YAML to replace: choose another --name")
    if name in task_manager().match_tasks([name]):
        raise UserError(f"--name: found {name}, a task of lm-eval or of this plugin; expected a name of your own")


def _rows(config: Mapping, folder: Path):
    """The rows to look at, their split, and where they come from."""
    from skywork_rb_plugin.tasks import data

    source = data.find_source(
        config["dataset_path"], config.get("dataset_name"), config.get("dataset_kwargs"), yaml_folder=folder
    )
    dataset, origin = data.load(source, "check --dataset and --config")
    wanted = config.get("test_split")
    split = wanted or next((name for name in _SPLITS if name in dataset), next(iter(dataset)))
    if split not in dataset:
        raise UserError(f"--split: found no split {split!r} in the {origin}, expected one of {', '.join(dataset)}")
    if not len(dataset[split]):
        raise UserError(f"found no rows in split {split!r} of the {origin}, expected some")
    return dataset[split], split, origin


def _write_and_read(file: Path, text: str):
    """Write the YAML, load it as the host does, and read every row once; a YAML that fails is not left behind.

    Returns:
        The task, and lines on what is no error but worth a look.

    Raises:
        UserError: the file can't be written, or a row can't be read.
    """
    from skywork_rb_plugin.host import TaskManager

    try:
        before = file.read_bytes() if file.exists() else None
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UserError(f"could not write {file} ({error.strerror}): --output names another folder") from error
    try:
        [task] = TaskManager(include_path=str(file), include_defaults=False).load([str(file)])["tasks"].values()
        return task, _notes(task)
    except BaseException:
        file.unlink() if before is None else file.write_bytes(before)
        raise


def _seen(task, rows: Sequence, grouped: bool) -> list[str]:
    """The first row as the task reads it, for the user to check."""
    doc = task.eval_docs[0]
    choices, target = task.choices(doc), task.doc_to_target(doc)
    preferred = target if isinstance(target, list) else [target]
    turns = [f"{message['role']}: {message['content']}" for message in choices[0].messages]
    shown = [("prompt", " / ".join(turns))]
    shown += [("preferred" if i in preferred else "other", choice.response) for i, choice in enumerate(choices)]
    count = f"{len(task.eval_docs):,} rows"
    if len(task.eval_docs) < len(rows):
        count = f"{len(task.eval_docs):,} prompts of {len(rows):,} rows" if grouped else f"{count} of {len(rows):,}"
    short = [f"  {kind:<9}  {textwrap.shorten(text, 90, placeholder=' …')}" for kind, text in shown]
    return [f"{count}, all of them read. The first one, as the task reads it:", *short]


def _labels(config: Mapping, columns: Columns) -> list[str]:
    """What each label was taken for, and how often it occurs."""
    if not isinstance(config.get("doc_to_target"), Mapping):
        return []
    [(field, meant)] = config["doc_to_target"].items()
    name = field if field in columns.top else field.strip("{}")
    counts = Counter(columns.value(row, name) for row in columns.rows)
    lines = [
        f"  {config['doc_to_choice'][meant[label]] if label in meant else 'left out'}: {count:,} rows with {label!r}"
        for label, count in counts.most_common()
    ]
    return ["Labels, by what they were taken for:", *lines]


def _notes(task) -> list[str]:
    """Read every row; lines on what is no error, but worth a look."""
    equal = empty = 0
    for doc in task.eval_docs:
        responses, target = task.doc_to_choice(doc), task.doc_to_target(doc)
        preferred = target if isinstance(target, list) else [target]
        others = {response for i, response in enumerate(responses) if i not in preferred}
        equal += any(responses[i] in others for i in preferred)
        empty += "" in responses
    notes = [(equal, "with a preferred response that equals another one"), (empty, "with an empty response")]
    return [f"Note: {count:,} rows {what}." for count, what in notes if count]


def _command(name: str, folder: Path) -> str:
    return (
        f"lm_eval run --model hf-reward --model_args pretrained=demo --include_path {shlex.quote(str(folder))} "
        f"--tasks {name}"
    )


def _parser() -> argparse.ArgumentParser:
    parser = argument_parser("new-task")
    add = parser.add_argument
    add("--dataset", required=True, help="a .jsonl, .json, .parquet or .csv file, a folder, or a hub name")
    add("--name", required=True, help="of the task, and of its YAML")
    add("--config", help="configuration of the dataset, where it has several")
    add("--split", help="split to evaluate (default: test, validation or train)")
    add("--prompt", metavar="COLUMN", help="the prompt: text or messages")
    add("--responses", metavar="COLUMN", nargs="+", default=[],
        help="two or more columns, of which the first is preferred if nothing says otherwise; a column with lists; or, "
        "with --scores, a column with one response per row")  # fmt: skip
    add("--target", metavar="COLUMN", help="a label that says which response is preferred")
    add("--first", metavar="VALUE", help="the label that means the first of the responses")
    add("--scores", metavar="COLUMN", nargs="+", default=[], help="numbers: one column, or one for each response")
    add("--output", metavar="FOLDER", default=".", help="where the YAML goes (default: the current folder)")
    add("--force", action="store_true", help="replace an existing YAML")
    return parser
