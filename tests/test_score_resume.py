"""`score`, ended at any moment and begun again: nothing is scored twice, missing or doubled, to the last byte."""

import itertools
import json
import resource
import signal
import subprocess
import sys
import time
from contextlib import contextmanager

import pytest
from conftest import make_model, write_rows
from scored_files import conversations, counts_of, cut, lines_of, many, score
from tiny_checkpoints import decoder, write
from tiny_pairs import pair_preference, pairrm

import skywork_rb_plugin as rb
from skywork_rb_plugin import UserError
from skywork_rb_plugin.commands.score import journal, reading, run, windows

ROWS = many(7, 3)
SMALL = "demo,tokens_per_pack=64"


@pytest.fixture(autouse=True)
def small_windows(monkeypatch):
    """Some rows are a window."""
    monkeypatch.setattr(windows, "CHARACTERS", 1200)


class Killed(BaseException):
    """What a kill does: nothing after it runs, and what is not on disk yet is lost."""


@contextmanager
def killed_at(step, monkeypatch):
    """End the run before or after one of its writes: of a pass, of a row, of the record of a window."""
    left = itertools.count(1)

    def dying(function):
        def wrapped(*arguments):
            if next(left) == step:
                raise Killed
            done = function(*arguments)
            if next(left) == step:
                raise Killed
            return done

        return wrapped

    with monkeypatch.context() as patched:
        for owner, name in ((journal.Journal, "keep"), (journal.Journal, "advance"), (reading.Reader, "line")):
            patched.setattr(owner, name, dying(getattr(owner, name)))
        yield


def test_a_run_killed_at_any_moment_ends_as_if_it_had_not_been(tmp_path, monkeypatch):
    """Before and after every write, of which a few are half done; the model is loaded once, which takes longest."""
    model = rb.load("demo", device="cpu", tokens_per_pack=64)
    monkeypatch.setattr(rb.HFReward, "create_from_arg_obj", lambda options: model)
    score(tmp_path, ROWS, model=SMALL, output="whole.jsonl")
    whole = (tmp_path / "whole.jsonl").read_bytes()
    expected = cut(model.score(conversations(ROWS)), 3)
    assert [row["rewards"] for row in lines_of(tmp_path / "whole.jsonl")] == [
        pytest.approx(rewards, abs=1e-5) for rewards in expected
    ]
    out, record = tmp_path / "out.jsonl", tmp_path / "out.jsonl.progress"
    for step in itertools.count(1):
        try:
            with killed_at(step, monkeypatch):
                score(tmp_path, None, model=SMALL)
            break
        except Killed:
            pass
        for file in (out, record):
            if step % 2 and file.exists():  # half a line more
                file.write_bytes(file.read_bytes() + b'{"rewards": {"ab')
        score(tmp_path, None, model=SMALL)
        assert out.read_bytes() == whole
        assert counts_of(out) == counts_of(tmp_path / "whole.jsonl")
        out.unlink()
        record.unlink()
    assert step > 40


BACKENDS = {
    "tree": ("hf-reward", {"scoring": "tree", "tokens_per_pack": 64}),
    "padded": ("hf-reward", {"scoring": "padded"}),
    "policy": ("hf-dpo", {"tokens_per_pack": 64}),
    "reference": ("hf-dpo", {"tokens_per_pack": 64, "keep_both": True}),
    "turns": ("hf-dpo", {"tokens_per_pack": 64, "keep_both": False}),
    "pairrm": ("hf-pairwise", {}),
    "pair-preference": ("hf-pairwise", {"tokens_per_pack": 64, "head": "pair-preference"}),
}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """A checkpoint for each of BACKENDS, and a reference."""
    root = tmp_path_factory.mktemp("backends")
    policy, reference = (write(root / f"llama{seed}", *decoder("llama", lm_head=True, seed=seed)) for seed in (0, 1))
    return {
        "tree": make_model(root / "tree"), "padded": make_model(root / "padded", "gemma-2"), "policy": policy,
        "reference": policy, "turns": policy, "ref_model": reference, "pairrm": pairrm(root / "pairrm"),
        "pair-preference": pair_preference(root / "pair"),
    }  # fmt: skip


@pytest.mark.parametrize("name", BACKENDS)
def test_every_backend_goes_on(name, folders, tmp_path, monkeypatch):
    """Killed after some passes; the rewards are the model's own, and no conversation is scored twice."""
    backend, options = BACKENDS[name]
    if name in ("reference", "turns"):
        options = {**options, "ref_model": folders["ref_model"]}
    given = {"pretrained": folders[name], "batch_size": 1, **options}
    rows, whole, out = ROWS[:4], tmp_path / "whole.jsonl", tmp_path / "out.jsonl"
    asked = ["--model", backend, "--model_args", json.dumps(given)]
    score(tmp_path, rows, *asked, output="whole.jsonl")
    keep = journal.Journal.keep
    for passes in (1, 2, 2):
        left = iter(range(passes))

        def killed(self, *arguments, left=left):
            keep(self, *arguments)
            if next(left, None) is None:
                raise Killed

        with monkeypatch.context() as patched:
            patched.setattr(journal.Journal, "keep", killed)
            with pytest.raises(Killed):
                score(tmp_path, None, *asked)
    score(tmp_path, None, *asked)
    assert out.read_bytes() == whole.read_bytes()
    assert counts_of(out) == counts_of(whole)
    model, written = rb.load(**given, model=backend, device="cpu"), lines_of(out)
    if backend == "hf-pairwise":
        for row in written:
            texts = row["responses"]
            totals = [sum(model.compare(row["prompt"], a, b) for b in set(texts) - {a}) for a in texts]
            expected = [total / len(set(texts)) for total in totals]
            assert row["rewards"] == pytest.approx(expected, abs=1e-4)
    else:
        rewards = [row["rewards"] for row in written]
        assert rewards == [pytest.approx(each, abs=1e-4) for each in cut(model.score(conversations(rows)), 3)]


