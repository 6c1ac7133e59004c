"""`report`: what the page says is what the runs say, texts stay texts, and nothing is lost."""

import itertools
import json
import math
import shutil

import numpy as np
import pytest
from conftest import preference_task, write_rows
from reports import edit_results, edit_samples, number, results_of, save_run
from scripted import ScriptedLM, length
from statsmodels.stats.inter_rater import cohens_kappa
from test_run_settings import DATE, results

from skywork_rb_plugin import JudgeTask, ProcessTask
from skywork_rb_plugin.metrics.metric import Row as PreferenceRow
from skywork_rb_plugin.models.known_models import known_models
from skywork_rb_plugin.report.observed import by_length
from skywork_rb_plugin.report.unsafe import is_unsafe


def rows_of(folder):
    """All rows of a run, as its logs have them."""
    files = sorted(folder.rglob("samples_*.jsonl"))
    return {
        (file.name.split("_20")[0], sample["doc_id"]): {**sample, **sample["doc"]["skywork_rb"]}
        for file in files
        for sample in map(json.loads, file.read_text(encoding="utf-8").splitlines())
    }


def test_scores_are_those_of_the_results(demo_runs, report_page):
    """Every score and error of both runs, of the group and its sections."""
    made = report_page(demo_runs)
    for name in ("one", "two"):
        results = results_of(demo_runs / name)["results"]
        shown_scores = made.column("Preference demo: acc", name)
        assert len(shown_scores) == len(results) == 5
        by_title = {row["alias"].strip(" -"): row for row in results.values()}
        for label, cell in shown_scores.items():
            [row] = [row for title, row in by_title.items() if title.endswith(label)]
            value, error = map(number, cell.split(" ± "))
            assert value == pytest.approx(100 * row["acc,none"], abs=0.005)
            assert error == pytest.approx(100 * row["acc_stderr,none"], abs=0.005)


def test_calibration_is_computed_anew(demo_runs, report_page):
    """Bins and error from the logs, by other means."""
    made = report_page(demo_runs)
    for name in ("one", "two"):
        margins = np.array([row["margin"] for row in rows_of(demo_runs / name).values()])
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


def test_margins_and_lengths(demo_runs, report_page):
    """Medians, shares below 0, and accuracy by length, from the logs."""
    made = report_page(demo_runs)
    for name in ("one", "two"):
        logs = rows_of(demo_runs / name)
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


@pytest.mark.parametrize(
    ("difference", "low"),
    [
        (1, 0),
        (100, 0),
        (101, 100),
        (1000, 300),
        (1001, 1000),
        (-1, -100),
        (-100, -100),
        (-101, -300),
        (-1001, -math.inf),
    ],
)
def test_borders_of_lengths(difference, low):
    """A difference of a border's length is in the bin that is nearer to 0; pairs of one length are in none."""
    row = PreferenceRow({}, [1.0, 0.0, 0.0], [0], (), [2000 + difference, 2000, 2000 + difference])
    assert [(one.low, one.right) for one in by_length([row]) if one.pairs] == [(low, 1.0)]


def longer_by(row):
    """Characters that the chosen response has more than the rejected."""
    chosen, rejected = (len(row["arguments"][f"gen_args_{i}"]["arg_1"]) for i in (0, 1))
    return chosen - rejected


def test_agreement_and_rows_to_read(demo_runs, report_page):
    """Cohen's kappa as statsmodels has it; the rows that no model, and that one alone, has right."""
    made = report_page(demo_runs, "--rows", "100")
    one, two = (rows_of(demo_runs / name) for name in ("one", "two"))
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


def test_unsafe_rows_are_folded_behind_a_warning(demo_runs, report_page):
    """Their words stand nowhere but in what is folded; they are told by task, section or columns."""
    made = report_page(demo_runs, "--rows", "100")
    unsafe = [a for tag, a in made.tags if tag == "details" and a.get("class") == "reading unsafe"]
    assert unsafe
    assert made.words.count("Warning: may be harmful or offensive") == len(unsafe)
    assert is_unsafe("rewardbench_donotanswer", doc={})
    assert is_unsafe("mine", doc={"subset": "xstest-should-refuse"})
    assert is_unsafe("rm_bench", "Safety", doc={})
    assert not is_unsafe("rewardbench_hep_go", "Reasoning", doc={"subset": "hep-go", "prompt": "safety"})


def test_without_sample_logs(demo_runs, tmp_path, report_page):
    """The table alone, and what to do."""
    shutil.copytree(demo_runs / "one", tmp_path / "one")
    for file in (tmp_path / "one").rglob("samples_*"):
        file.unlink()
    made = report_page(tmp_path / "one")
    assert "Preference demo: acc" in made.tables
    assert "Run again with --log_samples" in made.words
    assert not made.texts
    assert "margins" not in made.ids


