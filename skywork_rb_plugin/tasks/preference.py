"""PreferenceTask: prompts with two or more responses, of which some are preferred."""

import functools
import hashlib
import logging
import math
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import datasets

from skywork_rb_plugin.conversations import Conversation, Message, with_system
from skywork_rb_plugin.errors import UserError
from skywork_rb_plugin.host import ConfigurableTask, Instance, make_request, metric_names, resolve_field
from skywork_rb_plugin.metrics.metric import Row
from skywork_rb_plugin.metrics.metric_list import metric_configs
from skywork_rb_plugin.metrics.register import register_metrics
from skywork_rb_plugin.metrics.table import metrics_of
from skywork_rb_plugin.tasks import data
from skywork_rb_plugin.tasks.keys import OWN_KEYS, UNUSED_KEYS, check_keys, name_of, with_names
from skywork_rb_plugin.tasks.rows import Choice, choices_of, preferred_of, scores_of
from skywork_rb_plugin.tasks.samples import SAMPLE_KEY, of_rewards
from skywork_rb_plugin.tasks.selection import select

logger = logging.getLogger(f"lm_eval.{__name__}")

register_metrics()

# what is no error but worth a line: what was found in rows, and what was expected
_EQUAL = ("a preferred response is the same as another one", "different ones: they count as wrong")
_APART = ("the responses follow different messages", "one prompt for all: they are compared across prompts")


