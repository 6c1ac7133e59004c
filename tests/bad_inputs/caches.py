"""Score caches (`--use_cache`): files that are none, of another model, or with answers that nobody gave."""

import sqlite3
from collections.abc import Callable
from pathlib import Path

from conftest import preference_task
from scripted import ROWS

import skywork_rb_plugin as rb
from bad_inputs.case import Area, Place, host, line, scored

FILE = "cache_rank0.db"


def attempt(given: tuple[Callable[[Path], None], dict], place: Place):
    """Score with a cache, change its file, and score again with these options of the model."""
    change, options = given
    run(place, {})
    change(place.folder / FILE)
    return run(place, options)


def run(place: Place, options: dict) -> list[float]:
    """One run with the cache, as `simple_evaluate(use_cache=…)` makes it."""
    from lm_eval.api.model import CachingLM
    from lm_eval.evaluator import evaluate

    model = CachingLM(rb.load("demo", device="cpu", **options), str(place.folder / FILE))
    try:
        loaded = place.task_manager.load([preference_task(ROWS, place.folder)])
        results = evaluate(lm=model, task_dict=loaded, bootstrap_iters=0)
    finally:
        model.dbdict.close()
    return [results["results"]["mine"]["acc,none"]]


def written(content: bytes):
    """A file of other content."""
    return lambda file: file.write_bytes(content), {}


def answers(value: object):
    """Every answer replaced, as another program might."""

    def change(file):
        from sqlitedict import SqliteDict

        with SqliteDict(str(file), autocommit=True) as database:
            for key in list(database):
                if not key.startswith("skywork_rb_plugin"):
                    database[key] = value

    return change, {}


def ours(key: str, value: object):
    """What we keep in the cache, replaced."""

    def change(file):
        from sqlitedict import SqliteDict

        with SqliteDict(str(file), autocommit=True) as database:
            database[f"skywork_rb_plugin:{key}"] = value

    return change, {}


def sql(statement: str):
    """A change by SQL."""

    def change(file):
        connection = sqlite3.connect(file)
        connection.execute(statement)
        connection.commit()
        connection.close()

    return change, {}


def kept(file):
    """No change."""


def folder(file):
    """A folder in its place."""
    file.unlink()
    file.mkdir()


_CASES = {
    "the same run again": scored((kept, {})),
    "no file": scored((Path.unlink, {})),
    "a file without a byte": scored(written(b"")),
    "a file of text": host(written(b"not a database" * 100), "sqlite"),
    "a file that is cut off": host((lambda file: file.write_bytes(file.read_bytes()[:5000]), {}), "sqlite"),
    "a folder": host((folder, {}), "sqlite"),
    "another table": scored(sql("alter table unnamed rename to other")),
    "no row": scored(sql("delete from unnamed")),
    "values that are no pickles": line(sql("update unnamed set value = 'x'"), FILE),
    "other options of the model": line((kept, {"max_length": 100}), "was made with max length 1024, this run has 100"),
    "another dtype": line(
        (kept, {"dtype": "bfloat16"}), "was made with dtype torch.float32, this run has torch.bfloat16"
    ),
    "another head": line(ours("fingerprint", {"head": "x"}), "was made"),
    "no fingerprint": line(sql("delete from unnamed where key like '%fingerprint'"), "holds scores of unknown origin"),
    "a fingerprint of text": line(ours("fingerprint", "x"), FILE),
    "a fingerprint of null": line(ours("fingerprint", None), "holds scores of unknown origin"),
    "tasks of null": scored(ours("ranked tasks", None)),
    "answers of null": line(answers(None), "that is no answer of a reward model (NoneType"),
    "answers of text": line(answers("x"), FILE),
    "answers that are numbers": line(answers(1.0), FILE),
    "answers of NaN": line(answers((float("nan"), False)), "found scores [nan, nan]"),
    "answers without a number": line(answers((None, False)), FILE),
}

AREA = Area("score caches", _CASES, attempt)