def test_a_process_that_is_killed_goes_on(tmp_path, monkeypatch):
    """SIGKILL while it scores; what was kept is not scored again."""
    monkeypatch.undo()  # its windows are those of every run
    write_rows(tmp_path / "data.jsonl", many(200, 6))
    command = [sys.executable, "-m", "skywork_rb_plugin", "score", "--data", "data.jsonl", "-o", "out.jsonl", "--device",
        "cpu", "--model_args", "pretrained=demo,tokens_per_pack=256"]  # fmt: skip
    record = tmp_path / "out.jsonl.progress"
    with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.DEVNULL) as process:
        while process.poll() is None and not (record.exists() and record.stat().st_size > 5000):
            time.sleep(0.01)
        process.kill()
    assert process.returncode == -signal.SIGKILL
    kept = len(journal.Journal(tmp_path / "out.jsonl")._kept["rewards"])
    assert 0 < kept < 1000
    written = score(tmp_path, None, model="demo,tokens_per_pack=256")
    whole = score(tmp_path, None, model="demo,tokens_per_pack=256", output="whole.jsonl")
    assert [row["rewards"] for row in written] == [pytest.approx(row["rewards"], abs=1e-5) for row in whole]
    assert (
        counts_of(tmp_path / "out.jsonl").conversations_scored
        == counts_of(tmp_path / "whole.jsonl").conversations_scored
    )


def test_ctrl_c_says_how_to_go_on(tmp_path, monkeypatch, capsys):
    """In one line, after that of the bar."""
    # a shell's background job ignores SIGINT, and so does what it starts
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    monkeypatch.setattr(journal.Journal, "keep", lambda *_: signal.raise_signal(signal.SIGINT))
    try:
        with pytest.raises(KeyboardInterrupt):
            score(tmp_path, ROWS)
    finally:
        signal.signal(signal.SIGINT, before)
    *_, last = capsys.readouterr().err.splitlines()
    assert last.startswith("Interrupted: 0 of 7 rows are in ")
    assert last.endswith("out.jsonl.progress; the same command goes on from there")
    monkeypatch.undo()
    score(tmp_path, None)
    assert "Going on: 0 of 7 rows are in " in capsys.readouterr().out


def test_what_differs_is_told(tmp_path, monkeypatch):
    """Another model, other options, other data, a changed output, one of others; --overwrite begins anew."""
    made = score(tmp_path, ROWS)
    for given, says in (
        ({"model": make_model(tmp_path / "m")}, "out.jsonl was made with --model_args pretrained=demo, this run has pretrained="),
        ({"model": "demo,max_length=100"}, "this run has pretrained=demo, max_length=100"),
        ({"data": "other.jsonl"}, "the first 7 of its 8 rows are not those that were scored"),
        ({"data": "more.jsonl"}, "it has 8 rows, and had 7"),
        ({"data": "fewer.jsonl"}, "it has 6 rows, and 7 were scored"),
    ):  # fmt: skip
        write_rows(tmp_path / "other.jsonl", [{"id": 7, **ROWS[0]}, *ROWS])
        write_rows(tmp_path / "more.jsonl", [*ROWS, ROWS[0]])
        write_rows(tmp_path / "fewer.jsonl", ROWS[:-1])
        with pytest.raises(UserError) as caught:
            score(tmp_path, None, **given)
        assert says in str(caught.value)
        assert "--overwrite to begin anew" in str(caught.value)
    for options, says in (
        (["--best"], "out.jsonl was made with --best False, this run has True"),
        (["--limit", "3"], "--limit None, this run has 3"),
        (["--system_instruction", "x"], "--system_instruction None, this run has x"),
    ):
        with pytest.raises(UserError, match=says):
            score(tmp_path, None, *options)
    # the files behind the same name
    record = tmp_path / "out.jsonl.progress"
    text = record.read_text()
    record.write_text(text.replace('"finished": true', '"finished": false').replace('"head": "', '"head": "another '))
    with pytest.raises(UserError, match=r"was made with head another .*, this run has"):
        score(tmp_path, None)
    record.write_text(text)
    (tmp_path / "out.jsonl").write_text("short\n")
    with pytest.raises(UserError, match=r"out\.jsonl has 6 bytes, expected the .* it was changed"):
        score(tmp_path, None)
    record.write_text("no record\n")
    with pytest.raises(UserError, match="is damaged or no record of this command"):
        score(tmp_path, None)
    assert score(tmp_path, None, "--overwrite") == made
    record.unlink()
    with pytest.raises(UserError, match="which this command did not make"):
        score(tmp_path, None)


