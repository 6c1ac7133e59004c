"""DatasetTask: a task's rows, from wherever they are, and lines about them that name the row and the data."""

import functools
import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import datasets

from skywork_rb_plugin.errors import UserError
from skywork_rb_plugin.host import ConfigurableTask, task_rows
from skywork_rb_plugin.tasks import data
from skywork_rb_plugin.tasks.ending import sum_up_after
from skywork_rb_plugin.tasks.keys import name_of
from skywork_rb_plugin.tasks.selection import select
from skywork_rb_plugin.tasks.shapes import is_index

logger = logging.getLogger(f"lm_eval.{__name__}")


class DatasetTask(ConfigurableTask):
    """A task whose rows are those of a dataset that `where` keeps, one for each prompt under `group_by`.

    Subclasses put the YAML's keys that are ours into `_own` before this class's `__init__`.

    Raises:
        UserError: the rows can't be loaded or selected.
    """

    _own: Mapping

    def download(self, dataset_kwargs: Mapping | None = None, **kwargs) -> None:
        """Load the rows: as the host does, but from the local copy under SKYWORK_RB_DATA_ROOT if there is one."""
        if callable(self.config.custom_dataset):
            self._download_custom(dict(dataset_kwargs or {}), **kwargs)
            return
        metadata = self.config.metadata or {}
        file = metadata.get("config_source", "inline")
        source = data.find_source(
            self.config.dataset_path,
            self.config.dataset_name,
            dataset_kwargs,
            data_root=metadata.get("data_root"),
            yaml_folder=None if file == "inline" else Path(file).resolve().parent,
        )
        try:
            self.dataset, origin = data.load(source)
        except UserError as error:
            raise UserError(f"task {self.config.task}: {error}") from error.__cause__
        if not isinstance(self.dataset, datasets.DatasetDict):
            kind = type(self.dataset).__name__
            raise UserError(
                f"task {self.task_name}: found {kind}, expected splits in memory; leave out streaming and split"
            )
        self.config.metadata = {**metadata, "data_origin": origin}

    def _download_custom(self, dataset_kwargs: Mapping, **kwargs) -> None:
        name = name_of(self.config.custom_dataset)
        try:
            super().download(dataset_kwargs, **kwargs)
        except Exception as error:
            raise self._error(f"custom_dataset {name}: {one_line(error)}") from error
        if not isinstance(self.dataset, Mapping):
            found = type(self.dataset).__name__
            raise self._error(f"found {found} from custom_dataset {name}, expected {{split: datasets.Dataset}}")

    @functools.cached_property
    def eval_docs(self) -> datasets.Dataset:
        """The rows of the split that the task takes."""
        split = self.config.test_split or self.config.validation_split
        if split not in self.dataset:
            found = "no test_split" if split is None else f"no split {split!r}"
            raise self._error(f"found {found}, expected one of {', '.join(self.dataset)}")
        docs = self._processed()
        try:
            docs, numbers = select(docs, self._own.get("where"), self._own.get("group_by"))
        except ValueError as error:
            raise self._error(error) from error
        # before any row is read: errors tell its number
        self._numbered = (numbers, docs)
        docs = self._usable(docs)
        if not len(docs):
            raise self._error(f"found no rows in split {split!r}, expected some")
        return docs

    def _processed(self) -> datasets.Dataset:
        """The split as the YAML's `process_docs` makes it."""
        function = self.config.process_docs
        try:
            docs = super().eval_docs
        except Exception as error:
            if function is None:
                raise
            raise self._error(f"process_docs {name_of(function)}: {one_line(error)}") from error
        if not isinstance(docs, datasets.Dataset):
            found = f"{type(docs).__name__} from process_docs {name_of(function)}" if function else type(docs).__name__
            raise self._error(f"found {found}, expected a datasets.Dataset")
        return docs

    def build_all_requests(self, *, limit: int | None = None, samples: Sequence[int] | None = None, **kwargs) -> None:
        """Build the requests of the rows that `--limit` or `--samples` leave.

        Raises:
            UserError: they leave none, or ask for rows that are not there; or the system instruction is no text.
        """
        if not isinstance(system := kwargs.get("system_instruction") or "", str):
            raise self._error(f"found system_instruction={system!r}, expected text")
        last = len(self.eval_docs) - 1
        if limit is not None and limit < 1:
            raise self._error(f"found --limit for {limit} rows, expected 1 or more")
        if strangers := [number for number in samples or () if not (is_index(number) and 0 <= number <= last)]:
            raise self._error(f"found {str(strangers)[1:-1][:80]} in --samples, expected numbers of rows, 0 to {last}")
        super().build_all_requests(limit=limit, samples=samples, **kwargs)

    def _usable(self, docs: datasets.Dataset) -> datasets.Dataset:
        """The rows that can be evaluated."""
        return docs

    def fewshot_docs(self) -> None:
        """None: preferences have no few-shot examples (and the host need not copy all rows to sample some)."""

    def doc_iterator(self, **kwargs) -> Iterator[tuple[int, dict]]:
        """The rows, each a fresh copy: what `process_results` adds to one is never part of a request or a hash."""
        for number, doc in super().doc_iterator(**kwargs):
            yield number, dict(doc)

    def higher_is_better(self) -> dict[str, bool | None]:
        """Of each metric; it is the last that the host asks of a task in a run, once that is measured."""
        sum_up_after(self, task_rows())
        return super().higher_is_better()

    def _check_row_count(self) -> None:
        official, found = self._own.get("official_rows"), len(self.eval_docs)
        if official is not None and found != official:
            logger.warning(
                "%s has %d rows where the published benchmark has %d: its score can't be compared with published ones "
                "(data: %s).",
                self.task_name, found, official, self._origin,
            )  # fmt: skip

    @property
    def has_official_rows(self) -> bool:
        """Whether it has as many rows as the published benchmark, where the YAML says how many."""
        return self._own.get("official_rows") == len(self.eval_docs)

    def _error(self, what: object, doc: Mapping | None = None) -> UserError:
        """One line: the task, the row, what was found and expected, the data."""
        row = "" if doc is None else f", row {self._row_of(doc)}"
        return UserError(f"task {self.task_name}{row}: {what} (data: {self._origin})")

    @property
    def _origin(self) -> str:
        return (self.config.metadata or {}).get("data_origin", "custom")

    def _row_of(self, doc: Mapping) -> str:
        """The row's number in the split, from 0, and its id."""
        # as text: NaN is not equal to itself
        text = repr(dict(doc))
        row = next((number for number, other in zip(*self._numbered, strict=True) if repr(other) == text), "?")
        return f"{row} (id {doc['id']})" if "id" in doc else str(row)


def one_line(error: Exception) -> str:
    """What an error says, in one line: our readers' ValueErrors as they are, others with their kind."""
    what = error if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"
    return " ".join(str(what).split())
