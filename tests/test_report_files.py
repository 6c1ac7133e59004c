"""`report` as files: whole, the same each time, never over others; texts stay texts; a model card that the hub reads."""

import os
import re
import shutil
import subprocess
import sys

import pytest
from huggingface_hub import ModelCard
from markdown_it import MarkdownIt
from reports import Page, edit_results, edit_samples, number, results_of

from skywork_rb_plugin import UserError
from skywork_rb_plugin.commands.report import command, output
from skywork_rb_plugin.report.texts import shown


def test_the_page_is_whole_by_itself(demo_runs, report_page):
    """Nothing runs or loads, ids are there once, every figure is told in words, the same runs give the same bytes."""
    made = report_page(demo_runs, "--title", "A title")
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


def test_the_real_command(demo_runs, tmp_path):
    """Another process writes the same bytes, and says how large the page is."""
    run = subprocess.run(
        [sys.executable, "-m", "skywork_rb_plugin", "report", str(demo_runs), "-o", "page.html"],
        cwd=tmp_path, capture_output=True, text=True, env={**os.environ, "PYTHONHASHSEED": "7"}, check=True,
    )  # fmt: skip
    assert run.stderr.startswith("wrote page.html, 0.")
    assert os.listdir(tmp_path) == ["page.html"]
    written = (tmp_path / "page.html").read_bytes()
    command.main([str(demo_runs), "-o", str(tmp_path / "page.html")])
    assert (tmp_path / "page.html").read_bytes() == written


HOSTILE = [
    "<script>alert(1)</script>",
    "</script></style></title><svg onload=alert(1)>",
    "[a](javascript:alert(1)) javascript:alert(1)",
    '"><img src=x onerror=alert(1)>',
    "right\u202eto left\u2066 and \x00\x1b[31m\x7f\x9b",
    "half \ud800 of a pair, {{ 7 * 7 }} {% raw %} $x_1$ &lt;",
]


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
def test_texts_are_shown_as_texts(run_of_one_row, tmp_path, report_page, text):
    """Nothing of them becomes markup, on the page or in Markdown; long ones are cut, and the page says so."""
    folder = shutil.copytree(run_of_one_row, tmp_path / "mine")
    spread(folder, "plain")
    plain = skeleton(report_page(folder))
    spread(folder, text)
    made = report_page(folder)
    assert skeleton(made) == plain
    assert made.texts == [shown(text[:3000])] * 3
    assert shown(text[:500]) in made.words
    assert not set(made.words) & set("\x00\x1b\x7f\x9b\u202e\u2066\ud800")
    assert ("997,000 more characters" in made.words) == (len(text) > 3000)
    document = MarkdownIt("gfm-like", {"linkify": False}).render(text_of_markdown(folder, tmp_path))
    known = {"div", "h2", "p", "table", "thead", "tbody", "tr", "th", "td", "hr"}
    assert not {tag for tag, _ in Page(f"<div>{document}</div>").tags} - known


def test_what_acts_or_has_no_shape_is_shown():
    """By number; line ends, tabs and the joiners of emoji and scripts stay."""
    assert shown("a\r\nb\tc\u200d\u200cd é") == "a\nb\tc\u200d\u200cd é"
    for character in "\0\x1b\r\x85\xad\u200b\u200e\u200f\u2028\u202e\u2066\ufeff\ud800\uffff\U000e0041":
        assert shown(f"a{character}b") == f"a⟨U+{ord(character):04X}⟩b"


def skeleton(made):
    """The page's tags, without those that follow from the length of texts."""
    return [tag for tag, _ in made.tags if tag not in ("p", "g", "path", "use", "text", "defs", "clippath", "rect")]


def text_of_markdown(folder, tmp_path):
    """What --markdown writes below the front matter."""
    file = tmp_path / "card.md"
    command.main([str(folder), "--markdown", str(file)])
    return re.sub("<!-- made by .* -->", "", ModelCard(file.read_text(encoding="utf-8")).text)


