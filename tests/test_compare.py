"""`compare` on the command line: numbers of whole RewardBench runs, words, rows, and texts that must not act."""

import json
import subprocess
import sys

import numpy as np
import pytest
from conftest import ASSETS, preference_task
from result_files import at_random, write_run
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests
from test_docs import ROOT

from skywork_rb_plugin.commands.compare.command import main
from skywork_rb_plugin.errors import UserError
from skywork_rb_plugin.report.published import standings

KNOWN = "Skywork/Skywork-Reward-Llama-3.1-8B-v0.2"


@pytest.fixture(scope="module")
def whole(task_manager, data_root, tmp_path_factory):
    """Folders of two runs of all 2985 rows, of the real data where it is there; the second is right a little more often."""
    guess, folder = at_random(1), tmp_path_factory.mktemp("whole")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SKYWORK_RB_DATA_ROOT", str(ASSETS / "mirror" if ASSETS else data_root))
        return [
            write_run(folder, KNOWN, guess, ["rewardbench"], task_manager),
            write_run(folder, "b", lambda c, r: guess(c, r) + at_random(2)(c, r), ["rewardbench"], task_manager),
        ]


def printed(capsys, *arguments):
    """What the command prints."""
    main([str(argument) for argument in arguments])
    return capsys.readouterr().out


def read(folder, task):
    """{doc_id: line} of a sample log."""
    [log] = folder.glob(f"samples_{task}_2*.jsonl")
    return {line["doc_id"]: line for line in map(json.loads, log.open())}


def test_numbers_of_whole_runs(whole, capsys):
    """Scores as the results files have them; p-values, adjusted ones and counts as of the logs themselves."""
    data = json.loads(printed(capsys, *whole, "--json"))
    [comparison] = data["comparisons"]
    lines = {line["name"]: line for line in comparison["lines"]}
    assert len(lines) == data["tests"] == 28
    results = [json.loads(next(folder.glob("results_*.json")).read_text()) for folder in whole]
    for name, line in lines.items():
        for side, run in zip(("first", "second"), results, strict=True):
            assert line[side]["value"] == run["results"][name]["acc,none"]
    logs = {name: [read(folder, name) for folder in whole] for name, line in lines.items() if line["is_task"]}
    for name, line in lines.items():
        tasks = [task for task in logs if task == name or name in lines[task]["path"]]
        right = np.array([(a[i]["acc"], b[i]["acc"]) for task in tasks for a, b in [logs[task]] for i in a], dtype=bool)
        table = [[np.sum((right[:, 0] == x) & (right[:, 1] == y)) for y in (True, False)] for x in (True, False)]
        assert list(line["rows"].values()) == np.ravel(table).tolist()
        if name in ("rewardbench", "rewardbench::reasoning"):  # whose subsets do not count by their rows
            assert line["method"] == "bootstrap"
        else:
            assert line["method"] == "McNemar"
            assert line["p"] == pytest.approx(mcnemar(table, exact=True).pvalue)
        assert line["low"] <= line["difference"] <= line["high"]
    assert [line["p_adjusted"] for line in lines.values()] == pytest.approx(
        multipletests([line["p"] for line in lines.values()], method="holm")[1].tolist()
    )
    # a normal interval for the weighted score, from the logs
    shares = {task: results[0]["configs"][task]["metadata"]["shares"]["rewardbench"] for task in logs}
    differences = {task: np.array([b[i]["acc"] - a[i]["acc"] for i in a]) for task, (a, b) in logs.items()}
    error = np.sqrt(
        sum(share**2 * differences[task].var(ddof=1) / len(differences[task]) for task, share in shares.items())
    )
    whole_line = lines["rewardbench"]
    assert whole_line["high"] - whole_line["low"] == pytest.approx(2 * 1.96 * error, rel=0.05)
    assert any(
        line.startswith("Published of A, not measured here: RewardBench 93.13 (here ") for line in data["published"]
    )
    scores = [one.score for one in standings("rewardbench") if one.score is not None]
    for label, run in zip("AB", results, strict=True):
        score = 100 * run["results"]["rewardbench"]["acc,none"]
        place = f"{label} with {score:.1f} would be number {sum(one > score for one in scores) + 1}, after "
        assert any(place in line for line in data["published"])


def test_a_newcomers_question(whole, capsys):
    """Which of two is better on Chat Hard, is that chance, three rows where they differ: at 80 columns, in ASCII words."""
    text = printed(capsys, *whole, "--in", "chat hard", "--rows", 3)
    assert "Chat Hard: A and B, acc in percent" in text
    assert "RewardBench:" not in text
    assert any(word in " ".join(text.split()) for word in ("can't be told apart", "is better than", "does not settle"))
    assert [f"Row {i} of 3: only" in text for i in (1, 2, 3)] == [True] * 3
    assert text.count("(preferred; A ") == 3
    table = text[: text.index("Row 1")].splitlines()
    assert max(len(line) for line in table if not line.startswith("   ")) <= 80