class PreferenceTask(ConfigurableTask):
    """A preference benchmark from a YAML: `class: !function skywork_rb_plugin.PreferenceTask`.

    A row with `prompt`, `chosen` and `rejected` needs no more configuration. `doc_to_text`, `doc_to_choice` and
    `doc_to_target` override how the prompt, the responses and the preferred ones are read, `doc_to_scores` takes those
    with the highest score; `where: {column: value}` (or a list of values, of which `name*` means all that begin so) keeps
    matching rows, `group_by` makes one of all rows that share a column's value; `official_rows` is the number of rows the
    published benchmark has; `score` names how a benchmark counts that has a rule of its own (see `metrics.table`).
    Each response becomes one `loglikelihood` request: its reward under a reward model, its log-likelihood in nats
    under a language model.

    Raises:
        UserError: the YAML or a row can't be used; the line names the task and the row.
    """

    # what the YAML calls it, and the host's own type inside: its trackers and its padding of data-parallel ranks go by it
    yaml_type, host_type = "pairwise_preference", "multiple_choice"
    own_keys, unused_keys = OWN_KEYS, UNUSED_KEYS
    # what the metrics get of a document
    row_type = Row

    def __init__(self, config: Mapping | None = None) -> None:
        config = {key: value for key, value in (config or {}).items() if key != "class" and value is not None}
        self._own = {key: config.pop(key) for key in self.own_keys if key in config}
        check_keys(type(self), self._own, config)
        self._metrics = metrics_of(self.row_type, self._own.get("score"))
        config["metric_list"] = metric_configs(
            config.get("task"),
            config.get("metric_list"),
            (config.get("metadata") or {}).get("metrics"),
            self._metrics,
            callable(config.get("process_results")),
        )
        super().__init__(config={**config, "output_type": self.host_type, "num_fewshot": 0})
        self._check_row_count()

    # rows

    def download(self, dataset_kwargs: Mapping | None = None, **kwargs) -> None:
        """Load the rows: as the host does, but from the local copy under SKYWORK_RB_DATA_ROOT if there is one."""
        if callable(self.config.custom_dataset):
            super().download(dict(dataset_kwargs or {}), **kwargs)
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

    @functools.cached_property
    def eval_docs(self) -> datasets.Dataset:
        """The rows of the split that the task takes."""
        split = self.config.test_split or self.config.validation_split
        if split not in self.dataset:
            found = "no test_split" if split is None else f"no split {split!r}"
            raise self._error(f"found {found}, expected one of {', '.join(self.dataset)}")
        try:
            docs, numbers = select(super().eval_docs, self._own.get("where"), self._own.get("group_by"))
        except ValueError as error:
            raise self._error(error) from error
        # before any row is read: errors tell its number
        self._numbered = (numbers, docs)
        if "doc_to_scores" in self._own:
            docs = self._decided(docs)
        if not len(docs):
            raise self._error(f"found no rows in split {split!r}, expected some")
        return docs

    def _decided(self, docs: datasets.Dataset) -> datasets.Dataset:
        """The rows whose scores prefer some response to another."""
        kept = [i for i, doc in enumerate(docs) if len(set(self._scores(doc))) > 1]
        if len(kept) < len(docs):
            logger.warning(
                "%s: %d of %d rows are left out, whose responses all have the same score (data: %s).",
                self.task_name, len(docs) - len(kept), len(docs), self._origin,
            )  # fmt: skip
        return docs.select(kept)

    def fewshot_docs(self) -> None:
        """None: preferences have no few-shot examples (and the host need not copy all rows to sample some)."""

    def doc_iterator(self, **kwargs) -> Iterator[tuple[int, dict]]:
        """The rows, each a fresh copy: what `process_results` adds to one is never part of a request or a hash."""
        for number, doc in super().doc_iterator(**kwargs):
            yield number, dict(doc)

    def _check_row_count(self) -> None:
        official, found = self._own.get("official_rows"), len(self.eval_docs)
        if official is not None and found != official:
            logger.warning(
                "%s has %d rows where the published benchmark has %d: its score can't be compared with published ones "
                "(data: %s).",
                self.task_name, found, official, self._origin,
            )  # fmt: skip

    # documents

    def choices(self, doc: Mapping) -> list[Choice]:
        """The responses of a row, each with the messages before it."""
        return self._read(choices_of, doc, self._own.get("doc_to_text"), self._own.get("doc_to_choice"))

    def doc_to_text(self, doc: Mapping, doc_to_text=None) -> str:
        """The prompt as text."""
        return Conversation(self.choices(doc)[0].messages)

    def doc_to_choice(self, doc: Mapping, doc_to_choice=None) -> list[str]:
        """The responses' texts."""
        return [choice.response for choice in self.choices(doc)]

    def doc_to_target(self, doc: Mapping, doc_to_target=None) -> int | list[int]:
        """Index of the preferred response; a list where there are several."""
        preferred = self._preferred(doc)
        return preferred[0] if len(preferred) == 1 else preferred

    def _preferred(self, doc: Mapping) -> list[int]:
        if "doc_to_scores" in self._own:
            scores = self._scores(doc)
            return [i for i, score in enumerate(scores) if score == max(scores)]
        return self._read(preferred_of, doc, self._own.get("doc_to_choice"), self._own.get("doc_to_target"))

    def _scores(self, doc: Mapping) -> list[float]:
        """What the data says of each response."""
        return self._read(scores_of, doc, self._own.get("doc_to_choice"), self._own["doc_to_scores"])

    def _read(self, read: Callable, doc: Mapping, *fields):
        try:
            return read(doc, *fields)
        except Exception as error:
            # a user's function or Jinja may raise anything
            what = error if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"
            raise self._error(" ".join(str(what).split()), doc) from error

    def _error(self, what: object, doc: Mapping | None = None) -> UserError:
        """One line: the task, the row, what was found and expected, the data."""
        row = "" if doc is None else f", row {self._row_of(doc)}"
        return UserError(f"task {self.task_name}{row}: {what} (data: {self._origin})")

    @property
    def _origin(self) -> str:
        return (self.config.metadata or {}).get("data_origin", "custom")

    def _row_of(self, doc: Mapping) -> str:
        """The row's number in the split, from 0, and its id."""
        row = next((number for number, other in zip(*self._numbered, strict=True) if other == doc), "?")
        return f"{row} (id {doc['id']})" if "id" in doc else str(row)

    # requests and results

    def build_all_requests(
        self, *, samples: list[int] | None = None, cache_requests: bool = False, tokenizer_name: str = "", **kwargs
    ) -> None:
        """Build the requests; the host's key for --cache_requests then knows the rows and how they are read."""
        if cache_requests:
            fields = {
                **self._own,
                "description": self.config.description,
                "generation_kwargs": self.config.generation_kwargs,
            }
            read = with_names(fields, self.config.serialize_function)
            reading = (sorted(read.items()), list(self.eval_docs), samples)
            tokenizer_name += "-" + hashlib.sha256(repr(reading).encode()).hexdigest()[:16]
        self._noted: dict[tuple[str, str], list[Mapping]] = defaultdict(list)
        super().build_all_requests(
            samples=samples, cache_requests=cache_requests, tokenizer_name=tokenizer_name, **kwargs
        )
        for (found, expected), docs in self._noted.items():
            rows = ", ".join(map(self._row_of, docs[:3]))
            logger.warning(
                "%s: in %d rows %s (row %s), expected %s (data: %s).",
                self.task_name, len(docs), found, rows, expected, self._origin,
            )  # fmt: skip

    def fewshot_context(
        self,
        doc: Mapping,
        num_fewshot: int = 0,
        system_instruction: str | None = None,
        apply_chat_template: bool = False,
        chat_template: Callable | None = None,
        **kwargs,
    ) -> list[str]:
        """One context per request, as the model's chat template renders it, or else as text."""
        description = self._read(resolve_field, doc, self.config.description)
        system = "\n\n".join(part for part in (system_instruction, description) if part)
        render = chat_template if apply_chat_template and chat_template else self._plain_text
        return [render(with_system(messages, system)) for messages in self._prompts(doc)]

    # the text of messages for a model without a chat template
    _plain_text = Conversation

    def _prompts(self, doc: Mapping) -> list[Sequence[Message]]:
        """The messages that each request sends."""
        return [choice.messages for choice in self.choices(doc)]

    def construct_requests(self, doc: Mapping, ctx: list[str], **kwargs) -> list[Instance]:
        """One `loglikelihood` request per response, its text unchanged: no delimiter before it."""
        kwargs.pop("apply_chat_template", None)
        kwargs.pop("chat_template", None)
        pairs = list(zip(ctx, self.doc_to_choice(doc), strict=True))
        if not callable(self.config.process_results):
            self._note_equal(doc, pairs, self._preferred(doc))
            if len(set(ctx)) > 1:
                self._noted[_APART].append(doc)
        return [
            make_request(self, request_type="loglikelihood", doc=doc, arguments=pair, idx=i, **kwargs)
            for i, pair in enumerate(pairs)
        ]

    def _note_equal(self, doc: Mapping, responses: list, preferred: list[int]) -> None:
        if {responses[i] for i in preferred} & {other for i, other in enumerate(responses) if i not in preferred}:
            self._noted[_EQUAL].append(doc)

    def process_results(self, doc: dict, results: list) -> dict[str, object]:
        """The document's metrics from the model's answers; what its sample log tells of them goes into `doc`."""
        if callable(self.config.process_results):
            return self.config.process_results(doc, results)
        row = self._answered(doc, results)
        values = self._read(self._measure, doc, row)
        doc[SAMPLE_KEY] = self._sample(row)
        return values

    def _measure(self, doc: Mapping, row: object) -> dict[str, object]:
        # under --predict_only the host's list has a metric of its own
        listed = [self._metrics[name] for name in metric_names(self) if name in self._metrics]
        return {metric.name: metric.of_row(row) for metric in listed}

    def _answered(self, doc: Mapping, results: list[tuple[float, bool]]) -> Row:
        """The document with the model's answers, as the metrics take it."""
        scores = [score for score, _ in results]
        if not all(map(math.isfinite, scores)):
            found = f"found scores {scores}, expected finite numbers; scores survive only under --use_cache"
            raise self._error(found, doc)
        preferred = self._preferred(doc)
        # the data's order: its own scores, or the preferred before the others
        ranks = self._scores(doc) if "doc_to_scores" in self._own else [i in preferred for i in range(len(scores))]
        pairs = [(i, j) for i, better in enumerate(ranks) for j, worse in enumerate(ranks) if better > worse]
        return Row(doc, scores, preferred, pairs, list(map(len, self.doc_to_choice(doc))))

    _sample = staticmethod(of_rewards)

    def dump_config(self) -> dict:
        """The configuration for the results file, with our keys; functions by name."""
        return {**super().dump_config(), **with_names(self._own, name_of)}
