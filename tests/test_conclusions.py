"""What `compare` and the page conclude of several scores at once: words, bold lines and p-values, each of the right one."""

import json
import re

import pytest
from reports import number
from result_files import write_by_hand
from scipy import stats
from statsmodels.stats.multitest import multipletests

from skywork_rb_plugin.commands.compare.command import main

# rows that only the first has right, only the second, both, none
COUNTS = {"clear": (2, 20, 10, 8), "doubtful": (3, 12, 20, 5), "even": (9, 6, 15, 10)}
P = {name: stats.binomtest(first, first + second).pvalue for name, (first, second, *_) in COUNTS.items()}
LOSS = 2 / 2**12
GROUP = ["clear", "doubtful", "even"]


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Folders of two runs: three tasks in a group whose score nobody knows the making of, and a loss of skewed differences."""
    folder = tmp_path_factory.mktemp("conclusions")
    tasks = {"one": {}, "two": {}}
    for task, (first, second, both, none) in COUNTS.items():
        tasks["one"][task] = {"acc": [1] * first + [0] * second + [1] * both + [0] * none}
        tasks["two"][task] = {"acc": [0] * first + [1] * second + [1] * both + [0] * none}
    tasks["one"]["loss"] = {"bt_loss": [0.5] * 30}
    tasks["two"]["loss"] = {"bt_loss": [0.5] * 18 + [1.5] * 12}
    return [
        write_by_hand(
            folder, name, tasks[name], {"group": {"alias": "Group", "acc,none": value}},
            group_subtasks={"group": GROUP}, higher_is_better={"loss": {"bt_loss": False}},
        )
        for name, value in (("one", 0.1), ("two", 0.3))
    ]  # fmt: skip


def interval(task):
    """Agresti and Min's, in points: second minus first."""
    first, second, *_ = COUNTS[task]
    total = sum(COUNTS[task]) + 2
    centre = (second - first) / total
    reach = 1.959964 * (((second + first + 1) / total - centre**2) / total) ** 0.5
    return 100 * (centre - reach), 100 * (centre + reach)


def printed(capsys, *arguments):
    """What the command prints."""
    main([str(argument) for argument in arguments])
    return capsys.readouterr().out


def parts(*names):
    """Options that choose these."""
    return [word for name in names for word in ("--in", name)]


def test_sentences_of_every_kind(runs, capsys):
    """Better, perhaps better, not told apart, less is better: with the better one's name, interval and both p-values."""
    text = " ".join(printed(capsys, *runs, *parts(*COUNTS, "loss")).split())
    adjusted = dict(zip([*P, "loss"], multipletests([*P.values(), LOSS], method="holm")[1], strict=True))
    assert adjusted["clear"] < 0.05 < adjusted["doubtful"]

    def both(task, p):
        return f"p = {p:.2g}, adjusted for 4 tests = {adjusted[task]:.2g}."

    low, high = interval("clear")
    clear = (
        f"clear: B (two) is better than A (one), by 45.0 points (95 % interval {low:.1f} to {high:.1f}). Chance hardly"
    )
    assert f"{clear} explains it: p = {P['clear']:.4f}, adjusted for 4 tests = {adjusted['clear']:.4f}." in text
    low, high = interval("doubtful")
    assert (
        f"doubtful: B (two) scores better than A (one), by 22.5 points (95 % interval {low:.1f} to {high:.1f})." in text
    )
    cells = f"doubtful (acc) 57.5 80.0 +22.5 {low:.1f} to {high:.1f} {P['doubtful']:.2g} {adjusted['doubtful']:.2g} "
    assert cells in text
    assert f"among 4 tests it may be: {both('doubtful', P['doubtful'])} This does not settle which is better." in text
    low, high = interval("even")
    even = f"A scores better by 7.5 points (95 % interval {-high:.1f} to {-low:.1f}), which may well be chance:"
    assert f"even: A (one) and B (two) can't be told apart. {even} {both('even', P['even'])}" in text
    assert "loss: A (one) is better than B (two), by 0.4 in bt_loss, where less is better (95 % interval 0.2" in text


