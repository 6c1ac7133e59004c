"""`python -m skywork_rb_plugin overlap`: which evaluation prompts does a preference training set contain?

Skywork's own 80K pairs (v0.1) had 4,957 whose prompts overlap with RewardBench's; v0.2 is without them (dataset card
of Skywork/Skywork-Reward-Preference-80K-v0.2). The rule here is that of Tülu 3 (arXiv:2411.15124, section 3.2):
n-grams of 8 words, prompts only, and an evaluation prompt counts when one training prompt has half of it; where Tülu 3
counts the words inside shared n-grams, we count the n-grams, which is a little stricter. Skywork-Reward-V2
(arXiv:2507.01352, appendix D.1) drops a training row for a single shared 13-gram, and reports that some 23% of what this
finds is harmless: that is `--ngram 13 --threshold 0.0001`.
lm-eval's own lm_eval/decontamination wants n-gram files prepared from a whole pretraining corpus, and tells no training row.
"""

import argparse
import json
import textwrap
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from skywork_rb_plugin.conversations import Message, as_messages
from skywork_rb_plugin.errors import UserError
from skywork_rb_plugin.ngrams import Overlap, Place, Turns, find_overlap, words_of
from skywork_rb_plugin.tasks.rows import choices_of
from skywork_rb_plugin.tasks.transcripts import chosen_and_rejected

NGRAM = 8
THRESHOLD = 0.5
EXAMPLES = 5


@dataclass(frozen=True)
class Prompt:
    """An evaluation prompt: its task, the row's number from 0 and id, and the words of its turns."""

    task: str
    row: int
    id: object
    turns: Turns


def main(arguments: list[str]) -> None:
    """Run the command: read both sides, print the report, write `--output`.

    Raises:
        UserError: a number out of range, a file, column, split or task that can't be found or read.
    """
    options = _parser().parse_args(arguments)
    if options.ngram < 1:
        raise UserError(f"found --ngram {options.ngram}, expected 1 or more words")
    if not 0 < options.threshold <= 1:
        raise UserError(f"found --threshold {options.threshold:g}, expected a fraction above 0 and at most 1")
    training = {}
    for path in options.train:
        training |= open_training(path, options.split, options.prompt)
    turns = training_turns(training, options.prompt)
    prompts = evaluation_prompts(find_tasks(options.tasks, _task_manager(options.include_path)))
    overlaps = find_overlap([prompt.turns for prompt in prompts], turns, options.ngram, options.threshold)
    if options.output:
        write_contaminated(options.output, prompts, overlaps)
    count = sum(map(len, training.values()))
    print(report(prompts, overlaps, count, options.ngram, options.threshold, options.output))


# the two sides


def turns_of(messages: Iterable[Message]) -> Turns:
    """The words of each user and system turn; what an assistant said is left out."""
    return [words_of(message["content"]) for message in messages if message["role"] in ("user", "system")]


def open_training(path: str, split: str | None = None, column: str | None = None) -> dict[str, Sequence[Mapping]]:
    """The rows of a file, a dataset folder or a dataset of the hub, one entry per split; only the columns we read.

    Raises:
        UserError: it can't be found or read, or has no such split or column.
    """
    from skywork_rb_plugin.tasks import data

    kind = data.file_format(path, "--train")
    source = data.find_source(kind, None, {"data_files": path}) if kind else data.find_source(path, None, None)
    splits, _ = data.load(source, "check --train")
    if split is not None and split not in splits:
        raise UserError(f"found no split {split!r} in {path}, expected for --split one of {', '.join(splits)}")
    kept = {}
    for name in [split] if split is not None else splits:
        columns = splits[name].column_names
        needed = ["chosen", "rejected"] if column is None else [column]
        if missing := [wanted for wanted in needed if wanted not in columns]:
            raise UserError(
                f"found no column {' or '.join(map(repr, missing))} in {path} (columns: {', '.join(columns)}), expected "
                "`chosen` and `rejected`, or --prompt COLUMN with the prompt's own column"
            )
        if column is None and "prompt" in columns:
            needed.append("prompt")
        kept[path if split is not None or len(splits) == 1 else f"{path}[{name}]"] = splits[name].select_columns(needed)
    return kept


