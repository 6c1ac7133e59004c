"""`report`: what the page says is what the runs say, texts stay texts, and nothing is lost."""

import itertools
import json
import math
import os
import shutil
import subprocess
import sys
import zlib

import numpy as np
import pytest
from conftest import preference_task
from huggingface_hub import ModelCard
from markdown_it import MarkdownIt
from reports import Page, edit_results, edit_samples, results_of, save_run
from scripted import length
from statsmodels.stats.inter_rater import cohens_kappa

from skywork_rb_plugin import UserError
from skywork_rb_plugin.commands.report import command, output
from skywork_rb_plugin.report.texts import shown
from skywork_rb_plugin.report.unsafe import is_unsafe

MINUS = "−"


def opinion(seed):
    """A model whose rewards are as good as random, the same each time."""
    return lambda context, response: zlib.crc32((seed + str(context) + response).encode()) % 997 / 100 - 5


@pytest.fixture(scope="module")
def runs(tmp_path_factory, task_manager):
    """Two models on the packaged pairs."""
    folder = tmp_path_factory.mktemp("runs")
    for name in ("one", "two"):
        save_run(folder, name, opinion(name), ["preference_demo"], task_manager)
    return folder


@pytest.fixture
def page(tmp_path):
    """Run the command in this process on folders; returns the page."""

    def call(*arguments):
        file = tmp_path / "page.html"
        command.main([*map(str, arguments), "-o", str(file)])
        return Page(file.read_text(encoding="utf-8"))

    return call


def rows_of(folder):
    """All rows of a run, as its logs have them."""
    files = sorted(folder.rglob("samples_*.jsonl"))
    return {
        (file.name.split("_20")[0], sample["doc_id"]): {**sample, **sample["doc"]["skywork_rb"]}
        for file in files
        for sample in map(json.loads, file.read_text(encoding="utf-8").splitlines())
    }


def number(text):
    """A number as the page writes it."""
    return float(text.replace(MINUS, "-"))


def test_scores_are_those_of_the_results(runs, page):
    """Every score and error of both runs, of the group and its sections."""
    made = page(runs)
    for name in ("one", "two"):
        results = results_of(runs / name)["results"]
        shown_scores = made.column("Preference demo: acc", name)
        assert len(shown_scores) == len(results) == 5
        by_title = {row["alias"].strip(" -"): row for row in results.values()}
        for label, cell in shown_scores.items():
            [row] = [row for title, row in by_title.items() if title.endswith(label)]
            value, error = map(number, cell.split(" ± "))
            assert value == pytest.approx(100 * row["acc,none"], abs=0.005)
            assert error == pytest.approx(100 * row["acc_stderr,none"], abs=0.005)


def test_calibration_is_computed_anew(runs, page):
    """Bins and error from the logs, by other means."""
    made = page(runs)
    for name in ("one", "two"):
        margins = np.array([row["margin"] for row in rows_of(runs / name).values()])
        sure, right = 1 / (1 + np.exp(-np.abs(margins))), margins > 0
        places = np.clip(np.digitize(sure, np.linspace(0.5, 1, 11)) - 1, 0, 9)
        [head, *rows] = made.tables["Calibration: numbers of rows and accuracy by confidence"]
        at = head.index(f"{name}: rows")
        counts = [int(row[at]) for row in rows]
        assert counts == np.bincount(places, minlength=10).tolist()
        for place, row in enumerate(rows):
            if counts[place]:
                found = [100 * sure[places == place].mean(), 100 * right[places == place].mean()]
                assert [number(cell) for cell in row[at + 1 : at + 3]] == pytest.approx(found, abs=0.006)
        error = sum(abs(sure[places == p].mean() - right[places == p].mean()) * n for p, n in enumerate(counts) if n)
        assert f"{name} {100 * error / len(margins):.2f} %" in made.words


