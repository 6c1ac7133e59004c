"""A file that `--use_cache` names and that can't be used: one line that names it, before the model is loaded."""

import contextlib
import os
import pickle
import resource
import sqlite3
import tempfile
from pathlib import Path

import pytest
from conftest import preference_task
from lm_eval import simple_evaluate
from lm_eval.api.model import CachingLM
from rewards import load, requests, user
from sqlitedict import SqliteDict

from skywork_rb_plugin import UserError
from skywork_rb_plugin.models import cache_file
from skywork_rb_plugin.models.cache_file import check_file

ROWS = [{"prompt": f"Question {i}?", "chosen": f"long answer {i}", "rejected": "short"} for i in range(300)]


def run(task, manager, path, **options):
    """A run that makes its model itself, by default one whose folder is not there."""
    options = {"model_args": {"pretrained": "/no/such/folder", "device": "cpu"}, **options}
    return simple_evaluate(
        model="hf-reward", tasks=[task], task_manager=manager, use_cache=str(path), bootstrap_iters=0, **options
    )


@pytest.fixture(scope="module")
def filled(models, tmp_path_factory):
    """The bytes of a good cache."""
    file = tmp_path_factory.mktemp("cache") / "good.db"
    model = load(models["llama-3.1"])
    CachingLM(model, str(file)).loglikelihood(requests([(user(f"Q {i}"), ["yes", "no"]) for i in range(200)]))
    return file.read_bytes()


def with_row(value):
    """Change one row's value."""

    def damage(file):
        with sqlite3.connect(file) as connection:
            connection.execute("UPDATE unnamed SET value = ? WHERE rowid = (SELECT max(rowid) FROM unnamed)", (value,))
        connection.close()

    return damage


def with_database(statement):
    """A new database by one statement."""

    def damage(file):
        file.unlink()
        with sqlite3.connect(file) as connection:
            connection.execute(statement)
        connection.close()

    return damage


def directory(file):
    """A folder in its place."""
    file.unlink()
    file.mkdir()


def zeroed(file):
    """Some pages are lost."""
    data = file.read_bytes()
    file.write_bytes(data[:8192] + bytes(16384) + data[24576:])


def misled(file):
    """The index leads from a key to another's answer."""
    with sqlite3.connect(file) as connection:
        one, other = connection.execute("SELECT key, rowid FROM unnamed ORDER BY rowid LIMIT 2 OFFSET 5").fetchall()
    connection.close()
    data = bytearray(file.read_bytes())
    for (key, row), (_, wrong) in ((one, other), (other, one)):
        # there the key is followed by the row's number, in the table by the answer
        place = data.index(key.encode() + row.to_bytes(2, "big")) + len(key)
        data[place : place + 2] = wrong.to_bytes(2, "big")
    file.write_bytes(data)


def other_score(file):
    """A bit of a score is another, and no byte that SQLite looks at."""
    data = bytearray(file.read_bytes())
    # the float's opcode, and the tuple that ends in its checksum
    place = data.index(b"kept_reward") + data[data.index(b"kept_reward") :].index(b"G")
    data[place + 4] ^= 4
    file.write_bytes(data)


class Gone:
    """Of a class that will not be there."""


Gone.__module__ = "a_module_that_is_gone"


@pytest.mark.parametrize(
    ("damage", "line"),
    [
        (lambda file: file.write_text("model,score\n" * 500), r"is damaged or no cache \(file is not a database\)"),
        (lambda file: file.write_bytes(b"X" + file.read_bytes()[1:]), r"is damaged or no cache \(file is not"),
        (lambda file: file.write_bytes(file.read_bytes()[:20000]), "is damaged"),
        (lambda file: file.write_bytes(file.read_bytes()[:50]), r"is damaged or no cache"),
        (zeroed, "is damaged"),
        (
            lambda file: file.write_bytes(file.read_bytes().replace(b"CREATE TABLE", b"CR\xffATE TABLE")),
            r"is damaged or no cache \(",
        ),
        (
            with_database("CREATE TABLE places (url TEXT)"),
            "is another program's: it has places, expected a table unnamed",
        ),
        (with_database("CREATE TABLE unnamed (id INT)"), "is another program's: it has unnamed, expected a table"),
        (with_row(b"no pickle"), r"has an entry '\w+' that is no answer of a reward model \(UnpicklingError"),
        (with_row(pickle.dumps((1.5, False))[:-4]), r"has an entry '\w+' that is no answer of a reward model \("),
        (with_row(b"\x80\x04ca_module_that_is_gone\nGone\n."), r"UnpicklingError: it names a_module_that_is_gone.Gone"),
        (with_row(b"cposix\nsystem\n(S'touch ran'\ntR."), r"UnpicklingError: it names posix.system"),
        (misled, r"is damaged \(.*index.*\)"),
        (
            other_score,
            r"has an entry '\w+' that is no answer of a reward model \(ValueError: it is not what was written",
        ),
        (with_row(pickle.dumps("a text")), r"\(str 'a text'\)"),
        (with_row(pickle.dumps(())), r"\(tuple '\(\)'\)"),
        (with_row("text"), "text instead of a pickle"),
        (with_row(None), "null instead of a pickle"),
    ],
)
def test_a_damaged_cache_is_one_line(filled, tmp_path, monkeypatch, task_manager, damage, line):
    """Before the model, and where the model was there before; no pickle of a stranger is run."""
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "cache_rank0.db"
    file.write_bytes(filled)
    check_file(str(file))
    damage(file)
    before = file.read_bytes()
    with pytest.raises(
        UserError, match=rf"^the cache {file} .*{line}.*; give another --use_cache path, or delete"
    ) as error:
        run(preference_task(ROWS[:2], tmp_path), task_manager, tmp_path / "cache")
    assert "\n" not in str(error.value)
    assert file.read_bytes() == before
    assert not (tmp_path / "ran").exists()