def training_turns(training: Mapping[str, Iterable[Mapping]], column: str | None) -> Iterator[tuple[Place, Turns]]:
    """Row and words of every training prompt, read as our tasks read theirs or from `column`.

    Raises:
        UserError: a row can't be read so.
    """
    for name, rows in training.items():
        for i, row in enumerate(rows):
            try:
                yield (name, i), turns_of(_prompt_of(row, column))
            except ValueError as error:
                raise UserError(f"{name}, row {i}: {error}; --prompt COLUMN names the prompt's own column") from error


def _prompt_of(row: Mapping, column: str | None) -> Sequence[Message]:
    column = column or ("prompt" if row.get("prompt") else None)
    if column is not None:
        return as_messages(row[column], "user")
    # Anthropic's transcripts: their speakers are no words of the prompt
    transcripts = "prompt" not in row and all(
        isinstance(text, str) and text.startswith("\n\nHuman:") for text in row.values()
    )
    return choices_of(row, None, chosen_and_rejected if transcripts else None)[0].messages


def find_tasks(names: str, manager) -> list:
    """The preference tasks that `names` means to the host's TaskManager, each once.

    Args:
        names: tasks, groups, tags and globs, separated by commas.
        manager: a TaskManager.

    Raises:
        UserError: a name means nothing, can't be loaded, or is no preference task.
    """
    from skywork_rb_plugin.tasks.preference import PreferenceTask

    tasks = {}
    for pattern in names.split(","):
        matches = manager.match_tasks([pattern.strip()])
        if not matches:
            raise UserError(
                f"found no task, group or tag {pattern.strip()!r}, expected for --tasks what `lm_eval ls tasks` lists; "
                "--include_path FOLDER adds a folder"
            )
        # one by one: the host refuses a group and one of its members in one call
        for name in matches:
            try:
                tasks |= manager.load([name])["tasks"]
            except UserError:
                raise
            except Exception as error:
                raise UserError(f"could not load {name} ({_reason(error)}), check --tasks") from error
    if others := [name for name, task in tasks.items() if not isinstance(task, PreferenceTask)]:
        raise UserError(f"found {', '.join(others[:5])}, expected for --tasks preference tasks only; leave it out")
    return list(tasks.values())


def _task_manager(include_path: str | None):
    from skywork_rb_plugin.discovery import register

    register()
    from skywork_rb_plugin.host import TaskManager

    return TaskManager(include_path=include_path)


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"


def evaluation_prompts(tasks: Iterable) -> list[Prompt]:
    """The prompts of preference tasks, in order: what stands before each row's first response."""
    return [
        Prompt(task.task_name, row, doc.get("id"), turns_of(task.choices(doc)[0].messages))
        for task in tasks
        for row, doc in enumerate(task.eval_docs)
    ]


# what is shown


