"""Runs compared row by row: what is read of their files, what is tested how, and what is refused."""

import json
import logging
import shutil

import pytest
from conftest import preference_task
from result_files import at_random, write_run

from skywork_rb_plugin.errors import UserError
from skywork_rb_plugin.report.comparison import compare
from skywork_rb_plugin.report.evidence import aggregation_function
from skywork_rb_plugin.report.lines import lines_of
from skywork_rb_plugin.report.results import read_runs
from skywork_rb_plugin.report.rows import read_rows

DEMO = ["preference_demo"]


@pytest.fixture(scope="module")
def demos(task_manager, tmp_path_factory):
    """Folders of two runs of preference_demo."""
    root = tmp_path_factory.mktemp("demos")
    return [write_run(root, f"of {seed}", at_random(seed), DEMO, task_manager) for seed in (1, 2)]


@pytest.fixture
def copies(demos, tmp_path):
    """The same, to be spoilt."""
    return [shutil.copytree(folder, tmp_path / folder.name) for folder in demos]


def log_of(folder, task="preference_demo_chat"):
    """Its sample log."""
    [log] = folder.glob(f"samples_{task}_2*.jsonl")
    return log


def change(log, change_line):
    """Rewrite each line of a sample log."""
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    log.write_text("".join(json.dumps(change_line(line)) + "\n" for line in lines))


def note(log, change_note):
    """Rewrite what the plugin noted of each row."""

    def changed(line):
        return {**line, "doc": {**line["doc"], "skywork_rb": change_note(line["doc"]["skywork_rb"])}}

    change(log, changed)


def difference(folders, name, **options):
    """The line of that name, of two runs."""
    [comparison] = compare(read_runs(folders), **options)
    [found] = [one for one in comparison.differences if one.first.name == name]
    return found


def without_filter(line):
    """As lm-eval 0.4.5 logged it."""
    return {key: value for key, value in line.items() if key != "filter"}


def test_refusals(copies, task_manager, tmp_path):
    """Each in one line that says what to do."""
    first = copies[0]
    refused = {
        "found one run": [first],
        "found 28 rows in .* and 2 in .*, 2 of them the same; expected the same rows": [
            first, write_run(tmp_path, "limited", at_random(3), DEMO, task_manager, limit=2),
        ],
        "its metrics: acc\\) and .*\\(none, as under --predict_only\\)": [
            first, write_run(tmp_path, "predicted", at_random(3), DEMO, task_manager, predict_only=True),
        ],
        "no task in common": [
            first, write_run(tmp_path, "mine", at_random(3), [preference_task([PAIR], tmp_path)], task_manager)
        ],
    }  # fmt: skip
    for message, folders in refused.items():
        with pytest.raises(UserError, match=message):
            compare(read_runs(folders))
    with pytest.raises(UserError, match=r"found no margin in both .* \(its metrics: acc\)"):
        compare(read_runs(copies), metric="margin")


PAIR = {"id": 7, "prompt": "One?", "chosen": "long answer", "rejected": "short"}


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda log: log.unlink(), "found no samples_preference_demo_chat.*run it again with --log_samples"),
        (lambda log: log.write_text(""), "found 0 rows, expected 28"),
        (lambda log: log.write_text("".join(log.open().readlines()[:20])), "found 20 rows, expected 28"),
        (lambda log: change(log, lambda line: {**line, "acc": 0.0}), "rows that give acc 0, expected 0"),
        (lambda log: change(log, without_filter), "line 1 of .*no `filter`.*log of lm-eval 0.4.13 or later"),
        (lambda log: log.write_text("[1]\n"), "found no sample in line 1"),
        (lambda log: log.write_bytes(b"\xff{"), "found no sample in line 1"),
        (lambda log: log.write_text("[" * 100_000), "found no sample in line 1"),
        (lambda log: change(log, lambda line: {**line, "doc_id": None}), "line 1 of .*`doc_id` and `doc_hash` are not"),
        (lambda log: note(log, lambda note: "text"), "`skywork_rb` is no mapping"),
        (lambda log: note(log, lambda note: {**note, "margin": None}), "has a margin that is not a number"),
        (lambda log: note(log, lambda note: {**note, "rewards": [None]}), "rewards that is not a list of numbers"),
        (lambda log: note(log, lambda note: {"rewards": note["rewards"]}), "rewards without margin and preferred"),
    ],
)
def test_spoilt_logs(copies, spoil, message):
    """A log that is missing, not complete, another run's or older is refused; what does not need it is compared."""
    spoil(log_of(copies[1]))
    with pytest.raises(UserError, match=message):
        compare(read_runs(copies))
    [comparison] = compare(read_runs(copies), chosen=lambda line: line.name == "preference_demo_safety")
    assert [one.first.name for one in comparison.differences] == ["preference_demo_safety"]


