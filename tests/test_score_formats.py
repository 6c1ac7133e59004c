"""`score`, ended and begun again, on data of each format."""

import csv
import itertools
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from scored_files import many, score

import skywork_rb_plugin as rb
from skywork_rb_plugin.commands.score import journal, windows

ROWS = many(7, 3)
SMALL = "demo,tokens_per_pack=64"


class Killed(BaseException):
    """What a kill does: nothing after it runs."""


def as_parquet(file):
    """Of several batches of rows, in several row groups."""
    pq.write_table(pa.Table.from_pylist(ROWS), file, row_group_size=3)


def as_csv(file):
    """One response a row."""
    with file.open("w", newline="") as opened:
        table = csv.writer(opened)
        table.writerow(["prompt", "response"])
        table.writerows([row["prompt"], row["responses"][0]] for row in ROWS)


FORMATS = {
    "parquet": as_parquet,
    "csv": as_csv,
    "json": lambda file: file.write_text(json.dumps(ROWS)),
}


@pytest.mark.parametrize("ending", FORMATS)
def test_every_format_goes_on(tmp_path, monkeypatch, ending):
    """From the row after the last that was written, also in the middle of what is read at a time."""
    model = rb.load("demo", device="cpu", tokens_per_pack=64)
    monkeypatch.setattr(rb.HFReward, "create_from_arg_obj", lambda options: model)
    monkeypatch.setattr(windows, "CHARACTERS", 300)
    FORMATS[ending](tmp_path / f"data.{ending}")
    whole = score(tmp_path, None, model=SMALL, data=f"data.{ending}", output="whole.jsonl")
    assert len(whole) == len(ROWS)
    advance, left = journal.Journal.advance, itertools.count(1)

    def dies(self, state):
        if next(left) == 4:
            raise Killed
        advance(self, state)

    with monkeypatch.context() as patched:
        patched.setattr(journal.Journal, "advance", dies)
        with pytest.raises(Killed):
            score(tmp_path, None, model=SMALL, data=f"data.{ending}")
    assert 0 < journal.Journal(tmp_path / "out.jsonl").state.rows < len(ROWS)
    assert score(tmp_path, None, model=SMALL, data=f"data.{ending}") == whole
