"""PreferenceTask: prompts with two or more responses, of which some are preferred."""

import hashlib
import logging
import math
import random
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from itertools import islice

import datasets

from skywork_rb_plugin.conversations import Conversation, Message, with_system
from skywork_rb_plugin.errors import UserError
from skywork_rb_plugin.host import (
    Instance,
    aggregation_registry,
    make_request,
    metric_names,
    pipelines_of,
    resolve_field,
)
from skywork_rb_plugin.metrics.metric import Row
from skywork_rb_plugin.metrics.metric_list import metric_configs
from skywork_rb_plugin.metrics.register import register_metrics
from skywork_rb_plugin.metrics.table import metrics_of
from skywork_rb_plugin.tasks.dataset_task import DatasetTask, one_line
from skywork_rb_plugin.tasks.keys import OWN_KEYS, UNUSED_KEYS, check_keys, name_of, say_misspelt, with_names
from skywork_rb_plugin.tasks.notes import Note, notes_of, notes_of_reader
from skywork_rb_plugin.tasks.reading import Reading
from skywork_rb_plugin.tasks.rehearsal import aggregate, filtered
from skywork_rb_plugin.tasks.rows import Choice
from skywork_rb_plugin.tasks.samples import SAMPLE_KEY, of_rewards
from skywork_rb_plugin.tasks.shapes import without_null_metadata

logger = logging.getLogger(f"lm_eval.{__name__}")

register_metrics()

# rows whose values the YAML's own aggregations are tried with
_TRIED = 50