def test_rows_that_are_alike(tmp_path):
    """They are told apart by their places in the data, in whatever order they were logged; an empty line is no row."""
    fields = {"doc": {}, "arguments": {}, "filter": "none", "metrics": ["acc"]}
    rows = [{**fields, "doc_id": i, "doc_hash": "ab"[i == 2], "acc": i} for i in range(4)]
    for order in ((0, 1, 2, 3), (1, 3, 0, 2)):
        log = tmp_path / "samples_x_2026-11-25T04-28-55.jsonl"
        log.write_text("".join(json.dumps(rows[i]) + "\n" for i in order) + "\n")
        assert [(key, row.key, row.doc_id) for key, row in read_rows(log).items()] == [
            ("a#1", "a#1", 0), ("a#2", "a#2", 1), ("b#1", "b#1", 2), ("a#3", "a#3", 3),
        ]  # fmt: skip
        assert [row.sample()["acc"] for row in read_rows(log).values()] == [0, 1, 2, 3]


def test_less_is_better(demos):
    """A loss's direction is known of groups too, of which the host's results files do not always say it."""
    runs = read_runs(demos)
    for run in runs:
        run.data["higher_is_better"] = {task: {"acc": False} for task in run.tasks}
    first, second = (next(line for line in lines_of(run) if line.name == "preference_demo") for run in runs)
    assert not first.higher_is_better
    [comparison] = compare(runs, chosen=lambda line: line.name == "preference_demo")
    [found] = comparison.differences
    assert found.gain == first.value - second.value
    rows = [row for task in runs[0].tasks for row in runs[0].rows(task).values()]
    assert found.both + found.only_first == sum(not row.values["acc", "none"] for row in rows)


def test_metrics_that_are_no_verdicts(task_manager, tmp_path):
    """Margins, losses and calibration errors have a test; rows count as right whatever the metric."""
    rows = [{"prompt": f"{i}?", "chosen": f"good {i}", "rejected": f"bad {i}"} for i in range(30)]
    task = preference_task(rows, tmp_path, metric_list=["acc", "margin", "bt_loss", "ece"])
    folders = [write_run(tmp_path, f"m{i}", at_random(i), [task], task_manager) for i in (1, 2)]
    found = {metric: difference(folders, "mine", metric=metric) for metric in ("acc", "margin", "bt_loss", "ece")}
    for metric, one in found.items():
        assert one.test.method == ("McNemar" if metric == "acc" else "bootstrap")
        assert one.test.difference == pytest.approx(one.second.value - one.first.value)
        assert one.test.low < one.test.difference < one.test.high
        assert 0 < one.test.p <= 1
        assert (one.only_first, one.only_second) == (found["acc"].only_first, found["acc"].only_second)
    assert [metric for metric, one in found.items() if not one.fraction] == ["margin", "bt_loss", "ece"]
    assert not found["bt_loss"].first.higher_is_better


def test_scores_that_others_make(task_manager, tmp_path):
    """Without `aggregation:` a metric has the host's default: a mean has a test, another has none, and no log is refused."""
    rows = [{"q": f"{i}?", "a": "yes"} for i in range(12)]
    data = preference_task(rows, tmp_path)["dataset_kwargs"]
    task = {
        "task": "mine", "dataset_path": "json", "test_split": "train", "dataset_kwargs": data,
        "output_type": "loglikelihood", "doc_to_text": "{{q}}", "doc_to_target": "{{a}}",
    }  # fmt: skip
    listed = {**task, "task": "listed", "metric_list": [{"metric": "perplexity"}, {"metric": "acc"}]}
    folders = [write_run(tmp_path, f"p{i}", at_random(i), [task, listed], task_manager) for i in (1, 2)]
    for name in ("mine", "listed"):
        perplexity, acc = (difference(folders, name, metric=metric) for metric in ("perplexity", "acc"))
        assert perplexity.first.value != perplexity.second.value
        assert perplexity.test is None
        assert acc.test.method == "McNemar"
    log = log_of(folders[0], "mine")
    change(log, lambda line: {**line, "perplexity": -1.0})
    with pytest.raises(UserError, match=r"rows that give perplexity 2\.71828, expected"):
        compare(read_runs(folders))


def test_each_filter_has_its_own_verdicts(task_manager, tmp_path):
    """Rows count as right by the metric and filter that are compared, and all filters of a row are read."""
    task = {
        "task": "mine", "dataset_path": "json", "test_split": "train", "output_type": "generate_until",
        "dataset_kwargs": preference_task([{"q": f"{i}", "a": "YES"} for i in range(6)], tmp_path)["dataset_kwargs"],
        "doc_to_text": "{{q}}", "doc_to_target": "{{a}}", "generation_kwargs": {"until": ["."]},
        "metric_list": [{"metric": "exact_match", "aggregation": "mean", "higher_is_better": True}],
        "filter_list": [
            {"name": "as_is", "filter": [{"function": "take_first"}]},
            {"name": "upper", "filter": [{"function": "uppercase"}, {"function": "take_first"}]},
        ],
    }  # fmt: skip
    answers = [lambda text: "yes", lambda text: "YES" if text < "4" else "no"]
    folders = [write_run(tmp_path, f"g{i}", answer, [task], task_manager) for i, answer in enumerate(answers)]
    first = difference(folders, "mine")
    assert (first.first.filter, first.only_first, first.only_second, first.neither) == ("as_is", 0, 4, 2)
    runs = read_runs(folders)
    row = next(iter(runs[0].rows("mine").values()))
    assert {filter_ for _, filter_ in row.values} == set(row.places) == {"as_is", "upper"}
    assert row.right is False
    assert [row.texts(chosen)[1] for chosen in (None, "as_is", "upper")] == [["yes"], ["yes"], ["YES"]]