def test_untested_and_what_lies_beneath(runs, capsys):
    """A score without a test has no chance told of it; parts below it that are clear are named, each of its better one."""
    text = " ".join(printed(capsys, *runs, "--in", "group").split())
    assert (
        "Group: B (two) scores better than A (one) by 20.0 points; whether that is chance the rows do not tell." in text
    )
    assert "B is better in clear (45.0): chance hardly explains that" in text
    assert "A is better in" not in text
    turned = " ".join(printed(capsys, *runs[::-1], "--in", "group").split())
    assert "A is better in clear (45.0): chance hardly explains that" in turned


def test_bold_is_what_holds_among_all_tests(runs, capsys, monkeypatch):
    """A line of the table is bold by its adjusted p-value."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    text = printed(capsys, *runs, *parts(*COUNTS))
    lines = {
        task: line for task in COUNTS for line in text.splitlines() if re.match(rf"(\x1b\[\S*m)?{task} +\S*\d", line)
    }
    assert {task: "\x1b[1m" in line for task, line in lines.items()} == {
        "clear": True,
        "doubtful": False,
        "even": False,
    }


def test_many_parts_have_one_sentence(tmp_path, capsys):
    """Of more than six those that show a difference have their own; those not told apart and those not tested have one each."""
    same = {f"t{i}": {"acc": [1, 0, 1]} for i in range(5)}
    tasks = [{**same, "clear": {"acc": [x] * 12}, "words": {"f1": [x, 1, 1]}} for x in (0, 1)]
    folders = [write_by_hand(tmp_path, name, some) for name, some in zip(("one", "two"), tasks, strict=True)]
    for folder in folders:
        [file] = folder.glob("results_*")
        data = json.loads(file.read_text())
        # what the rows do not tell
        data["configs"]["words"]["metric_list"][0]["aggregation"] = "somebody's"
        file.write_text(json.dumps(data))
    text = " ".join(printed(capsys, *folders).split())
    assert "clear: B (two) is better than A (one), by 100.0 points" in text
    assert "Can't be told apart in t0, t1, t2, t3, t4. Whether it is chance the rows do not tell in words." in text


def test_the_pages_numbers(runs, report_page):
    """p and adjusted p stand in their columns; the figure has points in percent, and no score that is no share."""
    page = report_page(*runs)
    table = page.tables["two minus one"]
    rows = {row[0]: dict(zip(table[0], row, strict=True)) for row in table[1:]}
    adjusted = dict(zip([*P, "loss"], multipletests([*P.values(), LOSS], method="holm")[1], strict=True))
    for task in ("doubtful", "even"):
        assert number(rows[task]["p"]) == pytest.approx(P[task], abs=5e-4)
        assert number(rows[task]["p, Holm"]) == pytest.approx(adjusted[task], abs=5e-4)
    assert rows["loss"]["difference"] == "+0.4"
    assert [rows["even"][name] for name in ("both", "only one", "only two", "neither")] == ["15", "9", "6", "10"]
    ticks = page.words.partition("even −7.5 (−25.7 to 11.4).")[2].partition("minus one, percentage points")[0].split()
    assert ticks == ["−20", "0", "20", "40", "60"]


def test_the_page_says_what_is_left_out(tmp_path, report_page):
    """Tasks that only one run has, groups of other members, and what a run lacks of which some logs are missing."""
    names = {"one": ("a", "b", "mine"), "two": ("a", "b", "c"), "three": ("a", "b")}
    folders = [
        write_by_hand(
            tmp_path, name, {task: {"acc": [1, 0, 1]} for task in tasks}, {"group": {"acc,none": 0.5}},
            group_subtasks={"group": [task for task in tasks if task != "mine"]},
        )
        for name, tasks in names.items()
    ]  # fmt: skip
    [log] = folders[2].glob("samples_a_*")
    log.unlink()
    page = report_page(*folders)
    assert "Left out of two and one, since only one has them: c and mine." in page.words
    assert "Left out of two and one, since their members differ: group." in page.words
    assert "Of three the sample logs of a are missing: it is left out of paired comparison and agreement" in page.words
    assert "Beside" not in page.words