def report(
    prompts: Sequence[Prompt], overlaps: Sequence[Overlap], count: int, n: int, threshold: float, output: str | None
) -> str:
    """The report on `count` training prompts as text; `output` is the file that lists what was found, if any."""
    pairs = list(zip(prompts, overlaps, strict=True))
    counts = defaultdict(Counter)
    for prompt, overlap in pairs:
        seen = {"all": 1, "any": overlap.share > 0, "most": bool(overlap.places), "same": overlap.identical}
        counts[prompt.task].update(seen)
    total = sum(counts.values(), Counter())
    rows = len({place for overlap in overlaps for place in overlap.places})
    short = sum(sum(map(len, prompt.turns)) < n for prompt in prompts)
    lines = [
        f"{n}-grams of words that {total['all']:,} evaluation prompts share with one of {count:,} training prompts",
        "",
        *_table(
            ["task", "prompts", f"any {n}-gram", f"share >= {threshold:g}", "identical"],
            [[task, *(seen[key] for key in ("all", "any", "most", "same"))]
             for task, seen in [*counts.items(), ("total", total)]],
        ),
        "",
        f"{short:,} evaluation prompts have fewer than {n} words and were compared whole.",
    ]  # fmt: skip
    largest = {}
    for prompt, overlap in sorted(pairs, key=lambda pair: -pair[1].share):
        if overlap.share:
            largest.setdefault(prompt.task, (prompt, overlap))
    if largest:
        examples = [
            [prompt.task, prompt.row, "" if prompt.id is None else str(prompt.id), f"{overlap.share:.2f}",
             ":".join(map(str, overlap.place)), textwrap.shorten(" ".join(overlap.ngram), 70)]
            for prompt, overlap in [*largest.values()][:EXAMPLES]
        ]  # fmt: skip
        lines += ["", f"Largest shares, one per task and {EXAMPLES} at most (rows count from 0):"]
        lines += _table(["task", "row", "id", "share", "training row", "first words in common"], examples)
    if not rows:
        return "\n".join([*lines, "", f"No training row has a share of {threshold:g} or more: nothing to drop."])
    return "\n".join(
        [
            *lines,
            "",
            f"{rows:,} of {count:,} training rows have a share of {threshold:g} or more of an evaluation prompt: "
            f"{output or '--output FILE'} lists them.",
            "Drop these rows before training. For a model already trained on them, report these tasks' scores with this table.",
        ]
    )


def write_contaminated(file: str, prompts: Sequence[Prompt], overlaps: Sequence[Overlap]) -> None:
    """Write a JSON line per contaminated evaluation prompt.

    Its keys: `task`, `row` (from 0), `id` (null where rows have none), `share`, `identical`, and `training_rows`:
    numbers from 0 by training file.

    Raises:
        UserError: the file can't be written.
    """
    lines = []
    for prompt, overlap in zip(prompts, overlaps, strict=True):
        rows = defaultdict(list)
        for name, row in overlap.places:
            rows[name].append(row)
        line = {"task": prompt.task, "row": prompt.row, "id": prompt.id, "share": round(overlap.share, 4)}
        if rows:
            line |= {"identical": overlap.identical, "training_rows": rows}
            lines.append(json.dumps(line, ensure_ascii=False, default=str) + "\n")
    try:
        Path(file).write_text("".join(lines), encoding="utf-8")
    except OSError as error:
        raise UserError(f"could not write --output {file} ({error.strerror})") from error


def _table(header: list[str], rows: list[list]) -> list[str]:
    """Aligned columns: numbers to the right, text to the left."""
    signs = [">" if isinstance(cell, int) else "<" for cell in rows[0]]
    rows = [[f"{cell:,}" if isinstance(cell, int) else cell for cell in row] for row in rows]
    widths = [max(len(row[i]) for row in [header, *rows]) for i in range(len(header))]
    return [
        "  ".join(f"{cell:{sign}{width}}" for cell, sign, width in zip(row, signs, widths, strict=True)).rstrip()
        for row in [header, *rows]
    ]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m skywork_rb_plugin overlap",
        description="Report n-grams of words that evaluation prompts share with the prompts of a preference training set.",
    )
    parser.add_argument(
        "--train", nargs="+", required=True, help="files (.jsonl, .json, .parquet, .csv), folders or hub names"
    )
    parser.add_argument("--split", help="split of the training set (default: all)")
    parser.add_argument("--prompt", metavar="COLUMN", help="its column with the prompt (default: as tasks read rows)")
    parser.add_argument("--tasks", required=True, help="tasks, groups, tags or globs, separated by commas")
    parser.add_argument("--include_path", metavar="FOLDER", help="a folder with YAMLs of your own")
    parser.add_argument(
        "--ngram", type=int, default=NGRAM, metavar="N", help="words in an n-gram (default: %(default)s)"
    )
    parser.add_argument(
        "--threshold",
        type=float,
        default=THRESHOLD,
        help="share of an evaluation prompt's n-grams in one training prompt from which it counts (default: %(default)s)",
    )
    parser.add_argument("--output", metavar="FILE", help="write a JSON line per contaminated evaluation prompt")
    return parser