def test_margins_and_lengths(runs, page):
    """Medians, shares below 0, and accuracy by length, from the logs."""
    made = page(runs)
    for name in ("one", "two"):
        logs = rows_of(runs / name)
        table = f"{name} beside the length of responses"
        for section in ("chat", "safety", "all rows"):
            rows = [row for (task, _), row in logs.items() if section == "all rows" or task.endswith(f"demo_{section}")]
            right = np.array([row["right"] for row in rows])
            longer = np.array([longer_by(row) for row in rows])
            expected = {
                "right, %": right,
                "longest, %": longer > 0,
                "if longer, %": right[longer > 0],
                "if shorter, %": right[longer < 0],
            }
            for column, values in expected.items():
                cell = made.column(table, column)[section]
                assert number(cell) == pytest.approx(100 * values.mean(), abs=0.006)
            if section != "all rows":
                margins = sorted(row["margin"] for row in rows)
                spread = made.column(f"Margins of {name}: quantiles", "50 %")[section]
                assert number(spread) == pytest.approx(margins[math.ceil(len(margins) / 2) - 1], rel=1e-3)
        bins = made.tables["Pairs by difference of length"]
        at = bins[0].index(f"{name}: pairs")
        all_longer = np.array([longer_by(row) for row in logs.values()])
        edges = [-math.inf, -1001, -301, -101, -1, 100, 300, 1000, math.inf]
        counts = np.array(
            [
                np.sum((low < all_longer) & (all_longer <= high) & (all_longer != 0))
                for low, high in itertools.pairwise(edges)
            ]
        )
        assert [int(row[at]) for row in bins[1:]] == counts.tolist()


def longer_by(row):
    """Characters that the chosen response has more than the rejected."""
    chosen, rejected = (len(row["arguments"][f"gen_args_{i}"]["arg_1"]) for i in (0, 1))
    return chosen - rejected


def test_agreement_and_rows_to_read(runs, page):
    """Cohen's kappa as statsmodels has it; the rows that no model, and that one alone, has right."""
    made = page(runs, "--rows", "100")
    one, two = (rows_of(runs / name) for name in ("one", "two"))
    table = np.zeros((2, 2))
    for key, row in one.items():
        table[int(row["right"]), int(two[key]["right"])] += 1
    [row] = made.tables["Agreement of verdicts"][1:]
    assert number(row[3]) == pytest.approx(cohens_kappa(table).kappa, abs=6e-4)
    assert number(row[2]) == pytest.approx(100 * np.trace(table) / table.sum(), abs=0.006)
    assert list(made.column("Rows that only this model has right", "rows").values()) == [
        str(int(table[1, 0])),
        str(int(table[0, 1])),
    ]
    read = [
        attributes for tag, attributes in made.tags if tag == "details" and "reading" in (attributes.get("class") or "")
    ]
    assert len(read) == table.sum() - table[1, 1]
    # of the rows that both have wrong, by the sum of margins in units of each model's usual one
    usual = [np.median([abs(r["margin"]) for r in rows.values()]) for rows in (one, two)]
    wrong = [key for key in one if not one[key]["right"] and not two[key]["right"]]
    worst = min(wrong, key=lambda key: one[key]["margin"] / usual[0] + two[key]["margin"] / usual[1])
    prompt, chosen, rejected = made.texts[:3]
    assert prompt == one[worst]["arguments"]["gen_args_0"]["arg_0"]
    assert [chosen, rejected] == [one[worst]["arguments"][f"gen_args_{i}"]["arg_1"] for i in (0, 1)]


def test_the_page_is_whole_by_itself(runs, page):
    """Nothing runs or loads, ids are there once, every figure is told in words, the same runs give the same bytes."""
    made = page(runs, "--title", "A title")
    names = {tag for tag, _ in made.tags}
    assert not names & {"script", "iframe", "img", "object", "embed", "form", "base"}
    assert len(made.ids) == len(set(made.ids))
    for tag, attributes in made.tags:
        assert not any(name.startswith("on") for name in attributes)
        for name in ("href", "src", "xlink:href"):
            link = attributes.get(name, "#")
            assert link == "data:," or link.startswith("#")
            assert link in ("#", "data:,") or link[1:] in made.ids
        if tag == "svg":
            assert attributes["role"] == "img"
            assert set(attributes["aria-labelledby"].split()) <= set(made.ids)
    assert "url(http" not in made.style
    [policy] = [a["content"] for tag, a in made.tags if a.get("http-equiv") == "Content-Security-Policy"]
    assert policy == "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
    assert made.words.count("A title") == 2
    titles = [i for i in made.ids if i.endswith("-title")]
    assert len(titles) == sum(tag == "svg" for tag, _ in made.tags) > 4


def test_the_real_command(runs, tmp_path):
    """Another process writes the same bytes, and says how large the page is."""
    run = subprocess.run(
        [sys.executable, "-m", "skywork_rb_plugin", "report", str(runs), "-o", "page.html"],
        cwd=tmp_path, capture_output=True, text=True, env={**os.environ, "PYTHONHASHSEED": "7"}, check=True,
    )  # fmt: skip
    assert run.stderr.startswith("wrote page.html, 0.")
    assert os.listdir(tmp_path) == ["page.html"]
    written = (tmp_path / "page.html").read_bytes()
    command.main([str(runs), "-o", str(tmp_path / "page.html")])
    assert (tmp_path / "page.html").read_bytes() == written


