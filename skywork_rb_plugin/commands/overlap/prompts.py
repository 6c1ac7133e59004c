"""The two sides that are compared: the prompts of training sets, and those of evaluation tasks."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from skywork_rb_plugin.commands.overlap.ngrams import Place, Turns, words_of
from skywork_rb_plugin.conversations import Message, as_messages
from skywork_rb_plugin.errors import UserError
from skywork_rb_plugin.tasks.rows import choices_of
from skywork_rb_plugin.tasks.transcripts import chosen_and_rejected


@dataclass(frozen=True)
class Prompt:
    """An evaluation prompt: its task, the row's number from 0 and id, and the words of its turns."""

    task: str
    row: int
    id: object
    turns: Turns


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


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"


def evaluation_prompts(tasks: Iterable) -> list[Prompt]:
    """The prompts of preference tasks, in order: what stands before each row's first response."""
    return [
        Prompt(task.task_name, row, doc.get("id"), turns_of(task.choices(doc)[0].messages))
        for task in tasks
        for row, doc in enumerate(task.eval_docs)
    ]