class PreferenceTask(DatasetTask):
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
    # what the metrics get of a document, and what reads it
    row_type, reading = Row, Reading
    # the row read last
    _last: Reading | None = None
    # whether some rows have one preferred response and others several
    _targets_vary = False

    def __init__(self, config: Mapping | None = None) -> None:
        config = without_null_metadata(config or {})
        config = {key: value for key, value in config.items() if key != "class" and value is not None}
        self._own = {key: config.pop(key) for key in self.own_keys if key in config}
        check_keys(type(self), self._own, config)
        say_misspelt(config.get("metadata") or {})
        self._metrics = metrics_of(self.row_type, self._own.get("score"))
        config["metric_list"] = metric_configs(
            config.get("task"),
            config.get("metric_list"),
            (config.get("metadata") or {}).get("metrics"),
            self._metrics,
            aggregation_registry,
            callable(config.get("process_results")),
        )
        # what the YAML puts in place of a metric's own aggregation
        self._aggregations = {
            metric["metric"]: metric["aggregation"]
            for metric in config["metric_list"]
            if metric["metric"] in self._metrics
            and metric["aggregation"] != self._metrics[metric["metric"]].aggregation.name
        }
        super().__init__(config={**config, "output_type": self.host_type, "num_fewshot": 0})
        self._check_row_count()
        self._try_first_row()

    def _try_first_row(self) -> None:
        """What no row would survive is told before a model is loaded."""
        first = self.eval_docs[0]
        contexts = self.fewshot_context(first)
        self._rehearse(first, random.Random(0))
        self._try_aggregations()
        tried = [self._stand_in(first, random.Random(0))]
        # without a `filter_list` the host's own pipeline leaves each answer as it is
        if self.config.filter_list and (pipelines := pipelines_of(self)):
            try:
                tried = filtered(*tried, self.construct_requests(first, contexts), pipelines)
            except ValueError as error:
                raise self._error(error) from error
        for answers in tried:
            if callable(self.config.process_results):
                when = "it was tried on the first row, with stand-in answers"
                self._own_results(dict(first), answers, when)
            else:
                self._read(self._answered, first, answers)

    def _try_aggregations(self) -> None:
        """On some rows, since one is no data set; a row that can't be measured is told when its requests are built."""
        values, draw = [], random.Random(0)
        with suppress(UserError):
            for doc in islice(self.eval_docs, _TRIED if self._aggregations else 0):
                values.append(self._rehearse(doc, draw))
        try:
            aggregate(values, self._aggregations)
        except ValueError as error:
            raise self._error(error) from error

    # documents

    def _usable(self, docs: datasets.Dataset) -> datasets.Dataset:
        """The rows whose scores, where the data has some, prefer some response to another."""
        if "doc_to_scores" not in self._own:
            return docs
        kept = [i for i, doc in enumerate(docs) if len(set(self._part(doc, "scores"))) > 1]
        if len(kept) < len(docs):
            logger.warning(
                "%s: %d of %d rows are left out, whose responses all have the same score (data: %s).",
                self.task_name, len(docs) - len(kept), len(docs), self._origin,
            )  # fmt: skip
        return docs.select(kept)

    def choices(self, doc: Mapping) -> list[Choice]:
        """The responses of a row, each with the messages before it."""
        return self._part(doc, "choices")

    def doc_to_text(self, doc: Mapping, doc_to_text=None) -> str:
        """The prompt as text."""
        return Conversation(self.choices(doc)[0].messages)

    def doc_to_choice(self, doc: Mapping, doc_to_choice=None) -> list[str]:
        """The responses' texts."""
        return [choice.response for choice in self.choices(doc)]

    def doc_to_target(self, doc: Mapping, doc_to_target=None) -> int | list[int] | str:
        """Index of the preferred response, a list where there are several; as text in a task with rows of both kinds."""
        preferred = self._preferred(doc)
        target = preferred[0] if len(preferred) == 1 else preferred
        # a column of W&B's tables takes values of one type; sample files have text in any case
        return str(target) if self._targets_vary else target

    def _preferred(self, doc: Mapping) -> list[int]:
        return self._part(doc, "preferred")

    def _part(self, doc: Mapping, name: str):
        """What `Reading` calls so; the row is kept until another one is asked for, as several methods want the same."""
        if self._last is None or self._last.doc is not doc:
            self._last = self.reading(doc, self._own)
        return self._read(lambda _: getattr(self._last, name), doc)

    def _read(self, read: Callable, doc: Mapping, *fields):
        try:
            return read(doc, *fields)
        except UserError:
            raise
        except Exception as error:
            # a user's function or Jinja may raise anything
            raise self._error(one_line(error), doc) from error

    # requests and results

    def build_all_requests(
        self, *, samples: list[int] | None = None, cache_requests: bool = False, tokenizer_name: str = "", **kwargs
    ) -> None:
        """Build the requests; the host's key for --cache_requests then knows the rows and how they are read."""
        if cache_requests:
            others = {key: getattr(self.config, key) for key in ("description", "generation_kwargs")}
            read = with_names({**self._own, **others}, self.config.serialize_function)
            reading = (sorted(read.items()), list(self.eval_docs), samples)
            tokenizer_name += "-" + hashlib.sha256(repr(reading).encode()).hexdigest()[:16]
        super().build_all_requests(
            samples=samples, cache_requests=cache_requests, tokenizer_name=tokenizer_name, **kwargs
        )
        self._try_rows([request.doc for request in self.instances if request.idx == 0])

    def _try_rows(self, docs: Sequence[Mapping]) -> None:
        """Rehearse rows; one line for each thing that is worth it, with the number of rows and the first ones."""
        noted: dict[Note, list[Mapping]] = defaultdict(list)
        draw, alone = random.Random(0), set()
        for doc in docs:
            # with a `process_results` of its own a row may prefer nothing
            preferred = None if callable(self.config.process_results) else self._preferred(doc)
            alone.add(preferred is None or len(preferred) == 1)
            for note in (
                *notes_of(self.choices(doc), preferred),
                *notes_of_reader(doc, self._own.get("doc_to_choice")),
            ):
                noted[note].append(doc)
            self._rehearse(doc, draw)
        self._targets_vary = len(alone) > 1
        for note, rows in noted.items():
            logger.warning(
                "%s: in %d rows %s (row %s), expected %s (data: %s).",
                self.task_name, len(rows), note.found, ", ".join(map(self._row_of, rows[:3])), note.expected, self._origin,
            )  # fmt: skip

    def _rehearse(self, doc: Mapping, draw: random.Random) -> Mapping[str, object]:
        """A row's values of the metrics with stand-in scores: what does not fit must not wait until all are scored."""
        if callable(self.config.process_results):
            return {}
        return self._read(self._measure, doc, self._answered(doc, self._stand_in(doc, draw)))

    def _stand_in(self, doc: Mapping, draw: random.Random) -> list:
        """Answers that a model might give to the row's requests."""
        return [(draw.random(), False) for _ in self.choices(doc)]

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
        return [
            make_request(self, request_type="loglikelihood", doc=doc, arguments=pair, idx=i, **kwargs)
            for i, pair in enumerate(zip(ctx, self.doc_to_choice(doc), strict=True))
        ]

    def process_results(self, doc: dict, results: list) -> dict[str, object]:
        """The document's metrics from the model's answers; what its sample log tells of them goes into `doc`."""
        if callable(self.config.process_results):
            return self._own_results(doc, results, "scores survive only under --use_cache")
        row = self._read(self._answered, doc, results)
        values = self._read(self._measure, doc, row)
        doc[SAMPLE_KEY] = self._sample(row)
        return values

    def _own_results(self, doc: dict, results: list, when: str) -> dict[str, object]:
        """What the YAML's own `process_results` makes of a row; `when` is the end of the line if it fails."""
        name = name_of(self.config.process_results)
        # it may change the row, whose number is told by its content
        row = dict(doc)
        try:
            values = self.config.process_results(doc, results)
        except Exception as error:
            raise self._error(f"process_results {name}: {one_line(error)}; {when}", row) from error
        if not isinstance(values, Mapping):
            found = f"found {type(values).__name__} from process_results {name}, expected {{metric: value}}"
            raise self._error(f"{found}; {when}", row)
        return values

    def _measure(self, doc: Mapping, row: object) -> dict[str, object]:
        # under --predict_only the host's list has a metric of its own
        listed = [self._metrics[name] for name in metric_names(self) if name in self._metrics]
        return {metric.name: metric.of_row(row) for metric in listed}

    def _answered(self, doc: Mapping, results: list[tuple[float, bool]]) -> Row:
        """The document with the model's answers, as the metrics take it."""
        scores, lengths = self._scores(doc, results), list(map(len, self.doc_to_choice(doc)))
        return Row(doc, scores, self._preferred(doc), self._part(doc, "pairs"), lengths)

    def _scores(self, doc: Mapping, results: list[tuple[float, bool]]) -> list[float]:
        """The scores of the document's requests."""
        try:
            scores = [score for score, _ in results]
            finite = all(map(math.isfinite, scores))
        except (TypeError, ValueError) as error:
            expected = "a pair of a score and true or false for each response"
            raise self._no_answers(results, expected, doc) from error
        if not finite:
            found = f"found scores {scores}, expected finite numbers; scores survive only under --use_cache"
            raise self._error(found, doc)
        return scores

    def _no_answers(self, results: object, expected: str, doc: Mapping) -> UserError:
        """Of what no model answers: it comes from a cache that others wrote, or out of a filter."""
        filters = self.config.filter_list
        source = f"filter_list: {filters}" if filters else "the model or its score cache"
        return self._error(f"found {str(results)[:200]} from {source}, expected {expected}", doc)

    _sample = staticmethod(of_rewards)

    def dump_config(self) -> dict:
        """The configuration for the results file, with our keys; functions by name."""
        return {**super().dump_config(), **with_names(self._own, name_of)}