def test_json_is_as_documented(whole, capsys):
    """docs/compare.md explains every key."""
    data = json.loads(printed(capsys, *whole, "--in", "hep_go", "--json", "--rows", 1))
    page = (ROOT / "docs" / "compare.md").read_text(encoding="utf-8")
    [comparison] = data["comparisons"]
    tables = [data, data["runs"]["A"], comparison, comparison["lines"][0], comparison["lines"][0]["rows"],
              comparison["rows"][0], data["missed_by_all"][0]]  # fmt: skip
    assert [key for table in tables for key in table if f"`{key}`" not in page] == []


def test_texts_do_not_act(task_manager, tmp_path, capsys):
    """Control characters, escapes, turned writing and markup in prompts, responses and names are shown as text."""
    bad = "\x1b[31mred\x07 \u202eturned [red]x[/] [/] \x9b2J line\r\nnext" + "y" * 5000
    task = preference_task([{"prompt": f"[bold]{bad}", "chosen": bad, "rejected": "[/red]\x1b]0;t\x07"}], tmp_path)
    runs = [
        write_run(tmp_path, f"[b]{i}", lambda c, r, s=s: s * len(r), [task], task_manager)
        for i, s in enumerate((1, -1))
    ]
    text = printed(capsys, *runs, "--rows", 5)
    assert {c for c in text if ord(c) < 32} == {"\n"}
    assert {"\x9b", "\u202e"}.isdisjoint(text)
    for shown in (
        "[bold]⟨U+001B⟩[31mred⟨U+0007⟩ ⟨U+202E⟩turned [red]x[/] [/]",
        "[/red]⟨U+001B⟩]0;t⟨U+0007⟩",
        "A  [b]0",
        "characters more)",
    ):
        assert shown in text
    assert "Row 1 of 1: only A is right" in text


def test_tables_fit(whole, capsys, monkeypatch):
    """One table where there is room, two where there is less; no number is cut where there is too little."""
    shown = {}
    for width in ("140", "80", "30"):
        monkeypatch.setenv("COLUMNS", width)
        shown[width] = printed(capsys, *whole, "--in", "Safety")
    counts = [sum("xstest_should_respond" in line for line in text.splitlines()) for text in shown.values()]
    assert counts == [1, 2, 2]
    assert shown["30"] == shown["80"]


def test_options(whole, capsys, task_manager, tmp_path):
    """All pairs, several parts, and parts that are not there."""
    third = write_run(tmp_path, "c", at_random(4), ["preference_demo"], task_manager, limit=3)
    fourth = write_run(tmp_path, "d", at_random(5), ["preference_demo"], task_manager, limit=3)
    with pytest.raises(UserError, match="no task in common"):
        main([str(folder) for folder in (*whole, third)])
    data = json.loads(printed(capsys, third, fourth, fourth.parent, "--all-pairs", "--json"))
    assert [(one["first"], one["second"]) for one in data["comparisons"]] == [("A", "B")]
    assert data["estimates"][0] == "A is an estimate: 12 of 112 rows were evaluated (--limit or --samples)."
    names = [line["name"] for line in json.loads(
        printed(capsys, *whole, "--in", "*hep_[gj]*", "--in", "Chat", "--json"))["comparisons"][0]["lines"]]  # fmt: skip
    assert len(names) == 3 + 6
    tag, title = (printed(capsys, *whole, "--in", part, "--json") for part in ("rewardbench_chat_hard", "Chat Hard"))
    assert tag == title
    with pytest.raises(UserError, match=r"--in: found no section or task 'Chat Hrd'.*such as Chat Hard"):
        main([*map(str, whole), "--in", "Chat Hrd"])
    with pytest.raises(UserError, match="found --rows -1"):
        main([*map(str, whole), "--rows", "-1"])


def test_the_real_command(whole):
    """In another locale, piped: ASCII and no colour; a mistake is one line."""
    command = [sys.executable, "-m", "skywork_rb_plugin", "compare", *map(str, whole)]
    environment = {"LC_ALL": "C", "PYTHONIOENCODING": "ascii", "PATH": "", "PYTHONPATH": str(ROOT), "COLUMNS": "80"}
    done = subprocess.run([*command, "--in", "Chat"], capture_output=True, env=environment, check=True)
    assert "+-" in done.stdout.decode("ascii")
    assert "\x1b" not in done.stdout.decode("ascii")
    failed = subprocess.run(command[:-1], capture_output=True, text=True, env=environment, check=False)
    assert failed.returncode == 1
    assert failed.stderr.startswith("skywork-rb-plugin: found one run")
    assert failed.stderr.count("\n") == 1