HOSTILE = [
    "<script>alert(1)</script>",
    "</script></style></title><svg onload=alert(1)>",
    "[a](javascript:alert(1)) javascript:alert(1)",
    '"><img src=x onerror=alert(1)>',
    "right\u202eto left\u2066 and \x00\x1b[31m\x7f\x9b",
    "half \ud800 of a pair, {{ 7 * 7 }} {% raw %} $x_1$ &lt;",
]


@pytest.fixture(scope="module")
def one_row(tmp_path_factory, task_manager):
    """A run of one row, which the model has wrong."""
    folder = tmp_path_factory.mktemp("one-row")
    task = preference_task([{"prompt": "p", "chosen": "a", "rejected": "bb"}], folder)
    return save_run(folder / "runs", "mine", length, [task], task_manager)


def spread(folder, text):
    """Have a text stand wherever one can: in prompt and responses, model's name, its arguments, a task's title, a path."""

    def in_texts(sample):
        for request in sample["arguments"].values():
            request.update(arg_0=text, arg_1=text)

    def in_names(data):
        name = text[:500]
        data.update(model_name=name)
        data["config"]["model_args"] = {name: name}
        data["results"]["mine"]["alias"] = name
        data["configs"]["mine"]["dataset_path"] = name

    edit_samples(folder, in_texts)
    edit_results(folder, in_names)


@pytest.mark.parametrize("text", [*HOSTILE, "a" * 1_000_000], ids=range(7))
def test_texts_are_shown_as_texts(one_row, tmp_path, page, text):
    """Nothing of them becomes markup, on the page or in Markdown; long ones are cut, and the page says so."""
    folder = shutil.copytree(one_row, tmp_path / "mine")
    spread(folder, "plain")
    plain = skeleton(page(folder))
    spread(folder, text)
    made = page(folder)
    assert skeleton(made) == plain
    assert made.texts == [shown(text[:3000])] * 3
    assert shown(text[:500]) in made.words
    assert not set(made.words) & set("\x00\x1b\x7f\x9b\u202e\u2066\ud800")
    assert ("997,000 more characters" in made.words) == (len(text) > 3000)
    document = MarkdownIt("gfm-like", {"linkify": False}).render(text_of_markdown(folder, tmp_path))
    known = {"div", "h2", "p", "table", "thead", "tbody", "tr", "th", "td", "hr"}
    assert not {tag for tag, _ in Page(f"<div>{document}</div>").tags} - known


def skeleton(made):
    """The page's tags, without those that follow from the length of texts."""
    return [tag for tag, _ in made.tags if tag not in ("p", "g", "path", "use", "text", "defs", "clippath", "rect")]


def text_of_markdown(folder, tmp_path):
    """What --markdown writes below the front matter."""
    file = tmp_path / "card.md"
    command.main([str(folder), "--markdown", str(file)])
    return ModelCard(file.read_text(encoding="utf-8")).text.replace("<!-- made by skywork-rb-plugin report -->", "")


def test_markdown_is_read_back_by_the_hub(runs, capsys):
    """The model index has each score of the first run; the table has both runs'; nothing else is written."""
    command.main([str(runs / "one"), str(runs / "two"), "--markdown"])
    text = capsys.readouterr().out
    data = ModelCard(text).data
    results = results_of(runs / "one")["results"]
    assert data.model_name == "one"
    assert sorted(result.metric_value for result in data.eval_results) == sorted(
        row["acc,none"] for row in results.values()
    )
    assert len({result.metric_name for result in data.eval_results}) == 5
    [table] = Page(MarkdownIt("commonmark").enable("table").render(ModelCard(text).text)).tables.values()
    assert table[0][-2:] == ["one", "two"]
    assert number(table[1][-1].split()[0]) == pytest.approx(
        100 * results_of(runs / "two")["results"]["preference_demo"]["acc,none"], abs=0.005
    )