def test_rows_are_looked_at_where_the_model_came_first(models, filled, tmp_path):
    """A model that Python's caller made: the host opens the file, and the rows are read before it takes them."""
    file = tmp_path / "cache.db"
    file.write_bytes(filled)
    with_row(b"no pickle")(file)
    with pytest.raises(UserError, match=r"has an entry '\w+' that is no answer of a reward model"):
        CachingLM(load(models["llama-3.1"]), str(file))


def test_a_file_that_has_not_changed_is_read_once(models, filled, tmp_path, monkeypatch):
    """A million answers take seconds: they are read before the model is loaded, and again only if something was written."""
    file, model = tmp_path / "cache.db", load(models["llama-3.1"])
    file.write_bytes(filled)
    read = []
    monkeypatch.setattr(cache_file, "_no_answer", lambda *entry: read.append(entry))
    for times in (1, 2):
        check_file(str(file))
        CachingLM(model, str(file))
        assert len(read) == times * 402
    monkeypatch.undo()
    check_file(str(file))
    with_row(b"no pickle")(file)
    os.utime(file, ns=(0, 0))  # whatever the clock's ticks
    with pytest.raises(UserError, match=r"has an entry '\w+' that is no answer of a reward model"):
        CachingLM(model, str(file))


def test_a_file_that_another_run_uses_is_told_as_such(filled, tmp_path, monkeypatch):
    """There is room, and it can be written."""
    file = tmp_path / "cache.db"
    file.write_bytes(filled)
    connect = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda *args, **options: connect(*args, **{**options, "timeout": 0.1}))
    with contextlib.closing(connect(file, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(
            UserError, match=r"^can't write the cache .*\(database is locked\); another run uses the file: wait"
        ):
            check_file(str(file))


def test_an_empty_file_is_a_new_cache(tmp_path, task_manager):
    """As sqlite takes it; and a file is looked for by the process's own number."""
    (tmp_path / "cache_rank0.db").touch()
    (tmp_path / "cache_rank1.db").write_text("not looked at")
    task = preference_task(ROWS[:2], tmp_path)
    run(task, task_manager, tmp_path / "cache", model_args={"pretrained": "demo", "device": "cpu"})
    assert len(SqliteDict(str(tmp_path / "cache_rank0.db"))) == 2 * 2 + 2


@pytest.mark.parametrize("place", ["folder", "parent is a file", "no such device"])
def test_a_place_that_takes_no_file_is_one_line(tmp_path, task_manager, place):
    """Before the model is loaded."""
    (tmp_path / "cache_rank0.db").mkdir()
    (tmp_path / "file").touch()
    path = {
        "folder": tmp_path / "cache",
        "parent is a file": tmp_path / "file" / "cache",
        "no such device": "/proc/x/c",
    }
    with pytest.raises(
        UserError, match=rf"^can't write the cache {path[place]}_rank0.db \(.*\); make room or make it and"
    ):
        run(preference_task(ROWS[:2], tmp_path), task_manager, path[place])


@pytest.mark.parametrize(("file_mode", "folder_mode"), [(0o444, 0o777), (0o666, 0o555)])
def test_a_read_only_cache_is_one_line(filled, file_mode, folder_mode):
    """The file, or the folder in which a journal would lie."""
    with tempfile.TemporaryDirectory() as folder:  # pytest's own folders are closed to other users
        file = Path(folder, "cache.db")
        file.write_bytes(filled)
        file.chmod(file_mode)
        Path(folder).chmod(folder_mode)
        user = os.geteuid()
        try:
            if user == 0:  # who may write everywhere
                os.seteuid(65534)
            with pytest.raises(UserError, match=r"^can't write the cache .*cache.db \(.*\); make room or make it and"):
                check_file(str(file))
        finally:
            os.seteuid(user)
            Path(folder).chmod(0o777)
        check_file(str(file))


@pytest.mark.parametrize("kilobytes", [4, 16, 40])
def test_a_full_disk_keeps_what_was_stored(tmp_path, task_manager, caplog, kilobytes):
    """One line, no pages of sqlitedict's; with room the same command goes on from there."""
    task, model = preference_task(ROWS, tmp_path), {"pretrained": "demo", "device": "cpu", "tokens_per_pack": 500}
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    file = tmp_path / "cache_rank0.db"
    task_manager.load([task])  # writes files of its own
    resource.setrlimit(resource.RLIMIT_FSIZE, (kilobytes * 1024, before[1]))
    try:
        with pytest.raises(UserError, match=rf"^can't write the cache {file} \(.*\); .*make room"):
            run(task, task_manager, tmp_path / "cache", model_args=model)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert "Outer stack" not in caplog.text
    kept = len(SqliteDict(str(file))) if Path(file).stat().st_size else 0
    assert kept < 2 * len(ROWS)
    assert kept > 10 or kilobytes < 40
    results = run(task, task_manager, tmp_path / "cache", model_args=model)
    assert results["config"]["reward"]["conversations_scored"] == 2 * len(ROWS) - max(kept - 2, 0)