def test_rows_that_are_not_the_same(demo_runs, tmp_path, task_manager, report_page):
    """A run of other rows stands beside the first, and the page says why it is not compared."""
    limited = save_run(tmp_path, "limited", length, ["preference_demo"], task_manager, limit=2)
    made = report_page(demo_runs / "one", demo_runs / "two", limited)
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
def test_margins_that_no_axis_can_show(run_of_one_row, tmp_path, report_page, value):
    """All alike, huge, infinite or no number: no traceback, and one row is enough."""
    folder = shutil.copytree(run_of_one_row, tmp_path / "mine")
    edit_samples(folder, margin_of(value))
    edit_results(
        folder, lambda data: data["results"]["mine"].update({"acc,none": float(value > 0), "acc_stderr,none": "N/A"})
    )
    made = report_page(folder)
    assert "hardest" in made.ids
    assert ("margins" in made.ids) != math.isnan(value)
    assert ("too large to draw, or infinite" in made.words) == (abs(value) > 1e12)


def test_without_scores(task_manager, tmp_path, report_page):
    """--predict_only computes no metric: the rewards are there all the same."""
    rows = [{"prompt": "p", "chosen": "a", "rejected": "bb"}, {"prompt": "q", "chosen": "aa", "rejected": "b"}]
    folder = save_run(
        tmp_path / "runs", "mine", length, [preference_task(rows, tmp_path)], task_manager, predict_only=True
    )
    made = report_page(folder)
    assert "scores" not in made.ids
    assert made.column("Margins of mine: quantiles", "rows") == {"mine": "2"}
    assert len(made.texts) == 3


def test_published_scores_are_marked_as_such(tmp_path, report_page):
    """Of a known model they stand in columns of their own, with their source; all known models are in a table."""
    folder = write_results(tmp_path / "known", "Skywork/Skywork-Reward-Llama-3.1-8B-v0.2")
    made = report_page(folder)
    name = "Skywork-Reward-Llama-3.1-8B-v0.2"
    known = known_models()[f"Skywork/{name}"].published["rewardbench"]
    column = made.column("RewardBench: acc", f"{name}, as published")
    assert column["RewardBench"] == f"{known.score:g}"
    assert column["Chat"] == f"{known.sections['chat']:g}"
    assert made.column("RewardBench: acc", name)["Chat"] == "75.00"
    assert f"none was measured here. {name}: Skywork/{name}, {known.source}, max_length 2048." in made.words
    placed = made.column("RewardBench: published scores, none measured here, and those of this report", "source")
    assert placed[name] == "this report"
    assert placed[f"Skywork/{name}"] == str(known.source)
    assert f"{name}, as published: RewardBench {known.score:.1f} %" in made.words
    unknown = report_page(write_results(tmp_path / "unknown", "mine"))
    assert "as published" not in "".join(unknown.tables["RewardBench: acc"][0])


def write_results(folder, model):
    """A results file of all rows of Chat, without sample logs."""
    folder.mkdir()
    (folder / f"results_{DATE}.json").write_text(json.dumps(results(model)))
    return folder


class StepLM(ScriptedLM):
    """A process reward model whose score of a step is scripted."""

    steps, of_one_response = "last", True


def test_other_kinds_of_rows(task_manager, tmp_path, report_page):
    """A judge's replies, a solution's steps, and a task that is the host's own, on one page beside pairs of four."""
    four = [{"prompt": "p", "chosen": "a", "rejected": ["bb", "ccc", "dddd"]}]
    pair = {"prompt": [{"role": "user", "content": "Which?"}], "chosen": "good", "rejected": "bad"}
    solution = {"problem": "2 + 2?", "steps": ["Two and two.", "So 5."], "label": 1}
    own = {
        "task": "stock", "dataset_path": "json", "test_split": "train", "output_type": "multiple_choice",
        "dataset_kwargs": {"data_files": write_rows(tmp_path / "own.jsonl", [{"q": "One or two?", "n": 0}])},
        "doc_to_text": "{{q}}", "doc_to_target": "n", "doc_to_choice": ["one", "twoo"], "metric_list": [{"metric": "acc", "aggregation": "mean", "higher_is_better": True}],
    }  # fmt: skip
    for name, model, score, task in (
        ("rewards", ScriptedLM, length, preference_task(four, tmp_path, task="four")),
        ("judge", ScriptedLM, lambda prompt: "It is [[A]]", {**preference_task([pair], mkdir(tmp_path / "j")), "class": JudgeTask, "task": "judged", "output_type": "generate_until"}),
        ("steps", StepLM, lambda context, response: 0.1, {**preference_task([solution], mkdir(tmp_path / "s")), "class": ProcessTask, "task": "steps", "output_type": "step_scores", "score": "processbench", "metric_list": ["acc_error"]}),
        ("host", ScriptedLM, length, own),
    ):  # fmt: skip
        save_run(tmp_path / "runs", name, score, [task], task_manager, model=model)
    made = report_page(tmp_path / "runs")
    assert [row[0] for row in made.tables["Tasks: acc and acc_error"][1:]] == ["four", "judged", "steps", "stock"]
    assert "calibration" not in made.ids
    assert "lengths" in made.ids
    assert made.texts[:5] == ["User: p\n\nAssistant: ", "a", "bb", "ccc", "dddd"]
    assert made.texts[6:8] == ["It is [[A]]"] * 2
    assert made.texts[9:11] == ["Two and two.", "So 5."]
    assert made.texts[11:] == ["One or two?", " one", " twoo", "0"]
    for words in (
        "verdict A, wrong",
        "first wrong step 2",
        "finds step 1 wrong",
        "expected",
        "judge is not compared: found no task in common",
    ):
        assert words in made.words


def mkdir(folder):
    """A new folder."""
    folder.mkdir()
    return folder