def test_ties_prompts_move_with_their_partners(task_manager, tmp_path, caplog):
    """RewardBench 2's Ties score has a test, of whole pairs of prompts; nothing is logged of each draw."""
    rows = [
        {"id": f"{kind}:{i}", "prompt": f"{kind} {i}?", "chosen": ["good"] + ["fine"] * (kind == "tied"), "rejected": ["bad"]}
        for i in range(8)
        for kind in ("ref", "tied")
    ] + [{"id": "ref:99", "prompt": "alone?", "chosen": ["good"], "rejected": ["bad"]}]  # fmt: skip
    task = preference_task(rows, tmp_path, score="ties", metric_list=["score"])
    good = {"good": 2.0, "fine": 1.9, "bad": 0.0}
    folders = [
        write_run(tmp_path, "t0", lambda c, r: good[r.strip()], [task], task_manager),
        write_run(tmp_path, "t1", lambda c, r: -good[r.strip()], [task], task_manager),
    ]
    caplog.clear()
    found = difference(folders, "mine")
    assert found.test.p == pytest.approx(2 / 2**8, rel=1)
    assert "partner" not in caplog.text


def test_shares_give_the_groups_scores(demos):
    """What each task counts, times its score, is the group's."""
    [run, _] = read_runs(demos)
    values = {line.name: line.value for line in lines_of(run)}
    for line in lines_of(run):
        assert sum(share * values[task] for task, share in line.shares.items()) == pytest.approx(line.value)
        assert set(line.tasks) == set(line.shares)


def test_unknown_aggregations():
    """What neither the plugin nor the host knows is no error: such scores are shown without a test."""
    assert aggregation_function(None) is aggregation_function("of somebody's own") is None
    assert aggregation_function("mean")([0, 1]) == 0.5


def test_baselines(demos, task_manager, tmp_path):
    """A run is compared with the first before it that has tasks of it, with --all-pairs with all these; else it is refused."""
    mine = preference_task([PAIR], tmp_path)
    others = [write_run(tmp_path, f"{i}", at_random(i), [mine], task_manager) for i in (3, 4, 5)]
    runs = read_runs([demos[0], *others[:2], demos[1], others[2]])

    def places(**options):
        return [(runs.index(one.first), runs.index(one.second)) for one in compare(runs, **options)]

    assert places() == [(1, 2), (0, 3), (1, 4)]
    assert places(all_pairs=True) == [(1, 2), (0, 3), (1, 4), (2, 4)]
    with pytest.raises(UserError, match=r"no task in common: .*results_.* has mine, .* has preference_demo_chat"):
        compare([runs[0], runs[3], runs[1]])


def test_groups_of_other_members(copies):
    """They are named, and what else both have is compared."""
    runs = read_runs(copies)
    runs[1].data["group_subtasks"]["preference_demo"].remove("preference_demo_safety")
    [comparison] = compare(runs)
    assert comparison.regrouped == ["preference_demo"]
    assert "preference_demo" not in {one.first.name for one in comparison.differences}
    assert set(comparison.pairs) == {task for one in comparison.differences for task in one.first.tasks}


def test_a_quiet_log_stays_quiet(demos):
    """A comparison leaves what was turned off before it turned off."""
    logging.disable(logging.ERROR)
    try:
        during = []
        compare(read_runs(demos), chosen=lambda line: not during.append(logging.root.manager.disable))
        assert {*during, logging.root.manager.disable} == {logging.ERROR}
    finally:
        logging.disable(logging.NOTSET)


def test_the_same_file_is_one_run(demos, tmp_path):
    """By a link, or by a way round."""
    (tmp_path / "link").symlink_to(demos[0])
    runs = read_runs([demos[0], tmp_path / "link", demos[0] / ".." / demos[0].name])
    assert [run.path.parent for run in runs] == [demos[0]]


def test_broken_results(copies):
    """What is no mapping where lm-eval writes one is said."""
    [file] = copies[0].glob("results_*.json")
    whole = json.loads(file.read_text())
    for key, name in (("results", "preference_demo"), ("configs", "preference_demo_chat")):
        file.write_text(json.dumps({**whole, key: {**whole[key], name: [1]}}))
        with pytest.raises(UserError, match=rf"found \[1\] for {name} in `{key}` of "):
            read_runs(copies)
    file.write_text('{"a":' + "[" * 100_000)
    with pytest.raises(UserError, match="can't read"):
        read_runs(copies)
