"""`sweep`: which checkpoints, how each is run, what is skipped, what is said; each run's process is a stand-in for lm-eval."""

import json
import os
import signal
import subprocess
import sys
import textwrap

import pytest
from test_docs import ROOT

from skywork_rb_plugin import UserError, commands

# takes what `lm_eval run` takes, writes what it writes: scores are the length of the model's name
CHILD = textwrap.dedent(f"""\
    #!{sys.executable}
    import argparse, json, os, pathlib, sys, time
    parser = argparse.ArgumentParser()
    parser.add_argument("--model_args", action="append", type=lambda text: json.loads(text) if text[0] == "{{" else {{}})
    parser.add_argument("--output_path"), parser.add_argument("--use_cache", default="none")
    given, rest = parser.parse_known_args(sys.argv[4:])
    own = given.model_args[-1]
    name = own["pretrained"]
    print(os.getpid(), *sys.argv[1:])
    print("Cache:", given.use_cache)
    folder = pathlib.Path(given.output_path) / name.replace("/", "__")
    folder.mkdir(parents=True, exist_ok=True)
    if own.get("revision") == "hang":
        time.sleep(60)
    if own.get("revision") in os.environ.get("FAILING", "").split():
        sys.exit("skywork-rb-plugin: found no such thing\\nand a warning after it")
    date = f"2026-11-25T04-28-{{time.time() % 60:09.6f}}".replace(":", "-")
    row = {{"alias": "mine", "sample_len": 2, "acc,none": len(own.get("revision", name)) / 100, "acc_stderr,none": 0.01}}
    data = {{"results": {{"mine": row}}, "configs": {{"mine": {{}}}}, "config": {{"model": "x"}}, "model_name": name}}
    (folder / f"results_{{date}}.json").write_text(json.dumps(data))
    (folder / f"samples_mine_{{date}}.jsonl").write_text("")
""")


@pytest.fixture
def sweep(tmp_path, monkeypatch, task_manager, capfd):
    """Run `sweep` in this process on the stand-in, in a folder of its own; returns what it printed and the error."""
    (tmp_path / "child").write_text(CHILD)
    (tmp_path / "child").chmod(0o755)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("lm_eval.tasks.TaskManager", lambda **settings: task_manager)

    def call(*arguments, tasks="preference_demo"):
        error = None
        before = signal.getsignal(signal.SIGTERM)
        flags = ["--launcher", "./child", "--tasks", tasks, "--output_path", "out", "--model", "hf-reward"]
        try:
            commands.run("sweep", [*arguments, *flags])
        except UserError as raised:
            error = str(raised)
        finally:
            signal.signal(signal.SIGTERM, before)
        printed = capfd.readouterr()
        return printed.out, printed.err, error

    return call


MODEL = ("--model_args", "pretrained=o/tiny", "--revisions")


def runs_of(folder):
    """Names of the run's files, and what its process was given."""
    files = sorted(file.name.split("_")[0] for file in folder.glob("*/*"))
    return files, (folder / "log.txt").read_text().splitlines()


def test_each_revision_has_a_process_a_folder_and_a_cache_of_its_own(sweep, tmp_path):
    """A revision called 1 or 010 stays text; flags of run are handed on; a row for each in the table."""
    out, _, error = sweep(*MODEL, "1,010", "main", "--use_cache", "cache", "--log_samples", "--num_fewshot", "0")
    assert error is None
    seen = {}
    for revision in ("1", "010", "main"):
        files, (arguments, cache) = runs_of(tmp_path / "out" / f"o__tiny@{revision}")
        assert files == ["results", "samples"]
        assert json.dumps({"pretrained": "o/tiny", "revision": revision}) in arguments
        assert " -m skywork_rb_plugin run " in arguments
        assert "--log_samples --num_fewshot 0 " in arguments
        assert cache == f"Cache: cache_o__tiny@{revision}"
        seen[revision] = arguments.split()[0]
    assert len(set(seen.values())) == 3
    assert str(os.getpid()) not in seen.values()
    table = [line.split() for line in out.splitlines()[-4:]]
    assert table == [
        ["mine", "acc", "%"],
        ["o/tiny@1", "1.00", "±", "1.00"],
        ["o/tiny@010", "3.00", "±", "1.00"],
        ["o/tiny@main", "4.00", "±", "1.00"],
    ]