def test_markdown_is_read_back_by_the_hub(demo_runs, capsys):
    """The model index has each score of the first run; the table has both runs'; nothing else is written."""
    command.main([str(demo_runs / "one"), str(demo_runs / "two"), "--markdown"])
    text = capsys.readouterr().out
    data = ModelCard(text).data
    results = results_of(demo_runs / "one")["results"]
    assert data.model_name == "one"
    assert sorted(result.metric_value for result in data.eval_results) == sorted(
        row["acc,none"] for row in results.values()
    )
    assert len({result.metric_name for result in data.eval_results}) == 5
    [table] = Page(MarkdownIt("commonmark").enable("table").render(ModelCard(text).text)).tables.values()
    assert table[0][-2:] == ["one", "two"]
    assert number(table[1][-1].split()[0]) == pytest.approx(
        100 * results_of(demo_runs / "two")["results"]["preference_demo"]["acc,none"], abs=0.005
    )


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["-o", "folder"], "--output folder: found a folder, expected the name of a file"),
        (["-o", "no/page.html"], "--output no/page.html: found no folder no, expected"),
        (["-o", "mine.html"], "--output mine.html: found a file that is no earlier report of this command"),
        (["--markdown", "mine.html"], "--markdown mine.html: found a file that is no earlier report"),
        (["-o", ""], "--output: found no name, expected that of a file"),
        (["-o", "loop"], "can't write --output loop: "),
        (["-o", "x", "--markdown", "./x"], "found x for --output and for --markdown, expected two files"),
        (["--rows", "-1"], "found --rows -1, expected 0 or more"),
    ],
)
def test_refused_before_anything_is_read(tmp_path, monkeypatch, arguments, line):
    """A line about the file, also where there are no results; what was there stays."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    (tmp_path / "mine.html").write_text("my own")
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(UserError) as refused:
        command.main(["no-results", *arguments])
    assert str(refused.value).startswith(line)
    assert "\n" not in str(refused.value)
    assert (tmp_path / "mine.html").read_text() == "my own"


def test_a_card_that_was_changed_is_kept(demo_runs, tmp_path):
    """What the command wrote is replaced; what somebody added words to is not."""
    file = tmp_path / "card.md"
    for folder in ("one", "two"):
        command.main([str(demo_runs / folder), "--markdown", str(file)])
    assert "name: two" in file.read_text()
    changed = file.read_text() + "\nMy own words.\n"
    file.write_text(changed)
    with pytest.raises(UserError, match="or was changed since, and would be lost"):
        command.main([str(demo_runs / "one"), "--markdown", str(file)])
    assert file.read_text() == changed


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="/dev/full is Linux's")
def test_a_full_device_is_one_line(demo_runs):
    """As a file, and as the output of a command that prints."""
    with pytest.raises(UserError, match="can't write --output /dev/full: No space left on device"):
        command.main([str(demo_runs / "one"), "-o", "/dev/full"])
    with open("/dev/full", "w") as full:
        made = subprocess.run(
            [sys.executable, "-m", "skywork_rb_plugin", "compare", demo_runs / "one", demo_runs / "two"],
            stdout=full, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
    assert made.stderr == "skywork-rb-plugin: can't write the output (No space left on device), expected room for it\n"
    assert made.returncode == 1


def test_metadata_of_a_group_is_what_its_tasks_agree_in(demo_runs, tmp_path, capsys):
    """A file on the hub is told by its repository; what is another in each task, and a format, is left out."""
    folder = shutil.copytree(demo_runs / "one", tmp_path / "run")

    def change(data):
        for place, config in enumerate(data["configs"].values()):
            config |= {"dataset_path": "json", "dataset_name": f"part{place}", "test_split": "test"}
            config["dataset_kwargs"] = {"data_files": f"hf://datasets/me/mine@abc/{place}.jsonl"}

    edit_results(folder, change)
    command.main([str(folder), "--markdown"])
    top, *parts = ModelCard(capsys.readouterr().out).data.eval_results
    assert (top.dataset_type, top.dataset_config, top.dataset_split, top.dataset_revision) == (
        "me/mine",
        None,
        "test",
        "abc",
    )
    assert {one.dataset_config for one in parts} == {"part0", "part1", "part2", "part3"}


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


def test_a_log_of_another_run(demo_runs, tmp_path):
    """No page is made of rows that do not give the score of the results file."""
    folder = shutil.copytree(next(path.parent for path in demo_runs.rglob("results_*.json")), tmp_path / "run")
    edit_samples(folder, lambda line: line.update(acc=0.0))
    with pytest.raises(UserError, match="found rows that give acc 0, expected"):
        command.main([str(folder), "-o", str(tmp_path / "page.html")])
    assert not (tmp_path / "page.html").exists()
