"""Which of two runs is which, in `compare` and in the page: one pair of runs that are nowhere alike, in both orders."""

import json
import re
import shutil

import pytest
from conftest import preference_task
from reports import edit_results, edit_samples, number, save_run
from result_files import write_by_hand
from scipy import stats

from skywork_rb_plugin.commands.compare.command import main
from skywork_rb_plugin.report.lines import lines_of
from skywork_rb_plugin.report.published import is_full
from skywork_rb_plugin.report.results import read_runs
from skywork_rb_plugin.report.sections import labels

COUNT = 40
# rows 8 to 11 are right by both, 0 to 7 by `less` alone, 12 to 38 by `more` alone, 39 by none
MARGINS = {
    "less": [1.5 if i < 12 else -1 - i / 10 for i in range(COUNT)],
    "more": [2.5 if 8 <= i < 39 else -3 - i / 10 for i in range(COUNT)],
}


@pytest.fixture(scope="module")
def runs(task_manager, tmp_path_factory):
    """Folders of two runs, by name."""
    folder = tmp_path_factory.mktemp("sides")
    task = preference_task(
        [{"prompt": f"Question {i}?", "chosen": f"good {i}", "rejected": f"bad {i}"} for i in range(COUNT)], folder
    )

    def reward(name):
        return lambda _, response: MARGINS[name][int(response.split()[1])] if response.startswith("good") else 0.25

    return {name: save_run(folder, name, reward(name), [{**task}], task_manager) for name in MARGINS}


def printed(capsys, *arguments):
    """What the command prints, with its wrapped lines joined."""
    main([str(argument) for argument in arguments])
    return " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize("turned", [False, True])
def test_sentence_table_and_counts(runs, turned, capsys):
    """The one with more right answers is better whichever comes first; differences are the second's minus the first's."""
    names = list(runs)[:: -1 if turned else 1]
    text = printed(capsys, *(runs[name] for name in names))
    sides = dict(zip(names, "AB", strict=True))
    p = stats.binomtest(27, 35).pvalue
    assert f"{sides['more']} (more) is better than {sides['less']} (less), by 47.5 points (95 % interval " in text
    # half a row more in each cell, as Agresti and Min have it
    centre, total = 27 - 8, 42
    error = ((27.5 + 8.5) / total - (centre / total) ** 2) ** 0.5 / total**0.5
    low, high = (100 * (centre / total + side * 1.959964 * error) for side in (-1, 1))
    assert f"(95 % interval {low:.1f} to {high:.1f}). Chance hardly explains it: p = {p:.2g}." in text
    row = f"mine {'77.5' if turned else '30.0'}"
    assert row in text
    difference = f"-47.5 {-high:.1f} to {-low:.1f}" if turned else f"+47.5 {low:.1f} to {high:.1f}"
    assert difference in text
    assert f"mine 4 {'27 8' if turned else '8 27'} 1" in text
    assert "Both runs miss 1 of 40 rows of mine." in text


def test_rows_to_read(runs, capsys):
    """Of each kind in turn, those first on which the one that is wrong is most so; rewards stand with their runs."""
    text = printed(capsys, runs["less"], runs["more"], "--rows", 3)
    first, second, third = text.split("Row ")[-3:]
    assert "Question 7?" in first
    assert "only A is right" in first
    assert "Question 38?" in second
    assert "only B is right" in second
    assert "Question 6?" in third
    assert "A 1.5" in first
    assert "B -3.7" in first
    assert first.index("good 7") < first.index("bad 7")


def test_the_page(runs, report_page):
    """Difference, counts, figure and its words."""
    page = report_page(runs["less"], runs["more"])
    [head, row] = page.tables["more minus less"]
    told = dict(zip(head, row, strict=True))
    assert number(told["less"]) == 30
    assert number(told["more"]) == 77.5
    assert number(told["difference"]) == 47.5
    assert (told["both"], told["only less"], told["only more"], told["neither"]) == ("4", "8", "27", "1")
    assert number(told["p"]) == pytest.approx(stats.binomtest(27, 35).pvalue, abs=5e-4)
    assert "Difference from less in percentage points" in page.words
    assert "more: mine +47.5 (" in page.words


def test_another_metric_stands_beside_nothing_published(runs):
    """Only a benchmark's own score is comparable with published ones."""
    [run] = read_runs([str(runs["more"])])
    run.data["configs"]["mine"]["official_rows"] = COUNT
    run.data["results"]["mine"]["margin,none"] = 2.0
    [own], [other] = lines_of(run), lines_of(run, "margin")
    assert is_full(run, own)
    assert not is_full(run, other)


def test_sections_of_one_title_are_told_apart(runs):
    """Two benchmarks have a section called Safety."""
    from dataclasses import replace

    [run] = read_runs([str(runs["more"])])
    [line] = lines_of(run)
    made = [
        replace(line, name=name, title=title, path=path)
        for name, title, path in (
            ("one", "One", ()), ("one_safety", "Safety", ("one",)), ("one_chat", "Chat", ("one",)),
            ("two", "Two", ()), ("two_safety", "Safety", ("two",)),
        )
    ]  # fmt: skip
    assert list(labels(made).values()) == ["One", "One: Safety", "Chat", "Two", "Two: Safety"]


def test_json_has_null_for_what_is_no_number(runs, tmp_path, capsys):
    """A margin between rewards of which one is infinite."""
    folder = shutil.copytree(runs["less"], tmp_path / "less")
    edit_samples(folder, lambda line: line["doc"]["skywork_rb"].update(margin=-float("inf")))
    main([str(folder), str(runs["more"]), "--json", "--rows", "1"])
    data = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)
    assert data["comparisons"][0]["rows"][0]["notes"]["A"]["margin"] is None


def test_each_runs_own_answer_stands_under_its_name(tmp_path, report_page):
    """Generated answers differ between runs: the page shows those of both."""
    folders = [
        write_by_hand(tmp_path, name, {"t": {"exact_match": [right]}}) for name, right in (("no", 0), ("yes", 1))
    ]
    request = {"gen_args_0": {"arg_0": "How many?", "arg_1": {"until": ["."]}}}
    for folder in folders:
        edit_samples(folder, lambda line, f=folder: line.update(arguments=request, filtered_resps=[f"answer {f.name}"]))
    page = report_page(*folders)
    assert page.texts == ["How many?", "answer no", "answer yes", ""]
    only = " ".join(page.words.partition("Only yes is right")[2].split())
    assert "response 1 of no answer no response 1 of yes answer yes" in only


def test_a_model_has_one_colour(runs, tmp_path, report_page):
    """In the paired figure it is that of the run's place on the page, also behind a run that can't be compared."""
    bare = shutil.copytree(runs["less"], tmp_path / "bare")
    for log in bare.rglob("samples_*"):
        log.unlink()
    edit_results(bare, lambda data: data.update(model_name="bare"))
    page = report_page(bare, runs["less"], runs["more"])
    ids = [attributes.get("id", "") for _, attributes in page.tags]
    start = ids.index("paired-all-title")
    end = next(place for place, (tag, _) in enumerate(page.tags) if tag == "figcaption" and place > start)
    styles = " ".join(attributes.get("style", "") for _, attributes in page.tags[start:end])
    assert set(re.findall(r"--hue-\d", styles)) == {"--hue-2"}