def test_unsafe_rows_are_folded_behind_a_warning(runs, page):
    """Their words stand nowhere but in what is folded; they are told by task, section or columns."""
    made = page(runs, "--rows", "100")
    unsafe = [a for tag, a in made.tags if tag == "details" and a.get("class") == "reading unsafe"]
    assert unsafe
    assert made.words.count("Warning: may be harmful or offensive") == len(unsafe)
    assert is_unsafe("rewardbench_donotanswer", doc={})
    assert is_unsafe("mine", doc={"subset": "xstest-should-refuse"})
    assert is_unsafe("rm_bench", "Safety", doc={})
    assert not is_unsafe("rewardbench_hep_go", "Reasoning", doc={"subset": "hep-go", "prompt": "safety"})


def test_without_sample_logs(runs, tmp_path, page):
    """The table alone, and what to do."""
    shutil.copytree(runs / "one", tmp_path / "one")
    for file in (tmp_path / "one").rglob("samples_*"):
        file.unlink()
    made = page(tmp_path / "one")
    assert "Preference demo: acc" in made.tables
    assert "Run again with --log_samples" in made.words
    assert not made.texts
    assert "margins" not in made.ids


def test_rows_that_are_not_the_same(runs, tmp_path, task_manager, page):
    """A run of other rows stands beside the first, and the page says why it is not compared."""
    limited = save_run(tmp_path, "limited", length, ["preference_demo"], task_manager, limit=2)
    made = page(runs / "one", runs / "two", limited)
    assert "limited is not compared: " in made.words
    assert "expected the same rows" in made.words
    assert "two minus one" in made.tables
    assert "scores are estimates: limited (8 of 112)" in made.words


def margin_of(value):
    """Have each row's margin be so, and its rewards fit."""

    def change(sample):
        rewards = [0.0, 0.0] if math.isnan(value) else [max(value, 0.0), max(-value, 0.0)]
        sample["doc"]["skywork_rb"].update(margin=value, rewards=rewards, right=value > 0)
        sample.update(acc=float(value > 0))

    return change


@pytest.mark.parametrize("value", [0.0, math.inf, -math.inf, 1e300, -1e300, math.nan])
def test_margins_that_no_axis_can_show(one_row, tmp_path, page, value):
    """All alike, huge, infinite or no number: no traceback, and one row is enough."""
    folder = shutil.copytree(one_row, tmp_path / "mine")
    edit_samples(folder, margin_of(value))
    edit_results(
        folder, lambda data: data["results"]["mine"].update({"acc,none": float(value > 0), "acc_stderr,none": "N/A"})
    )
    made = page(folder)
    assert "hardest" in made.ids
    assert ("margins" in made.ids) != math.isnan(value)
    assert ("too large to draw, or infinite" in made.words) == (abs(value) > 1e12)


def test_without_scores(task_manager, tmp_path, page):
    """--predict_only computes no metric: the rewards are there all the same."""
    rows = [{"prompt": "p", "chosen": "a", "rejected": "bb"}, {"prompt": "q", "chosen": "aa", "rejected": "b"}]
    folder = save_run(
        tmp_path / "runs", "mine", length, [preference_task(rows, tmp_path)], task_manager, predict_only=True
    )
    made = page(folder)
    assert "scores" not in made.ids
    assert made.column("Margins of mine: quantiles", "rows") == {"mine": "2"}
    assert len(made.texts) == 3


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["-o", "folder"], "--output folder: found a folder, expected the name of a file"),
        (["-o", "no/page.html"], "--output no/page.html: found no folder no, expected"),
        (["-o", "mine.html"], "--output mine.html: found a file that is no earlier report of this command"),
        (["--markdown", "mine.html"], "--markdown mine.html: found a file that is no earlier report"),
        (["--rows", "-1"], "found --rows -1, expected 0 or more"),
    ],
)
def test_refused_before_anything_is_read(tmp_path, monkeypatch, arguments, line):
    """A line about the file, also where there are no results; what was there stays."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    (tmp_path / "mine.html").write_text("my own")
    with pytest.raises(UserError) as refused:
        command.main(["no-results", *arguments])
    assert str(refused.value).startswith(line)
    assert "\n" not in str(refused.value)
    assert (tmp_path / "mine.html").read_text() == "my own"


def test_a_page_is_replaced_as_a_whole(tmp_path, monkeypatch):
    """Where writing fails the old file stays, and no other file is left."""
    file = tmp_path / "page.html"
    output.write("--output", str(file), "old")
    assert file.stat().st_mode & 0o777 == 0o666 & ~output._umask()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(UserError, match=r"can't write --output .*No space left on device"):
        output.write("--output", str(file), "new")
    assert os.listdir(tmp_path) == ["page.html"]
    assert file.read_text() == "old"
