"""Sample logs: a task's rows as one run answered them."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from skywork_rb_plugin.errors import UserError
from skywork_rb_plugin.tasks.samples import SAMPLE_KEY


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a task, without its texts, which are read when they are asked for.

    Attributes:
        task: the task's name.
        key: the same in every run that was asked about this row: the hash of its columns, and which of several alike.
        doc_id: its place in the data.
        values: {(metric, filter): value}, as an aggregation takes them.
        note: what the plugin noted, `doc["skywork_rb"]` (docs/samples.md); empty where it did not.
        hashes: of the prompt and of the target.
        lengths: of each response, in characters.
        file, place: where its line begins in the sample log.
    """

    task: str
    key: str
    doc_id: int
    values: Mapping[tuple[str, str], Any]
    note: Mapping[str, Any]
    hashes: tuple[str, str]
    lengths: tuple[int, ...]
    file: Path
    place: int

    @property
    def right(self) -> bool | None:
        """Whether the model has this row right: by the plugin's note, else by a metric that is 0 or 1; None: unknown."""
        if "right" in self.note:
            verdict = self.note["right"]
            return all(verdict) if isinstance(verdict, list) else verdict
        first = next(iter(self.values.values()), None)
        return bool(first) if isinstance(first, (int, float)) and first in (0, 1) else None

    def sample(self) -> dict[str, Any]:
        """The whole line of the log."""
        with self.file.open("rb") as file:
            file.seek(self.place)
            return json.loads(file.readline())

    def texts(self) -> tuple[str, list[str]]:
        """The prompt and the responses as plain text, in the order of `note`'s lists."""
        return prompt_and_responses(self.sample())


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
        try:
            digest, row = _row(json.loads(line), task, file, place)
        except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
            what = f"no `{error.args[0]}`" if isinstance(error, KeyError) else f"{type(error).__name__}: {error}"
            raise UserError(
                f"found no sample in line {number} of {file} ({what}), expected the sample log of lm-eval 0.4.13 or later: "
                "run it again with --log_samples"
            ) from None
        if row.doc_id in found:  # another filter's line of the same row
            row = replace(row, values={**found[row.doc_id][1].values, **row.values})
        found[row.doc_id] = digest, row
        place += len(line)
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
    _, responses = prompt_and_responses(sample)
    return sample["doc_hash"], Row(
        task=task,
        key="",
        doc_id=sample["doc_id"],
        values={(metric, chosen): sample[metric] for metric in sample["metrics"] if metric in sample},
        note=sample["doc"].get(SAMPLE_KEY, {}) if isinstance(sample["doc"], dict) else {},
        hashes=(sample["prompt_hash"], sample["target_hash"]),
        lengths=tuple(map(len, responses)),
        file=file,
        place=place,
    )