def test_what_failed_is_said_at_the_end_and_tried_again(sweep, tmp_path, monkeypatch):
    """The sweep goes on after it, ends with an error, and the next one skips what has results."""
    monkeypatch.setenv("FAILING", "b")
    out, err, error = sweep(*MODEL, "a", "b", "c")
    assert "[3/3] o/tiny@c, " in out
    assert "failed: o/tiny@b: found no such thing (exit 1, out/o__tiny@b/log.txt)\n" in err
    assert error == "1 of 3 checkpoints failed; the same command tries them again"
    assert "o/tiny@b  " not in out
    monkeypatch.setenv("FAILING", "")
    first = (tmp_path / "out" / "o__tiny@a" / "log.txt").read_text()
    out, _, error = sweep(*MODEL, "a", "b", "c")
    assert error is None
    assert "2 of 3 checkpoints have their results and are skipped\n[1/1] o/tiny@b, " in out
    assert (tmp_path / "out" / "o__tiny@a" / "log.txt").read_text() == first
    assert [line.split()[0] for line in out.splitlines()[-3:]] == ["o/tiny@a", "o/tiny@b", "o/tiny@c"]


def test_results_of_other_arguments_are_not_taken(sweep, tmp_path):
    """Of another limit, or other tasks; --overwrite runs again, and leaves one run in the folder; --device is no matter."""
    assert sweep(*MODEL, "a", "b", "--limit", "5")[2] is None
    assert "found results of o/tiny@a made with limit 5.0, expected None" in sweep(*MODEL, "a", "b")[2]
    assert "made with tasks" in sweep(*MODEL, "b", "--limit", "5", tasks="preference_demo_chat")[2]
    assert "1 of 1 checkpoints have" in sweep(*MODEL, "b", "--limit", "5", "--device", "cpu")[0]
    [old] = (tmp_path / "out" / "o__tiny@a").glob("*/results_*")
    assert sweep(*MODEL, "a", "--overwrite")[2] is None
    [new] = (tmp_path / "out" / "o__tiny@a").glob("*/results_*")
    assert new != old
    assert len([*new.parent.iterdir()]) == 2


def test_results_stay_where_running_again_fails(sweep, tmp_path, monkeypatch):
    """What --overwrite would replace is removed by its successor only."""
    sweep(*MODEL, "a")
    monkeypatch.setenv("FAILING", "a")
    assert "1 of 1 checkpoints failed" in sweep(*MODEL, "a", "--overwrite", "--limit", "3")[2]
    assert runs_of(tmp_path / "out" / "o__tiny@a")[0] == ["results", "samples"]
    # and they do not pass for what was asked last
    assert "[1/1] o/tiny@a" in sweep(*MODEL, "a", "--limit", "3")[0]


def test_checkpoints_of_a_file(sweep, tmp_path):
    """Names, folders, further arguments; remarks and empty lines are none; --only takes one by its place."""
    (tmp_path / "list.txt").write_text("# all\n\no/a\npretrained=./b/c/\no/a,revision=2,max_length=2048 \n")
    out, _, error = sweep("--checkpoints", "list.txt", "--model_args", "dtype=float32", "--only", "3")
    assert error is None
    assert [folder.name for folder in (tmp_path / "out").iterdir()] == ["o__a@2,max_length=2048"]
    assert "[1/1] o/a@2,max_length=2048, log" in out
    assert sweep("--checkpoints", "list.txt", "--model_args", "dtype=float32")[2] is None
    assert {folder.name for folder in (tmp_path / "out").iterdir()} == {"o__a", ".__b__c", "o__a@2,max_length=2048"}


def test_interrupted(tmp_path):
    """SIGTERM, as Ctrl-C: the run under way is ended, one line says what is left, the exit is 130."""
    (tmp_path / "child").write_text(CHILD)
    (tmp_path / "child").chmod(0o755)
    # the command, without the host's search for tasks, which takes seconds
    start = (
        "import sys, skywork_rb_plugin.commands.sweep.command as c, skywork_rb_plugin.__main__ as m\n"
        "c._find_tasks = lambda config: None\nm.main()"
    )
    flags = "--launcher ./child --model_args pretrained=o/t --revisions hang b --tasks x --output_path out"
    process = subprocess.Popen(
        [sys.executable, "-c", start, "sweep", *flags.split()],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert "[1/2]" in process.stdout.readline()
    log = tmp_path / "out" / "o__t@hang" / "log.txt"
    while not log.is_file() or "Cache" not in log.read_text():
        pass
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err == "\nInterrupted: 2 of 2 are left; the same command goes on\n"
    with pytest.raises(ProcessLookupError):
        os.kill(int(log.read_text().split()[0]), 0)
