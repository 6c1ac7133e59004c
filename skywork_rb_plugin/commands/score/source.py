"""The rows of the data, one after another, each as it came and as JSON; memory does not grow with their number."""

import csv
import datetime
import decimal
import json
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from skywork_rb_plugin.errors import UserError

# rows that are read at a time where a format has them by columns
_AT_A_TIME = 64


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the data.

    Attributes:
        number: from 0.
        doc: its columns.
        text: the same as a JSON object; of a file of JSON lines, the line itself.
    """

    number: int
    doc: Mapping
    text: str


@dataclass(frozen=True)
class Source:
    """Where rows come from.

    Attributes:
        origin: in words, for messages.
        rows: the rows from a number on.
    """

    origin: str
    rows: Callable[[int], Iterator[Row]]


def open_source(name: str, config: str | None, split: str | None) -> Source:
    """The rows of a file, of a folder, or of a dataset of the hub.

    Raises:
        UserError: it can't be found or read, or it has several splits and none was named; later, of a row that can't be read.
    """
    from skywork_rb_plugin.tasks import data

    kind, path = data.file_format(name, "--data"), Path(name)
    if kind and config:
        raise UserError(f"--config: found {config} beside the file {name}, expected it with a folder or a hub name")
    if kind and split not in (None, "train"):
        raise UserError(f"--split: found {split} beside the file {name}, expected it with a folder or a hub name")
    readers = {"csv": _csv_rows, "parquet": _parquet_rows, "json": _json_lines}
    if kind and (kind != "json" or _has_lines(path)):
        return Source(name, lambda start: _checked(readers[kind](path, start), name))
    if kind:
        found = data.find_source(kind, None, {"data_files": name})
    else:
        found = data.find_source(str(path.resolve()) if path.is_dir() else name, config, None)
    splits, origin = data.load(found, "check --data and --config")
    if split is None and len(splits) > 1:
        raise UserError(f"found the splits {', '.join(splits)} in the {origin}, expected --split with one of them")
    if split is not None and split not in splits:
        raise UserError(f"--split: found no split {split!r} in the {origin}, expected one of {', '.join(splits)}")
    dataset = splits[split or next(iter(splits))]
    return Source(name, lambda start: _checked(_dataset_rows(dataset, start), name))


def _checked(rows: Iterator[Row], name: str) -> Iterator[Row]:
    """The same rows; what goes wrong in reading them is one line."""
    import pyarrow

    number = -1
    try:
        for row in rows:
            number = row.number
            yield row
    except (OSError, csv.Error, UnicodeDecodeError, pyarrow.ArrowException, _NotReadable) as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"{name}, row {number + 1}: found what can't be read ({reason})") from error


class _NotReadable(ValueError):
    """A row that is none."""


def _has_lines(path: Path) -> bool:
    """Whether a JSON file has an object on each line, and is no list of them."""
    if path.suffix == ".jsonl":
        return True
    with path.open("rb") as file:
        first = next((line for line in file if not line.isspace()), b"")
    try:
        return isinstance(json.loads(first), dict)
    except ValueError:
        return False


def _json_lines(path: Path, start: int) -> Iterator[Row]:
    with path.open("rb") as file:
        lines = ((place, line) for place, line in enumerate(file, start=1) if not line.isspace())
        for number, (place, line) in enumerate(lines):
            if number < start:
                continue
            text = line.decode("utf-8-sig" if number == 0 else "utf-8").strip()
            try:
                doc = json.loads(text)
            except (ValueError, RecursionError) as error:
                reason = f"{error.msg} at column {error.colno}" if isinstance(error, json.JSONDecodeError) else error
                raise _NotReadable(f"line {place}, {text[:80]!r}: {reason}; expected a JSON object") from error
            if not isinstance(doc, dict) or not doc:
                raise _NotReadable(f"line {place}, {text[:80]!r}; expected a JSON object with columns")
            yield Row(number, doc, text)


def _csv_rows(path: Path, start: int) -> Iterator[Row]:
    csv.field_size_limit(2**31 - 1)
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file, strict=True)
        names = reader.fieldnames or ()
        if twice := [name for name in names if names.count(name) > 1]:
            raise _NotReadable(f"the column {twice[0]!r} twice; expected another name for each")
        for number, doc in enumerate(reader):
            if None in doc or None in doc.values():
                raise _NotReadable(f"{str(list(doc.values()))[:80]}; expected one field for each column")
            if number >= start:
                yield _row(number, doc)


def _parquet_rows(path: Path, start: int) -> Iterator[Row]:
    import pyarrow.parquet

    number = 0
    with pyarrow.parquet.ParquetFile(path) as file:
        for batch in file.iter_batches(_AT_A_TIME):
            if number + len(batch) > start:
                for i, doc in enumerate(batch.to_pylist(), number):
                    if i >= start:
                        yield _row(i, doc)
            number += len(batch)


def _dataset_rows(dataset, start: int) -> Iterator[Row]:
    for first in range(start, len(dataset), _AT_A_TIME):
        some = dataset[first : first + _AT_A_TIME]
        for number, values in enumerate(zip(*some.values(), strict=True), first):
            yield _row(number, dict(zip(some, values, strict=True)))


def _row(number: int, doc: Mapping) -> Row:
    return Row(number, doc, json.dumps(doc, ensure_ascii=False, default=_as_text))


def _as_text(value: object) -> str:
    if isinstance(value, (datetime.date, datetime.time)):
        return value.isoformat()
    if isinstance(value, (datetime.timedelta, decimal.Decimal, uuid.UUID)):
        return str(value)
    raise _NotReadable(f"a value of the type {type(value).__name__}; expected what JSON can hold: leave the column out")
