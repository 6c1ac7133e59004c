"""What rows written by hand say of two runs: each number has its side and its sign."""

import pytest
from result_files import write_by_hand

from skywork_rb_plugin.metrics.metric import Row as PreferenceRow
from skywork_rb_plugin.report.comparison import compare
from skywork_rb_plugin.report.hardest import answered, only_right
from skywork_rb_plugin.report.lines import lines_of
from skywork_rb_plugin.report.observed import by_length
from skywork_rb_plugin.report.results import read_runs

# groups of one section as lm-eval's own are: weighted by size, or not
GROUP = {"group_subtasks": {"group": ["few", "many"]}}
FEW, MANY = [1, 1], [1, 0, 0, 0, 0, 0]


def stock(folder, name, value, few=FEW, many=MANY):
    """A run of a stock group with that score."""
    tasks = {"few": {"acc": few}, "many": {"acc": many}}
    return write_by_hand(folder, name, tasks, {"group": {"alias": "group", "acc,none": value}}, **GROUP)


def lines(folder, metric=None):
    """A run's lines by name."""
    [run] = read_runs([folder])
    return {line.name: line for line in lines_of(run, metric)}


def test_shares_of_stock_groups(tmp_path):
    """By size or equally, as its score tells; none where neither gives it. Where both do, by size."""
    by_size, equal, neither = 3 / 8, (1 + 1 / 6) / 2, 0.9
    assert lines(stock(tmp_path, "a", by_size))["group"].shares == {"few": 0.25, "many": 0.75}
    assert lines(stock(tmp_path, "b", equal))["group"].shares == {"few": 0.5, "many": 0.5}
    assert lines(stock(tmp_path, "c", neither))["group"].shares is None
    both_fit = stock(tmp_path, "d", 0.5, few=[1, 0], many=[1, 0, 1, 0])
    assert lines(both_fit)["group"].shares == pytest.approx({"few": 1 / 3, "many": 2 / 3})
    assert list(lines(tmp_path / "a")) == ["group", "few", "many"]


def test_groups_of_other_shares_are_not_tested(tmp_path):
    """One score that is weighted by size and one that is not have no common test; alike they have one."""
    runs = [stock(tmp_path, "a", 3 / 8), stock(tmp_path, "b", (1 + 1 / 6) / 2), stock(tmp_path, "c", 3 / 8)]
    group = {"chosen": lambda line: line.name == "group"}
    assert compare(read_runs(runs[:2]), **group)[0].differences[0].test is None
    assert compare(read_runs([runs[0], runs[2]]), **group)[0].differences[0].test is not None


def test_which_metric_a_line_shows(tmp_path):
    """A task's first as listed, whatever the file's order; below a group the group's. Groups go before tasks of none."""
    tasks = {"few": {"margin": [1.0, 2.0], "acc": FEW}, "alone": {"margin": [1.0, 2.0], "acc": FEW}}
    results = {"group": {"acc,none": 1.0}, "alone": {"acc,none": 1.0, "margin,none": 1.5}}
    shown = lines(write_by_hand(tmp_path, "a", tasks, results, group_subtasks={"group": ["few"]}))
    assert [(line.name, line.metric) for line in shown.values()] == [
        ("group", "acc"),
        ("few", "acc"),
        ("alone", "margin"),
    ]
    [file] = (tmp_path / "a").glob("results_*")
    text = file.read_text().replace('"margin,none": 1.5, "acc,none": 1.0', '"acc,none": 1.0, "margin,none": 1.5')
    file.write_text(text)
    assert lines(tmp_path / "a")["alone"].metric == "margin"


def test_sides(tmp_path):
    """Skewed differences: the interval reaches far on the side of the few rows where the second is much better."""
    first = write_by_hand(tmp_path, "a", {"t": {"margin": [0.0] * 20}, "mine": {"acc": FEW}})
    second = write_by_hand(tmp_path, "b", {"t": {"margin": [0.0] * 18 + [10.0, 10.0]}, "theirs": {"acc": FEW}})
    [comparison] = compare(read_runs([first, second]))
    assert comparison.left_out == ["mine", "theirs"]
    [found] = comparison.differences
    assert found.test.difference == pytest.approx(1.0)
    assert found.test.high - 1 > 1.4 * (1 - found.test.low) > 0


def test_rows_without_a_number(tmp_path):
    """A mean with a value that is none is shown without a test, and its log is no other run's."""
    folders = [write_by_hand(tmp_path, name, {"t": {"acc": FEW, "margin": FEW}}) for name in "ab"]
    for folder in folders:
        [log] = folder.glob("samples_*")
        log.write_text(log.read_text().replace('"acc": 1', '"acc": null'))
    [comparison] = compare(read_runs(folders))
    assert comparison.differences[0].test is None


def test_hardest_rows(tmp_path):
    """Margins count in units of each run's usual one, and an infinite one does not hide the other's."""
    notes = [
        [{"margin": margin, "right": margin > 0} for margin in margins]
        for margins in ([1.0, -1.0, -2.0, -float("inf")], [1000.0, -3000.0, -1000.0, float("inf")])
    ]
    folders = [
        write_by_hand(tmp_path, str(i), {"t": {"acc": [note["right"] for note in some]}}, notes={"t": some})
        for i, some in enumerate(notes)
    ]
    rows = answered(read_runs(folders))
    assert [one.rows[0].doc_id for one in rows] == [1, 2, 3, 0]
    assert [one.hardness for one in rows] == pytest.approx([-2.0, -1.5, 0.0, 1.0])
    assert [one.rows[0].doc_id for one in only_right(rows, 1)] == [3]
    assert not only_right(answered(read_runs(folders[1:])), 0)


def test_a_tie_is_wrong_whatever_the_length():
    """As `acc` counts it."""
    [one] = [some for some in by_length([PreferenceRow({}, [1.0, 1.0], [0], (), [9, 4])]) if some.pairs]
    assert (one.low, one.right) == (0, 0.0)


def test_names_tell_runs_apart(tmp_path):
    """By what goes before the slash where the rest is the same."""
    folders = [write_by_hand(tmp_path / who, "m", {"t": {"acc": FEW}}, model_name=f"{who}/m") for who in ("one", "two")]
    assert [run.name for run in read_runs(folders)] == ["one/m", "two/m"]
    assert [run.name for run in read_runs(folders[:1])] == ["m"]
