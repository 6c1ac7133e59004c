"""What runs are called side by side: no longer than it takes to tell them apart, and by what tells them apart."""

import pytest
from result_files import write_by_hand

from skywork_rb_plugin.commands.compare.command import main as compare
from skywork_rb_plugin.report.results import read_runs

TASKS = {"t": {"acc": [1.0, 0.0, 1.0]}}


def write(folder, runs):
    """Runs of the models, each with what `config` has beside; returns their folders in this order."""
    return [
        write_by_hand(folder, f"{place}", TASKS, model_name=model, config={"model": "hf-reward", **config})
        for place, (model, config) in enumerate(runs)
    ]


@pytest.mark.parametrize(
    ("runs", "names"),
    [
        ([("o/a", {"model_revision": "1"}), ("o/a", {"model_revision": "2"})], ["a@1", "a@2"]),
        # another backend of the host keeps what was asked alone; where nothing was, it is main
        ([("o/a", {"model_args": {"revision": 1}}), ("o/a", {"model_args": {}})], ["a@1", "a@main"]),
        # one revision each says nothing
        ([("o/a", {"model_revision": "1"}), ("o/b", {"model_revision": "2"})], ["a", "b"]),
        (
            [("o/a", {"model_revision": "1"}), ("o/a", {"model_revision": "2"}), ("p/a", {"model_revision": "main"})],
            ["o/a@1", "o/a@2", "p/a"],
        ),
        ([("/d/x/step-1/", {}), ("/d/y/step-1", {}), ("/d/y/step-2", {})], ["x/step-1", "y/step-1", "y/step-2"]),
        (
            [("o/a", {"model_revision": "1"})] * 2 + [("o/a", {"model_revision": "2"})],
            ["a@1 2026-11-25T04-28-55.810497", "a@1 2026-11-25T04-28-55.810497", "a@2 2026-11-25T04-28-55.810497"],
        ),
    ],
    ids=["revisions", "revisions as asked", "one revision each", "two owners", "folders", "one revision twice"],
)
def test_names(tmp_path, runs, names):
    """By model, then revision, then date."""
    assert [run.name for run in read_runs(write(tmp_path, runs))] == names


def test_compare_names_revisions(tmp_path, capsys):
    """The two runs' headings, where only a date stood before."""
    folders = write(tmp_path, [("o/a", {"model_revision": "10"}), ("o/a", {"model_revision": "20"})])
    compare([str(folder) for folder in folders])
    printed = capsys.readouterr().out
    assert "A  a@10\n" in printed
    assert "B  a@20\n" in printed