def test_a_finished_file_is_left_alone(tmp_path, monkeypatch, capsys):
    """The model is not loaded; nothing is written."""
    score(tmp_path, ROWS)
    before = {file.name: (file.read_bytes(), file.stat().st_mtime_ns) for file in tmp_path.iterdir()}
    monkeypatch.setattr(rb.HFReward, "create_from_arg_obj", None)
    capsys.readouterr()
    score(tmp_path, None)
    assert "out.jsonl is finished, nothing is left to do: 7 rows, 21 conversations" in capsys.readouterr().out
    assert {file.name: (file.read_bytes(), file.stat().st_mtime_ns) for file in tmp_path.iterdir()} == before
    assert set(before) == {"data.jsonl", "out.jsonl", "out.jsonl.progress"}


def test_rows_to_come_may_change(tmp_path, monkeypatch):
    """Such as one that the chat template refuses: those that are written stay, and the rest is read anew."""
    template = tmp_path / "t.jinja"
    template.write_text(
        "{% for m in messages %}{{ raise_exception('no') if m.content == 'bad' else m.content }}{% endfor %}"
    )
    model = f"demo,chat_template={template}"
    with pytest.raises(UserError, match=r"row 6, response 0: the chat template .* rows are in .* goes on from there"):
        score(tmp_path, [*ROWS[:-1], {**ROWS[-1], "prompt": "bad"}], model=model)
    rows = journal.Journal(tmp_path / "out.jsonl").state.rows
    assert 0 < rows < 7
    score(tmp_path, ROWS, model=model)
    score(tmp_path, ROWS, model=model, output="whole.jsonl")
    assert (tmp_path / "out.jsonl").read_bytes() == (tmp_path / "whole.jsonl").read_bytes()


def test_overwrite_replaces_nothing_before_it_can(tmp_path):
    """Data that can't be read, or a model that is not there, cost nobody an older output."""
    score(tmp_path, ROWS)
    before = {file.name: file.read_bytes() for file in tmp_path.glob("out*")}
    with pytest.raises(UserError, match="found no folder"):
        score(tmp_path, None, "--overwrite", model="./absent")
    with pytest.raises(UserError, match="row 6"):
        score(tmp_path, [*ROWS[:-1], {**ROWS[-1], "prompt": None}], "--overwrite")
    assert {file.name: file.read_bytes() for file in tmp_path.glob("out*")} == before


def test_data_that_changes_while_it_is_scored_is_told(tmp_path, monkeypatch):
    """Rows that were looked at are gone; what is written is written."""
    advance = journal.Journal.advance

    def shortens(self, state):
        advance(self, state)
        write_rows(tmp_path / "data.jsonl", ROWS[:5])

    monkeypatch.setattr(journal.Journal, "advance", shortens)
    with pytest.raises(UserError, match="changed while it was read"):
        score(tmp_path, ROWS)
    assert not journal.Journal(tmp_path / "out.jsonl").state.finished


@pytest.mark.parametrize("size", [500, 8000])
def test_a_full_disk_is_one_line_and_nothing_is_lost(tmp_path, monkeypatch, size):
    """Under the record, or under the output; with room, the run comes to its end."""
    model = rb.load("demo", device="cpu")  # loading may write too
    monkeypatch.setattr(rb.HFReward, "create_from_arg_obj", lambda options: model)
    score(tmp_path, [{**row, "long": "x" * 3000} for row in ROWS], output="whole.jsonl")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
        with pytest.raises(UserError, match=r"can't write .*\(File too large\): make room"):
            score(tmp_path, None)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    score(tmp_path, None)
    assert (tmp_path / "out.jsonl").read_bytes() == (tmp_path / "whole.jsonl").read_bytes()


def test_two_runs_do_not_write_one_file(tmp_path):
    """The second is refused, whoever holds the file."""
    import filelock

    with (
        filelock.FileLock(tmp_path / "out.jsonl.lock"),
        pytest.raises(UserError, match="found another run that writes"),
    ):
        score(tmp_path, ROWS)
    assert len(score(tmp_path, None)) == 7


def test_packs_are_of_the_size_that_fitted_before(tmp_path, monkeypatch):
    """What memory allows now may be less, and packs decide the last bits."""
    from skywork_rb_plugin.scoring import choice

    with monkeypatch.context() as patched:
        patched.setattr(choice, "automatic_budget", lambda *_: 96)
        patched.setattr(run, "score_rows", lambda *arguments: arguments[3].start() or 1 / 0)
        with pytest.raises(ZeroDivisionError):
            score(tmp_path, ROWS)
    score(tmp_path, None)
    assert journal.Journal(tmp_path / "out.jsonl").made_by["tokens per pack"] == "96"
