"""Sample logs: a task's rows as one run answered them."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from skywork_rb_plugin.errors import UserError
from skywork_rb_plugin.tasks.samples import SAMPLE_KEY
from skywork_rb_plugin.tasks.shapes import is_index, is_number, list_of


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a task, without its texts, which are read when they are asked for.

    Attributes:
        task: the task's name.
        key: the same in every run that was asked about this row: the hash of its columns, and which of several alike.
        doc_id: its place in the data.
        values: {(metric, filter): value}, as an aggregation takes them.
        note: what the plugin noted, `doc["skywork_rb"]` (docs/samples.md); empty where it did not.
        lengths: of each response, in characters; of its first filter where several took them apart.
        file, places: the sample log, and where each filter's line begins in it.
    """

    task: str
    key: str
    doc_id: int
    values: Mapping[tuple[str, str], Any]
    note: Mapping[str, Any]
    lengths: tuple[int, ...]
    file: Path
    places: Mapping[str, int]

    @property
    def right(self) -> bool | None:
        """Whether the model has this row right: by the plugin's note, else by a metric that is 0 or 1; None: unknown."""
        if "right" in self.note:
            verdict = self.note["right"]
            return all(verdict) if isinstance(verdict, list) else verdict
        first = next(iter(self.values.values()), None)
        return bool(first) if isinstance(first, (int, float)) and first in (0, 1) else None

    def sample(self, chosen: str | None = None) -> dict[str, Any]:
        """The whole line of the log: a filter's, or the first's."""
        with self.file.open("rb") as file:
            file.seek(next(iter(self.places.values())) if chosen is None else self.places[chosen])
            return json.loads(file.readline())

    def texts(self, chosen: str | None = None) -> tuple[str, list[str]]:
        """The prompt and the responses as plain text, in the order of `note`'s lists; answers as of `sample`."""
        return prompt_and_responses(self.sample(chosen))


def prompt_and_responses(sample: Mapping[str, Any]) -> tuple[str, list[str]]:
    """The first request's prompt, and each request's response; a generated answer stands for a missing response."""
    requests = [list(request.values()) for request in sample["arguments"].values()]
    prompt = str(requests[0][0]) if requests and requests[0] else ""
    responses = [str(request[1]) for request in requests if len(request) > 1 and isinstance(request[1], str)]
    return prompt, responses or [str(answer) for answer in sample.get("filtered_resps", ())]


def read_rows(file: Path) -> dict[str, Row]:
    """The rows of a sample log by key, in the data's order.

    Raises:
        UserError: the file can't be read, a line is no JSON, or has not the fields that lm-eval gives every sample.
    """
    task = file.name.removeprefix("samples_").rsplit("_", 1)[0]
    found: dict[int, tuple[str, Row]] = {}
    place = 0
    for number, line in enumerate(_lines(file), start=1):
        if not line.strip():  # an editor may have added one at the end
            place += len(line)
            continue
        try:
            digest, row = _row(json.loads(line), task, file, place)
        except (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError) as error:
            what = f"no `{error.args[0]}`" if isinstance(error, KeyError) else f"{type(error).__name__}: {error}"
            raise UserError(
                f"found no sample in line {number} of {file} ({what}), expected the sample log of lm-eval 0.4.13 or later: "
                "run it again with --log_samples"
            ) from None
        place += len(line)
        if row.doc_id in found:  # another filter's line of the same row
            digest, first = found[row.doc_id]
            row = replace(first, values={**first.values, **row.values}, places={**first.places, **row.places})
        found[row.doc_id] = digest, row
    rows, seen = {}, Counter()
    for _, (digest, row) in sorted(found.items()):
        # rows that are alike are told apart by their order in the data, which several processes log in another
        seen[digest] += 1
        key = f"{digest}#{seen[digest]}"
        rows[key] = replace(row, key=key)
    return rows


def _lines(file: Path) -> Iterator[bytes]:
    try:
        with file.open("rb") as lines:
            yield from lines
    except OSError as error:
        raise UserError(f"can't read {file}: {error.strerror}") from None


def _row(sample: Mapping[str, Any], task: str, file: Path, place: int) -> tuple[str, Row]:
    """The hash of the row's columns, and the row without its key."""
    chosen = str(sample["filter"])
    if not is_index(sample["doc_id"]) or not isinstance(sample["doc_hash"], str):
        raise ValueError("`doc_id` and `doc_hash` are not a whole number and a text")
    _, responses = prompt_and_responses(sample)
    return sample["doc_hash"], Row(
        task=task,
        key="",
        doc_id=sample["doc_id"],
        values={(metric, chosen): sample[metric] for metric in sample["metrics"] if metric in sample},
        note=_note(sample["doc"]),
        lengths=tuple(map(len, responses)),
        file=file,
        places={chosen: place},
    )


# what is computed with of a note: its shape, in words, and whether a value has it
_SHAPES = {
    "margin": ("a number", is_number),
    "rewards": ("a list of numbers", list_of(is_number)),
    "preferred": ("a list of places", list_of(is_index)),
}


def _note(doc: Any) -> Mapping[str, Any]:
    """What the plugin noted of a row.

    Raises:
        ValueError: it has another shape than the plugin writes.
    """
    note = doc.get(SAMPLE_KEY, {}) if isinstance(doc, dict) else {}
    if not isinstance(note, dict):
        raise ValueError(f"`{SAMPLE_KEY}` is no mapping")
    for name, (shape, fits) in _SHAPES.items():
        if name in note and not fits(note[name]):
            raise ValueError(f"`{SAMPLE_KEY}` has a {name} that is not {shape}")
    if "rewards" in note and not note.keys() >= {"margin", "preferred"}:
        raise ValueError(f"`{SAMPLE_KEY}` has rewards without margin and preferred")
    return note
